#!/usr/bin/env bash
# The Python clients that the tests call the model door with, pinned. Prints the
# path of a Python that has them.
. "$(dirname "$0")/lib.sh"

venv=$("$repo/deploy/setup/venv.sh" clients "$repo/server/tests/clients/requirements.txt")
printf '%s\n' "$venv/bin/python"
