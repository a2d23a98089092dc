//! Repairs snapshots that differ from the ledger: an audit entry first, then a sweep of the windows. Nothing is written that
//! doesn't follow from the ledger.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::fold::{Depth, Swept};
use usage_aggregator::ledger::{Audit, WindowKey};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::{Difference, Proof};
use crate::answers::author::author;
use crate::ledger::{Open, refused_text};
use crate::shell::console::counted;
use crate::shell::options::Options;

/// 300 KB: the most that the counters of an audit entry take. An item has at most 400 KB.
const ENTRY_BYTES: usize = 300 * 1024;

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
    let mut audits = Vec::new();
    for listed in entries(&known) {
        let text = json!({ "window": proof.window.text(), "listed": listed }).to_string();
        let hash = blake3::hash(format!("{author}\n{text}").as_bytes()).to_hex();
        let id = format!("{now} {}", hash.get(..8).unwrap_or_default());
        let audit = Audit { id: id.clone(), author: author.clone(), text };
        ledger.folder.ledger.put_audit(&audit, None).await.context("put the audit entry")?;
        audits.push(id);
    }
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

/// The counters, in as many lists as fit into items.
fn entries(known: &[&Difference]) -> Vec<Vec<Value>> {
    let (mut entries, mut bytes): (Vec<Vec<Value>>, usize) = (Vec::new(), 0);
    for counter in known.iter().map(|difference| of(difference)) {
        let size = counter.to_string().len() + 1;
        match entries.last_mut().filter(|_| bytes + size <= ENTRY_BYTES) {
            Some(entry) => {
                entry.push(counter);
                bytes += size;
            }
            None => {
                entries.push(vec![counter]);
                bytes = size;
            }
        }
    }
    entries
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

#[cfg(test)]
mod tests {
    use super::super::cells::Cell;
    use super::*;
    use usage_aggregator::window::Zone;

    #[test]
    fn every_counter_is_in_an_audit_entry_that_fits_into_an_item() {
        let window = WindowKey::parse("2026-11", Zone::UTC).unwrap();
        let difference = |number: usize| Difference {
            cell: Cell { window, group: vec![format!("{number}-{}", "x".repeat(1_000))], measure: "amount".to_owned() },
            snapshot: Some("201".to_owned()),
            state: Some("200".to_owned()),
            pages: None,
        };
        let differences: Vec<Difference> = (0..1_000).map(difference).collect();
        let entries = entries(&differences.iter().collect::<Vec<_>>());
        assert_eq!(entries.iter().map(Vec::len).sum::<usize>(), 1_000);
        assert!(entries.iter().all(|entry| json!(entry).to_string().len() <= ENTRY_BYTES + 2), "{}", entries.len());
        assert_eq!(entries.len(), 4);
    }
}
