//! The decision tree of docs/operations.md: for a symptom, which checks are asked in which order, and what an answer
//! means there.

use clap::ValueEnum;

use super::check::Check;
use super::checks::{archive, source};
use super::facts::Facts;

const BATCH_DONE: &str = "{ $.message = \"batch done\" }";

/// What somebody has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Symptom {
    /// The iterator age grows
    IteratorAge,
    /// The function, a table or Kinesis throttles
    Throttling,
    /// Invocations fail
    Errors,
    /// Invocations are cut off
    Timeouts,
    /// Snapshots are missing
    MissingSnapshots,
    /// S3 refuses the function's files
    S3AccessDenied,
    /// The archive gets no files
    NothingInS3,
    /// Rows don't fit their Avro schema
    Avro,
    /// Athena finds nothing
    Athena,
    /// The function isn't invoked
    NoInvocations,
    /// Something waits in, or doesn't reach, the failure destination
    FailureDestination,
    /// It costs too much
    Cost,
}

/// A fork of the tree.
pub struct Fork {
    pub check: Check,
    /// What it means when the check finds something.
    pub if_found: &'static str,
}

const fn fork(check: Check, if_found: &'static str) -> Fork {
    Fork { check, if_found }
}

/// A symptom's way through the tree.
pub struct Path {
    pub forks: Vec<Fork>,
    /// What it is if no check on the way has found anything, and the first step then.
    pub otherwise: &'static str,
    pub first_step: fn(&Facts) -> String,
}

