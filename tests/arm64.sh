#!/usr/bin/env bash
# Builds the function for arm64 with Debian's Rust, says what it is, and runs it under qemu in the tests' own sandbox
# (tests/it/runtime.rs). Takes minutes, so `make check` leaves it out.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "tests/arm64.sh: $1" >&2; exit 1; }
test -x .tools/arm64/rustc || .deploy/debian-rust.sh
make --no-print-directory build ARCH=arm64

bootstrap=target/lambda/usage-aggregator/bootstrap
# Amazon Linux 2023 has glibc 2.34.
newest=$(readelf --version-info "$bootstrap" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
printf 'machine:  %s\n' "$(readelf --file-header "$bootstrap" | sed -n 's/.*Machine: *//p')"
printf 'size:     %s bytes\n' "$(stat -c %s "$bootstrap")"
printf 'needs:    %s, %s\n' "$newest" "$(readelf --dynamic "$bootstrap" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | paste -sd' ')"
[ "$(printf '%s\n' "$newest" GLIBC_2.34 | sort -V | tail -1)" = GLIBC_2.34 ] || fail "Lambda's glibc is older than $newest"
readelf --file-header "$bootstrap" | grep -q AArch64 || fail "$bootstrap isn't for arm64"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec "%s" "%s"\n' "$PWD/.tools/arm64/run" "$PWD/$bootstrap" >"$work/function"
chmod +x "$work/function"
# It answers that nothing failed, counts 20 records, and in a second sandbox all of them are duplicates.
FUNCTION=$work/function cargo test --quiet --test it runtime::the_deployed_binary_counts_once
