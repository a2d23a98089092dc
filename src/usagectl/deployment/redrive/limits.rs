//! How long what waits can still be redriven: until its stream has forgotten it, or until it can't be proven new.

use event_source_mapping::{Clock, StreamKind};
use usage_aggregator::time::Timestamp;

use super::waiting::{Content, Spot};
use crate::shell::console;
use crate::stack::{Deployment, Place};

pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 24 * HOUR;

/// How long documents can be redriven.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub now: Timestamp,
    /// After which a record can't be proven new.
    pub horizon_days: i64,
    /// After which a Kinesis stream forgets; a table's stream does so after 24 hours.
    pub kinesis_hours: i64,
}

impl Limits {
    /// The limits of `deployment`, whose HORIZON_DAYS are `configured` where the function itself doesn't say.
    pub async fn of(deployment: &Deployment, configured: Option<i64>) -> anyhow::Result<Limits> {
        Ok(Limits {
            now: Clock::system()?.now(),
            horizon_days: horizon_days(deployment, configured).await,
            kinesis_hours: kinesis_hours(deployment).await,
        })
    }

    pub fn age_seconds(&self, content: &Content) -> Option<i64> {
        content.first_arrival.map(|arrival| self.now.seconds() - arrival.seconds())
    }

    /// What is left of the time in which all of a document can be redriven; negative when it has passed.
    pub fn left_seconds(&self, spot: &Spot, content: &Content) -> Option<i64> {
        let horizon = self.horizon_days * DAY;
        let limit = match (spot, content.kind) {
            (Spot::Object { .. }, _) => horizon,
            (Spot::Message { .. }, StreamKind::DynamoDb) => horizon.min(DAY),
            (Spot::Message { .. }, StreamKind::Kinesis) => horizon.min(self.kinesis_hours * HOUR),
        };
        self.age_seconds(content).map(|age| limit - age)
    }
}

/// HORIZON_DAYS of the function.
async fn horizon_days(deployment: &Deployment, configured: Option<i64>) -> i64 {
    const DEFAULT: i64 = 18;
    let configured = configured.unwrap_or(DEFAULT);
    let (Place::Account(account), Some(function)) = (&deployment.place, &deployment.names.function) else {
        return configured;
    };
    match account.lambda().get_function_configuration().function_name(function).send().await {
        Ok(deployed) => {
            let variables = deployed.environment.and_then(|environment| environment.variables).unwrap_or_default();
            variables.get("HORIZON_DAYS").and_then(|days| days.parse().ok()).unwrap_or(configured)
        }
        Err(_) => {
            console::note(&format!(
                "note: HORIZON_DAYS of {function} can't be seen (lambda:GetFunctionConfiguration); taking {configured}"
            ));
            configured
        }
    }
}

/// How long the source keeps records, where it is a Kinesis stream that is read for positions.
async fn kinesis_hours(deployment: &Deployment) -> i64 {
    const DEFAULT: i64 = 24;
    let (Place::Account(account), Some(arn)) = (&deployment.place, &deployment.names.source_arn) else {
        return DEFAULT;
    };
    if deployment.names.failure_queue.is_none() || !arn.contains(":kinesis:") {
        return DEFAULT;
    }
    match account.kinesis().describe_stream_summary().stream_arn(arn).send().await {
        Ok(summary) => {
            summary.stream_description_summary.map_or(DEFAULT, |summary| summary.retention_period_hours.into())
        }
        Err(_) => {
            console::note(&format!(
                "note: the retention of {arn} can't be seen (kinesis:DescribeStreamSummary); taking {DEFAULT} hours"
            ));
            DEFAULT
        }
    }
}
