#!/usr/bin/env bash
# All of the set-up, each step with its time, and only what is missing. Prints the
# environment that the server is started with, as lines for `eval`.
#
#   prepare.sh run|test
. "$(dirname "$0")/lib.sh"

purpose=${1:-run}
here=$repo/deploy/setup

# Two set-ups at once would trip over each other's half-made parts.
if [ -z "${CLAWLOOPS_PREPARING:-}" ]; then
  export CLAWLOOPS_PREPARING=1
  flock -n -o "$cache/lock" true || say "another set-up is at work; waiting for it"
  exec flock -o "$cache/lock" "$0" "$@"
fi
unset CLAWLOOPS_PREPARING

step packages "$here/packages.sh" "$purpose"
step rust "$here/rust.sh" "$purpose"
step docker "$here/docker.sh"

# What is fetched is fetched while the compiler works: one waits for the network,
# the other for the processor.
(
  step runtime-image "$repo/deploy/runtime-image/build.sh"
  step litellm "$here/litellm.sh"
  step local-model "$here/local-model.sh"
) >/dev/null &
fetching=$!
trap 'kill "$fetching" 2>/dev/null || true' EXIT

step wasm-bindgen "$here/wasm-bindgen.sh" >/dev/null
step web "$repo/deploy/build/site.sh"
step server "$repo/deploy/build/server.sh"

wait "$fetching" || exit $?
trap - EXIT

print() { printf 'export %s=%q\n' "$1" "$2"; }
target=${CARGO_TARGET_DIR:-$repo/target}
# What a person has set stays as it is.
print CLAWLOOPS_BIN "$target/release/clawloops"
print CLAWLOOPS_SITE_DIR "${CLAWLOOPS_SITE_DIR:-$target/site}"
print CLAWLOOPS_RUNTIME_IMAGE "$("$repo/deploy/runtime-image/build.sh" --name)"
print CLAWLOOPS_LITELLM_BIN "${CLAWLOOPS_LITELLM_BIN:-$("$here/litellm.sh")}"
print CLAWLOOPS_LOCAL_MODEL_BIN "${CLAWLOOPS_LOCAL_MODEL_BIN:-$("$here/local-model.sh")}"
