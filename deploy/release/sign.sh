#!/usr/bin/env bash
# Signs the release in dist with cosign, and verifies what it has signed: SHA256SUMS, and by
# it each file that it names; and the images in the registry, if they were pushed. Without
# a key it says that nothing is signed. Nothing is recorded in a public log, so it needs no
# internet. `make release` calls it. Environment variables, with their defaults in brackets:
#   COSIGN_KEY        the private key: a file of `cosign generate-key-pair`, or a URL of a KMS
#   COSIGN_PASSWORD   the password of that file
#   REGISTRY, PUSH    as in images/build.sh
#   DIST              the directory of the release (dist)
set -euo pipefail
cd "$(dirname "$0")/../.."
dist=${DIST:-dist} registry=${REGISTRY:-rafflecast.local}
[ -n "${COSIGN_KEY:-}" ] || { echo "this release is not signed, because COSIGN_KEY names no key"; exit 0; }
without_log=(--use-signing-config=false --tlog-upload=false)

images=()
if [ "${PUSH:-false}" = true ] && [ "${IMAGES:-true}" = true ]; then
  for archive in "$dist"/*.tar; do
    digest=$(tar -xOf "$archive" ./index.json | grep -o 'sha256:[0-9a-f]\{64\}' | head -n 1)
    images+=("$registry/$(basename "$archive" .tar)@$digest")
  done
fi
# quiet COMMAND... runs a command, and prints its messages only if it fails.
quiet() { local log; log=$("$@" 2>&1) || { printf '%s\n' "$log" >&2; exit 1; }; }

quiet cosign public-key --key "$COSIGN_KEY" --outfile "$dist/cosign.pub"
quiet cosign sign-blob --yes --key "$COSIGN_KEY" "${without_log[@]}" --bundle "$dist/SHA256SUMS.sigstore.json" "$dist/SHA256SUMS"
quiet cosign verify-blob --key "$dist/cosign.pub" --insecure-ignore-tlog --bundle "$dist/SHA256SUMS.sigstore.json" "$dist/SHA256SUMS"
for image in "${images[@]}"; do
  quiet cosign sign --yes --recursive --key "$COSIGN_KEY" "${without_log[@]}" "$image"
  quiet cosign verify --key "$dist/cosign.pub" --insecure-ignore-tlog "$image"
done
chmod 644 "$dist/cosign.pub" "$dist/SHA256SUMS.sigstore.json" # to be published
printf 'signed, and verified with cosign.pub: %s\n' SHA256SUMS "${images[@]}"
