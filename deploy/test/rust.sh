#!/usr/bin/env bash
# The Rust tests. `cargo test` would run one binary after another, and most of them wait for a clock or for PostgreSQL most of the time.
#
#   rust.sh build FILE             builds them and writes a line each: name, folder, program
#   rust.sh run FILE FOLDER NAME…  runs these one after another (all that are not named elsewhere: `rest NAME…`), what each says in FOLDER/NAME
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
export SQLX_OFFLINE=true

# Programs as cargo says them, so that none is forgotten: a test that is added is run.
build() {
  cargo test --locked -p contract -p app -p server --features app/ssr --no-run --message-format json-render-diagnostics </dev/null | python3 -c '
import json, os, sys
for line in sys.stdin:
    said = json.loads(line)
    if said["reason"] == "compiler-artifact" and said["profile"]["test"] and said["executable"]:
        kind, name = said["target"]["kind"][0], said["target"]["name"]
        print(name if kind == "test" else f"{name}-{kind}", os.path.dirname(said["manifest_path"]), said["executable"], sep="\t")'
}

run() {
  local list=$1 folder=$2 name begun status failed=0
  shift 2
  if [ "$1" = rest ]; then
    local but
    but=$(printf '%s\n' "$@")
    mapfile -t names < <(cut -f 1 "$list" | grep -vxF -e "$but")
  else
    names=("$@")
  fi
  for name in "${names[@]}"; do
    begun=$(now_ms) status=0
    IFS=$'\t' read -r _ home program < <(grep -P "^$name\t" "$list") || fail "there is no test program $name"
    (cd "$home" && exec "$program") >"$folder/$name.log" 2>&1 </dev/null || status=$?
    mv "$folder/$name.log" "$folder/$name"
    if [ "$status" != 0 ]; then
      cat "$folder/$name"
      failed=1
    fi
    printf 'rust %-18s %7s s%s\n' "$name" "$(seconds "$begun")" "$([ "$status" = 0 ] || echo '  failed')"
  done
  return $failed
}

case ${1:-} in
  build) build >"$2" ;;
  run) shift && run "$@" ;;
  *) fail "rust.sh build or run" ;;
esac
