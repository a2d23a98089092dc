//! Repairs snapshots that differ from the ledger: an audit entry first, then a sweep of the windows. Nothing is written that
//! doesn't follow from the ledger.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::fold::Depth;
use usage_aggregator::ledger::{Audit, WindowKey};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::{Difference, Proof};
use crate::answers::author::author;
use crate::ledger::Open;
use crate::shell::console::counted;
use crate::shell::options::Options;

/// How many counters an audit entry lists. An item has at most 400 KB.
const LISTED: usize = 500;

/// What was repaired.
pub(super) struct Repaired {
    snapshots: usize,
    audit: String,
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
    let listed: Vec<Value> = known.iter().take(LISTED).map(|difference| of(difference)).collect();
    let text = json!({ "window": proof.window.text(), "counters": known.len(), "listed": listed }).to_string();
    let hash = blake3::hash(format!("{author}\n{text}").as_bytes()).to_hex();
    let id = format!("{now} {}", hash.get(..8).unwrap_or_default());
    let audit = Audit { id: id.clone(), author, text };
    ledger.folder.ledger.put_audit(&audit, None).await.context("put the audit entry")?;
    let windows: BTreeSet<WindowKey> = known.iter().map(|difference| difference.cell.window).collect();
    let mut snapshots = 0;
    for window in windows {
        // A sweep of the last minute of a window compares all its snapshots with its state.
        let last = Segment::at(window.end() - 1);
        let sweep = ledger.folder.sweep(&ledger.snapshot, last, Depth::Differences, now, None).await;
        snapshots += sweep.with_context(|| format!("repair the snapshots of {window}"))?.repaired;
    }
    Ok(Repaired { snapshots, audit: id, unknown: unknown.len() })
}

fn of(difference: &Difference) -> Value {
    let Difference { cell, snapshot, state, .. } = difference;
    json!({ "window": cell.window.text(), "group": cell.group, "measure": cell.measure, "before": snapshot, "after": state })
}

impl Repaired {
    /// Whether every snapshot that differs was written again.
    pub(super) fn is_complete(&self) -> bool {
        self.unknown == 0
    }

    pub(super) fn text(&self, options: &Options) -> String {
        let Repaired { snapshots, audit, unknown } = self;
        if options.json {
            return json!({ "repaired": snapshots, "audit": audit, "not_in_ledger": unknown }).to_string();
        }
        let rest = match unknown {
            0 => String::new(),
            unknown => format!("; {} stay, because the ledger doesn't have them", counted(*unknown, "counter")),
        };
        format!("{} written again from the ledger{rest}; audit entry {audit}", counted(*snapshots, "snapshot"))
    }
}
