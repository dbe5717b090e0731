#!/usr/bin/env bash
# `make ui`: the page alone, rendered in the browser and built again at each edit.
# Trunk.toml sends what the page asks of a server to the one that `make run` started.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"

# The last version that the Rust of this workspace can build.
version=0.21.14
trunk=$cache/trunk-$version/bin/trunk
deploy/setup/rust.sh
if [ ! -x "$trunk" ]; then
  CARGO_TARGET_DIR=$cache/build logged trunk "building trunk $version (once)" \
    cargo install --locked "trunk@$version" --root "$cache/trunk-$version" --no-default-features --features rustls
  rm -rf "$cache/build"
fi
# Trunk takes the wasm-bindgen on the PATH where its version fits.
PATH=$(dirname "$(deploy/setup/wasm-bindgen.sh)"):$PATH
export PATH
exec "$trunk" serve "$@"
