#!/usr/bin/env bash
# Pebble, a small ACME server for tests, and its little DNS server, built once. Prints the folder with both programs.
. "$(dirname "$0")/lib.sh"

version=v2.10.3
home=$cache/pebble-$version
if [ ! -x "$home/pebble" ] || [ ! -x "$home/pebble-challtestsrv" ]; then
  have go || fail "there is no Go to build Pebble, the ACME server of the tests, with" "Go 1.25 or later is wanted (one from 1.21 on fetches that by itself): https://go.dev/dl"
  work=$(mktemp -d "$cache/pebble.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  GOBIN=$work GOFLAGS=-modcacherw logged pebble "building Pebble $version (once)" \
    go install "github.com/letsencrypt/pebble/v2/cmd/pebble@$version" "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@$version"
  rm -rf "$home"
  chmod 755 "$work"
  mv "$work" "$home"
fi
printf '%s\n' "$home"