impl Symptom {
    /// The runbook's heading in docs/operations.md, as a link has it.
    pub fn runbook(self) -> &'static str {
        match self {
            Symptom::IteratorAge => "iterator-age",
            Symptom::Throttling => "throttling",
            Symptom::Errors => "errors",
            Symptom::Timeouts => "timeouts",
            Symptom::MissingSnapshots => "missing-snapshots",
            Symptom::S3AccessDenied => "s3-access-denied",
            Symptom::NothingInS3 => "nothing-in-s3",
            Symptom::Avro => "avro-encode-failures",
            Symptom::Athena => "athena-finds-nothing",
            Symptom::NoInvocations => "no-invocations",
            Symptom::FailureDestination => "failure-destination",
            Symptom::Cost => "cost",
        }
    }

    pub fn path(self) -> Path {
        let (forks, otherwise, first_step): (_, _, fn(&Facts) -> String) = match self {
            Symptom::IteratorAge => (
                vec![
                    fork(Check::MappingState, "the mapping stands still, so the age can only grow"),
                    fork(Check::Errors, "a batch is being retried and blocks its shard: errors come first"),
                    fork(Check::Retries, "one that is retried for ever blocks its shard for ever"),
                    fork(Check::Throttles, "the function isn't let in: throttling comes first"),
                    fork(Check::Concurrency, "fewer executions than shards need"),
                    fork(Check::Timeout, "invocations are too long for their timeout, and come again"),
                    fork(Check::TableCapacity, "the tables slow the function down"),
                    fork(Check::IteratorAge, "nothing fails, so the function needs more hands"),
                ],
                "the stream is kept up with now; the age was of an earlier hour",
                |facts| facts.log_lines(BATCH_DONE),
            ),
            Symptom::Throttling => (
                vec![
                    fork(Check::Concurrency, "the function has fewer executions than its shards need"),
                    fork(Check::Throttles, "the account or the reservation is used up"),
                    fork(Check::TableCapacity, "the tables throttle: larger batches add up more before they write"),
                    fork(Check::IteratorAge, "records wait meanwhile"),
                ],
                "nothing is throttled now; records that wait are not lost",
                |_| "aws lambda get-account-settings --query 'AccountLimit'".to_owned(),
            ),
            Symptom::Errors => (
                vec![
                    fork(Check::Version, "it began with a deployment? go back to the last good commit"),
                    fork(Check::ViewType, "records lack the images that the pipeline needs"),
                    fork(Check::TableCapacity, "writes are refused for a while; retries do the rest"),
                    fork(Check::ArchiveAccess, "files can't be put"),
                    fork(Check::Timeout, "invocations are cut off: timeouts"),
                    fork(Check::Rejected, "single records are refused: the log names code and field"),
                    fork(Check::Errors, "the message says what failed, on what, and what to do"),
                    fork(Check::Retries, "and nothing ends it"),
                    fork(Check::Bisect, "and good records go with the bad one"),
                ],
                "no invocation fails now",
                Facts::errors_in_the_log,
            ),
            Symptom::Timeouts => (
                vec![
                    fork(Check::TableCapacity, "the function waits for the tables"),
                    fork(Check::Timeout, "too little time for the batches that come"),
                    fork(Check::Errors, "what is cut off is retried as a whole"),
                ],
                "durations are well below the timeout",
                |facts| facts.log_lines("{ $.message = \"batch done\" && $.duration_ms > 10000 }"),
            ),
            Symptom::MissingSnapshots => (
                vec![
                    fork(Check::StreamOn, "changes don't reach the stream"),
                    fork(Check::MappingState, "nothing is delivered"),
                    fork(Check::IteratorAge, "they are only late: a snapshot is written with its batch"),
                    fork(Check::LastSnapshot, "batches come and none succeeds: errors"),
                    fork(Check::StartingPosition, "records were skipped"),
                    fork(Check::FiltersMatch, "the filter leaves records out"),
                    fork(Check::PartialResponses, "records that failed were taken for done"),
                    fork(Check::Rejected, "records were refused; what came too late has to be counted by hand"),
                    fork(Check::Horizon, "records may come later than the horizon"),
                    fork(Check::Dropped, "records were lost on their way to the failure destination"),
                    fork(Check::Failures, "their batch was given up: redrive it"),
                ],
                "batches succeed and nothing was refused: look whether the record was counted elsewhere (`skipped`, another window or entity)",
                |facts| facts.log_lines(BATCH_DONE),
            ),
            Symptom::S3AccessDenied => (
                vec![
                    fork(Check::ArchiveAccess, "the role's own policies don't let it"),
                    fork(Check::BucketPolicy, "the bucket's policy isn't the template's"),
                    fork(Check::BucketLocks, "the bucket isn't as the template makes it"),
                ],
                "the role's policies allow it: a bucket policy, a key's policy or the organisation's denies it, or it was a 412, which is a redelivery",
                archive::simulation,
            ),
            Symptom::NothingInS3 => (
                vec![
                    fork(Check::MappingState, "nothing is delivered"),
                    fork(Check::Traffic, "nothing is invoked: no-invocations"),
                    fork(Check::Errors, "batches fail: errors"),
                    fork(Check::ArchiveAccess, "files can't be put: s3-access-denied"),
                    fork(Check::Rejected, "rows don't fit their schema: avro"),
                    fork(
                        Check::Files,
                        "what came isn't archived: record types without [record.archive], or no record type matches",
                    ),
                ],
                "files arrive; look under the right prefix",
                archive::listing,
            ),
            Symptom::Avro => (
                vec![
                    fork(
                        Check::Rejected,
                        "a row doesn't fit its schema: the log names the field, the expected and the found type",
                    ),
                    fork(Check::GlueSchema, "Athena has another schema than the files"),
                    fork(Check::Failures, "the batch was given up: redrive it after the deployment"),
                ],
                "no record is rejected now",
                |facts| facts.log_lines("{ $.message = \"record rejected\" }"),
            ),
            Symptom::Athena => (
                vec![
                    fork(Check::Files, "there are no files to find: nothing-in-s3"),
                    fork(Check::Projection, "Athena doesn't look for the day"),
                    fork(Check::GlueSchema, "Athena reads by another schema"),
                    fork(Check::BucketLocks, "the bucket isn't as the template makes it"),
                ],
                "tables, partitions and files are there: look at the query's own error, prefix and scan limit",
                |facts| format!("aws athena list-query-executions --work-group {} --max-items 5", facts.stack_name()),
            ),
            Symptom::NoInvocations => (
                vec![
                    fork(Check::MappingState, "somebody switched it off, or it can't be invoked"),
                    fork(Check::Concurrency, "0 is the kill switch"),
                    fork(Check::StreamOn, "the stream is off, or another than the one that is read"),
                    fork(Check::StartingPosition, "what was there before is skipped"),
                    fork(Check::FiltersMatch, "the filter lets nothing through"),
                    fork(Check::Throttles, "invocations are refused"),
                    fork(Check::Traffic, "what is polled isn't handed on"),
                ],
                "the mapping polls: nothing new is written to the source",
                source::look,
            ),
            Symptom::FailureDestination => (
                vec![
                    fork(Check::Destination, "nothing is kept at all"),
                    fork(Check::DestinationAccepts, "records don't even arrive there: mend this at once"),
                    fork(Check::Dropped, "and some were lost already: compare the source's table with the snapshots"),
                    fork(Check::RecordAge, "records expire in the stream instead of going there"),
                    fork(Check::Errors, "the cause is still there: errors"),
                    fork(Check::Rejected, "the cause is still there: single records"),
                    fork(Check::Horizon, "waiting long makes them uncountable"),
                    fork(Check::Failures, "mend the cause, then redrive them"),
                ],
                "nothing waits, and nothing was refused",
                Facts::errors_in_the_log,
            ),
            Symptom::Cost => (
                vec![
                    fork(Check::OwnWrites, "the function is paid for reading what it writes"),
                    fork(Check::Recursion, "nothing ends a loop"),
                    fork(Check::Batches, "a counter costs per batch: larger ones cost less"),
                    fork(Check::TableCapacity, "capacity is paid for whether it is used or not"),
                    fork(Check::ClaimsTable, "claims are kept for ever"),
                    fork(Check::LogRetention, "log lines are kept for ever"),
                    fork(Check::OwnMetrics, "metrics beyond the free tier"),
                ],
                "nothing is wasted: it is the load itself",
                |_| {
                    "aws ce get-cost-and-usage --time-period Start=$(date -d '7 days ago' +%F),End=$(date +%F) --granularity DAILY --metrics UnblendedCost --group-by Type=DIMENSION,Key=SERVICE".to_owned()
                },
            ),
        };
        Path { forks, otherwise, first_step }
    }
}
