#!/usr/bin/env bash
# LiteLLM's program, pinned. Prints its path.
. "$(dirname "$0")/lib.sh"

venv=$("$repo/deploy/setup/venv.sh" litellm "$repo/deploy/litellm/requirements.txt")
printf '%s\n' "$venv/bin/litellm"
