#!/usr/bin/env bash
# `make sqlx`: writes .sqlx anew, the record that lets queries be checked without a
# database. Every query is compiled against a cluster made for this alone.
. "$(dirname "$0")/../setup/lib.sh"
. "$repo/deploy/setup/postgres.sh"
cd "$repo"

folder=$(mktemp -d /tmp/clawloops-sqlx.XXXXXX)
trap 'postgres_stop "$folder"; rm -rf "$folder"' EXIT
postgres_start "$folder"
postgres_migrated "$folder" clawloops

new=$repo/target/sqlx.new
rm -rf "$new"
mkdir -p "$new"
# The macros write as they are expanded, so the crate that holds them is compiled again.
touch server/src/lib.rs server/src/main.rs
find server/tests -maxdepth 1 -name '*.rs' -exec touch {} + 2>/dev/null || true
DATABASE_URL=$(postgres_url "$folder" clawloops) SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$new \
  cargo check -p server --all-targets
rm -rf .sqlx
mv "$new" .sqlx
say "$(find .sqlx -name 'query-*.json' | wc -l) queries recorded in .sqlx"
