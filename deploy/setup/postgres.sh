# shellcheck shell=bash
# A PostgreSQL cluster for development and tests: a socket and no port, nothing
# kept safe against power cuts, gone with its folder. Sourced after lib.sh.

postgres_bin() {
  if [ -n "${CLAWLOOPS_POSTGRES_BIN:-}" ]; then
    printf '%s\n' "$CLAWLOOPS_POSTGRES_BIN"
    return
  fi
  local newest
  newest=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
  if [ -n "$newest" ]; then printf '%s\n' "$newest"; else dirname "$(command -v postgres)"; fi
}

# PostgreSQL refuses root, so root lends it another account.
as_postgres() {
  if [ "$(id -u)" != 0 ]; then
    "$@"
    return
  fi
  local account=nobody
  if id postgres >/dev/null 2>&1; then account=postgres; fi
  setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups env -C / HOME=/ "$@"
}

# postgres_start FOLDER: makes the cluster if the folder is empty and starts it.
postgres_start() {
  local folder=$1 bin
  bin=$(postgres_bin)
  mkdir -p "$folder"
  if [ "$(id -u)" = 0 ]; then
    # The folders above may be closed to the other account; the cluster's own is not.
    chown "$(as_postgres id -u):$(as_postgres id -g)" "$folder"
  fi
  if [ ! -e "$folder/data/PG_VERSION" ]; then
    as_postgres "$bin/initdb" --pgdata "$folder/data" --username postgres --auth trust \
      --encoding UTF8 --locale C.UTF-8 --no-sync >/dev/null
  fi
  as_postgres "$bin/pg_ctl" start --wait --silent --pgdata "$folder/data" --log "$folder/log" --options \
    "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=off -c synchronous_commit=off \
     -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB" >/dev/null
}

postgres_stop() { as_postgres "$(postgres_bin)/pg_ctl" stop --mode immediate --silent --pgdata "$1/data" >/dev/null 2>&1 || true; }

# postgres_url FOLDER DATABASE
postgres_url() { printf 'postgres://postgres@localhost/%s?host=%s\n' "$2" "$1"; }

postgres_answers() { as_postgres "$(postgres_bin)/pg_ctl" status --pgdata "$1/data" >/dev/null 2>&1; }

# postgres_migrated FOLDER DATABASE: the database anew, with every migration applied.
postgres_migrated() {
  local psql=("$(postgres_bin)/psql" --quiet --no-psqlrc --host "$1" --username postgres -v ON_ERROR_STOP=1) file
  "${psql[@]}" --dbname postgres -c "drop database if exists \"$2\" with (force)" -c "create database \"$2\""
  while IFS= read -r file; do
    "${psql[@]}" --dbname "$2" --single-transaction --file "$file"
  done < <(find "$repo/migrations" -name '*.sql' | sort -V)
}
