//! What an invocation reports: metrics and log lines, never the contents of an item.

use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::error::Error;
use crate::fold::{ProofDifference, Proven};
use crate::indicator::Recomputed;
use crate::metrics::Metrics;
use crate::outcome::{BatchOutcome, FoldOutcome, ProofOutcome, SweepOutcome};
use crate::record;
use crate::time::Timestamp;
use crate::usage::SnapshotItem;

/// The metrics of a batch that was appended.
pub(super) fn append_metrics(outcome: &BatchOutcome, now: Timestamp, started: Instant) -> Metrics {
    let events = |event: record::Event| outcome.tally.events.get(&event).copied().unwrap_or(0);
    let mut metrics = Metrics::default();
    metrics.count("RecordsProcessed", outcome.durable);
    metrics.count("ProcessingErrors", outcome.records - outcome.durable);
    metrics.milliseconds("ProcessingDuration", milliseconds(started));
    metrics.count("InsertCount", events(record::Event::Insert));
    metrics.count("ModifyCount", events(record::Event::Modify));
    metrics.count("RemoveCount", events(record::Event::Remove) + events(record::Event::Expire));
    // A batch that makes no progress writes the same pages again and again, of which the ledger's stream says nothing.
    metrics.count("PagesWritten", if outcome.durable > 0 { outcome.pages.len() } else { 0 });
    metrics.count("FilesWritten", outcome.files.iter().filter(|file| file.created).count());
    metrics.count_unless_zero("LateRecords", outcome.tally.adjusted);
    metrics.count_unless_zero("IndicatorsWritten", outcome.recomputed.changed);
    metrics.count_unless_zero("IndicatorsEqual", outcome.recomputed.equal);
    metrics.count_unless_zero("IndicatorTargetsMissing", outcome.recomputed.missing);
    metrics.count_unless_zero("IndicatorConflicts", outcome.recomputed.conflicts);
    // What the fold of the ledger's stream doesn't find again, because these snapshots are already as they should be.
    metrics.count_unless_zero("SnapshotsUpdated", outcome.folded.snapshots);
    metrics.count_unless_zero("SnapshotsRestated", outcome.folded.restated);
    // When the batch is done; `now` is when it started.
    metrics.milliseconds("ProcessingLatency", age_ms(outcome.tally.oldest_created_at, now) + milliseconds(started));
    metrics
}

/// The metrics of an invocation that failed as a whole, maybe before its records could be counted.
pub(super) fn failure_metrics(started: Instant) -> Metrics {
    let mut metrics = Metrics::default();
    metrics.count("RecordsProcessed", 0);
    metrics.count("ProcessingErrors", 1);
    metrics.milliseconds("ProcessingDuration", milliseconds(started));
    metrics
}

/// The metrics of a fold.
pub(super) fn fold_metrics(outcome: &FoldOutcome, now: Timestamp, started: Instant) -> Metrics {
    let folded = &outcome.folded;
    let mut metrics = Metrics::default();
    metrics.count("NoticesFolded", folded.settled);
    metrics.count("FoldErrors", outcome.notices - folded.settled);
    metrics.milliseconds("FoldDuration", milliseconds(started));
    // The whole notices' age counts only if they are settled; the iterator age shows those that aren't.
    if folded.settled > 0 {
        metrics.milliseconds("FoldAge", age_ms(outcome.oldest_created_at, now) + milliseconds(started));
    }
    metrics.count("SnapshotsUpdated", folded.snapshots);
    metrics.count("PagesInMinute", folded.pages);
    metrics.count_unless_zero("Unpublished", folded.unpublished.len());
    metrics.count_unless_zero("Overflow", folded.overflows);
    metrics.count_unless_zero("Conflicts", folded.conflicts);
    metrics.count_unless_zero("SnapshotsRestated", folded.restated);
    metrics.count_unless_zero("NoticesTooOld", outcome.too_old);
    metrics.count_unless_zero("AlertsSent", outcome.alerts_sent);
    metrics.count_unless_zero("AlertsFailed", outcome.alerts_failed);
    metrics.count_unless_zero("LedgerBehind", folded.error.as_ref().map_or(0, is_ledger_behind));
    metrics
}

