//! The decision paths of docs/operations.md, one for each symptom.

use super::{DecisionPath, Fork};
use crate::deployment::doctor::check::Check;
use crate::deployment::doctor::checks::{archive, source};
use crate::deployment::doctor::facts::Facts;

const BATCH_DONE: &str = "{ $.message = \"batch done\" }";

pub(super) const fn fork(check: Check, if_found: &'static str) -> Fork {
    Fork { check, if_found }
}

pub(super) fn iterator_age() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::MappingState, "the mapping has stopped, so the age can only grow"),
            fork(Check::BlockedShard, "a failing batch blocks its shard now: fix the errors first"),
            fork(Check::Errors, "a failing batch blocks its shard while it is retried: fix the errors first"),
            fork(Check::Retries, "a batch that is retried without limit blocks its shard"),
            fork(Check::Throttles, "invocations are throttled: fix throttling first"),
            fork(Check::Concurrency, "fewer executions than the shards need"),
            fork(Check::Timeout, "invocations time out and are retried"),
            fork(Check::TableCapacity, "throttled tables slow the function down"),
            fork(
                Check::IteratorAge,
                "if nothing fails, the function needs more concurrency; otherwise, fix the errors first",
            ),
        ],
        otherwise: "the function keeps up with the stream now; the high age was in an earlier hour",
        first_step: |facts| facts.log_lines(BATCH_DONE),
    }
}

pub(super) fn throttling() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::Concurrency, "the function has fewer executions than its shards need"),
            fork(Check::Throttles, "the concurrency of the account or of the function is used up"),
            fork(Check::TableCapacity, "the tables throttle: larger batches combine more changes into each write"),
            fork(Check::IteratorAge, "records are delayed as a result"),
        ],
        otherwise: "nothing is throttled now; delayed records are not lost",
        first_step: |_| "aws lambda get-account-settings --query 'AccountLimit'".to_owned(),
    }
}

pub(super) fn errors() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::Version, "if errors started with a deployment, roll back to the last good commit"),
            fork(Check::ViewType, "records lack the images that the pipeline needs"),
            fork(Check::TableCapacity, "writes are throttled for a while; retries will succeed"),
            fork(Check::ArchiveAccess, "files can't be written"),
            fork(Check::Timeout, "invocations time out: see timeouts"),
            fork(Check::BlockedShard, "the log has the error, or the code and field of the rejected record"),
            fork(Check::Rejected, "single records are rejected: the log has the code and field"),
            fork(Check::Errors, "the error message says what failed and what to do"),
            fork(Check::Retries, "and failed batches are retried without limit"),
            fork(Check::Bisect, "and good records fail together with the bad one"),
        ],
        otherwise: "no invocation fails now",
        first_step: Facts::errors_in_the_log,
    }
}

pub(super) fn timeouts() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::TableCapacity, "the function waits for throttled tables"),
            fork(Check::Timeout, "the timeout is too short for the batches"),
            fork(Check::Errors, "a batch that times out is retried as a whole"),
        ],
        otherwise: "durations are well below the timeout",
        first_step: |facts| facts.log_lines("{ $.message = \"batch done\" && $.duration_ms > 10000 }"),
    }
}

pub(super) fn missing_snapshots() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::StreamOn, "changes don't reach the stream"),
            fork(Check::MappingState, "nothing is delivered"),
            fork(Check::BlockedShard, "they wait behind a failing batch: see errors"),
            fork(Check::IteratorAge, "they are only delayed: they haven't been appended yet"),
            fork(Check::UnfoldedPages, "they are appended but not folded: see fold-blocked"),
            fork(Check::FoldAge, "they are appended and will be folded: see fold-lags"),
            fork(Check::FoldRepairs, "snapshots were refused or repaired: see notices-lost"),
            fork(Check::LastSnapshot, "batches arrive but none succeeds: see errors"),
            fork(Check::StartingPosition, "records were skipped"),
            fork(Check::FiltersMatch, "the filter excludes records"),
            fork(Check::PartialResponses, "failed records were treated as processed"),
            fork(Check::Rejected, "records were rejected; those that came too late must be counted by hand"),
            fork(Check::Horizon, "records may arrive after the horizon"),
            fork(Check::Dropped, "records were lost on their way to the failure destination"),
            fork(Check::Failures, "their batch was discarded: redrive it"),
            fork(Check::Quarantine, "they were rejected and quarantined: redrive them after a fix"),
        ],
        otherwise: "batches succeed and nothing was rejected: check whether the record was counted elsewhere (`skipped`, another window or entity)",
        first_step: |facts| facts.log_lines(BATCH_DONE),
    }
}

