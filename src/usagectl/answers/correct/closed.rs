//! Corrections of closed windows: what the pipeline's `closing` says about them.

use std::collections::BTreeSet;

use usage_aggregator::pipeline::{LateRecords, Snapshot};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Span;

use crate::shell::console::{self, UsageError};

/// Checks that a correction may change the windows of these minutes, and notes which of them are closed.
///
/// # Errors
/// If closed windows must not change.
pub(super) fn check_closed(
    snapshot: &Snapshot,
    minutes: impl IntoIterator<Item = Segment>,
    now: Timestamp,
) -> Result<(), UsageError> {
    let closed: Vec<String> = closed(snapshot, minutes, now).into_iter().map(Span::key).collect();
    if closed.is_empty() {
        return Ok(());
    }
    let verb = if closed.len() == 1 { "is" } else { "are" };
    let closed = closed.join(", ");
    if snapshot.closing.is_some_and(|closing| closing.late == LateRecords::Adjust) {
        let current = Segment::containing(now).text();
        return Err(UsageError(format!(
            "--at: {closed} {verb} closed, and with `late = \"adjust\"` closed windows don't change; correct the current window \
             (usagectl correct add --at {current}), and give the reason"
        )));
    }
    console::note(&format!("note: {closed} {verb} closed; `restated_at` of the snapshots will say when they changed"));
    Ok(())
}

/// The windows of these minutes that are closed now.
fn closed(snapshot: &Snapshot, minutes: impl IntoIterator<Item = Segment>, now: Timestamp) -> BTreeSet<Span> {
    let spans = minutes
        .into_iter()
        .flat_map(|minute| snapshot.windows.iter().map(move |window| window.at(minute.start(), snapshot.zone)));
    spans.filter(|span| snapshot.is_closed(*span, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::pipeline::{Closing, Pipeline, shipped};

    #[test]
    fn closed_windows_may_be_restated_but_not_adjusted() {
        let mut snapshot = Pipeline::parse(&shipped("orders").unwrap()).unwrap().snapshot.unwrap();
        let minute = Segment::parse("2026-11-28T08:57").unwrap();
        let check = |snapshot: &Snapshot, now: &str| check_closed(snapshot, [minute], Timestamp::parse(now).unwrap());
        let (open, closed) = ("2026-11-28T09:59:00Z", "2026-11-28T10:00:00Z");
        assert!(check(&snapshot, "2027-01-01").is_ok(), "nothing is ever closed");
        snapshot.closing = Some(Closing { grace_seconds: 3_600, late: LateRecords::Restate, window: None });
        assert!(check(&snapshot, open).is_ok() && check(&snapshot, closed).is_ok());
        snapshot.closing = Some(Closing { grace_seconds: 3_600, late: LateRecords::Adjust, window: None });
        assert!(check(&snapshot, open).is_ok());
        let refused = check(&snapshot, closed).unwrap_err().to_string();
        assert!(
            refused.starts_with("--at: 2026-11-28T08 is closed") && refused.contains("--at 2026-11-28T10:00"),
            "{refused}"
        );
    }
}
