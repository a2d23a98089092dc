#!/usr/bin/env bash
# Writes everything of a release to build/release: a package of the function for each architecture, which deploys without Rust, usagectl
# for this machine with its man pages and completions, an SBOM of each program, and the checksums of all of these.
# usage: release.sh [ARCHITECTURE...]; both architectures without arguments
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
tag=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null || true)
[ -z "$tag" ] || [ "$tag" = "v$version" ] || { echo "release.sh: the tag is $tag, but Cargo.toml has the version $version" >&2; exit 1; }
out=$PWD/build/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out"

# The same files give the same archive.
archive() { # NAME
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$work" -cf - "$1" | gzip -n >"$out/$1.tar.gz"
}

usagectl=${USAGECTL:-$(make --no-print-directory --silent usagectl)}
for architecture in ${*:-arm64 x86_64}; do
    make --no-print-directory build build-close ARCH="$architecture"
    name=usage-aggregator-$version-$architecture
    "$usagectl" package --out "$work/$name"
    cp LICENSE README.md "$work/$name"
    archive "$name"
done

name=usagectl-$version-$(uname -m)-linux
mkdir -p "$work/$name/completions"
cp "$usagectl" LICENSE "$work/$name"
"$usagectl" man --out "$work/$name/man"
for shell in bash fish zsh; do "$usagectl" completions "$shell" >"$work/$name/completions/usagectl.$shell"; done
archive "$name"

# cargo-cyclonedx writes beside each Cargo.toml.
boms=$(find . -name '*.cdx.json' -not -path './target/*')
[ -z "$boms" ] || { echo "release.sh: move these files out of the way: $boms" >&2; exit 1; }
.tools/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --quiet
mv usage-aggregator.cdx.json "$out/usage-aggregator-$version.cdx.json"
mv src/close/usage-close.cdx.json "$out/usage-close-$version.cdx.json"
mv src/usagectl/usagectl.cdx.json "$out/usagectl-$version.cdx.json"
find src -name '*.cdx.json' -delete

(cd "$out" && sha256sum ./*.tar.gz ./*.json | sed 's|\./||' >SHA256SUMS && cat SHA256SUMS)
