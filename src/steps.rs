//! Counts the steps of searches, for tests: what is searched once for each of many names must not be searched from the start each time.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// Counts a step.
pub(crate) fn count() {
    STEPS.set(STEPS.get() + 1);
}

/// How many steps `work` takes.
pub(crate) fn of(work: impl FnOnce()) -> usize {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}
