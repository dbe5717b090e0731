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
  # As its authors release it (one unit, fat LTO) Trunk builds for far too long on a small machine. The one connection that it opens itself is to
  # the server beside it, so TLS is left out too.
  CARGO_TARGET_DIR=$cache/build logged trunk "building trunk $version (once)" \
    env CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false \
    cargo install --locked "trunk@$version" --bin trunk --root "$cache/trunk-$version" --no-default-features
  rm -rf "$cache/build"
fi
# Trunk takes the wasm-bindgen on the PATH where its version fits.
PATH=$(dirname "$(deploy/setup/wasm-bindgen.sh)"):$PATH
export PATH
say "the page will be at http://clawloops.localhost:3001"
exec "$trunk" serve "$@"
