//! Repairs snapshots that differ from the ledger, window by window, and leaves an audit entry of what was written. Nothing is
//! written that doesn't follow from the ledger. So if the command dies before the entry, the snapshots are as any sweep would have
//! written them, too; an entry that came first would list what was never written.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::fold::Republished;
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{CounterKey, SnapshotItem};

use super::Difference;
use super::cells::Cell;
use crate::answers::audit::change_line;
use crate::ledger::{Open, author, put_audits, refused_text};
use crate::shell::console::{counted, plain};
use crate::shell::options::Options;

/// How to repair.
pub(in crate::answers) struct Repair<'r> {
    /// Who repairs, if that was given.
    pub(in crate::answers) author: Option<&'r str>,
    /// Whether nothing is written.
    pub(in crate::answers) dry_run: bool,
}

/// What was repaired, or would be.
#[derive(Default)]
pub(super) struct Repaired {
    /// The counters that were written.
    counters: Vec<Value>,
    dry_run: bool,
    written: Republished,
    /// The audit entries.
    audits: Vec<String>,
    /// Counters that the ledger doesn't have: their snapshots stay.
    unknown: usize,
    /// Counters that weren't written, though DynamoDB refused nothing.
    left: usize,
}

/// Writes the snapshots of a window again that differ from the ledger.
pub(super) async fn repair(
    ledger: &Open,
    window: WindowKey,
    wrong: &[Difference],
    request: &Repair<'_>,
    now: Timestamp,
) -> anyhow::Result<Repaired> {
    let known: Vec<&Difference> = wrong.iter().filter(|difference| difference.state.is_some()).collect();
    let unknown = wrong.len() - known.len();
    let mut repaired = Repaired { dry_run: request.dry_run, unknown, ..Repaired::default() };
    if request.dry_run || known.is_empty() {
        repaired.counters = known.iter().map(|difference| of(difference)).collect();
        return Ok(repaired);
    }
    let author = author(request.author, ledger).await?;
    let mut windows: BTreeMap<WindowKey, Vec<&Difference>> = BTreeMap::new();
    known.iter().for_each(|difference| windows.entry(difference.cell.window).or_default().push(difference));
    for (own, known) in windows {
        let written = ledger.folder.republish(&ledger.snapshot, own, now, None).await;
        let written = written.with_context(|| format!("repair the snapshots of {own}"))?;
        let mut counters = Vec::new();
        for difference in known {
            match item(&ledger.snapshot, &difference.cell) {
                Some(item) if written.repaired.contains(&item) => counters.push(of(difference)),
                Some(item) if written.refused.contains_key(&item) => {}
                _ => repaired.left += 1,
            }
        }
        repaired.written.repaired.extend(written.repaired);
        repaired.written.refused.extend(written.refused);
        repaired.counters.extend(counters.iter().cloned());
        let audits = put_audits(ledger, &author, (&window.text(), "ledger"), counters, now).await;
        repaired.audits.extend(
            audits.with_context(|| format!("the snapshots of {own} were repaired, but there is no audit entry"))?,
        );
    }
    Ok(repaired)
}

/// The snapshot of a counter.
fn item(snapshot: &Snapshot, cell: &Cell) -> Option<SnapshotItem> {
    Some(SnapshotItem::new(snapshot, &CounterKey(cell.group.clone()), cell.window.span()?))
}

fn of(difference: &Difference) -> Value {
    let Difference { cell, snapshot, state, .. } = difference;
    json!({ "window": cell.window.text(), "group": cell.group, "measure": cell.measure, "before": snapshot, "after": state })
}

impl Repaired {
    /// Whether every snapshot that differs was written again.
    pub(super) fn is_complete(&self) -> bool {
        !self.dry_run && self.unknown + self.left == 0 && self.written.refused.is_empty()
    }

    pub(super) fn text(&self, options: &Options) -> String {
        let Repaired { counters, dry_run, written, audits, unknown, left } = self;
        let Republished { repaired, refused } = written;
        let refused: Vec<String> = refused.iter().map(|(item, reason)| refused_text(item, reason)).collect();
        if options.json {
            return json!({
                "dry_run": dry_run, "counters": counters, "repaired": repaired.len(), "audits": audits,
                "not_in_ledger": unknown, "left": left, "refused": refused,
            })
            .to_string();
        }
        let mut rest = String::new();
        if *unknown > 0 {
            rest += &format!("; {} left alone: not in the ledger", counted(*unknown, "counter"));
        }
        if *left > 0 {
            let why = "changed meanwhile, or of a later version than in the ledger";
            rest += &format!("; {} left alone: {why}", counted(*left, "counter"));
        }
        if *dry_run {
            let lines = counters.iter().map(|counter| plain(&change_line(counter)));
            let end = format!("{} would be written from the ledger{rest}", counted(counters.len(), "counter"));
            return lines.chain([end]).collect::<Vec<_>>().join("\n");
        }
        let audit = match audits.as_slice() {
            [] => String::new(),
            audits => format!("; audit entry {}", audits.join(", ")),
        };
        let written = counted(repaired.len(), "snapshot");
        let mut lines = vec![format!("{written} written again from the ledger{rest}{audit}")];
        lines.extend(refused.iter().map(|refused| format!("DynamoDB refuses the snapshot {refused}")));
        lines.join("\n")
    }
}
