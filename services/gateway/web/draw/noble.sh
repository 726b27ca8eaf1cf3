#!/bin/sh
# Writes noble.js to standard output: SHA-256 and BLS12-381 from npm's @noble packages, as
# one module. `make noble` writes the file, and a test compares it. The first argument is
# the directory for npm's packages.
set -eu
build=$1
mkdir -p "$build"
if ! [ -e "$build/installed" ]; then
  npm install --prefix "$build" --no-audit --no-fund --ignore-scripts \
    @noble/curves@2.4.0 @noble/hashes@2.4.0 esbuild@0.28.2 >&2
  : >"$build/installed"
fi
cat <<'LICENSE'
/*! noble-hashes 2.4.0 and noble-curves 2.4.0 by Paul Miller, bundled by noble.sh.

The MIT License (MIT)

Copyright (c) 2022 Paul Miller

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE. */
LICENSE
printf '%s\n' 'export { sha256 } from "@noble/hashes/sha2.js";' 'export { bls12_381 } from "@noble/curves/bls12-381.js";' |
  (cd "$build" && node_modules/.bin/esbuild --bundle --minify --format=esm --target=es2022 --charset=ascii --log-level=warning)
