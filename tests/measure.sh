#!/usr/bin/env bash
# Measures what is deployed, without and with OpenTelemetry: binary size, number of crates, the time from exec to the first poll and to the
# first response compared with Node.js and Python, and what an export adds to an invocation.
set -euo pipefail
cd "$(dirname "$0")/.."
measured=$(mktemp -d)
trap 'rm -rf "$measured"' EXIT

measure() { # NAME [OTEL]
    local name=$1 otel=${2:-}
    make --no-print-directory build OTEL="$otel"
    cp target/lambda/usage-aggregator/bootstrap "$measured/$name"
    printf '%-8s size              %s bytes\n' "$name" "$(stat -c %s "$measured/$name")"
    printf '%-8s zipped            %s bytes\n' "$name" "$(python3 -c 'import sys,zlib; print(len(zlib.compress(open(sys.argv[1],"rb").read(), 9)))' "$measured/$name")"
    printf '%-8s crates            %s\n' "$name" "$(cargo tree --package usage-aggregator ${otel:+--features otel} --prefix none --edges normal | sed 's/ (.*//' | sort -u | wc -l)"
}

measure default
measure otel 1
events=$measured/events
cargo bench --profile soak --bench job -- write "$events" >/dev/null 2>&1
python3 benches/start.py "$measured/default" "$events/demand.json"
python3 benches/otel.py "$measured/default" "$measured/otel" "$events/demand.json"
