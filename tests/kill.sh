#!/usr/bin/env bash
# Repeatedly kills `usagectl local` with SIGKILL while another process writes, restarts it each time, and finally checks
# that every record was counted once. Environment variables and their defaults: KILLS=10 RATE=300 SECONDS_BETWEEN=4
set -euo pipefail
usagectl=${USAGECTL:-target/debug/usagectl}
kills=${KILLS:-10} rate=${RATE:-300} between=${SECONDS_BETWEEN:-4}
data=$(mktemp -d)
ports=(--dynamodb-port 18000 --s3-port 19000 --kinesis-port 14567 --cloudwatch-port 18086)
log="$data/local.log"
start() { "$usagectl" --data "$data" local "${ports[@]}" --maximum-backoff 500 >>"$log" 2>&1 & local=$!; }
trap 'kill -9 "$local" "${load:-$local}" 2>/dev/null || true; rm -rf "$data"' EXIT
start
until grep -q '^control ' "$log"; do kill -0 "$local" || { cat "$log"; exit 1; }; sleep 0.1; done
"$usagectl" --data "$data" --dynamodb-endpoint http://127.0.0.1:18000 simulate orders \
  --rate "$rate" --duration "$((kills * between + between))s" --patience 120s & load=$!
for kill in $(seq "$kills"); do
  # Wait between half of SECONDS_BETWEEN and all of it, at random.
  sleep "$(awk -v s="$between" -v r="$RANDOM" 'BEGIN { print s / 2 + s / 2 * r / 32768 }')"
  kill -9 "$local"
  wait "$local" 2>/dev/null || true
  echo "killed $kill of $kills"
  start
done
wait "$load"
"$usagectl" --data "$data" reconcile --wait 120s
