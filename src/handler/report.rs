//! What an invocation reports about its batch: metrics and log lines.

use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::error::Error;
use crate::metrics::BatchMetrics;
use crate::outcome::BatchOutcome;
use crate::record;
use crate::time::Timestamp;

/// The metrics of a batch that the function handled.
pub(super) fn batch_metrics(outcome: &BatchOutcome, now: Timestamp, started: Instant) -> BatchMetrics {
    let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let events = |event: record::Event| outcome.tally.events.get(&event).copied().unwrap_or(0);
    let age = outcome.tally.oldest_created_at.map_or(0, |oldest| now.micros().saturating_sub(oldest.micros()).max(0));
    BatchMetrics {
        records_processed: whole(outcome.durable),
        processing_errors: whole(outcome.records - outcome.durable),
        processing_duration_ms: milliseconds(started),
        insert_count: whole(events(record::Event::Insert)),
        modify_count: whole(events(record::Event::Modify)),
        remove_count: whole(events(record::Event::Remove) + events(record::Event::Expire)),
        duplicates_skipped: whole(outcome.duplicates),
        snapshots_updated: whole(outcome.snapshots.len()),
        files_written: whole(outcome.files.iter().filter(|file| file.created).count()),
        processing_latency_ms: Duration::from_micros(age.unsigned_abs()).as_secs_f64() * 1000.0,
    }
}

pub(super) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Logs one line for the batch and one for each rejected record, never the contents of an item.
pub(super) fn log(outcome: &Result<BatchOutcome, Error>, metrics: &BatchMetrics) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            return error!(%error, duration_ms = metrics.processing_duration_ms, "failed to process the batch");
        }
    };
    if outcome.tally.self_written > 0 {
        let remedy = "point the event source mapping at the source table's stream; if the source table is USAGE_TABLE itself, add a filter";
        warn!(records = outcome.tally.self_written, remedy, "ignored records of items that this function wrote");
    }
    for (rejections, quarantined) in [(&outcome.rejected, false), (&outcome.quarantined, true)] {
        for record::Rejection { sequence, fault } in rejections {
            let (code, field, reason) = (fault.code.name(), &fault.field, &fault.message);
            warn!(%sequence, code, %field, %reason, quarantined, "record rejected");
        }
    }
    for file in &outcome.files {
        debug!(key = %file.key, rows = file.rows, bytes = file.bytes, created = file.created, "file stored");
    }
    info!(
        records = outcome.records,
        durable = outcome.durable,
        inserts = metrics.insert_count,
        modifies = metrics.modify_count,
        removes = metrics.remove_count,
        applied = outcome.applied,
        duplicates = outcome.duplicates,
        skipped = outcome.skipped,
        rejected = outcome.rejected.len(),
        quarantined = outcome.quarantined.len(),
        snapshots = outcome.snapshots.len(),
        files = metrics.files_written,
        bytes = outcome.files.iter().filter(|file| file.created).map(|file| file.bytes).sum::<usize>(),
        duration_ms = metrics.processing_duration_ms,
        oldest_age_ms = metrics.processing_latency_ms,
        first_sequence_number = outcome.first_sequence_number,
        last_sequence_number = outcome.last_sequence_number,
        "batch done"
    );
}
