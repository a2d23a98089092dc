//! Proof: a schedule names an hour, whose pages, states and snapshots are compared. Nothing is written.

use serde::Deserialize;

use super::{Handler, Invocation, schedule};
use crate::error::Error;
use crate::fold::Proven;
use crate::outcome::ProofOutcome;
use crate::time::{HOUR_SECONDS, Timestamp};

/// An event of the schedule: `{"prove": {"at": "2026-11-28T10:00:00Z", "hours_ago": 26, "fold_window_seconds": 30}}`.
#[derive(Debug, Deserialize)]
struct ProofEvent {
    prove: Request,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// When the schedule sent it.
    at: String,
    /// How long before that the hour has ended. An hour that has ended up to an hour earlier is proven, too, so that a
    /// schedule that runs each hour proves every hour once.
    hours_ago: i64,
    /// The batching window of the ledger's mapping: for so long, and a little more, what is written may differ from what it
    /// follows from. Without it, nothing is compared twice.
    fold_window_seconds: Option<u64>,
}

/// Whether an event is one of the schedule.
pub(super) fn is_proof(event: &[u8]) -> bool {
    schedule::is_named(event, b"\"prove\"")
}

impl Handler {
    pub(super) async fn prove_hour(&self, event: &[u8], invocation: &Invocation) -> Result<ProofOutcome, Error> {
        let unusable = |what: &dyn std::fmt::Display| {
            let example = r#"{"prove": {"at": "2026-11-28T10:00:00Z", "hours_ago": 26, "fold_window_seconds": 30}}"#;
            Error::config(format!("read the event of the proof schedule: {what}; send an event such as {example}"))
        };
        let ProofEvent { prove } = serde_json::from_slice(event).map_err(|error| unusable(&error))?;
        let at = Timestamp::parse(&prove.at).ok_or_else(|| unusable(&"`at` isn't a time"))?;
        let ended = at.seconds().saturating_sub(prove.hours_ago.saturating_mul(HOUR_SECONDS));
        let (Some(folder), Some(snapshot)) = (&self.folder, &self.pipeline().snapshot) else {
            return Ok(ProofOutcome::default());
        };
        let hours = folder.hours_until(ended).ok_or_else(|| unusable(&"`hours_ago` is out of range"))?;
        let patience = schedule::patience(prove.fold_window_seconds);
        let mut proven = Proven::default();
        for hour in &hours {
            proven.add(folder.prove(snapshot, *hour, invocation.now, patience, invocation.deadline).await?);
        }
        Ok(ProofOutcome { hours, proven })
    }
}
