#!/usr/bin/env bash
# Holds schemas/ against those of the last release, by its tag; before the first release, against the last commit's.
set -euo pipefail
cd "$(dirname "$0")/.."
released=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || echo HEAD)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive "$released" schemas | tar -x -C "$work"
echo "schemas of $released against these:"
target/debug/usagectl schema check "$work/schemas" schemas
