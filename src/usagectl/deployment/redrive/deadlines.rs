//! How long a document can still be redriven: until its stream has trimmed the records, or until a record is older than
//! HORIZON_DAYS, after which the counters can no longer tell whether they include it.

use event_source_mapping::{Clock, StreamKind};
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};

use super::failed_batch::{BatchSummary, Location};
#[cfg(feature = "deployment")]
use crate::shell::console;
use crate::stack::Deployment;
#[cfg(feature = "deployment")]
use crate::stack::Place;

/// What the deadlines of documents depend on.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// The time of the run.
    pub now: Timestamp,
    /// HORIZON_DAYS of the function: older records aren't counted.
    pub horizon_days: i64,
    /// The retention of a Kinesis stream. That of a table's stream is always 24 hours.
    pub kinesis_hours: i64,
}

impl Deadlines {
    /// The deadlines of a deployment whose function has this horizon.
    pub(crate) async fn of(deployment: &Deployment, horizon_days: i64) -> anyhow::Result<Deadlines> {
        let kinesis_hours = kinesis_hours(deployment).await;
        Ok(Deadlines { now: Clock::system()?.now(), horizon_days, kinesis_hours })
    }

    /// The age of the oldest record; 0 if it arrived after this run began.
    pub fn age_seconds(&self, summary: &BatchSummary) -> Option<i64> {
        summary.first_arrival.map(|arrival| (self.now.seconds() - arrival.seconds()).max(0))
    }

    /// The time in which all records of a document can still be redriven; negative when it has passed.
    pub fn left_seconds(&self, location: &Location, summary: &BatchSummary) -> Option<i64> {
        let horizon = self.horizon_days * DAY_SECONDS;
        let limit = match (location, summary.kind) {
            (Location::Object { .. }, _) => horizon,
            (Location::Message { .. }, StreamKind::DynamoDb) => horizon.min(DAY_SECONDS),
            (Location::Message { .. }, StreamKind::Kinesis) => horizon.min(self.kinesis_hours * HOUR_SECONDS),
        };
        self.age_seconds(summary).map(|age| limit - age)
    }
}

/// The retention of a Kinesis stream that nobody has changed.
const DEFAULT_KINESIS_HOURS: i64 = 24;

/// On this machine, nothing reads the records of a Kinesis stream again that it has trimmed.
#[cfg(not(feature = "deployment"))]
async fn kinesis_hours(_: &Deployment) -> i64 {
    DEFAULT_KINESIS_HOURS
}

/// The retention of the source, where it is a Kinesis stream whose records must be read again.
#[cfg(feature = "deployment")]
async fn kinesis_hours(deployment: &Deployment) -> i64 {
    const DEFAULT: i64 = DEFAULT_KINESIS_HOURS;
    let (Place::Account(account), Some(arn)) = (&deployment.place, &deployment.names.source_arn) else {
        return DEFAULT;
    };
    if deployment.names.failure_queue.is_none() || !arn.contains(":kinesis:") {
        return DEFAULT;
    }
    // Its name, because the ARN may be that of a consumer.
    let name = deployment.names.source_name().map(str::to_owned);
    match account.kinesis().describe_stream_summary().set_stream_name(name).send().await {
        Ok(summary) => {
            summary.stream_description_summary.map_or(DEFAULT, |summary| summary.retention_period_hours.into())
        }
        Err(_) => {
            console::note(&format!(
                "note: can't read the retention of {arn} (kinesis:DescribeStreamSummary); assuming {DEFAULT} hours"
            ));
            DEFAULT
        }
    }
}
