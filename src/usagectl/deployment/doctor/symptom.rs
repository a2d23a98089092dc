//! The decision tree of docs/operations.md: for each symptom, the checks to run in order, and what a finding means there.

mod fold_paths;
mod paths;

use clap::ValueEnum;

use super::check::Check;
use super::facts::Facts;

/// A symptom of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Symptom {
    /// The iterator age grows
    IteratorAge,
    /// The function, a table or Kinesis is throttled
    Throttling,
    /// Invocations fail
    Errors,
    /// Invocations time out
    Timeouts,
    /// Snapshots are missing
    MissingSnapshots,
    /// Snapshots lag behind what was appended
    FoldLags,
    /// Nothing is folded, or folds fail
    FoldBlocked,
    /// Notices of the ledger were lost, or a sweep repaired snapshots
    NoticesLost,
    /// S3 denies access to the function
    S3AccessDenied,
    /// No files arrive in the archive
    NothingInS3,
    /// Records don't match their Avro schema
    Avro,
    /// Athena finds nothing
    Athena,
    /// The function is never invoked
    NoInvocations,
    /// Batches are in the failure destination, or don't reach it
    FailureDestination,
    /// The cost is too high
    Cost,
}

/// A check within a decision path.
pub struct Fork {
    /// The check.
    pub check: Check,
    /// What it means if the check is a warning or a problem.
    pub if_found: &'static str,
}

/// The checks for a symptom.
pub struct DecisionPath {
    /// The checks in order.
    pub forks: Vec<Fork>,
    /// The conclusion if no check finds anything.
    pub otherwise: &'static str,
    /// A command to run first if no check finds anything.
    pub first_step: fn(&Facts) -> String,
}

impl Symptom {
    /// The anchor of its runbook in docs/operations.md.
    pub fn runbook(self) -> &'static str {
        match self {
            Symptom::IteratorAge => "iterator-age",
            Symptom::Throttling => "throttling",
            Symptom::Errors => "errors",
            Symptom::Timeouts => "timeouts",
            Symptom::MissingSnapshots => "missing-snapshots",
            Symptom::FoldLags => "fold-lags",
            Symptom::FoldBlocked => "fold-blocked",
            Symptom::NoticesLost => "notices-lost",
            Symptom::S3AccessDenied => "s3-access-denied",
            Symptom::NothingInS3 => "nothing-in-s3",
            Symptom::Avro => "avro-encode-failures",
            Symptom::Athena => "athena-finds-nothing",
            Symptom::NoInvocations => "no-invocations",
            Symptom::FailureDestination => "failure-destination",
            Symptom::Cost => "cost",
        }
    }

    /// Its checks.
    pub fn path(self) -> DecisionPath {
        match self {
            Symptom::IteratorAge => paths::iterator_age(),
            Symptom::Throttling => paths::throttling(),
            Symptom::Errors => paths::errors(),
            Symptom::Timeouts => paths::timeouts(),
            Symptom::MissingSnapshots => paths::missing_snapshots(),
            Symptom::FoldLags => fold_paths::fold_lags(),
            Symptom::FoldBlocked => fold_paths::fold_blocked(),
            Symptom::NoticesLost => fold_paths::notices_lost(),
            Symptom::S3AccessDenied => paths::s3_access_denied(),
            Symptom::NothingInS3 => paths::nothing_in_s3(),
            Symptom::Avro => paths::avro(),
            Symptom::Athena => paths::athena(),
            Symptom::NoInvocations => paths::no_invocations(),
            Symptom::FailureDestination => paths::failure_destination(),
            Symptom::Cost => paths::cost(),
        }
    }
}
