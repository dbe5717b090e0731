#!/usr/bin/env bash
# Makes the runtime image and prints its name. The name carries a hash of the
# recipe, so a second run finds it and builds nothing.
#
#   CLAWLOOPS_RUNTIME_IMAGE  an image of your own, or the official one by digest
#                            (ghcr.io/openclaw/openclaw@sha256:…): pulled, not built
#   CLAWLOOPS_BASE_IMAGE     the base to build on; otherwise debian:bookworm-slim,
#                            or one made with debootstrap where no registry answers
. "$(dirname "$0")/../setup/lib.sh"

here=$repo/deploy/runtime-image
version=$(sed -n 's/.*"openclaw": "\(.*\)".*/\1/p' "$here/package.json")
recipe=$(digest "$here"/{build.sh,Dockerfile,package.json,package-lock.json,warm.sh,warm.json} \
  "$repo/deploy/setup/node.requirements.txt")
tag=clawloops/openclaw:$version-$recipe

present() { docker image inspect "$1" >/dev/null 2>&1; }

if [ "${1:-}" = --name ]; then
  printf '%s\n' "${CLAWLOOPS_RUNTIME_IMAGE:-$tag}"
  exit 0
fi

if [ -n "${CLAWLOOPS_RUNTIME_IMAGE:-}" ]; then
  if ! present "$CLAWLOOPS_RUNTIME_IMAGE"; then
    logged runtime-image "pulling $CLAWLOOPS_RUNTIME_IMAGE" docker pull "$CLAWLOOPS_RUNTIME_IMAGE"
  fi
  printf '%s\n' "$CLAWLOOPS_RUNTIME_IMAGE"
  exit 0
fi

if present "$tag"; then
  printf '%s\n' "$tag"
  exit 0
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/clawloops-image.XXXXXX")
trap 'rm -rf "$work"' EXIT

# debootstrap_base NAME: Debian from its package archive, imported as an image.
debootstrap_base() {
  debootstrap --variant=minbase \
    --include=ca-certificates,curl,git,libstdc++6,procps bookworm "$work/base" \
    ${CLAWLOOPS_DEBIAN_MIRROR:+"$CLAWLOOPS_DEBIAN_MIRROR"}
  rm -rf "$work/base/var/cache/apt/archives/"*.deb "$work/base/var/lib/apt/lists/"* \
    "$work/base/usr/share/doc/"* "$work/base/usr/share/man/"* "$work/base/usr/share/locale/"*
  tar -C "$work/base" -c . | docker import - "$1"
  rm -rf "$work/base"
}

base() {
  if [ -n "${CLAWLOOPS_BASE_IMAGE:-}" ]; then
    printf '%s\n' "$CLAWLOOPS_BASE_IMAGE"
    return
  fi
  local official=debian:bookworm-slim made=clawloops/debian:bookworm
  if present "$made"; then
    printf '%s\n' "$made"
  elif present "$official" || timeout 120 docker pull --quiet "$official" >"$logs/base-image.log" 2>&1; then
    printf '%s\n' "$official"
  elif have debootstrap && [ "$(id -u)" = 0 ]; then
    logged base-image "no registry answers: making the Debian base with debootstrap" debootstrap_base "$made"
    printf '%s\n' "$made"
  else
    fail "no base image for the runtimes" \
      "debian:bookworm-slim could not be pulled (see $logs/base-image.log)," \
      "and making one takes root and debootstrap." \
      "Set CLAWLOOPS_BASE_IMAGE or CLAWLOOPS_RUNTIME_IMAGE to an image that Docker has."
  fi
}

base=$(base)

node=$("$repo/deploy/setup/node.sh")
export PATH="$node/bin:$PATH"

mkdir -p "$work/context/openclaw"
cp -r "$node" "$work/context/node"
cp "$here"/{Dockerfile,warm.sh,warm.json} "$work/context/"
cp "$here"/package*.json "$work/context/openclaw/"
# Install scripts are not run: the gateway works without them, and nothing that a
# dependency ships is executed on this machine.
logged openclaw-package "fetching openclaw $version" \
  npm ci --prefix "$work/context/openclaw" --ignore-scripts --omit=dev --no-audit --no-fund

# The classic builder needs no plugin and is in every engine.
export DOCKER_BUILDKIT=0
logged runtime-image "building $tag on $base" \
  docker build --build-arg "BASE=$base" --label "org.clawloops.recipe=$recipe" \
  --tag "$tag" "$work/context"
printf '%s\n' "$tag"
