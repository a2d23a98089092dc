//! The event source mapping's settings.

use super::super::facts::{Facts, Mapping, Unseen};
use super::super::finding::{Look, ok, problem, warning};
use super::{destination, span};

/// It is enabled, and its last invocation went well.
pub fn state(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    let result = mapping.last_result.as_deref().unwrap_or("nothing yet");
    let reason = mapping.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match mapping.state.as_str() {
        "Enabled" if result.contains("PROBLEM") => {
            problem(format!("the mapping's last result is: {result}"), facts.errors_in_the_log())
        }
        "Enabled" => ok(format!("the mapping is enabled; its last result: {result}")),
        "Disabled" => problem(
            format!("the mapping is switched off{reason}: records wait in the stream until its retention passes"),
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

/// It began with the oldest record.
pub fn starting_position(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    match mapping.starting_position.as_deref() {
        Some("TRIM_HORIZON") => ok("the mapping began with the oldest record (TRIM_HORIZON)"),
        Some("LATEST") => {
            problem("the mapping begins at LATEST: it skips records whenever it is made or changed", facts.deploy(""))
        }
        Some(other) => {
            warning(format!("the mapping begins at {other}: what is older is never read"), anew(facts, mapping))
        }
        None => Err(Unseen::NoData("Lambda doesn't say where the mapping began".to_owned())),
    }
}

/// The function's partial answers are read.
pub fn partial_responses(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    if mapping.reports_item_failures {
        return ok("partial answers are read (ReportBatchItemFailures)");
    }
    problem(
        "partial answers aren't read: the records that the function gives back count as done and are lost",
        change(mapping, "--function-response-types ReportBatchItemFailures"),
    )
}

/// A batch that fails as a whole is halved.
pub fn bisect(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    if mapping.bisects {
        return ok("a batch that fails as a whole is halved (BisectBatchOnFunctionError)");
    }
    warning(
        "a batch that fails as a whole is never halved: one bad record takes the whole batch to the failure destination",
        change(mapping, "--bisect-batch-on-function-error"),
    )
}

/// Retries end.
pub fn retries(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    match mapping.retries {
        -1 => problem(
            "a batch that fails is retried for ever: it blocks its shard until the stream forgets the records",
            change(mapping, "--maximum-retry-attempts 10"),
        ),
        0 => warning(
            "nothing is retried: every passing failure sends a batch to the failure destination",
            change(mapping, "--maximum-retry-attempts 10"),
        ),
        n => ok(format!("a batch that fails is retried {n} times at most")),
    }
}

/// Records are given up before the stream forgets them.
pub fn record_age(facts: &Facts) -> Look {
    let (mapping, source) = (facts.the_mapping()?, facts.the_source()?);
    let retention = source.retention_seconds;
    // 11 of 12 parts, as the template has it: 79,200 of 86,400. 604,800: the most that Lambda takes.
    let advised = (retention / 12 * 11).min(604_800);
    match mapping.record_age_seconds {
        -1 => warning(
            format!(
                "records are never too old (MaximumRecordAgeInSeconds is -1): after {} the stream forgets them, and they reach no destination",
                span(retention)
            ),
            change(mapping, &format!("--maximum-record-age-in-seconds {advised}")),
        ),
        age if age >= retention => warning(
            format!(
                "records are given up after {}, when the stream has forgotten them already ({})",
                span(age),
                span(retention)
            ),
            change(mapping, &format!("--maximum-record-age-in-seconds {advised}")),
        ),
        age => ok(format!("records are given up after {}; the stream keeps them {}", span(age), span(retention))),
    }
}

/// A command that changes the mapping.
pub fn change(mapping: &Mapping, options: &str) -> String {
    format!("aws lambda update-event-source-mapping --uuid {} {options}", mapping.uuid)
}

/// Commands that make the mapping again, from the oldest record, as the template would.
fn anew(facts: &Facts, mapping: &Mapping) -> String {
    let function = facts.names.function.as_deref().unwrap_or("FUNCTION");
    let destination =
        mapping.on_failure.as_deref().map(|arn| format!(" --destination-config {}", destination::to(arn)));
    format!(
        "aws lambda delete-event-source-mapping --uuid {} && aws lambda create-event-source-mapping --function-name {function} --event-source-arn {} --starting-position TRIM_HORIZON --function-response-types ReportBatchItemFailures --bisect-batch-on-function-error --maximum-retry-attempts 10 --maximum-record-age-in-seconds 79200{}",
        mapping.uuid,
        mapping.source_arn,
        destination.unwrap_or_default()
    )
}