pub(super) fn s3_access_denied() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::ArchiveAccess, "the role's policies don't allow it"),
            fork(Check::BucketPolicy, "the bucket policy differs from the template"),
            fork(Check::BucketLocks, "the bucket's settings differ from the template"),
        ],
        otherwise: "the role's policies allow it: a bucket policy, key policy or organization policy denies it, or it was a 412, which means a redelivery",
        first_step: archive::simulation,
    }
}

pub(super) fn nothing_in_s3() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::MappingState, "nothing is delivered"),
            fork(Check::Traffic, "nothing is invoked: see no-invocations"),
            fork(Check::Errors, "batches fail: see errors"),
            fork(Check::ArchiveAccess, "files can't be written: see s3-access-denied"),
            fork(Check::Rejected, "records don't match their schema: see avro"),
            fork(
                Check::Files,
                "the records aren't archived: their record types have no [record.archive], or no record type matches",
            ),
        ],
        otherwise: "files arrive; check the prefix",
        first_step: archive::listing,
    }
}

pub(super) fn avro() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(
                Check::Rejected,
                "a record doesn't match its schema: the log has the field, the expected type and the actual type",
            ),
            fork(
                Check::BlockedShard,
                "a record that can't be encoded may block its shard: the log has the code and field",
            ),
            fork(Check::GlueSchema, "Athena's schema differs from the files'"),
            fork(Check::Failures, "the batch was discarded: redrive it after the deployment"),
            fork(Check::Quarantine, "the record was quarantined: redrive it after the deployment"),
        ],
        otherwise: "no record was rejected in the last hour",
        first_step: |facts| facts.log_lines("{ $.message = \"record rejected\" }"),
    }
}

pub(super) fn athena() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::Files, "there are no files: see nothing-in-s3"),
            fork(Check::Projection, "the partitions don't include that day"),
            fork(Check::GlueSchema, "Athena reads with a different schema"),
            fork(Check::BucketLocks, "the bucket's settings differ from the template"),
        ],
        otherwise: "tables, partitions and files exist: check the query's error, prefix and scan limit",
        first_step: |facts| {
            format!("aws athena list-query-executions --work-group {} --max-items 5", facts.stack_name())
        },
    }
}

pub(super) fn no_invocations() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::MappingState, "the mapping is disabled, or the function can't be invoked"),
            fork(Check::Concurrency, "a reserved concurrency of 0 is the kill switch"),
            fork(Check::StreamOn, "the stream is off, or the mapping reads an older one"),
            fork(Check::StartingPosition, "older records are skipped"),
            fork(Check::FiltersMatch, "the filter excludes everything"),
            fork(Check::Throttles, "invocations are throttled"),
            fork(Check::Traffic, "nothing is polled, or polled records aren't delivered"),
        ],
        otherwise: "the mapping polls, but nothing new is written to the source",
        first_step: source::look,
    }
}

pub(super) fn failure_destination() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::Destination, "failed batches aren't kept at all"),
            fork(Check::DestinationAccepts, "failed batches can't be written there: fix this first"),
            fork(Check::Dropped, "and some were lost: compare the source table with the snapshots"),
            fork(Check::RecordAge, "records expire in the stream instead of reaching it"),
            fork(Check::Errors, "the cause persists: see errors"),
            fork(Check::Rejected, "the cause persists: single records are rejected"),
            fork(Check::Horizon, "after the horizon, they can no longer be counted"),
            fork(Check::Failures, "fix the cause, then redrive them"),
            fork(Check::Quarantine, "fix what rejects these records, then redrive them"),
        ],
        otherwise: "the failure destination is empty, and no delivery to it failed",
        first_step: Facts::errors_in_the_log,
    }
}

pub(super) fn cost() -> DecisionPath {
    DecisionPath {
        forks: vec![
            fork(Check::OwnWrites, "the function is invoked with its own writes"),
            fork(Check::Recursion, "Lambda doesn't stop a loop"),
            fork(Check::Batches, "a page costs per batch and minute: larger batches cost less"),
            fork(Check::TableCapacity, "provisioned capacity is paid for whether it is used or not"),
            fork(Check::LedgerTable, "pages and states never expire"),
            fork(Check::LogRetention, "log events never expire"),
            fork(Check::OwnMetrics, "there are more metrics than the free tier includes"),
        ],
        otherwise: "nothing is wasted: the cost is due to the load",
        first_step: |_| {
            // The first date is written for the BSD date of macOS, and for GNU's.
            "aws ce get-cost-and-usage --time-period Start=$(date -v-7d +%F 2>/dev/null || date -d '7 days ago' +%F),End=$(date +%F) --granularity DAILY --metrics UnblendedCost --group-by Type=DIMENSION,Key=SERVICE".to_owned()
        },
    }
}
