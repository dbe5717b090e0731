#!/usr/bin/env bash
# `make sim [SCHEDULES=n] [SEED=n]`: the orchestrator's simulation, optimised, in as many schedules as asked for. `make test` plays ten thousand.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
export SQLX_OFFLINE=true CARGO_PROFILE_TEST_OPT_LEVEL=2
export CLAWLOOPS_SIM_SCHEDULES=${1:-1000000} CLAWLOOPS_SIM_SEED=${2:-}
exec cargo test --locked -p server --test simulation -- --nocapture every_schedule
