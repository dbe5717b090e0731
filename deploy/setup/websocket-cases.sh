#!/usr/bin/env bash
# The WebSocket cases of the Autobahn test suite, pinned, and turned from Python 2 into Python 3. Prints the path of a Python that has them.
. "$(dirname "$0")/lib.sh"

here=$repo/server/tests/websocket
venv=$("$repo/deploy/setup/venv.sh" websocket "$here/requirements.txt")
home=$cache/websocket-cases-$(digest "$here/requirements.txt" "$here/sources.txt" "$here/convert.py")
convert() {
  # Nothing is built: pip only looks for what a source is called, with the setuptools that is pinned.
  "$venv/bin/pip" download --require-hashes --no-deps --no-build-isolation --no-binary :all: --dest "$1" -r "$here/sources.txt"
  for source in "$1"/*.tar.gz; do tar -xzf "$source" -C "$1"; done
  mkdir "$1/home"
  cp -r "$1"/autobahn-*/autobahn "$1/home/"
  "$venv/bin/python" "$here/convert.py" "$1"/autobahntestsuite-*/autobahntestsuite "$1/home/autobahntestsuite"
  printf '#!/bin/sh\nPYTHONPATH=%q exec %q -W ignore "$@"\n' "$home" "$venv/bin/python" >"$1/home/python"
  chmod +x "$1/home/python"
}
if [ ! -x "$home/python" ]; then
  work=$(mktemp -d "$cache/websocket-cases.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  logged websocket-cases "fetching the WebSocket cases" convert "$work"
  rm -rf "$home"
  mv "$work/home" "$home"
fi
printf '%s\n' "$home/python"
