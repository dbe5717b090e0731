#!/usr/bin/env bash
# An answering Docker Engine. Where none answers and none is named, root starts
# one in a session of its own; it stays after this, since it holds the runtimes.
. "$(dirname "$0")/lib.sh"
export PATH="$PATH:/usr/sbin:/sbin"

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if answers; then exit 0; fi
if [ -n "${DOCKER_HOST:-}" ]; then
  fail "the Docker Engine at $DOCKER_HOST does not answer" "$(docker version 2>&1 | tail -n 1)"
fi
if [ "$(id -u)" != 0 ]; then
  fail "no Docker Engine answers" \
    "$(docker version 2>&1 | tail -n 1)" \
    "Start it (sudo systemctl start docker), and let this account use it" \
    "(sudo usermod -aG docker $(id -un), then sign in again), or set DOCKER_HOST."
fi

if [ -d /run/systemd/system ]; then
  logged docker "starting Docker" systemctl start docker
else
  # With live-restore the containers outlive a restart of the daemon. It refuses to
  # start when its configuration says the same thing once more.
  options=(--live-restore)
  if grep -qs '"live-restore"' /etc/docker/daemon.json; then options=(); fi
  setsid dockerd "${options[@]}" >>"$logs/dockerd.log" 2>&1 </dev/null &
fi
for _ in $(seq 150); do
  if answers; then exit 0; fi
  sleep 0.2
done
tail -n 20 "$logs/dockerd.log" >&2 || true
fail "Docker did not come up within 30 s; its log is $logs/dockerd.log"
