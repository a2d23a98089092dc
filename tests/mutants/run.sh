#!/usr/bin/env bash
# Breaks one exactly-once rule at a time and expects the tests of the ledger, the simulation, with the seeds that `make test`
# uses, or the tests of rejected records to catch it. Each patch in this folder is a mutant; names of patches as arguments select
# some. Exits with 0 if all of them are caught.
set -uo pipefail
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
# Use a separate target folder: cargo distinguishes the mutants' artifacts from the real ones only by age.
export CARGO_TARGET_DIR=${MUTANTS_TARGET_DIR:-$root/target/mutants}
survivors=0
# One tree for all mutants, so that only what a patch changes is compiled again.
tree=$(mktemp -d)
git -C "$root" worktree add --quiet --detach "$tree" HEAD
trap 'git -C "$root" worktree remove --force "$tree"' EXIT

# Whether these tests compile.
builds() {
    (cd "$tree" && cargo test --quiet "$@" --no-run >"$log" 2>&1)
}

# Whether these tests fail.
catches() {
    ! (cd "$tree" && cargo test --quiet "$@" >"$log" 2>&1)
}

# What failed first.
failure() {
    grep -m1 -E "^seed |^thread .* panicked" "$log" | sed -E "s/ \([0-9]+\) panicked at.*//; s/^thread //" | cut -c-120
}

# Which tests catch the mutant in the tree. The fastest come first.
caught_by() {
    builds --workspace --test ledger || { echo "does not compile: see $log"; return 1; }
    catches --workspace --test ledger -- rules:: restore:: refused_targets:: fold:: pipeline:: windows:: attributes:: alerts:: prove:: compact:: && { echo "caught by the ledger's tests: $(failure)"; return; }
    builds --workspace --lib || { echo "does not compile: see $log"; return 1; }
    catches --workspace --lib -- usage:: plan:: && { echo "caught by the tests of counting: $(failure)"; return; }
    catches --workspace --test ledger -- exhaustive:: random:: indicators:: && { echo "caught by the schedules and histories: $(failure)"; return; }
    builds --workspace --test it || { echo "does not compile: see $log"; return 1; }
    catches --workspace --test it -- quarantine:: blocked_shard:: && { echo "caught: $(failure)"; return; }
    catches --workspace --test it -- simulation::simulated && { echo "caught by the simulation: $(failure)"; return; }
    echo "SURVIVED"
    return 1
}

for patch in "$root"/tests/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
        continue
    fi
    log=$(mktemp)
    if ! git -C "$tree" apply "$patch"; then
        result='does not apply: update the patch'
        survivors=$((survivors + 1))
    elif result=$(caught_by); then
        rm -f "$log"
    else
        survivors=$((survivors + 1))
    fi
    printf '%-45s %s\n' "$name" "$result"
    git -C "$tree" checkout --quiet -- .
done
exit $((survivors > 0))
