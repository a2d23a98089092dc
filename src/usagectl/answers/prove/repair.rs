//! Repairs snapshots that differ from the ledger: an audit entry first, then a sweep of the windows. Nothing is written that
//! doesn't follow from the ledger.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::fold::{Depth, Swept};
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::{Difference, Proof};
use crate::ledger::{Open, author, put_audits, refused_text};
use crate::shell::console::counted;
use crate::shell::options::Options;

/// What was repaired.
pub(super) struct Repaired {
    swept: Swept,
    /// The audit entries.
    audits: Vec<String>,
    /// Counters that the ledger doesn't have: their snapshots stay.
    unknown: usize,
}

/// Writes the snapshots again that differ from the ledger.
pub(super) async fn repair(
    ledger: &Open,
    proof: &Proof,
    given: Option<&str>,
    now: Timestamp,
) -> anyhow::Result<Repaired> {
    let author = author(given, ledger).await?;
    let (known, unknown): (Vec<&Difference>, Vec<&Difference>) =
        proof.wrong_snapshots.iter().partition(|difference| difference.state.is_some());
    let counters = known.iter().map(|difference| of(difference)).collect();
    let audits = put_audits(ledger, &author, (&proof.window.text(), "ledger"), counters, now).await?;
    let windows: BTreeSet<WindowKey> = known.iter().map(|difference| difference.cell.window).collect();
    let mut swept = Swept::default();
    for window in windows {
        // A sweep of the last minute of a window compares all its snapshots with its state.
        let last = Segment::at(window.end() - 1);
        let sweep = ledger.folder.sweep(&ledger.snapshot, last, Depth::Differences, now, None).await;
        swept.add(sweep.with_context(|| format!("repair the snapshots of {window}"))?);
    }
    Ok(Repaired { swept, audits, unknown: unknown.len() })
}

fn of(difference: &Difference) -> Value {
    let Difference { cell, snapshot, state, .. } = difference;
    json!({ "window": cell.window.text(), "group": cell.group, "measure": cell.measure, "before": snapshot, "after": state })
}

impl Repaired {
    /// Whether every snapshot that differs was written again.
    pub(super) fn is_complete(&self) -> bool {
        self.unknown == 0 && self.swept.refused.is_empty()
    }

    pub(super) fn text(&self, options: &Options) -> String {
        let Repaired { swept: Swept { repaired, refused, .. }, audits, unknown } = self;
        let refused: Vec<String> = refused.iter().map(|(item, reason)| refused_text(item, reason)).collect();
        if options.json {
            return json!({ "repaired": repaired, "audits": audits, "not_in_ledger": unknown, "refused": refused })
                .to_string();
        }
        let rest = match unknown {
            0 => String::new(),
            unknown => format!("; {} stay, because the ledger doesn't have them", counted(*unknown, "counter")),
        };
        let audit = match audits.as_slice() {
            [] => String::new(),
            audits => format!("; audit entry {}", audits.join(", ")),
        };
        let mut lines = vec![format!("{} written again from the ledger{rest}{audit}", counted(*repaired, "snapshot"))];
        lines.extend(refused.iter().map(|refused| format!("DynamoDB refuses the snapshot {refused}")));
        lines.join("\n")
    }
}
