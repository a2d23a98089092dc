#!/usr/bin/env bash
# Builds the function for arm64 with Debian's Rust compiler, prints the properties of the binary, and runs it under qemu in
# the sandbox that the tests use (tests/it/runtime.rs). Not part of `make check` because it takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "tests/arm64.sh: $1" >&2; exit 1; }
test -x .tools/arm64/rustc || .deploy/debian-rust.sh
make --no-print-directory build ARCH=arm64

bootstrap=target/lambda/usage-aggregator/bootstrap
# Amazon Linux 2023 ships glibc 2.34.
newest=$(readelf --version-info "$bootstrap" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
printf 'machine:  %s\n' "$(readelf --file-header "$bootstrap" | sed -n 's/.*Machine: *//p')"
printf 'size:     %s bytes\n' "$(stat -c %s "$bootstrap")"
printf 'needs:    %s, %s\n' "$newest" "$(readelf --dynamic "$bootstrap" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | paste -sd' ')"
[ "$(printf '%s\n' "$newest" GLIBC_2.34 | sort -V | tail -1)" = GLIBC_2.34 ] || fail "the binary needs $newest, but Lambda provides only glibc 2.34"
readelf --file-header "$bootstrap" | grep -q AArch64 || fail "$bootstrap is not an arm64 binary"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec "%s" "%s"\n' "$PWD/.tools/arm64/run" "$PWD/$bootstrap" >"$work/function"
chmod +x "$work/function"
# The function must report no failures and count 20 records; in a second sandbox, all 20 must be duplicates.
FUNCTION=$work/function cargo test --quiet --test it runtime::the_deployed_binary_appends_and_folds
