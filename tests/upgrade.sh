#!/usr/bin/env bash
# Upgrades under load: builds the function of an earlier revision, and lets both binaries serve one ledger, in shares that change every few
# seconds, back and forth, the current one with a higher generation of the pipeline. Meanwhile, processes of both, and the whole local run,
# are killed as tests/kill.sh does it, whose environment variables it takes. Finally checks that every record was counted once.
# usage: upgrade.sh REVISION
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { echo "upgrade.sh: name the revision to upgrade from: make upgrade FROM=v0.1.0" >&2; exit 2; }
revision=$(git rev-parse --verify "$1^{commit}")
target=$PWD/target
folder=$target/upgrade
rm -rf "$folder"
mkdir -p "$folder/source"
# Without Git's times, so that Cargo builds it even if a later revision was built before.
git archive "$revision" | tar -xm -C "$folder/source"
# With a wrapper of its own, Cargo keeps what it builds of that revision apart from this one's, and shares all dependencies.
printf '#!/bin/sh\nexec "$@"\n' >"$folder/rustc"
chmod +x "$folder/rustc"
(cd "$folder/source" && CARGO_TARGET_DIR=$target RUSTC_WORKSPACE_WRAPPER=$folder/rustc cargo build --locked --workspace --bin usage-aggregator)
cp target/debug/usage-aggregator "$folder/previous"
cargo build --workspace --bin usage-aggregator --bin usagectl
echo "upgrade from $(git log -1 --format='%h of %cs' "$revision") to $(git log -1 --format='%h of %cs')"
PREVIOUS=$folder/previous tests/kill.sh
