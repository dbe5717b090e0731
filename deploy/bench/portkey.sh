#!/usr/bin/env bash
# The Portkey gateway, pinned with all that it needs, and kept. Prints the command that starts it; node and npm are in the PATH.
. "$(dirname "$0")/../setup/lib.sh"

pins=$repo/deploy/bench/portkey
home=$cache/portkey-$(digest "$pins/package-lock.json")
if [ ! -e "$home/.complete" ]; then
  rm -rf "$home"
  mkdir -p "$home"
  cp "$pins/package.json" "$pins/package-lock.json" "$home/"
  logged portkey "fetching the Portkey gateway" npm ci --prefix "$home" --ignore-scripts --omit=dev --no-audit --no-fund
  touch "$home/.complete"
fi
printf '%s %s\n' "$(command -v node)" "$home/node_modules/@portkey-ai/gateway/build/start-server.js"
