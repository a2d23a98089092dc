#!/usr/bin/env bash
# Instructions a record of the job, counted by callgrind: the difference between a process that does the job and one that does
# not. The same on every machine of one architecture, whatever else it is doing. Beside it the process's peak memory.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "no valgrind here, so no instructions are counted (Debian: apt-get install valgrind)"
    exit 0
fi
bench=$(cargo bench --profile soak --bench job --no-run 2>&1 | sed -n 's/.*(\(target\/[^)]*\)).*/\1/p' | tail -1)
instructions() { # workload, jobs
    JOBS=$2 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" once "$1" 2>&1 | sed -n 's/.*Collected : //p'
}
echo; echo "| workload | instructions a record | peak memory of a batch of 1,000, event included |"; echo "|---|---|---|"
for workload in bucket demand demand-kinesis racer; do
    per_record=$((($(instructions $workload 3) - $(instructions $workload 1)) / 2000))
    printf '| %s | %s | %s |\n' "$workload" "$per_record" "$(JOBS=1 "$bench" once "$workload")"
done
