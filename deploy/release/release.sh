#!/usr/bin/env bash
# Makes a release in dist: images, archives, SBOMs, the contract, and SHA256SUMS of all of
# them. It checks the images as `make images` does, builds the archives twice, from copies
# of the tree in two places, and fails if a byte differs. SHA256SUMS is written last: a dist
# without it is no release. `make release` calls it. Environment variables, with their
# defaults in brackets:
#   VERSION   the release's name (dev); a name other than dev needs a tree without changes
#   IMAGES    false: without images, which take most of the time (true)
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
export VERSION=${VERSION:-dev} TOOLS=$root/.build/tools RULES=$root/.build/protovalidate
REVISION=$(git describe --always --abbrev=40 --exclude='*' --dirty=-modified)
EPOCH=$(git log -1 --format=%ct)
export REVISION EPOCH
[[ $VERSION =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || { echo "VERSION=$VERSION: must be a tag: letters, digits and _.- only" >&2; exit 2; }
[[ $VERSION = dev || $REVISION != *-modified ]] || { echo "the tree differs from its commit: commit first, or leave VERSION out" >&2; exit 2; }

rm -rf dist .build/release
mkdir -p dist .build/release/here .build/release/another/place
for copy in here another/place; do
  git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -C .build/release/$copy -xf -
done
if [ "${IMAGES:-true}" = true ]; then
  PLATFORMS=${PLATFORMS:-linux/amd64,linux/arm64} deploy/images/build.sh >.build/ko.log 2>&1 || { cat .build/ko.log; exit 1; }
  IMAGES=$root/dist go test -count=1 -tags=images -run=TestImages_ ./services/test/e2e
fi
OUT=$root/.build/release/first .build/release/here/deploy/release/build.sh
OUT=$root/.build/release/second .build/release/another/place/deploy/release/build.sh
diff -r .build/release/first .build/release/second || { echo "two builds of the same tree differ" >&2; exit 1; }
mv .build/release/first/* dist/
rm -rf .build/release
(cd dist && sha256sum -- * >.sums && mv .sums SHA256SUMS && sha256sum --quiet -c SHA256SUMS && ls -l)
