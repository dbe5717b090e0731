#!/usr/bin/env bash
# `make check`: what can be said without running anything. Every check runs, so
# that one call tells all; the exit says whether each passed.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"
export SQLX_OFFLINE=true

# What must never be in the page: each would mean that server code got into it.
pure() {
  local tree
  tree=$(cargo tree --locked -p frontend --target wasm32-unknown-unknown --features hydrate -e normal --prefix none)
  if printf '%s\n' "$tree" | grep -E '^(tokio|axum|hyper|sqlx|bollard|reqwest|argon2)(-[a-z]+)? v'; then
    say "the page would carry the packages above"
    return 1
  fi
}

failed=()
check() {
  local name=$1 begun
  shift
  begun=$(now_ms)
  if "$@"; then
    printf 'check %-17s %7s s\n' "$name" "$(seconds "$begun")"
  else
    printf 'check %-17s %7s s  failed\n' "$name" "$(seconds "$begun")"
    failed+=("$name")
  fi
}

format() { cargo fmt --all --check && cargo fmt --manifest-path fuzz/Cargo.toml --check; }
check format format
check page-is-pure pure
check clippy-server cargo clippy --quiet --locked -p contract -p app -p server --features app/ssr --all-targets -- -D warnings
check clippy-page cargo clippy --quiet --locked -p frontend --lib --target wasm32-unknown-unknown --features hydrate -- -D warnings
check clippy-page-alone cargo clippy --quiet --locked -p frontend --bin ui --target wasm32-unknown-unknown --features csr -- -D warnings
if [ "${1:-}" != --without-tests ]; then
  check layers cargo test --quiet --locked -p server --test layers
fi

if [ ${#failed[@]} != 0 ]; then
  printf 'failed: %s\n' "${failed[*]}"
  exit 1
fi
