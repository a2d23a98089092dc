#!/usr/bin/env bash
# The release build in figures: size, crates, and the time from process start to the first poll of the Runtime API.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --bin usage-aggregator
binary=target/release/usage-aggregator
printf 'binary, stripped          %s bytes\n' "$(stat -c %s "$binary")"
printf 'zipped                    %s bytes\n' "$(python3 -c 'import sys,zlib; print(len(zlib.compress(open(sys.argv[1],"rb").read(), 9)))' "$binary")"
printf 'crates in the Lambda      %s\n' "$(cargo tree --prefix none --edges normal | sed 's/ (.*//' | sort -u | wc -l)"
printf 'crates with usagectl      %s\n' "$(cargo tree --prefix none --edges normal --features local | sed 's/ (.*//' | sort -u | wc -l)"
cargo test --test it --no-run 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    FUNCTION=$PWD/$binary cargo test --quiet --test it first_poll -- --nocapture 2>/dev/null | grep 'first poll:'
done | sort -t: -k2 -n | head -1
