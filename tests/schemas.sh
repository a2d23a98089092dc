#!/usr/bin/env bash
# Checks the schemas and pipelines in schemas/ against those in the latest release tag or, before the first release, in the latest commit.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! git rev-parse --git-dir >/dev/null 2>&1; then
    echo "schemas/ is not checked: this is not a Git checkout, so there is no last release to compare with"
    exit
fi
released=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || echo HEAD)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive "$released" schemas | tar -x -C "$work"
echo "checking schemas/ against $released:"
target/debug/usagectl schema check "$work/schemas" schemas
target/debug/usagectl pipeline check "$work/schemas" schemas
