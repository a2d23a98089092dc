//! Checks of what the ledger holds: whether every page is folded, and how large the states are.

use super::super::facts::{Facts, LedgerContents, StuckMinute, Unavailable};
use super::super::finding::{CheckResult, no_data, ok, problem, warning};
use super::of;

/// 200 KB: above it, a state is split into parts.
const PART_BYTES: usize = 200_000;
/// A tenth below that, the next records of new entities split it.
const NEAR_BYTES: usize = 180_000;

/// Every page of the last minutes is in the state of its minute.
pub(crate) fn stuck_minutes(facts: &Facts) -> CheckResult {
    let LedgerContents { minutes, stuck, .. } = contents(facts)?;
    let Some((first, last)) = stuck.first().zip(stuck.last()) else {
        return ok(format!("every page of the {minutes} minutes that should be folded by now is in its state"));
    };
    let pages: usize = stuck.iter().map(|minute| minute.pages).sum();
    let StuckMinute { minute, .. } = first;
    problem(
        format!(
            "pages of {} of the last {minutes} minutes are in no state, since {minute}: {pages} pages; their snapshots lack them, and the sweep says why",
            stuck.len()
        ),
        facts.ledger(&format!("sweep {minute} {}", last.minute)),
    )
}

/// The states of the open windows are far from the size at which they are split.
pub(crate) fn state_size(facts: &Facts) -> CheckResult {
    let Some(largest) = &contents(facts)?.largest else {
        return no_data("the ledger has no state of an open window");
    };
    let parts = if largest.parts == 1 { "1 part".to_owned() } else { format!("{} parts", largest.parts) };
    let size = format!("{} KB in {parts}", largest.bytes / 1_000);
    let meaning = format!("the state of {} has {size}", largest.window);
    let longer = facts.deploy("FoldWindowSeconds=60");
    if largest.bytes > PART_BYTES {
        return warning(
            format!("{meaning}: one group alone is too large to be split"),
            facts.ledger(&format!("show {}", largest.window)),
        );
    }
    if largest.parts == 1 && largest.bytes > NEAR_BYTES {
        return warning(
            format!(
                "{meaning}: above 200 KB it is split, and every fold writes each part; a longer fold window writes them less often"
            ),
            longer,
        );
    }
    ok(format!("the largest state has {size}"))
}

fn contents(facts: &Facts) -> Result<&LedgerContents, Unavailable> {
    if !facts.counts() {
        return Err(Unavailable::NotApplicable("the pipeline counts nothing"));
    }
    of(&facts.ledger_contents)
}

impl Facts {
    /// A command of `usagectl ledger` for this deployment.
    fn ledger(&self, command: &str) -> String {
        let place = if self.here { "--local".to_owned() } else { format!("--stack {}", self.stack_name()) };
        format!("usagectl ledger {command} {place}")
    }
}
