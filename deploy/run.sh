#!/usr/bin/env bash
# `make run`: all of the set-up, then the server in this process's place. The
# server starts and stops PostgreSQL, LiteLLM and the local model by itself;
# Docker stays, since it holds the runtimes.
. "$(dirname "$0")/setup/lib.sh"
cd "$repo"

begun=$(now_ms)
environment=$(deploy/setup/prepare.sh run)
eval "$environment"
say "set-up done in $(seconds "$begun") s"
exec "$CLAWLOOPS_BIN" serve
