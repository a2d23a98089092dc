#!/usr/bin/env bash
# Invokes the function's binary with an event file. cargo-lambda provides the Runtime API, `usagectl serve` the AWS services.
set -euo pipefail
cd "$(dirname "$0")/.."
event=${1:?usage: tests/invoke.sh EVENT.json}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT

cargo build --quiet --package usagectl
cargo build --quiet --bin usage-aggregator
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# Waits until a command succeeds. Exits with the logs if the background process dies.
await() {
    local process=$1; shift
    until "$@" 2>/dev/null; do
        kill -0 "$process" 2>/dev/null || { cat "$work"/*.log >&2; exit 1; }
        sleep 0.1
    done
}

pipeline=$(target/debug/usagectl explain --json "$event" 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["pipeline"])')
target/debug/usagectl serve --data .usage/invoke --pipeline "$pipeline" --env-file "$work/env" >"$work/serve.log" 2>&1 &
await $! test -s "$work/env"
# The sample events have fixed dates, but the function uses the real time: keep them all within the horizon.
echo HORIZON_DAYS=36500 >>"$work/env"
cargo lambda watch --quiet --ignore-changes --bin usage-aggregator --env-file "$work/env" \
    --invoke-address 127.0.0.1 --invoke-port "$port" >"$work/watch.log" 2>&1 &
await $! bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"

printf 'response: '
cargo lambda invoke usage-aggregator --invoke-address 127.0.0.1 --invoke-port "$port" --data-file "$event"
printf '\nlog:\n'
grep -h '"batch done"\|"record rejected"' "$work/watch.log" || true
printf '\nsnapshots:\n'
set -a; . "$work/env"; set +a
target/debug/usagectl snapshots --pipeline "$PIPELINE"
