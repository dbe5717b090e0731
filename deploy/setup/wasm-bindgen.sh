#!/usr/bin/env bash
# The wasm-bindgen program, of exactly the version that the workspace is locked
# to (the two speak a format of their own). Prints its path.
. "$(dirname "$0")/lib.sh"

version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' "$repo/Cargo.lock")
[ -n "$version" ] || fail "Cargo.lock names no wasm-bindgen"
home=$cache/wasm-bindgen-$version

if [ "$(wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $version" ]; then
  command -v wasm-bindgen
  exit 0
fi
if [ ! -x "$home/bin/wasm-bindgen" ]; then
  # Its own target folder, so that the workspace's is not rebuilt for it.
  CARGO_TARGET_DIR=$cache/build logged wasm-bindgen "building wasm-bindgen $version (once)" \
    cargo install "wasm-bindgen-cli@$version" --bin wasm-bindgen --root "$home"
  rm -rf "$cache/build"
fi
printf '%s\n' "$home/bin/wasm-bindgen"
