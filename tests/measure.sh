#!/usr/bin/env bash
# Measures the release build: binary size, number of crates, and the time from exec to the first poll and to the first
# response, compared with Node.js and Python.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --package usage-aggregator --bin usage-aggregator
binary=target/release/usage-aggregator
printf 'binary, stripped          %s bytes\n' "$(stat -c %s "$binary")"
printf 'zipped                    %s bytes\n' "$(python3 -c 'import sys,zlib; print(len(zlib.compress(open(sys.argv[1],"rb").read(), 9)))' "$binary")"
printf 'crates in the Lambda      %s\n' "$(cargo tree --prefix none --edges normal | sed 's/ (.*//' | sort -u | wc -l)"
printf 'crates with usagectl      %s\n' "$(cargo tree --package usagectl --prefix none --edges normal | sed 's/ (.*//' | sort -u | wc -l)"
cargo bench --profile soak --bench job -- write target/bench-events >/dev/null 2>&1
python3 benches/start.py "$binary" target/bench-events/demand.json
