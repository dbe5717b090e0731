#!/usr/bin/env bash
# `make doctor`: the server's own examination, with the environment `make run` gives it.
. "$(dirname "$0")/setup/lib.sh"
cd "$repo"
environment=$(deploy/setup/prepare.sh run)
eval "$environment"
exec "$CLAWLOOPS_BIN" doctor