/// The metrics of a fold that failed as a whole.
pub(super) fn fold_failure_metrics(error: &Error, started: Instant) -> Metrics {
    let mut metrics = Metrics::default();
    metrics.count("NoticesFolded", 0);
    metrics.count("FoldErrors", 1);
    metrics.milliseconds("FoldDuration", milliseconds(started));
    metrics.count_unless_zero("LedgerBehind", is_ledger_behind(error));
    metrics
}

/// The metrics of a sweep.
pub(super) fn sweep_metrics(outcome: &Result<SweepOutcome, Error>) -> Metrics {
    let mut metrics = Metrics::default();
    match outcome {
        Ok(SweepOutcome { swept, .. }) => {
            metrics.count_unless_zero("SweepRepaired", swept.repaired);
            metrics.count_unless_zero("Unpublished", swept.refused.len());
            metrics.count_unless_zero("Overflow", swept.overflows);
            metrics.count_unless_zero("Conflicts", swept.conflicts);
        }
        Err(error) => metrics.count_unless_zero("LedgerBehind", is_ledger_behind(error)),
    }
    metrics
}

/// The metrics of a proof. One that failed sends none, so that its absence shows.
pub(super) fn proof_metrics(outcome: &Result<ProofOutcome, Error>) -> Metrics {
    let mut metrics = Metrics::default();
    if let Ok(ProofOutcome { proven, .. }) = outcome {
        metrics.count("ProofWindows", proven.windows);
        metrics.count("ProofDifferences", proven.differences.len());
    }
    metrics
}

fn is_ledger_behind(error: &Error) -> usize {
    usize::from(error.message.contains(crate::fold::LEDGER_BEHIND))
}

/// Logs one line for a sweep, and one for each snapshot that DynamoDB refused.
pub(super) fn log_sweep(outcome: &Result<SweepOutcome, Error>, started: Instant) {
    let duration_ms = milliseconds(started);
    let SweepOutcome { minute, swept } = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let (error_kind, error_code) = (error.kind.name(), &error.code);
            return error!(%error, error_kind, error_code, duration_ms, "failed to sweep");
        }
    };
    swept.refused.iter().for_each(|(item, error)| log_unpublished(item, error));
    let (minute, pages, unpublished) = (minute.text(), swept.pages, swept.refused.len());
    if swept.repaired > 0 {
        warn!(minute, pages, repaired = swept.repaired, unpublished, duration_ms, "sweep repaired snapshots");
    } else {
        info!(minute, pages, unpublished, duration_ms, "sweep done");
    }
}

/// Logs that DynamoDB refused a snapshot.
fn log_unpublished(item: &SnapshotItem, error: &dyn std::fmt::Display) {
    let key: String = item.key.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\0");
    let hash = blake3::hash(key.as_bytes()).to_hex();
    warn!(key_hash = hash.get(..16), %error, "snapshot not published");
}

/// How many differences of a proof are logged. The others are only counted.
const LOGGED_DIFFERENCES: usize = 100;

/// Logs one line for a proof, and one for each of the first differences.
pub(super) fn log_proof(outcome: &Result<ProofOutcome, Error>, started: Instant) {
    let duration_ms = milliseconds(started);
    let ProofOutcome { hours, proven } = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let (error_kind, error_code) = (error.kind.name(), &error.code);
            return error!(%error, error_kind, error_code, duration_ms, "failed to prove");
        }
    };
    let Proven { windows, pages, snapshots, differences } = proven;
    for ProofDifference { window, what, group_hash } in differences.iter().take(LOGGED_DIFFERENCES) {
        let group_hash = group_hash.map(|hash| format!("{hash:016x}"));
        warn!(window = window.text(), what = what.text(), group_hash, "proof differs");
    }
    let hour = hours.first().map(|hour| hour.text());
    info!(hour, windows, pages, snapshots, differences = differences.len(), duration_ms, "proof done");
}

