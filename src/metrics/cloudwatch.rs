//! Metrics by PutMetricData, for those who don't keep logs. Its failure never delays or fails a batch.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use super::{BatchMetrics, Datum, Unit};
use crate::error::Error;
use crate::time::Timestamp;

/// What a batch may wait for its metrics.
const PATIENCE: Duration = Duration::from_millis(200);

/// Sends all metrics of a batch in one call.
///
/// # Errors
/// When CloudWatch refuses or doesn't answer in 200 ms; the caller says so in the log and goes on.
pub async fn put(
    client: &Client,
    metrics: &BatchMetrics,
    namespace: &str,
    pipeline: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let doing = format!("put metrics to {namespace} (cloudwatch:PutMetricData)");
    let dimension = Dimension::builder().name("Pipeline").value(pipeline).build();
    let datum = |datum: Datum| {
        MetricDatum::builder()
            .metric_name(datum.name)
            .value(datum.value)
            .unit(match datum.unit {
                Unit::Count => StandardUnit::Count,
                Unit::Milliseconds => StandardUnit::Milliseconds,
            })
            .timestamp(DateTime::from_secs(now.seconds()))
            .dimensions(dimension.clone())
            .build()
    };
    let data = metrics.data().into_iter().map(datum).collect();
    let sending = client.put_metric_data().namespace(namespace).set_metric_data(Some(data)).send();
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(answer) => answer.map(|_| ()).map_err(|error| Error::from_sdk(&doing, &error)),
        Err(_) => Err(Error::transient(format!("{doing}: no answer within {} ms", PATIENCE.as_millis()))),
    }
}
