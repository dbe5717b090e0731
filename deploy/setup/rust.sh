#!/usr/bin/env bash
# The Rust toolchain, its WebAssembly target, and (for `rust.sh test`) clippy and rustfmt.
. "$(dirname "$0")/lib.sh"

have cargo || fail "there is no Rust toolchain" \
  "Install one from https://rustup.rs, then run this again."

sysroot=$(rustc --print sysroot)
target=wasm32-unknown-unknown
if [ ! -d "$sysroot/lib/rustlib/$target/lib" ]; then
  have rustup || fail "the Rust toolchain lacks the target $target" \
    "This toolchain does not come from rustup, so its packager has to bring the target" \
    "(Debian: libstd-rust-dev-wasm32)."
  logged rust-target "fetching the Rust target $target" rustup target add "$target"
fi

if [ "${1:-run}" = test ]; then
  wanted=()
  cargo clippy --version >/dev/null 2>&1 || wanted+=(clippy)
  cargo fmt --version >/dev/null 2>&1 || wanted+=(rustfmt)
  if [ ${#wanted[@]} != 0 ]; then
    have rustup || fail "the Rust toolchain lacks ${wanted[*]}"
    logged rust-components "fetching ${wanted[*]}" rustup component add "${wanted[@]}"
  fi
fi
