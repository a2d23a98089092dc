//! The decision paths of docs/operations.md for the fold.

use super::paths::fork;
use super::{DecisionPath, Fork};
use crate::deployment::doctor::check::Check;
use crate::deployment::doctor::facts::Facts;

const MAPPING: Fork = fork(Check::LedgerMapping, "notices aren't delivered, or some are lost");

pub(super) fn fold_lags() -> DecisionPath {
    DecisionPath {
        forks: vec![
            MAPPING,
            fork(Check::UnfoldedPages, "the fold has stopped: see fold-blocked"),
            fork(Check::FoldErrors, "folds fail and are repeated: fix the errors first"),
            fork(Check::PagesInMinute, "minutes have too many pages: use larger batches"),
            fork(Check::TableCapacity, "throttled tables slow the fold down"),
            fork(Check::StateSize, "large states slow each fold down"),
            fork(Check::FoldAge, "folds take longer than their window: more memory, or a longer window"),
        ],
        otherwise: "the fold keeps up with the ledger now",
        first_step: |facts| facts.fold_lines("{ $.message = \"fold done\" }"),
    }
}

pub(super) fn fold_blocked() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::LedgerTable, "the ledger's stream delivers nothing"),
            MAPPING,
            fork(Check::FoldSettings, "append and fold use different tables or settings"),
            fork(Check::FoldErrors, "the log says what is missing, or that the ledger was restored"),
            fork(Check::UnfoldedPages, "nothing is folded: check the concurrency of the fold function"),
            fork(Check::StuckMinutes, "some minutes are blocked: the sweep says what is missing"),
            fork(Check::FoldAge, "some minutes are blocked"),
        ],
        otherwise: "folds succeed now",
        first_step: Facts::errors_of_the_fold,
    }
}

pub(super) fn notices_lost() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::LedgerTable, "the ledger's stream is off: turn it on, then sweep"),
            MAPPING,
            fork(Check::FoldErrors, "the cause persists: see fold-blocked"),
            fork(Check::FoldRepairs, "sweep the minutes concerned, and find out why their notices were lost"),
        ],
        otherwise: "no notice was lost in the last hour, and no sweep repaired a snapshot",
        first_step: |facts| format!("usagectl ledger sweep FROM TO --stack {}", facts.stack_name()),
    }
}

impl Facts {
    /// A command that shows the lines of the fold function's log that match a pattern.
    fn fold_lines(&self, pattern: &str) -> String {
        let errors = self.errors_of_the_fold();
        errors.replace("{ $.level = \"ERROR\" || $.level = \"WARN\" }", pattern)
    }
}
