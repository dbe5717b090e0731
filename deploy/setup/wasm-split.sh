#!/usr/bin/env bash
# The program that takes the page's wasm apart into what every page begins with and
# the parts that are loaded later. Prints its path.
. "$(dirname "$0")/lib.sh"

# Speaks the same format as the crate wasm_split_helpers of Cargo.lock.
version=0.2.2
home=$cache/wasm-split-$version

if [ ! -x "$home/bin/wasm_split_cli" ]; then
  CARGO_TARGET_DIR=$cache/build-split logged wasm-split "building wasm_split_cli $version (once)" \
    cargo install --locked "wasm_split_cli_support@$version" --features build-binary --root "$home"
  rm -rf "$cache/build-split"
fi
printf '%s\n' "$home/bin/wasm_split_cli"
