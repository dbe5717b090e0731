#!/usr/bin/env bash
# What the machine has to bring: found, or installed as root on Debian.
#
#   packages.sh run    what `make run` needs
#   packages.sh test   that, a browser for the end-to-end tests, a C++ compiler for libFuzzer, and proxies to stand in front
#   packages.sh bench  what `make run` needs, and the peer and the load of the benchmark
. "$(dirname "$0")/lib.sh"

# Programs that Debian keeps outside the PATH are looked for as well.
export PATH="$PATH:/usr/sbin:/sbin"

# command, or a check that begins with "test:"  → Debian package
needs=(
  "cc gcc"
  "test:libc libc6-dev"
  "ld binutils"
  "pkg-config pkg-config"
  "curl curl"
  "brotli brotli"
  "gzip gzip"
  "setpriv util-linux"
  "python3 python3"
  "test:pip python3-pip"
  "test:venv python3-venv"
  "test:postgres postgresql"
)
# Another engine may be named; then none is installed here.
if [ -z "${DOCKER_HOST:-}" ]; then
  needs+=("docker docker.io" "dockerd docker.io" "iptables iptables" "debootstrap debootstrap")
else
  needs+=("docker docker.io")
fi
if [ "${1:-run}" = test ]; then needs+=("test:chromium chromium" "c++ g++" "nginx nginx-light" "caddy caddy"); fi
if [ "${1:-run}" = bench ]; then needs+=("nginx nginx-light" "wrk wrk"); fi

found() {
  case $1 in
    test:libc) [ -e /usr/include/stdio.h ] ;;
    test:pip) python3 -m pip --version >/dev/null 2>&1 ;;
    test:venv) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
    test:postgres) have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ;;
    test:chromium) have chromium || have google-chrome || have chromium-browser ;;
    *) have "$1" ;;
  esac
}

missing=()
for need in "${needs[@]}"; do
  if ! found "${need% *}"; then missing+=("${need#* }"); fi
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! can_install; then
  fail "this machine lacks: ${missing[*]}" \
    "As root on Debian they are installed by themselves; otherwise:" \
    "  sudo apt-get install ${missing[*]}" \
    "or the same from your system's own packages."
fi

export DEBIAN_FRONTEND=noninteractive
logged apt-update "reading the package lists" apt-get update
# Debian would start its own PostgreSQL cluster and Docker; neither is wanted: the
# platform runs a private cluster, and Docker is started by the step docker.
mkdir -p /etc/postgresql-common
if [ ! -e /etc/postgresql-common/createcluster.conf ] && [ ! -d /etc/postgresql ]; then
  printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
fi
# A Docker that is installed here lets its containers outlive its own restart. Where
# there is a configuration, or a Docker already, it is the operator's.
if printf '%s\n' "${missing[@]}" | grep -qx docker.io && ! have dockerd \
  && [ -d /run/systemd/system ] && [ ! -e /etc/docker/daemon.json ]; then
  mkdir -p /etc/docker
  printf '{"live-restore": true}\n' >/etc/docker/daemon.json
fi
logged packages "installing ${missing[*]}" \
  apt-get install -y --no-install-recommends "${missing[@]}"

# Debian starts what it installs. Of these two the tests and the benchmark want the program alone, and nobody asked for a server on port 80.
if [ -d /run/systemd/system ]; then
  for package in nginx-light caddy; do
    if printf '%s\n' "${missing[@]}" | grep -qx "$package"; then systemctl disable --now --quiet "${package%-light}.service" || true; fi
  done
fi
