//! Repairs snapshots that differ from the ledger: an audit entry first, then a sweep of the windows. Nothing is written that
//! doesn't follow from the ledger.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::fold::{Depth, Swept};
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::Difference;
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
pub(super) struct Repaired {
    /// The counters of the snapshots.
    counters: Vec<Value>,
    dry_run: bool,
    swept: Swept,
    /// The audit entries.
    audits: Vec<String>,
    /// Counters that the ledger doesn't have: their snapshots stay.
    unknown: usize,
}

/// Writes the snapshots of a window again that differ from the ledger.
pub(super) async fn repair(
    ledger: &Open,
    window: WindowKey,
    wrong: &[Difference],
    request: &Repair<'_>,
    now: Timestamp,
) -> anyhow::Result<Repaired> {
    let (known, unknown): (Vec<&Difference>, Vec<&Difference>) =
        wrong.iter().partition(|difference| difference.state.is_some());
    let counters: Vec<Value> = known.iter().map(|difference| of(difference)).collect();
    let (dry_run, unknown) = (request.dry_run, unknown.len());
    let mut repaired =
        Repaired { counters: counters.clone(), dry_run, swept: Swept::default(), audits: Vec::new(), unknown };
    if dry_run || known.is_empty() {
        return Ok(repaired);
    }
    let author = author(request.author, ledger).await?;
    repaired.audits = put_audits(ledger, &author, (&window.text(), "ledger"), counters, now).await?;
    let windows: BTreeSet<WindowKey> = known.iter().map(|difference| difference.cell.window).collect();
    for window in windows {
        // A sweep of the last minute of a window compares all its snapshots with its state.
        let last = Segment::at(window.end() - 1);
        let sweep = ledger.folder.sweep(&ledger.snapshot, last, Depth::Differences, now, None).await;
        repaired.swept.add(sweep.with_context(|| format!("repair the snapshots of {window}"))?);
    }
    Ok(repaired)
}

fn of(difference: &Difference) -> Value {
    let Difference { cell, snapshot, state, .. } = difference;
    json!({ "window": cell.window.text(), "group": cell.group, "measure": cell.measure, "before": snapshot, "after": state })
}

impl Repaired {
    /// Whether every snapshot that differs was written again.
    pub(super) fn is_complete(&self) -> bool {
        !self.dry_run && self.unknown == 0 && self.swept.refused.is_empty()
    }

    pub(super) fn text(&self, options: &Options) -> String {
        let Repaired { counters, dry_run, swept: Swept { repaired, refused, .. }, audits, unknown } = self;
        let refused: Vec<String> = refused.iter().map(|(item, reason)| refused_text(item, reason)).collect();
        if options.json {
            return json!({
                "dry_run": dry_run, "counters": counters, "repaired": repaired, "audits": audits, "not_in_ledger": unknown,
                "refused": refused,
            })
            .to_string();
        }
        let rest = match unknown {
            0 => String::new(),
            unknown => format!("; {} stay, because the ledger doesn't have them", counted(*unknown, "counter")),
        };
        if *dry_run {
            let lines = counters.iter().map(|counter| plain(&change_line(counter)));
            let end = format!("{} would be written from the ledger{rest}", counted(counters.len(), "counter"));
            return lines.chain([end]).collect::<Vec<_>>().join("\n");
        }
        let audit = match audits.as_slice() {
            [] => String::new(),
            audits => format!("; audit entry {}", audits.join(", ")),
        };
        let mut lines = vec![format!("{} written again from the ledger{rest}{audit}", counted(*repaired, "snapshot"))];
        lines.extend(refused.iter().map(|refused| format!("DynamoDB refuses the snapshot {refused}")));
        lines.join("\n")
    }
}
