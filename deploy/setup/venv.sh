#!/usr/bin/env bash
# A Python environment with exactly what a requirements file pins, hashes checked.
# Prints its folder. The file names everything, so nothing is resolved: an extra
# of a dependency (`pydantic[email]`) would be looked for in its newest release,
# which has no hash here, and the set-up would end the day that one appears.
#
#   venv.sh NAME REQUIREMENTS
. "$(dirname "$0")/lib.sh"

name=$1 requirements=$2
home=$cache/$name-$(digest "$requirements")
if [ ! -e "$home/complete" ]; then
  # Made in place, since an environment's programs carry its path; the mark is
  # set last, so that one broken off is made anew.
  rm -rf "$home"
  logged "$name-venv" "making the Python environment for $name" python3 -m venv "$home"
  logged "$name-pip" "installing $name" \
    "$home/bin/pip" install --require-hashes --no-deps --only-binary :all: -r "$requirements"
  touch "$home/complete"
fi
printf '%s\n' "$home"
