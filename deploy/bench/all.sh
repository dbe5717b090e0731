#!/usr/bin/env bash
# `make bench`: the set-up, then every figure in one run, ratios first. Nothing is asserted.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
environment=$(deploy/setup/prepare.sh bench)
eval "$environment"
exec python3 deploy/bench/bench.py
