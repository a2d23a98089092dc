//! What the ledger holds.

/// What the ledger holds of the last minutes, and of the windows that are open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerContents {
    /// How many minutes were examined: those that should be folded by now.
    pub minutes: usize,
    /// Those of them with pages that their state doesn't stand for.
    pub stuck: Vec<StuckMinute>,
    /// The largest state of an open window.
    pub largest: Option<LargestState>,
}

/// A minute whose state lacks pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckMinute {
    /// The minute, as in the ledger's keys.
    pub minute: String,
    /// How many pages its state lacks.
    pub pages: usize,
}

/// A large state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargestState {
    /// Its window, as in the ledger's keys.
    pub window: String,
    /// The size of its largest part.
    pub bytes: usize,
    /// How many parts it has; 1 if it isn't split.
    pub parts: usize,
}
