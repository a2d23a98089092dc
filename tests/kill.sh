#!/usr/bin/env bash
# Kills with SIGKILL, at random moments, while another process writes: the processes of the function in the middle of an append and
# in the middle of a fold, and the whole `usagectl local` with its mappings and services, which is restarted each time. Finally checks
# that every record was counted once. Environment variables and their defaults: KILLS=10 (of each of the three) RATE=300
# SECONDS_BETWEEN=4 FOLD_WINDOW=0. With PREVIOUS, the binary of an earlier release serves a changing share of the invocations, and the
# current one has the same pipeline with a higher generation.
set -euo pipefail
cd "$(dirname "$0")/.."
usagectl=${USAGECTL:-target/debug/usagectl} function=${FUNCTION:-target/debug/usage-aggregator}
kills=${KILLS:-10} rate=${RATE:-300} between=${SECONDS_BETWEEN:-4} window=${FOLD_WINDOW:-0}
data=$(mktemp -d)
ports=(--dynamodb-port 18000 --s3-port 19000 --kinesis-port 14567 --cloudwatch-port 18086)
log="$data/local.log"
start() {
  "$usagectl" --data "$data" local "${ports[@]}" --invoke http://127.0.0.1:19200 --env-file "$data/env" --fold-window "$window" \
    --maximum-backoff 500 >>"$log" 2>&1 & local=$!
}
releases=()
if [ -n "${PREVIOUS:-}" ]; then
  mkdir "$data/pipeline"
  cp -r schemas/orders "$data/pipeline/"
  # Higher than that of any release.
  sed -i '/^generation = /d; /^sources = /a generation = 1000' "$data/pipeline/orders/pipeline.toml"
  releases=(--previous "$PREVIOUS" --pipeline-dir "$data/pipeline/orders")
fi
trap 'kill -9 "$local" "${load:-$local}" 2>/dev/null || true; kill "${sandboxes:-$local}" 2>/dev/null || true; rm -rf "$data"' EXIT
start
until grep -q '^control ' "$log"; do kill -0 "$local" || { cat "$log"; exit 1; }; sleep 0.1; done
tests/sandboxes.py --env-file "$data/env" --port 19200 --kills "$kills" --kill-every "$(awk -v s="$between" 'BEGIN { print s / 4 }')" \
  "${releases[@]}" "$function" >"$data/sandboxes.log" & sandboxes=$!
"$usagectl" --data "$data" --dynamodb-endpoint http://127.0.0.1:18000 simulate orders \
  --rate "$rate" --duration "$((kills * between + between))s" --patience 120s & load=$!
for kill in $(seq "$kills"); do
  # Wait between half of SECONDS_BETWEEN and all of it, at random.
  sleep "$(awk -v s="$between" -v r="$RANDOM" 'BEGIN { print s / 2 + s / 2 * r / 32768 }')"
  kill -9 "$local"
  wait "$local" 2>/dev/null || true
  echo "killed the whole run $kill of $kills times"
  start
done
wait "$load"
# What the kills held up takes as long as it takes. It fails if nothing changes any more.
before='' now=''
until now=$("$usagectl" --data "$data" reconcile --wait 60s); do
  [ "$now" != "$before" ] || { echo "$now"; tail -50 "$log"; exit 1; }
  before=$now
done
echo "$now"
kill "$sandboxes"
wait "$sandboxes" || true
cat "$data/sandboxes.log"
for kind in append fold; do
  grep -q "^killed $kind" "$data/sandboxes.log" || { echo "no $kind was killed: raise KILLS or RATE"; exit 1; }
  for release in ${PREVIOUS:+previous} current; do
    grep -q "'$kind $release': [1-9]" "$data/sandboxes.log" || { echo "no $kind was served by the $release release: raise KILLS"; exit 1; }
  done
done
