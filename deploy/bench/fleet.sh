#!/usr/bin/env bash
# The program that measures the orchestrator with many runtimes, optimised as the
# server is. Prints its path.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
SQLX_OFFLINE=true logged fleet "building the measuring program" cargo build -p server --example fleet --release --locked
printf '%s\n' "${CARGO_TARGET_DIR:-$repo/target}/release/examples/fleet"
