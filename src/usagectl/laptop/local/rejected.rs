//! The options for records that the function rejects: its environment variables of the same names.

use clap::{Args, ValueEnum};
use laptop::proof::reconcile::Destination;

use crate::shell::pipeline_choice::Variables;

/// What happens to rejected records.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Rejected records")]
pub(super) struct RejectionOptions {
    /// Store rejected records in the failure bucket and continue, or fail and retry them (or set REJECTED_RECORDS) [default: quarantine]
    #[arg(long, value_name = "ACTION")]
    rejected_records: Option<RejectedRecords>,
    /// Maximum share of rejected records in a batch, and of their entities, 1 to 100; if both are above it, the whole batch fails [default: 50]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    quarantine_limit_percent: Option<u8>,
}

/// A value of REJECTED_RECORDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RejectedRecords {
    /// Store them in the failure bucket and continue
    Quarantine,
    /// Fail, so that the mapping retries them and then discards them
    Fail,
}

impl RejectionOptions {
    /// Sets the function's variables. `on_failure` is the failure destination; if it isn't a bucket, rejected records go to
    /// the usual one.
    pub(super) fn set(self, variables: Variables, on_failure: &str) -> Variables {
        let bucket = on_failure.strip_prefix("s3://").unwrap_or(Destination::USUAL_BUCKET).to_owned();
        let chosen = self.rejected_records.map(|chosen| match chosen {
            RejectedRecords::Quarantine => "quarantine".to_owned(),
            RejectedRecords::Fail => "fail".to_owned(),
        });
        let value = |name| variables.value(name);
        let action = chosen.or_else(|| value("REJECTED_RECORDS")).unwrap_or_else(|| "quarantine".to_owned());
        let limit = self.quarantine_limit_percent.map(|percent| percent.to_string());
        let limit =
            limit.or_else(|| value("QUARANTINE_LIMIT_PERCENT")).map(|percent| ("QUARANTINE_LIMIT_PERCENT", percent));
        let bucket = value("FAILURE_BUCKET").unwrap_or(bucket);
        variables.with([("REJECTED_RECORDS", action), ("FAILURE_BUCKET", bucket)]).with(limit)
    }
}

/// The buckets of failed batches and of quarantined records, which may not exist yet. Usually it is one.
pub(super) fn failure_buckets(on_failure: &str, variables: &Variables) -> Vec<String> {
    let of_batches = on_failure.strip_prefix("s3://").map(str::to_owned);
    let quarantines = variables.value("REJECTED_RECORDS").as_deref() == Some("quarantine");
    let of_records = variables.value("FAILURE_BUCKET").filter(|_| quarantines);
    let of_records = of_records.filter(|bucket| of_batches.as_ref() != Some(bucket));
    of_batches.into_iter().chain(of_records).collect()
}
