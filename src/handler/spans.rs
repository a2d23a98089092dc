//! The spans of an invocation, named as OpenTelemetry's conventions for functions and messages say. They have the target
//! `telemetry`: without a subscriber for it, they are disabled and cost nothing.

use memchr::memmem;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::Invocation;
use crate::decode::RawRecord;
use crate::error::Error;
use crate::outcome::{BatchOutcome, FoldOutcome};
use crate::plan::Plan;
use crate::record::Event;
use crate::time::Timestamp;

/// The span of an invocation with the records of a stream.
pub(super) fn delivery(event: &[u8], request_id: &str) -> Span {
    let span = info_span!(
        target: "telemetry",
        "invocation",
        otel.kind = "consumer",
        "faas.trigger" = Empty,
        "faas.invocation_id" = request_id,
        "faas.document.collection" = Empty,
        "faas.document.operation" = Empty,
        "messaging.system" = Empty,
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = Empty,
        "messaging.batch.message_count" = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
        "usage_aggregator.source.arn" = Empty,
        "usage_aggregator.batch.first_sequence_number" = Empty,
        "usage_aggregator.batch.last_sequence_number" = Empty,
        "usage_aggregator.batch.failed_sequence_number" = Empty,
        "usage_aggregator.batch.oldest_age_ms" = Empty,
        "usage_aggregator.records.insert" = Empty,
        "usage_aggregator.records.modify" = Empty,
        "usage_aggregator.records.remove" = Empty,
        "usage_aggregator.records.expire" = Empty,
        "usage_aggregator.records.durable" = Empty,
        "usage_aggregator.records.repeated" = Empty,
        "usage_aggregator.records.skipped" = Empty,
        "usage_aggregator.records.rejected" = Empty,
        "usage_aggregator.records.quarantined" = Empty,
        "usage_aggregator.notices" = Empty,
        "usage_aggregator.notices.settled" = Empty,
        "usage_aggregator.snapshots" = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let Some(arn) = source_arn(event) else {
        span.record("faas.trigger", "other");
        return span;
    };
    let name = arn.split('/').nth(1).unwrap_or_default();
    if arn.starts_with("arn:aws") && arn.split(':').nth(2) == Some("kinesis") {
        span.record("faas.trigger", "pubsub");
        span.record("messaging.system", "aws_kinesis");
    } else {
        span.record("faas.trigger", "datasource");
        span.record("faas.document.collection", name);
        span.record("messaging.system", "aws_dynamodb_streams");
    }
    span.record("messaging.destination.name", name);
    span.record("usage_aggregator.source.arn", arn);
    span
}

/// The span of an invocation by a schedule.
pub(super) fn timer(invocation: &Invocation) -> Span {
    info_span!(
        target: "telemetry",
        "invocation",
        otel.kind = "server",
        "faas.trigger" = "timer",
        "faas.time" = %invocation.now,
        "faas.invocation_id" = invocation.request_id,
        "error.type" = Empty,
    )
}

/// The first source that an event names. All its records have the same.
pub(super) fn source_arn(event: &[u8]) -> Option<&str> {
    const FIELD: &[u8] = b"\"eventSourceARN\"";
    let start = memmem::find(event, FIELD)?;
    let rest = event.get(start + FIELD.len()..)?;
    let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let arn = value.strip_prefix(b"\"")?.split(|byte| *byte == b'"').next()?;
    std::str::from_utf8(arn).ok().filter(|arn| arn.starts_with("arn:"))
}

/// Records which batch is planned, in case that it fails later.
pub(super) fn record_batch(batch: &crate::decode::Event<'_>, plan: &Plan) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    let (first, last) = (batch.records().first(), batch.records().last());
    span.record("usage_aggregator.batch.first_sequence_number", first.map(|raw| raw.sequence.as_str()));
    span.record("usage_aggregator.batch.last_sequence_number", last.map(|raw| raw.sequence.as_str()));
    number(&span, "messaging.batch.message_count", batch.records().len());
    for event in Event::ALL {
        let field = match event {
            Event::Insert => "usage_aggregator.records.insert",
            Event::Modify => "usage_aggregator.records.modify",
            Event::Remove => "usage_aggregator.records.remove",
            Event::Expire => "usage_aggregator.records.expire",
        };
        number(&span, field, plan.tally.events.get(&event).copied().unwrap_or(0));
    }
    if let Some(operation) = operation(plan).filter(|_| !batch.records().iter().any(RawRecord::is_from_kinesis)) {
        span.record("faas.document.operation", operation);
    }
}

/// What all records of a plan did to their items, by the names of OpenTelemetry's conventions. `None` if they differ: an
/// invocation has one operation there.
fn operation(plan: &Plan) -> Option<&'static str> {
    let counts = plan.tally.events.iter().filter(|(_, count)| **count > 0);
    let mut operations = counts.map(|(event, _)| match event {
        Event::Insert => "insert",
        Event::Modify => "edit",
        Event::Remove | Event::Expire => "delete",
    });
    let first = operations.next()?;
    operations.all(|other| other == first).then_some(first)
}

/// Records what became of a batch.
pub(super) fn record_append(outcome: &Result<BatchOutcome, Error>, now: Timestamp) {
    let span = Span::current();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return record_error(&span, error),
    };
    number(&span, "usage_aggregator.records.durable", outcome.durable);
    number(&span, "usage_aggregator.records.repeated", outcome.repeated);
    number(&span, "usage_aggregator.records.skipped", outcome.skipped);
    number(&span, "usage_aggregator.records.rejected", outcome.rejected.len());
    number(&span, "usage_aggregator.records.quarantined", outcome.quarantined.len());
    if let Some(oldest) = outcome.tally.oldest_created_at {
        span.record("usage_aggregator.batch.oldest_age_ms", (now.micros() - oldest.micros()).max(0) / 1000);
    }
    if let Some(first) = outcome.rejected.first() {
        fail(&span, first.fault.code.name());
        span.record("usage_aggregator.batch.failed_sequence_number", first.sequence.as_str());
    }
}

/// Records what became of notices.
pub(super) fn record_fold(outcome: &Result<FoldOutcome, Error>, now: Timestamp) {
    let span = Span::current();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return record_error(&span, error),
    };
    number(&span, "messaging.batch.message_count", outcome.records);
    number(&span, "usage_aggregator.notices", outcome.notices);
    number(&span, "usage_aggregator.notices.settled", outcome.folded.settled);
    number(&span, "usage_aggregator.snapshots", outcome.folded.snapshots);
    if let Some(oldest) = outcome.oldest_created_at {
        span.record("usage_aggregator.batch.oldest_age_ms", (now.micros() - oldest.micros()).max(0) / 1000);
    }
    if let Some(failed) = &outcome.failed {
        fail(&span, "not_settled");
        span.record("usage_aggregator.batch.failed_sequence_number", failed.as_str());
    }
}

/// Records why a schedule's invocation failed.
pub(super) fn record_schedule<T>(outcome: &Result<T, Error>) {
    if let Err(error) = outcome {
        record_error(&Span::current(), error);
    }
}

/// Records why the invocation failed. The log line about it sets the span's status.
fn record_error(span: &Span, error: &Error) {
    span.record("error.type", error.code.as_deref().unwrap_or(error.kind.name()));
}

/// Records that a part of the batch failed, so that Lambda delivers it again.
fn fail(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}

fn number(span: &Span, field: &'static str, number: usize) {
    span.record(field, i64::try_from(number).unwrap_or(i64::MAX));
}
