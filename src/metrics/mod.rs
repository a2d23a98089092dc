//! The metrics of one batch. They are for monitoring, not for billing: a retried batch is reported twice.

mod cloudwatch;
mod emf;

use std::sync::Arc;

use crate::config::{MetricsConfig, Sink};
use crate::error::Error;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;
use cloudwatch::CloudWatch;

/// The metrics of one invocation: those that are always sent, zeros included, so that rates can be computed, and those
/// that are sent only if they aren't zero, because they should always be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<Datum>);

impl Metrics {
    /// Adds a number of things.
    pub fn count(&mut self, name: &'static str, value: usize) {
        // Far below u32::MAX: an event has at most 6 MB.
        let value = u32::try_from(value).unwrap_or(u32::MAX).into();
        self.0.push(Datum { name, value, unit: MetricUnit::Count });
    }

    /// Adds a number of things that should be zero, if it isn't.
    pub fn count_unless_zero(&mut self, name: &'static str, value: usize) {
        if value > 0 {
            self.count(name, value);
        }
    }

    /// Adds a duration.
    pub fn milliseconds(&mut self, name: &'static str, value: f64) {
        self.0.push(Datum { name, value, unit: MetricUnit::Milliseconds });
    }

    /// The metrics in the order in which they were added.
    pub fn data(&self) -> &[Datum] {
        &self.0
    }
}

/// The CloudWatch unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
}

impl MetricUnit {
    /// The unit as CloudWatch spells it.
    pub fn name(self) -> &'static str {
        match self {
            MetricUnit::Count => "Count",
            MetricUnit::Milliseconds => "Milliseconds",
        }
    }
}

/// One metric: its name, value and unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datum {
    /// The name of the metric in CloudWatch.
    pub name: &'static str,
    /// The value in `unit`.
    pub value: f64,
    /// The unit of the value.
    pub unit: MetricUnit,
}

/// Where metrics are sent.
#[derive(Debug)]
pub enum MetricsSink {
    /// A line on stdout.
    Emf {
        /// The CloudWatch namespace.
        namespace: String,
        /// The value of the dimension `Pipeline`.
        pipeline: String,
    },
    /// A call of PutMetricData.
    CloudWatch(CloudWatch),
    /// OpenTelemetry's protocol, at the end of the invocation.
    Otlp {
        /// What exports the metrics.
        telemetry: Arc<Telemetry>,
        /// The value of the dimension `Pipeline`.
        pipeline: String,
    },
    /// No metrics.
    Nowhere,
}

impl MetricsSink {
    /// Creates the sink that the configuration selects. Without telemetry, metrics that were to go there are lines on
    /// stdout.
    pub fn new(
        config: &MetricsConfig,
        client: cloudwatch::Client,
        pipeline: &str,
        telemetry: Option<&Arc<Telemetry>>,
    ) -> MetricsSink {
        let (namespace, pipeline) = (config.namespace.clone(), pipeline.to_owned());
        match (config.sink, telemetry) {
            (Sink::Otlp, Some(telemetry)) => MetricsSink::Otlp { telemetry: telemetry.clone(), pipeline },
            (sink, _) => MetricsSink::without_telemetry(sink, client, namespace, pipeline),
        }
    }

    fn without_telemetry(sink: Sink, client: cloudwatch::Client, namespace: String, pipeline: String) -> MetricsSink {
        match sink {
            Sink::Emf | Sink::Otlp => MetricsSink::Emf { namespace, pipeline },
            Sink::CloudWatch => MetricsSink::CloudWatch(CloudWatch { client, namespace, pipeline }),
            Sink::Nowhere => MetricsSink::Nowhere,
        }
    }

    /// Sends the metrics of a batch, with `now` as their time.
    ///
    /// # Errors
    /// If they can't be sent within 200 ms. The batch is not affected.
    pub async fn send(&self, metrics: &Metrics, request_id: &str, now: Timestamp) -> Result<(), Error> {
        match self {
            _ if metrics.data().is_empty() => Ok(()),
            MetricsSink::Nowhere => Ok(()),
            MetricsSink::CloudWatch(cloudwatch) => cloudwatch.put(metrics, now).await,
            MetricsSink::Otlp { telemetry, pipeline } => {
                for Datum { name, value, unit } in metrics.data() {
                    match unit {
                        MetricUnit::Count => telemetry.count(name, pipeline, *value),
                        MetricUnit::Milliseconds => telemetry.milliseconds(name, pipeline, *value),
                    }
                }
                Ok(())
            }
            MetricsSink::Emf { namespace, pipeline } => {
                emf::print(&emf::line(metrics, namespace, pipeline, request_id, now))
                    .map_err(|error| Error::transient(format!("print metrics: {error}")))
            }
        }
    }
}
