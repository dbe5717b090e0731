#!/usr/bin/env bash
# Starts the gateway once while the image is built, so that the compile cache is
# filled, and leaves no state behind.
set -euo pipefail

# A home of its own, so that nothing of this start stays in the image.
state=$(mktemp -d)
HOME=$state XDG_CACHE_HOME=$state/.cache OPENCLAW_STATE_DIR=$state \
  OPENCLAW_CONFIG_PATH=/opt/clawloops/warm.json \
  openclaw gateway run --bind loopback --port 18789 >"$state/log" 2>&1 &
gateway=$!

ready=no
for _ in $(seq 300); do
  if curl -fsS --max-time 2 http://127.0.0.1:18789/readyz >/dev/null 2>&1; then
    ready=yes
    break
  fi
  if ! kill -0 "$gateway" 2>/dev/null; then break; fi
  sleep 1
done
if [ "$ready" = no ]; then
  echo "the gateway did not become ready while the image was built:" >&2
  cat "$state/log" >&2
  exit 1
fi

# The code that runs just after the start belongs into the cache as well; Node
# writes the cache when the process leaves in an orderly way.
sleep 10
kill -TERM "$gateway"
wait "$gateway" || true
rm -rf "$state"
