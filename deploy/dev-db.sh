#!/usr/bin/env bash
# `make dev-db`: a database to write checked queries against, with every migration
# applied. The cluster stays up; its address goes into .env, where sqlx looks.
. "$(dirname "$0")/setup/lib.sh"
. "$repo/deploy/setup/postgres.sh"

# A socket's path may have 107 characters at most, so it is kept short.
folder=/tmp/clawloops-dev-$(id -u)-$(printf '%s' "$repo" | sha256sum | cut -c1-8)
if ! postgres_answers "$folder"; then postgres_start "$folder"; fi
postgres_migrated "$folder" clawloops
url=$(postgres_url "$folder" clawloops)
if [ ! -e "$repo/.env" ]; then printf 'DATABASE_URL=%s\n' "$url" >"$repo/.env"; fi
printf '%s\n' "$url"
