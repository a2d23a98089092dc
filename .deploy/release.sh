#!/usr/bin/env bash
# Writes a release to build/release: for each architecture, a package of the functions, which deploys without Rust; usagectl for this machine
# with man pages and completions; an SBOM of each program; and the checksums of all of these. Each archive has the licenses of what the
# programs contain, and each program lists its crates for `cargo audit bin`.
# usage: release.sh [ARCHITECTURE...]; the default is both architectures
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
tag=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null || true)
if [ -n "$tag" ] && [ "$tag" != "v$version" ]; then
    echo "release.sh: the tag is $tag, but Cargo.toml has version $version: change one of them" >&2
    exit 1
fi
# cargo-cyclonedx writes next to each Cargo.toml, and would overwrite these.
boms=$(find . -name '*.cdx.json' -not -path './target/*' -not -path './build/*')
if [ -n "$boms" ]; then
    echo "release.sh: delete or move these files first: $boms" >&2
    exit 1
fi
out=$PWD/build/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out"

# The same files always make the same archive.
archive() { # NAME
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$work" -cf - "$1" | gzip -n >"$out/$1.tar.gz"
}

publishable() { # PROGRAM...
    for program; do
        # The name of the section that has the list.
        grep -q '\.dep-v0' "$program" || { echo "release.sh: $program doesn't list its crates: build it with AUDITABLE=1" >&2; exit 1; }
        ! grep -qF "${CARGO_HOME:-$HOME/.cargo}/registry" "$program" || { echo "release.sh: $program contains paths of this machine: build it with make and AUDITABLE=1" >&2; exit 1; }
    done
}

[ $# -gt 0 ] || set -- arm64 x86_64
.deploy/licenses.py >"$work/THIRD-PARTY-LICENSES.txt"
usagectl=${USAGECTL:-}
if [ -z "$usagectl" ]; then
    usagectl=$(make --no-print-directory --silent usagectl AUDITABLE=1)
    publishable "$usagectl"
fi
for architecture; do
    make --no-print-directory build build-compact AUDITABLE=1 ARCH="$architecture"
    publishable target/lambda/usage-aggregator/bootstrap target/lambda/usage-compact/bootstrap
    name=usage-aggregator-$version-$architecture
    # As JSON, it names no next step: the folder is temporary.
    "$usagectl" --json package --out "$work/$name" >/dev/null
    cp LICENSE README.md "$work/THIRD-PARTY-LICENSES.txt" "$work/$name"
    archive "$name"
done

name=usagectl-$version-$(uname -m)-linux
mkdir -p "$work/$name/completions"
cp "$usagectl" LICENSE "$work/THIRD-PARTY-LICENSES.txt" "$work/$name"
"$usagectl" man --out "$work/$name/man" >/dev/null
for shell in bash fish zsh; do "$usagectl" completions "$shell" >"$work/$name/completions/usagectl.$shell"; done
archive "$name"

.tools/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --quiet
for program in usage-aggregator src/compact/usage-compact src/usagectl/usagectl; do
    # The paths of this machine mean nothing elsewhere.
    sed "s|$PWD|/usage-aggregator|g" "$program.cdx.json" >"$out/$(basename "$program")-$version.cdx.json"
done
find . -name '*.cdx.json' -not -path './target/*' -not -path './build/*' -delete

(cd "$out" && sha256sum -- *.tar.gz *.json | tee SHA256SUMS)
