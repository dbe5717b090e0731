#!/usr/bin/env bash
# `make soak`: the proofs that take longer than `make test` may. A million schedules of the orchestrator's simulation (SCHEDULES=n), PostgreSQL away for a
# minute under model calls (OUTAGE=seconds), every case of the WebSocket suite through the gateway, and the server killed three hundred times on real Docker (KILLS=n). Run before a release.
. "$(dirname "$0")/../setup/lib.sh"
. "$repo/deploy/setup/postgres.sh"
cd "$repo"

eval "$(deploy/setup/prepare.sh test)"
"$repo/deploy/test/sim.sh" "${SCHEDULES:-}" ""

work=$(mktemp -d /tmp/clawloops-soak.XXXXXX)
chmod 755 "$work"
trap 'postgres_stop "$work/postgres"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
postgres_start "$work/postgres"
DATABASE_URL=$(postgres_url "$work/postgres" postgres)
export DATABASE_URL SQLX_OFFLINE=true CLAWLOOPS_STORM_KILLS=${KILLS:-300} CLAWLOOPS_OUTAGE_SECONDS=${OUTAGE:-60}
cargo test --locked -p server --test model -- --nocapture outages::
CLAWLOOPS_TEST_WEBSOCKET=$(deploy/setup/websocket-cases.sh) CLAWLOOPS_WEBSOCKET_CASES=all \
  cargo test --locked -p server --test entry -- --nocapture conformance::
cargo test --locked -p server --test docker -- --nocapture storm::
