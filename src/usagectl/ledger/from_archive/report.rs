//! Prints what was rebuilt, and what was left alone.

use laptop::proof::reconcile::DerivedSnapshot;
use serde_json::{Value, json};
use usage_aggregator::ledger::WindowKey;

use super::counters;
use crate::shell::console::{counted, plain};

/// What was rebuilt.
#[derive(Debug)]
pub(super) struct Rebuilt<'d> {
    pub(super) window: WindowKey,
    pub(super) dry_run: bool,
    /// The snapshots that were written, or would be.
    pub(super) snapshots: Vec<&'d DerivedSnapshot>,
    /// The snapshots that differ and weren't written, with the reason.
    pub(super) left: Vec<(&'d DerivedSnapshot, String)>,
    /// The audit entries.
    pub(super) audits: Vec<String>,
}

impl Rebuilt<'_> {
    pub(super) fn json(&self) -> Value {
        let rebuilt = |snapshot: &&DerivedSnapshot| json!({ "group": snapshot.group, "window": snapshot.window, "changes": counters(snapshot) });
        let left = |(snapshot, reason): &(&DerivedSnapshot, String)| json!({ "group": snapshot.group, "window": snapshot.window, "reason": reason });
        json!({
            "window": self.window.text(), "dry_run": self.dry_run, "audits": self.audits,
            "rebuilt": self.snapshots.iter().map(rebuilt).collect::<Vec<_>>(),
            "left": self.left.iter().map(left).collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for snapshot in &self.snapshots {
            for change in counters(snapshot) {
                let value = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or("none").to_owned();
                let [measure, before, after] = ["measure", "before", "after"].map(value);
                lines.push(format!("{} {}: {measure} {before} -> {after}", snapshot.window, snapshot.group.join(" ")));
            }
        }
        for (snapshot, reason) in &self.left {
            lines.push(format!("{} {}: left alone, because {reason}", snapshot.window, snapshot.group.join(" ")));
        }
        let done = if self.dry_run { "would be rebuilt" } else { "rebuilt" };
        let audits = match self.audits.as_slice() {
            [] => String::new(),
            audits => format!("; audit entry {}", audits.join(", ")),
        };
        let (rebuilt, left) = (counted(self.snapshots.len(), "snapshot"), self.left.len());
        lines.push(format!("{}: {rebuilt} {done} from the archive, {left} left alone{audits}", self.window));
        lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
    }
}
