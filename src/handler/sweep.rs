//! Sweep: a schedule names a minute, whose pages, states and snapshots are compared and, if a notice was lost, folded.

use serde::Deserialize;

use super::{Handler, Invocation, schedule};
use crate::error::Error;
use crate::fold::Depth;
use crate::outcome::SweepOutcome;
use crate::time::Timestamp;
use crate::usage::Segment;

/// An event of the schedule: `{"sweep": {"at": "2026-11-28T10:00:00Z", "minutes_ago": 90, "fold_window_seconds": 30}}`.
#[derive(Debug, Deserialize)]
struct SweepEvent {
    sweep: Request,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// When the schedule sent it.
    at: String,
    /// How long before that the minute is.
    minutes_ago: i64,
    /// The batching window of the ledger's mapping: for so long, and a little more, what is written may differ from what it
    /// follows from. Without it, nothing is looked at twice.
    fold_window_seconds: Option<u64>,
}

/// Whether an event is one of the schedule.
pub(super) fn is_sweep(event: &[u8]) -> bool {
    schedule::is_named(event, b"\"sweep\"")
}

impl Handler {
    pub(super) async fn sweep_minute(&self, event: &[u8], invocation: &Invocation) -> Result<SweepOutcome, Error> {
        let unusable = |what: &dyn std::fmt::Display| {
            let example = r#"{"sweep": {"at": "2026-11-28T10:00:00Z", "minutes_ago": 90, "fold_window_seconds": 30}}"#;
            Error::config(format!("read the event of the sweep schedule: {what}; send an event such as {example}"))
        };
        let SweepEvent { sweep } = serde_json::from_slice(event).map_err(|error| unusable(&error))?;
        let at = Timestamp::parse(&sweep.at).ok_or_else(|| unusable(&"`at` isn't a time"))?;
        let second = at.seconds().saturating_sub(sweep.minutes_ago.saturating_mul(60));
        let at = Timestamp::from_seconds(second).ok_or_else(|| unusable(&"`minutes_ago` is out of range"))?;
        let minute = Segment::containing(at);
        let (Some(folder), Some(snapshot)) = (&self.folder, &self.pipeline().snapshot) else {
            return Ok(SweepOutcome { minute, ..SweepOutcome::default() });
        };
        let time = (schedule::patience(sweep.fold_window_seconds), invocation.deadline);
        let swept = folder.sweep_patiently(snapshot, minute, Depth::Differences, invocation.now, time).await?;
        Ok(SweepOutcome { minute, swept })
    }
}
