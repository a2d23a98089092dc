//! Sends metrics with PutMetricData, for functions whose logs aren't kept. A failure never delays or fails a batch.

use std::time::Duration;

pub(super) use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use super::{Datum, MetricUnit, Metrics};
use crate::error::Error;
use crate::time::Timestamp;

/// How long a batch waits for its metrics to be sent.
const SEND_TIMEOUT: Duration = Duration::from_millis(200);

/// A CloudWatch namespace, and the pipeline that is the dimension of the metrics.
#[derive(Debug)]
pub struct CloudWatch {
    /// The SDK client for CloudWatch.
    pub client: Client,
    /// The CloudWatch namespace.
    pub namespace: String,
    /// The value of the dimension `Pipeline`.
    pub pipeline: String,
}

impl CloudWatch {
    /// Sends all metrics of a batch in one call.
    ///
    /// # Errors
    /// If CloudWatch refuses the call or doesn't respond within 200 ms.
    pub async fn put(&self, metrics: &Metrics, now: Timestamp) -> Result<(), Error> {
        let doing = format!("put metrics to {} (cloudwatch:PutMetricData)", self.namespace);
        let data = metrics.data().iter().map(|datum| self.datum(*datum, now)).collect();
        let sending = self.client.put_metric_data().namespace(&self.namespace).set_metric_data(Some(data)).send();
        match tokio::time::timeout(SEND_TIMEOUT, sending).await {
            Ok(answer) => answer.map(|_| ()).map_err(|error| Error::from_sdk(&doing, &error)),
            Err(_) => Err(Error::transient(format!("{doing}: no response within {} ms", SEND_TIMEOUT.as_millis()))),
        }
    }

    fn datum(&self, datum: Datum, now: Timestamp) -> MetricDatum {
        MetricDatum::builder()
            .metric_name(datum.name)
            .value(datum.value)
            .unit(match datum.unit {
                MetricUnit::Count => StandardUnit::Count,
                MetricUnit::Milliseconds => StandardUnit::Milliseconds,
            })
            .timestamp(DateTime::from_secs(now.seconds()))
            .dimensions(Dimension::builder().name("Pipeline").value(&self.pipeline).build())
            .build()
    }
}
