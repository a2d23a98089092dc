//! What `usagectl prove` prints.

use laptop::proof::reconcile::{GapKind, RecordGap};
use serde_json::{Value, json};

use super::{Archive, Difference, Proof};
use crate::results::differences;
use crate::shell::console::{counted, plain};
use crate::shell::table::{number, text, titled};

/// How many differences are listed. The others are only counted.
const LISTED: usize = 20;

impl Proof {
    pub(super) fn text(&self) -> String {
        let mut parts = vec![format!(
            "{}: {} in {} compared",
            self.window,
            counted(self.cells.states.len(), "counter"),
            counted(self.cells.added_up.len(), "window")
        )];
        parts.push(match self.wrong_snapshots.len() {
            0 if !self.cells.expired_windows.is_empty() => {
                "snapshots = ledger, as far as neither has expired".to_owned()
            }
            0 => "snapshots = ledger".to_owned(),
            wrong => format!(
                "{} in snapshots not what the ledger says; add --repair to write what follows from the ledger\n{}",
                counted(wrong, "counter"),
                table(&self.wrong_snapshots)
            ),
        });
        if !self.cells.expired_windows.is_empty() {
            let windows = counted(self.cells.expired_windows.len(), "window");
            parts.push(format!("{windows} whose snapshots or states have expired: not compared with each other"));
        }
        parts.push(match self.wrong_states.len() {
            0 if self.cells.expired > 0 => {
                format!("states = pages, as far as pages haven't expired ({} have)", counted(self.cells.expired, "minute"))
            }
            0 => "states = pages".to_owned(),
            wrong => format!(
                "{} not what the pages add up to; run `usagectl ledger sweep`, and if it stays, `usagectl ledger rebuild`\n{}",
                counted(wrong, "state value"),
                table(&self.wrong_states)
            ),
        });
        if !self.not_known.is_empty() {
            let counters = counted(self.not_known.len(), "counter");
            let why = "its sum has more than 38 digits, or the ledger has given its value up, so the snapshot keeps the last one";
            parts.push(format!("{counters} not compared: {why}\n{}", table(&self.not_known)));
        }
        if !self.cells.unfolded.is_empty() {
            let first = self.cells.unfolded.first().map(|window| window.text()).unwrap_or_default();
            let minutes = counted(self.cells.unfolded.len(), "minute");
            parts.push(format!(
                "{minutes} with pages that wait to be folded, first {first}; run it again after the fold window"
            ));
        }
        parts.extend(self.archive_text());
        parts.join("\n")
    }

    fn archive_text(&self) -> Vec<String> {
        let (report, gaps) = match &self.archive {
            Archive::NotComparable(reasons) => {
                return vec![format!("the archive can't be compared: {}", plain(&reasons.join("; ")))];
            }
            Archive::Compared(report, gaps) => (report, gaps),
        };
        let mut parts = vec![differences::text("counters and archive", report)];
        parts.extend(report.unprovable.iter().map(|reason| format!("not compared: {}", plain(reason))));
        if gaps.gap_count == 0 {
            let records = usize::try_from(gaps.records).unwrap_or(usize::MAX);
            parts.push(format!(
                "{} continuous: each begins with the value of the change before it",
                counted(records, "record")
            ));
            return parts;
        }
        let count = usize::try_from(gaps.gap_count).unwrap_or(usize::MAX);
        parts.push(format!("{} in which ledger and archive differ:", counted(count, "record")));
        parts.extend(gaps.gaps.iter().map(gap));
        parts
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        let archive = match &self.archive {
            Archive::NotComparable(reasons) => json!({ "not_comparable": reasons }),
            Archive::Compared(report, gaps) => json!({ "report": serde_json::to_value(report)?, "continuity": gaps }),
        };
        let list = |all: &[Difference]| all.iter().take(LISTED).map(of).collect::<Vec<Value>>();
        Ok(json!({
            "window": self.window.text(), "agrees": self.agrees(), "counters": self.cells.states.len(),
            "wrong_snapshot_count": self.wrong_snapshots.len(), "wrong_snapshots": list(&self.wrong_snapshots),
            "wrong_state_count": self.wrong_states.len(), "wrong_states": list(&self.wrong_states),
            "not_known_count": self.not_known.len(), "not_known": list(&self.not_known),
            "expired_minutes": self.cells.expired, "expired_windows": self.cells.expired_windows.len(),
            "unfolded": self.cells.unfolded.iter().map(|window| window.text()).collect::<Vec<_>>(), "archive": archive,
        })
        .to_string())
    }
}

fn of(difference: &Difference) -> Value {
    let Difference { cell, snapshot, state, pages } = difference;
    json!({
        "window": cell.window.text(), "group": cell.group, "measure": cell.measure, "snapshot": snapshot, "state": state,
        "pages": pages,
    })
}

fn table(all: &[Difference]) -> String {
    let mut table = titled(["window", "group", "measure", "snapshot", "state", "pages"]);
    for Difference { cell, snapshot, state, pages } in all.iter().take(LISTED) {
        let value = |value: &Option<String>| number(value.as_deref().unwrap_or("none"));
        let start = [text(&cell.window.text()), text(&cell.group.join(" ")), text(&cell.measure)];
        table.add_row(start.into_iter().chain([snapshot, state, pages].map(value)));
    }
    let more = all.len().saturating_sub(LISTED);
    if more == 0 { table.to_string() } else { format!("{table}\nand {more} more") }
}

fn gap(gap: &RecordGap) -> String {
    let RecordGap { record_type, item, sequence_number, record_id, what, measure, ledger, archive } = gap;
    let what = match what {
        GapKind::NotArchived => {
            return format!("  record {record_id}: the ledger counted it, but the archive lacks it");
        }
        GapKind::NotCounted => "the archive has it, but the ledger didn't count it".to_owned(),
        GapKind::Discontinuous => format!(
            "the ledger counted {} {}, but from the item's row before it follows {}: a change between them is missing",
            measure.as_deref().unwrap_or_default(),
            ledger.as_deref().unwrap_or("nothing"),
            archive.as_deref().unwrap_or("nothing")
        ),
    };
    format!("  {record_type} {} at {sequence_number} (record {record_id}): {what}", plain(item))
}
