#!/usr/bin/env bash
# The targets of fuzz/, on the stable toolchain: coverage is asked of LLVM by flags, and libFuzzer is built with its crate.
#
#   fuzz.sh build                 builds them
#   fuzz.sh                       each target on a fixed number of inputs, which one seed decides: for `make test`
#   fuzz.sh long TARGET SECONDS   one target, or each, for so long and from a new seed; what it learns stays in fuzz/corpus
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"

purpose=${1:-short} only=${2:-} time=${3:-60}
artifacts=$repo/fuzz/artifacts
target=${CARGO_TARGET_DIR:-$repo/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

# As cargo-fuzz has them without a sanitizer: that wants a nightly toolchain, and there is no unsafe code here to find. With a target that is named,
# build scripts and macros are built without them.
flags=(--cfg fuzzing -Cpasses=sancov-module -Cforce-frame-pointers -Clink-dead-code)
for option in level=4 inline-8bit-counters pc-table trace-compares; do flags+=("-Cllvm-args=-sanitizer-coverage-$option"); done
build() {
  RUSTFLAGS="${flags[*]}" cargo build --quiet --locked --release --bins --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$target"
}

# How many inputs a target takes in the short run: each some seconds here.
runs() {
  case $1 in
    key) echo 200000 ;;
    meter) echo 5000 ;;
    *) echo 50000 ;;
  esac
}

run() {
  local name=$1 corpus=$2
  shift 2
  mkdir -p "$corpus" "$artifacts/$name"
  "$target/$host/release/$name" "$@" -dict="fuzz/dictionaries/$name" -artifact_prefix="$artifacts/$name/" -timeout=20 -max_len=3000 -rss_limit_mb=1024 \
    "$corpus" "fuzz/seeds/$name"
}

names=()
for file in fuzz/fuzz_targets/*.rs; do
  name=$(basename "$file" .rs)
  if [ -z "$only" ] || [ "$only" = "$name" ]; then names+=("$name"); fi
done
if [ ${#names[@]} = 0 ]; then fail "there is no fuzz target $only" "There are: $(basename -s .rs fuzz/fuzz_targets/*.rs | paste -sd ' ')"; fi

begun=$(now_ms)
build
if [ "$purpose" = build ]; then exit 0; fi
if [ "$purpose" = long ]; then
  for name in "${names[@]}"; do run "$name" "fuzz/corpus/$name" -max_total_time="$time"; done
  exit 0
fi

work=$(mktemp -d /tmp/clawloops-fuzz.XXXXXX)
trap 'rm -rf "$work"' EXIT
failed=0
for name in "${names[@]}"; do
  begun=$(now_ms)
  # Each ends by its number of inputs; the time is for a machine that is very slow.
  if run "$name" "$work/$name" -seed=1 -runs="$(runs "$name")" -max_total_time=20 >"$work/log" 2>&1; then
    printf 'fuzz %-18s %7s s\n' "$name" "$(seconds "$begun")"
  else
    tail -n 60 "$work/log"
    printf 'fuzz %-18s %7s s  failed\n' "$name" "$(seconds "$begun")"
    failed=1
  fi
done
exit $failed