fn age_ms(since: Option<Timestamp>, now: Timestamp) -> f64 {
    let age = since.map_or(0, |since| now.micros().saturating_sub(since.micros()).max(0));
    Duration::from_micros(age.unsigned_abs()).as_secs_f64() * 1000.0
}

/// Logs one line for a fold, and one for each snapshot that DynamoDB refused.
pub(super) fn log_fold(outcome: &Result<FoldOutcome, Error>, started: Instant) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let (error_kind, error_code) = (error.kind.name(), &error.code);
            return error!(%error, error_kind, error_code, duration_ms = milliseconds(started), "failed to fold");
        }
    };
    let folded = &outcome.folded;
    folded.unpublished.iter().for_each(|(item, error)| log_unpublished(item, error));
    if let Some(error) = &folded.error {
        warn!(%error, sequence = outcome.failed, "notice not settled");
    }
    if let Some(error) = &outcome.alert_error {
        warn!(%error, sequence = outcome.failed, "alert not sent");
    }
    info!(
        records = outcome.records,
        notices = outcome.notices,
        settled = folded.settled,
        ignored = outcome.ignored,
        too_old = outcome.too_old,
        snapshots = folded.snapshots,
        restated = folded.restated,
        unpublished = folded.unpublished.len(),
        pages = folded.pages,
        alerts = folded.alerts,
        alerts_sent = outcome.alerts_sent,
        duration_ms = milliseconds(started),
        "fold done"
    );
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Logs one line for the batch and one for each rejected record, never the contents of an item.
pub(super) fn log_append(outcome: &Result<BatchOutcome, Error>, now: Timestamp, started: Instant) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let (error_kind, error_code) = (error.kind.name(), &error.code);
            return error!(%error, error_kind, error_code, duration_ms = milliseconds(started), "failed to process the batch");
        }
    };
    if outcome.tally.self_written > 0 {
        let remedy = "point the event source mapping at the source table's stream; if the source table is USAGE_TABLE itself, add a filter";
        warn!(records = outcome.tally.self_written, remedy, "ignored records of items that this function wrote");
    }
    for (rejections, quarantined) in [(&outcome.rejected, false), (&outcome.quarantined, true)] {
        for record::Rejection { sequence, user_record, route, fault } in rejections {
            let (code, field, reason) = (fault.code.name(), &fault.field, &fault.message);
            warn!(%sequence, user_record, code, %field, route, %reason, quarantined, "record rejected");
        }
    }
    for file in &outcome.files {
        debug!(key = %file.key, rows = file.rows, bytes = file.bytes, created = file.created, "file stored");
    }
    let events = |event: record::Event| outcome.tally.events.get(&event).copied().unwrap_or(0);
    let recomputed = Some(outcome.recomputed).filter(|recomputed| *recomputed != Recomputed::default());
    let created = || outcome.files.iter().filter(|file| file.created);
    info!(
        records = outcome.records,
        durable = outcome.durable,
        inserts = events(record::Event::Insert),
        modifies = events(record::Event::Modify),
        removes = events(record::Event::Remove) + events(record::Event::Expire),
        repeated = outcome.repeated,
        skipped = outcome.skipped,
        rejected = outcome.rejected.len(),
        quarantined = outcome.quarantined.len(),
        pages = outcome.pages.len(),
        files = created().count(),
        bytes = created().map(|file| file.bytes).sum::<usize>(),
        indicators = recomputed.map(|recomputed| recomputed.changed + recomputed.equal),
        indicator_targets_missing = recomputed.map(|recomputed| recomputed.missing),
        indicator_conflicts = recomputed.map(|recomputed| recomputed.conflicts),
        duration_ms = milliseconds(started),
        oldest_age_ms = age_ms(outcome.tally.oldest_created_at, now),
        first_sequence_number = outcome.first_sequence_number,
        last_sequence_number = outcome.last_sequence_number,
        "batch done"
    );
}

#[cfg(test)]
mod tests;
