#!/usr/bin/env bash
# Builds what a release has besides images, from the tree in which it stands, into a
# directory: an archive of the programs for each platform, an SBOM (CycloneDX) of each
# program, and the contract for other languages. The same tree makes the same bytes,
# wherever it lies. The programs of this machine's platform are asked for their version.
# `make release` calls it, with these environment variables:
#   OUT       the directory, which is made
#   VERSION   the release's name; REVISION, EPOCH  its commit, and when that was made
#   TOOLS     where cyclonedx-gomod is; RULES  where buf's rules file is
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$OUT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
programs="rafflecast participation gateway"
here=$(go env GOHOSTOS)/$(go env GOHOSTARCH)
command=github.com/rafflecast/rafflecast/services/internal/command
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

# pack NAME DIRECTORY writes the directory as an archive without anything that differs
# between machines.
pack() {
  tar -C "$work" --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w -cf - "$2" | gzip -n -9 >"$OUT/$1.tar.gz"
}

for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
  export GOOS=${platform%/*} GOARCH=${platform#*/}
  name=rafflecast_${VERSION}_${GOOS}_$GOARCH
  mkdir "$work/$name"
  cp LICENSE README.md CHANGELOG.md "$work/$name"
  for program in $programs; do
    (cd "services/$program" && GOWORK=off go build -trimpath -o "$work/$name/$program" \
      -ldflags "-s -w -X $command.version=$VERSION -X $command.revision=$REVISION" "./cmd/$program")
    [[ $platform != "$here" || $("$work/$name/$program" version) = "$program $VERSION"$'\n'"revision $REVISION"* ]] ||
      { echo "$program for $platform does not print its version and commit" >&2; exit 1; }
  done
  pack "$name" "$name"
done
for program in $programs; do
  "$TOOLS/cyclonedx-gomod" bin -json -noserial -std -version "$VERSION" -output "$work/sbom.json" "$work/rafflecast_${VERSION}_linux_amd64/$program" 2>"$work/log" ||
    { cat "$work/log" >&2; exit 1; }
  # The tool notes the time of its run.
  sed -E 's/"timestamp": "[^"]*"/"timestamp": "'"$(TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%SZ)T' "$EPOCH")"'"/' "$work/sbom.json" >"$OUT/$program.cdx.json"
done
unset GOOS GOARCH
go run ./services/test/cmd/contract folder "$work/contract" "$RULES" >/dev/null
pack "rafflecast_${VERSION}_contract" contract
