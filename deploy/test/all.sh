#!/usr/bin/env bash
# `make test`: the set-up, the checks, the Rust tests with a PostgreSQL of their
# own, then the whole product in a browser. Ends with "N passed, N failed".
. "$(dirname "$0")/../setup/lib.sh"
. "$repo/deploy/setup/postgres.sh"
cd "$repo"

passed=0 failed=0
work=$(mktemp -d /tmp/clawloops-test.XXXXXX)
chmod 755 "$work"
docker_was_up=no
if docker version >/dev/null 2>&1; then docker_was_up=yes; fi

# Docker holds no runtime of these tests any more; if they started it, they stop it.
stop_docker() {
  if [ "$docker_was_up" = no ] && [ -e /var/run/docker.pid ] && [ -z "$(docker ps --quiet 2>/dev/null)" ]; then
    kill "$(cat /var/run/docker.pid)" 2>/dev/null || true
  fi
}
clean_up() {
  postgres_stop "$work/postgres"
  rm -rf "$work"
  stop_docker
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# count NAME PASSED FAILED EXIT: adds up; a run that ended badly without saying why counts as one failure.
count() {
  local name=$1 good=$2 bad=$3 status=$4
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  if [ "$good" = 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  passed=$((passed + good)) failed=$((failed + bad))
  say "$name: $good passed, $bad failed"
}

finish() {
  trap - EXIT
  clean_up
  printf '%d passed, %d failed\n' "$passed" "$failed"
  if [ "$failed" = 0 ] && [ "$passed" != 0 ]; then exit 0; fi
  exit 1
}

if ! environment=$(deploy/setup/prepare.sh test); then
  count set-up 0 1 1
  finish
fi
eval "$environment"

begun=$(now_ms)
status=0
deploy/test/check.sh --without-tests >"$work/check" 2>&1 || status=$?
cat "$work/check"
count checks "$(grep -c '^check .* s$' "$work/check" || true)" "$(grep -c '^check .* failed$' "$work/check" || true)" "$status"
printf 'step %-18s %7s s\n' checks "$(seconds "$begun")" >&2

begun=$(now_ms)
status=0
deploy/test/fuzz.sh >"$work/fuzz" || status=$?
cat "$work/fuzz"
count fuzz "$(grep -c '^fuzz .* s$' "$work/fuzz" || true)" "$(grep -c '^fuzz .* failed$' "$work/fuzz" || true)" "$status"
printf 'step %-18s %7s s\n' fuzz "$(seconds "$begun")" >&2

# What the browser tests run with, and the clients that the model door is called with.
node=$(step node deploy/setup/node.sh)
export PATH="$node/bin:$PATH"
# No browser is fetched: the machine's own Chromium is used.
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
lock=$(digest end2end/package-lock.json)
if [ ! -e "end2end/node_modules/.complete-$lock" ]; then
  logged end2end "fetching the browser tests' packages" npm ci --prefix end2end --ignore-scripts --no-audit --no-fund
  touch "end2end/node_modules/.complete-$lock"
fi
CLAWLOOPS_TEST_NODE=$node/bin/node
CLAWLOOPS_TEST_PYTHON=$(step clients deploy/setup/clients.sh)
CLAWLOOPS_TEST_WEBSOCKET=$(step websocket-cases deploy/setup/websocket-cases.sh)
CLAWLOOPS_TEST_PEBBLE=$(step pebble deploy/setup/pebble.sh)
export CLAWLOOPS_TEST_NODE CLAWLOOPS_TEST_PYTHON CLAWLOOPS_TEST_WEBSOCKET CLAWLOOPS_TEST_PEBBLE

begun=$(now_ms)
status=0
export SQLX_OFFLINE=true
rust=(cargo test --locked --no-fail-fast -p contract -p app -p server --features app/ssr)
"${rust[@]}" --no-run </dev/null || status=$?
# They wait for PostgreSQL most of the time: more at once than there are cores.
export RUST_TEST_THREADS=4
names=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    for target in package["targets"]:
        if "test" in target["kind"]:
            print(target["name"])')
others=(--lib --bins)
for name in $names; do
  if [ "$name" != docker ]; then others+=(--test "$name"); fi
done
postgres_start "$work/postgres"
DATABASE_URL=$(postgres_url "$work/postgres" postgres)
export DATABASE_URL
"${rust[@]}" "${others[@]}" </dev/null 2>&1 | tee "$work/rust" || status=${PIPESTATUS[0]}
printf 'step %-18s %7s s\n' rust-tests "$(seconds "$begun")" >&2
begun=$(now_ms)
# Alone and two at once: each boots OpenClaws, which want the processors, and holds the platform to its promises of time.
RUST_TEST_THREADS=2 "${rust[@]}" --test docker </dev/null 2>&1 | tee -a "$work/rust" || status=${PIPESTATUS[0]}
unset DATABASE_URL
postgres_stop "$work/postgres"
sum() { awk -v what="$1" '/^test result:/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ "^" what) n += $i } END { print n + 0 }' "$work/rust"; }
count rust "$(sum passed)" "$(sum failed)" "$status"
printf 'step %-18s %7s s\n' docker-tests "$(seconds "$begun")" >&2

begun=$(now_ms)
status=0
(cd end2end && npx --no-install playwright test </dev/null) 2>&1 | tee "$work/end2end" || status=${PIPESTATUS[0]}
line=$(grep -E '^end2end: [0-9]+ passed, [0-9]+ failed$' "$work/end2end" | tail -n 1 || true)
read -r _ good _ bad _ <<<"${line:-end2end: 0 passed, 0 failed}"
count end2end "$good" "$bad" "$status"
printf 'step %-18s %7s s\n' end2end "$(seconds "$begun")" >&2

finish
