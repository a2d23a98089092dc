//! Checks of the event source mapping's settings.

use super::super::facts::{Facts, Mapping, Unavailable};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::{destination, span};

/// The mapping is enabled, and its last invocation succeeded.
pub(crate) fn state(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    let result = mapping.last_result.as_deref().unwrap_or("none yet");
    let reason = mapping.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match mapping.state.as_str() {
        "Enabled" if result.contains("PROBLEM") => {
            problem(format!("the mapping's last result: {result}"), facts.errors_in_the_log())
        }
        "Enabled" => ok(format!("the mapping is enabled; its last result: {result}")),
        "Disabled" => problem(
            format!("the mapping is disabled{reason}: records stay in the stream until its retention ends"),
            change(mapping, "--enabled"),
        ),
        other => warning(
            format!("the mapping is {other}{reason}, which takes up to 90 s"),
            format!(
                "aws lambda get-event-source-mapping --uuid {} --query '[State, StateTransitionReason]'",
                mapping.uuid
            ),
        ),
    }
}

/// The mapping started with the oldest record.
pub(crate) fn starting_position(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    match mapping.starting_position.as_deref() {
        Some("TRIM_HORIZON") => ok("the mapping started with the oldest record (TRIM_HORIZON)"),
        Some("LATEST") => problem(
            "the mapping starts at LATEST: it skips records whenever it is created or updated",
            facts.deploy(""),
        ),
        Some(other) => {
            warning(format!("the mapping starts at {other}: older records are never read"), recreate(facts, mapping))
        }
        None => Err(Unavailable::NoData("Lambda doesn't report where the mapping started".to_owned())),
    }
}

/// The mapping reads the function's partial responses.
pub(crate) fn partial_responses(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    if mapping.reports_item_failures {
        return ok("partial batch responses are on (ReportBatchItemFailures)");
    }
    problem(
        "partial batch responses are off: records that the function reports as failed are treated as processed, and lost",
        change(mapping, "--function-response-types ReportBatchItemFailures"),
    )
}

/// A batch that fails as a whole is split.
pub(crate) fn bisect(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    if mapping.bisects {
        return ok("a batch that fails as a whole is split in two (BisectBatchOnFunctionError)");
    }
    warning(
        "a batch that fails as a whole is never split: one bad record sends the whole batch to the failure destination",
        change(mapping, "--bisect-batch-on-function-error"),
    )
}

/// Retries are on and limited, and a rejected record isn't retried for long.
pub(crate) fn retries(facts: &Facts) -> CheckResult {
    /// 20: with Lambda's pauses of up to 30 s, they take several minutes.
    const MANY: i64 = 20;
    let mapping = facts.the_mapping()?;
    let fails_rejected = facts.function.is_ok() && facts.quarantine_bucket().is_none();
    // As in template.yaml: 200 cover an outage of more than an hour; a rejected record would block its shard as long.
    let advised = change(mapping, &format!("--maximum-retry-attempts {}", if fails_rejected { 10 } else { 200 }));
    match mapping.retries {
        -1 => problem(
            "a failing batch is retried without limit: it blocks its shard until the stream trims the records",
            advised,
        ),
        0 => warning("nothing is retried: every transient failure sends a batch to the failure destination", advised),
        n if fails_rejected && n > MANY => warning(
            format!(
                "a failing batch is retried at most {n} times, and REJECTED_RECORDS is fail: every rejected record blocks its shard for that long"
            ),
            facts.deploy("RejectedRecords=quarantine"),
        ),
        n => ok(format!("a failing batch is retried at most {n} times")),
    }
}

/// Records are sent to the failure destination before the stream trims them.
pub(crate) fn record_age(facts: &Facts) -> CheckResult {
    let (mapping, source) = (facts.the_mapping()?, facts.the_source()?);
    let retention = source.retention_seconds;
    // 11/12, as in the template: 79,200 of 86,400. 604,800: Lambda's limit.
    let advised = (retention / 12 * 11).min(604_800);
    match mapping.record_age_seconds {
        -1 => warning(
            format!(
                "there is no maximum record age (MaximumRecordAgeInSeconds is -1): after {} the stream trims records, and they never reach the failure destination",
                span(retention)
            ),
            change(mapping, &format!("--maximum-record-age-in-seconds {advised}")),
        ),
        age if age >= retention => warning(
            format!(
                "the maximum record age is {}, when the stream has already trimmed the records ({})",
                span(age),
                span(retention)
            ),
            change(mapping, &format!("--maximum-record-age-in-seconds {advised}")),
        ),
        age => ok(format!("the maximum record age is {}; the stream keeps records for {}", span(age), span(retention))),
    }
}

/// A command that changes the mapping.
pub(crate) fn change(mapping: &Mapping, options: &str) -> String {
    format!("aws lambda update-event-source-mapping --uuid {} {options}", mapping.uuid)
}

/// Commands that create the mapping again like the template does, starting with the oldest record.
fn recreate(facts: &Facts, mapping: &Mapping) -> String {
    let function = facts.names.function.as_deref().unwrap_or("FUNCTION");
    let destination =
        mapping.on_failure.as_deref().map(|arn| format!(" --destination-config {}", destination::to(arn)));
    format!(
        "aws lambda delete-event-source-mapping --uuid {} && aws lambda create-event-source-mapping --function-name {function} --event-source-arn {} --starting-position TRIM_HORIZON --function-response-types ReportBatchItemFailures --bisect-batch-on-function-error --maximum-retry-attempts 200 --maximum-record-age-in-seconds 79200{}",
        mapping.uuid,
        mapping.source_arn,
        destination.unwrap_or_default()
    )
}
