#!/usr/bin/env bash
# Runs the function's binary under cargo-lambda and invokes it from the event source mapping while load is written, then
# proves that every record was counted exactly once. Environment variables and their defaults: RECORDS=500 RATE=100
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
cargo build --quiet --package usagectl
cargo build --quiet --bin usage-aggregator
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
target/debug/usagectl --data "$work/data" local --invoke "http://127.0.0.1:$port" --env-file "$work/env" \
    --simulate orders --records "${RECORDS:-500}" --rate "${RATE:-100}" --maximum-backoff 500 &
local=$!
until test -s "$work/env"; do kill -0 "$local"; sleep 0.1; done
cargo lambda watch --quiet --ignore-changes --bin usage-aggregator --env-file "$work/env" \
    --invoke-address 127.0.0.1 --invoke-port "$port" >"$work/watch.log" 2>&1 &
watch=$!
# Without the function, the run would only end after minutes without progress.
while kill -0 "$local" 2>/dev/null; do
    kill -0 "$watch" 2>/dev/null || { cat "$work/watch.log" >&2; exit 1; }
    sleep 0.5
done
wait "$local"
