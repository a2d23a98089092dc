#!/usr/bin/env bash
# Builds the function from two clones of this repository in folders of different names and depths, each with its own path of Cargo's
# registry, and compares the binaries byte by byte. Uncommitted changes aren't part of it.
# usage: reproducible.sh [REVISION]; ARCH as for `make build`. Takes twice the time of `make build`, and the disk space of one build.
set -euo pipefail
cd "$(dirname "$0")/.."
revision=$(git rev-parse --verify "${1:-HEAD}^{commit}")
cargo_home=${CARGO_HOME:-$HOME/.cargo}
tools=$PWD/.venv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # FOLDER OUTPUT
    local folder=$work/$1
    mkdir -p "$folder/cargo"
    ln -s "$cargo_home"/* "$folder/cargo/"
    git clone --quiet --no-checkout . "$folder/clone"
    git -C "$folder/clone" checkout --quiet "$revision"
    ln -s "$tools" "$folder/clone/.venv"
    # The clone's requirements are newer than the environment that is made, and the same.
    env -u CARGO_TARGET_DIR CARGO_HOME="$folder/cargo" \
        make --no-print-directory --directory "$folder/clone" --old-file .venv/made build
    mv "$folder/clone/target/lambda/usage-aggregator/bootstrap" "$work/$2"
    rm -rf "$folder"
}

build a first
build another/folder/with-a-longer-name second
(cd "$work" && sha256sum first second)
if cmp "$work/first" "$work/second"; then
    echo "reproducible: two clones of ${revision:0:12} make the same $(stat --format %s "$work/first") bytes"
    exit
fi
mkdir -p build/reproducible
mv "$work/first" "$work/second" build/reproducible/
echo "reproducible.sh: the binaries differ; both are in build/reproducible" >&2
exit 1
