#!/usr/bin/env bash
# The server, optimised. Queries are checked against .sqlx, so no database is needed.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
SQLX_OFFLINE=true logged server "building the server" cargo build -p server --bin clawloops --release --locked
