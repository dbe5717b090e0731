#!/usr/bin/env bash
# The program that takes the page's wasm apart into what every page begins with and
# the parts that are loaded later. Prints its path.
. "$(dirname "$0")/lib.sh"

# Speaks the same format as the crate wasm_split_helpers of Cargo.lock.
version=0.2.2
home=$cache/wasm-split-$version

if [ ! -x "$home/bin/wasm_split_cli" ]; then
  # Its work is done in a second or two, so little is spent on making it fast.
  CARGO_TARGET_DIR=$cache/build-split logged wasm-split "building wasm_split_cli $version (once)" \
    env CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --locked "wasm_split_cli_support@$version" --features build-binary --root "$home"
  rm -rf "$cache/build-split"
fi
printf '%s\n' "$home/bin/wasm_split_cli"
