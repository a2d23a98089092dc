#!/usr/bin/env bash
# Breaks one exactly-once rule at a time and expects the simulation, with the seeds that `make test` uses, or the tests of
# rejected records to catch it. Each patch in this folder is a mutant. Exits with 0 if all mutants are caught.
set -uo pipefail
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
# Use a separate target folder: cargo distinguishes the mutants' artifacts from the real ones only by age.
export CARGO_TARGET_DIR=$root/target/mutants
survivors=0
for patch in "$root"/tests/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    tree=$(mktemp -d)
    git -C "$root" worktree add --quiet --detach "$tree" HEAD
    if ! git -C "$tree" apply "$patch"; then
        printf '%-32s does not apply: update the patch\n' "$name"
        survivors=$((survivors + 1))
    elif ! (cd "$tree" && cargo test --quiet --test it --no-run >"$tree.log" 2>&1); then
        printf '%-32s does not compile: see %s\n' "$name" "$tree.log"
        survivors=$((survivors + 1))
    elif (cd "$tree" && cargo test --quiet --test it -- simulation::simulated quarantine:: blocked_shard:: >"$tree.log" 2>&1); then
        printf '%-32s SURVIVED\n' "$name"
        survivors=$((survivors + 1))
    else
        printf '%-32s caught: %s\n' "$name" "$(grep -m1 -E "^seed |^thread .* panicked" "$tree.log" | cut -c-120)"
        rm -f "$tree.log"
    fi
    git -C "$root" worktree remove --force "$tree"
done
exit $((survivors > 0))
