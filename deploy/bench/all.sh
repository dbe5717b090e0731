#!/usr/bin/env bash
# `make bench`: the set-up, then every figure in one run, ratios first. Nothing is asserted.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
environment=$(deploy/setup/prepare.sh bench)
eval "$environment"
CLAWLOOPS_FLEET_BIN=$(step fleet deploy/bench/fleet.sh)
export CLAWLOOPS_FLEET_BIN
node=$(step node deploy/setup/node.sh)
# One more gateway to compare with, where it installs.
CLAWLOOPS_PORTKEY=$(PATH=$node/bin:$PATH step portkey deploy/bench/portkey.sh) || CLAWLOOPS_PORTKEY=
export CLAWLOOPS_PORTKEY
exec python3 deploy/bench/bench.py
