#!/usr/bin/env bash
# Breaks one exactly-once rule at a time and expects the tests of the ledger, the simulation, with the seeds that `make test`
# uses, or the tests of rejected records to catch it. Each patch in this folder is a mutant. Exits with 0 if all mutants are
# caught.
set -uo pipefail
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
# Use a separate target folder: cargo distinguishes the mutants' artifacts from the real ones only by age.
export CARGO_TARGET_DIR=$root/target/mutants
survivors=0

# Whether these tests compile.
builds() {
    (cd "$tree" && cargo test --quiet "$@" --no-run >"$tree.log" 2>&1)
}

# Whether these tests fail.
catches() {
    ! (cd "$tree" && cargo test --quiet "$@" >"$tree.log" 2>&1)
}

# What failed first.
failure() {
    grep -m1 -E "^seed |^thread .* panicked" "$tree.log" | cut -c-120
}

for patch in "$root"/tests/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    tree=$(mktemp -d)
    git -C "$root" worktree add --quiet --detach "$tree" HEAD
    if ! git -C "$tree" apply "$patch"; then
        printf '%-40s does not apply: update the patch\n' "$name"
        survivors=$((survivors + 1))
    elif ! builds --package laptop --test ledger; then
        printf '%-40s does not compile: see %s\n' "$name" "$tree.log"
        survivors=$((survivors + 1))
    elif catches --package laptop --test ledger; then
        printf '%-40s caught by the ledger'"'"'s tests: %s\n' "$name" "$(failure)"
        rm -f "$tree.log"
    elif ! builds --test it; then
        printf '%-40s does not compile: see %s\n' "$name" "$tree.log"
        survivors=$((survivors + 1))
    elif catches --test it -- simulation::simulated quarantine:: blocked_shard::; then
        printf '%-40s caught: %s\n' "$name" "$(failure)"
        rm -f "$tree.log"
    else
        printf '%-40s SURVIVED\n' "$name"
        survivors=$((survivors + 1))
    fi
    git -C "$root" worktree remove --force "$tree"
done
exit $((survivors > 0))
