#!/usr/bin/env bash
# Breaks one rule of exactly-once at a time and expects the simulation to notice within the seeds of `make test`. Each
# patch beside this file is a mutant. Exit 0 when all are caught.
set -uo pipefail
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
# A target folder of its own: cargo can't tell the mutants' artifacts from the real ones by more than their age.
export CARGO_TARGET_DIR=$root/target/mutants
survivors=0
for patch in "$root"/tests/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    tree=$(mktemp -d)
    git -C "$root" worktree add --quiet --detach "$tree" HEAD
    if ! git -C "$tree" apply "$patch"; then
        printf '%-32s does not apply: renew the patch\n' "$name"
        survivors=$((survivors + 1))
    elif ! (cd "$tree" && cargo test --quiet --test it --no-run >"$tree.log" 2>&1); then
        printf '%-32s does not compile: see %s\n' "$name" "$tree.log"
        survivors=$((survivors + 1))
    elif (cd "$tree" && cargo test --quiet --test it simulation::simulated >"$tree.log" 2>&1); then
        printf '%-32s SURVIVED\n' "$name"
        survivors=$((survivors + 1))
    else
        printf '%-32s caught: %s\n' "$name" "$(grep -m1 "^seed " "$tree.log" | cut -c-120)"
        rm -f "$tree.log"
    fi
    git -C "$root" worktree remove --force "$tree"
done
exit $((survivors > 0))
