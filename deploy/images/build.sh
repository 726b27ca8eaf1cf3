#!/usr/bin/env bash
# Builds the images with ko, and writes an OCI archive and an SBOM (SPDX) of each to
# dist/. `make images` calls it. Environment variables, with their defaults in brackets:
#   REGISTRY   prefix of the images' names (rafflecast.local)
#   VERSION    tag of the images, and the version that the programs report (dev)
#   PLATFORMS  linux/amd64, linux/arm64, or both, separated by a comma (this machine's)
#   BASE       base image: an image in a registry, or a directory with the OCI layout of
#              one image (an empty image)
#   PUSH       true: also push the images to the registry (false)
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD dist=$PWD/dist cache=$PWD/.build/ko
registry=${REGISTRY:-rafflecast.local} version=${VERSION:-dev}
# Both are inserted into commands and JSON without escaping, so they are checked here.
[[ $registry =~ ^[a-z0-9][a-z0-9._:/-]*$ ]] || { echo "REGISTRY=$registry: must be like registry.example.com:5000/name" >&2; exit 2; }
[[ $version =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || { echo "VERSION=$version: must be a tag: letters, digits and _.- only" >&2; exit 2; }
platforms=${PLATFORMS:-linux/$(go env GOARCH)}
epoch=$(git log -1 --format=%ct) revision=$(git describe --always --abbrev=40 --exclude='*' --dirty=-modified)

# scratch DIR writes an OCI layout with an empty image for each platform.
scratch() {
  local manifests=() arch config manifest index
  mkdir -p "$1/blobs/sha256"
  for arch in amd64 arm64; do
    config=$(blob "$1" '{"architecture":"'$arch'","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}' application/vnd.oci.image.config.v1+json)
    manifest=$(blob "$1" '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'"$config"',"layers":[]}' application/vnd.oci.image.manifest.v1+json)
    manifests+=("${manifest%\}},\"platform\":{\"architecture\":\"$arch\",\"os\":\"linux\"}}")
  done
  index=$(blob "$1" '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['"${manifests[0]},${manifests[1]}"']}' application/vnd.oci.image.index.v1+json)
  echo '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
  echo '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['"$index,${manifests[0]},${manifests[1]}"']}' >"$1/index.json"
}

# blob DIR CONTENT MEDIATYPE stores a blob and prints its descriptor.
blob() {
  local digest
  digest=$(printf %s "$2" | sha256sum | cut -d' ' -f1)
  printf %s "$2" >"$1/blobs/sha256/$digest"
  echo '{"mediaType":"'"$3"'","digest":"sha256:'"$digest"'","size":'${#2}'}'
}

# ko does not contact a registry if the base is named by its digest and is in ko's cache,
# which is an OCI layout. So a local base is put into that cache.
base=${BASE:-}
if [ -z "$base" ] || [ -d "$base" ]; then
  rm -rf "$cache/img"
  mkdir -p "$cache"
  if [ -z "$base" ]; then name=layout.local/scratch; scratch "$cache/img"; else name=layout.local/base; cp -rL "$base" "$cache/img"; fi
  base=$name@$(grep -o 'sha256:[0-9a-f]*' "$cache/img/index.json" | head -n 1)
fi

# image NAME MODULE DESCRIPTION builds the program NAME of a module. DESCRIPTION must not
# contain a comma, because ko splits labels at commas. Go does not stamp the commit into the
# program in some checkouts (linked worktrees), so this function does: the same commit makes
# the same image everywhere.
command=github.com/rafflecast/rafflecast/services/internal/command
image() {
  local layout="$cache/$1" push=(--push="${PUSH:-false}") labels=() label
  rm -rf "$layout"
  for label in title="$1" description="$3" version="$version" revision="$revision" licenses=Apache-2.0 \
    created="$(TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%SZ)T' "$epoch")" source=https://github.com/rafflecast/rafflecast; do
    labels+=(--image-label="org.opencontainers.image.$label")
  done
  (cd "$root/services/$2" && GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false" KOCACHE=$cache KO_DEFAULTBASEIMAGE=$base KO_DOCKER_REPO=$registry/$1 \
    SOURCE_DATE_EPOCH=$epoch KO_DATA_DATE_EPOCH=$epoch ko build "./cmd/$1" --bare --tags="$version" --platform="$platforms" \
    --image-user=65532:65532 "${labels[@]}" --ldflags="-s -w" \
    --ldflags="-X $command.version=$version -X $command.revision=$revision" \
    --sbom-dir="$dist" --oci-layout-path="$layout" "${push[@]}")
  # Name the image in the archive: once for containerd, once for other tools.
  sed -i 's|"digest": "sha256:[0-9a-f]*"|&, "annotations": {"io.containerd.image.name": "'"$registry/$1:$version"'", "org.opencontainers.image.ref.name": "'"$version"'"}|' "$layout/index.json"
  tar -C "$layout" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -cf "$dist/$1.tar" .
}

mkdir -p "$dist"
rm -f "$dist"/*
image participation participation "accepts entries over gRPC and HTTP and publishes the odds"
image gateway gateway "streams the newest odds of each raffle to browsers"
image rafflecast rafflecast "the command line of organisers and operators"
