//! Metrics by PutMetricData, for those who don't keep logs. Its failure never delays or fails a batch.

use std::time::Duration;

pub(super) use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use super::{BatchMetrics, Datum, Unit};
use crate::error::Error;
use crate::time::Timestamp;

/// What a batch may wait for its metrics.
const SEND_TIMEOUT: Duration = Duration::from_millis(200);

/// A namespace of CloudWatch and the pipeline that is the metrics' dimension.
#[derive(Debug)]
pub struct CloudWatch {
    pub client: Client,
    pub namespace: String,
    pub pipeline: String,
}

impl CloudWatch {
    /// Sends all metrics of a batch in one call.
    ///
    /// # Errors
    /// When CloudWatch refuses, or doesn't answer in 200 ms.
    pub async fn put(&self, metrics: &BatchMetrics, now: Timestamp) -> Result<(), Error> {
        let doing = format!("put metrics to {} (cloudwatch:PutMetricData)", self.namespace);
        let data = metrics.data().into_iter().map(|datum| self.datum(datum, now)).collect();
        let sending = self.client.put_metric_data().namespace(&self.namespace).set_metric_data(Some(data)).send();
        match tokio::time::timeout(SEND_TIMEOUT, sending).await {
            Ok(answer) => answer.map(|_| ()).map_err(|error| Error::from_sdk(&doing, &error)),
            Err(_) => Err(Error::transient(format!("{doing}: no answer within {} ms", SEND_TIMEOUT.as_millis()))),
        }
    }

    fn datum(&self, datum: Datum, now: Timestamp) -> MetricDatum {
        MetricDatum::builder()
            .metric_name(datum.name)
            .value(datum.value)
            .unit(match datum.unit {
                Unit::Count => StandardUnit::Count,
                Unit::Milliseconds => StandardUnit::Milliseconds,
            })
            .timestamp(DateTime::from_secs(now.seconds()))
            .dimensions(Dimension::builder().name("Pipeline").value(&self.pipeline).build())
            .build()
    }
}
