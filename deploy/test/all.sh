#!/usr/bin/env bash
# `make test`: the set-up, the checks, the Rust tests with a PostgreSQL of their
# own, then the whole product in a browser. Ends with "N passed, N failed".
. "$(dirname "$0")/../setup/lib.sh"
. "$repo/deploy/setup/postgres.sh"
cd "$repo"

passed=0 failed=0 lanes=()
work=$(mktemp -d /tmp/clawloops-test.XXXXXX)
chmod 755 "$work"
postgres=$work/postgres
docker_was_up=no
if docker version >/dev/null 2>&1; then docker_was_up=yes; fi

# Docker holds no runtime of these tests any more; if they started it, they stop it.
stop_docker() {
  if [ "$docker_was_up" = no ] && [ -e /var/run/docker.pid ] && [ -z "$(docker ps --quiet 2>/dev/null)" ]; then
    kill "$(cat /var/run/docker.pid)" 2>/dev/null || true
  fi
}
clean_up() {
  # What still runs beside this ends with it: each lane leads a group of its own.
  local one
  for one in "${lanes[@]}"; do kill -- "-${one#*=}" 2>/dev/null || true; done
  postgres_stop "$postgres"
  rm -rf "$work" "$postgres"
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
deploy/test/rust.sh build "$work/programs" && deploy/test/fuzz.sh build || status=$?
if [ "$status" != 0 ]; then
  count build 0 1 1
  finish
fi
printf 'step %-18s %7s s\n' build "$(seconds "$begun")" >&2

# A database for each test, by the hundred: in memory where there is room, which takes a fifth of the processor's time, and made with every migration.
begun=$(now_ms)
if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 3000000 ] 2>/dev/null; then
  postgres=$(mktemp -d /dev/shm/clawloops-test.XXXXXX)
  chmod 755 "$postgres"
fi
postgres_start "$postgres"
DATABASE_URL=$(postgres_url "$postgres" template1) "$CLAWLOOPS_BIN" migrate >/dev/null
DATABASE_URL=$(postgres_url "$postgres" postgres)
export DATABASE_URL
mkdir "$work/rust"

# lane NAME COMMAND…: runs beside what comes after it, in a process group of its own. What it says lies in a file, and whether it failed.
lane() {
  local name=$1
  shift
  set -m
  { "$@" >"$work/lane-$name" 2>&1 </dev/null || touch "$work/lane-$name.failed"; } &
  set +m
  lanes+=("$name=$!")
}
# landed NAME: waits for it, and shows what it said.
landed() {
  local one
  for one in "${lanes[@]}"; do if [ "${one%=*}" = "$1" ]; then wait "${one#*=}"; fi; done
  cat "$work/lane-$1"
  [ ! -e "$work/lane-$1.failed" ]
}

# Docker's tests come first: each boots OpenClaws, and they hold the platform to its promises of time, so two at once. The others wait for PostgreSQL and
# for clocks, and run beside them on what they leave; what wants the processors and nothing else takes what is left by all.
rust=(deploy/test/rust.sh run "$work/programs" "$work/rust")
lane docker env RUST_TEST_THREADS=2 "${rust[@]}" docker
# A LiteLLM that boots within these has to be there in 45 s, as the product promises to wait: it may not be starved.
lane model env RUST_TEST_THREADS=3 nice -n 4 "${rust[@]}" model
lane others env RUST_TEST_THREADS=3 nice -n 10 "${rust[@]}" rest docker model simulation
lane simulation nice -n 19 "${rust[@]}" simulation
lane fuzz nice -n 19 deploy/test/fuzz.sh
status=0
for name in others model simulation docker; do landed "$name" || status=1; done
sum() { cat "$work/rust"/* | awk -v what="$1" '/^test result:/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ "^" what) n += $i } END { print n + 0 }'; }
count rust "$(sum passed)" "$(sum failed)" "$status"
status=0
landed fuzz || status=$?
count fuzz "$(grep -c '^fuzz .* s$' "$work/lane-fuzz" || true)" "$(grep -c '^fuzz .* failed$' "$work/lane-fuzz" || true)" "$status"
lanes=()
unset DATABASE_URL
postgres_stop "$postgres"
printf 'step %-18s %7s s\n' rust-and-fuzz "$(seconds "$begun")" >&2

begun=$(now_ms)
status=0
(cd end2end && npx --no-install playwright test </dev/null) 2>&1 | tee "$work/end2end" || status=${PIPESTATUS[0]}
line=$(grep -E '^end2end: [0-9]+ passed, [0-9]+ failed$' "$work/end2end" | tail -n 1 || true)
read -r _ good _ bad _ <<<"${line:-end2end: 0 passed, 0 failed}"
count end2end "$good" "$bad" "$status"
printf 'step %-18s %7s s\n' end2end "$(seconds "$begun")" >&2

finish
