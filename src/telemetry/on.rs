//! Collects and exports telemetry.

mod calls;
mod counts;
mod endpoint;
mod exporters;
mod fingerprint;
mod function;
mod panics;
mod phases;
mod queue;
mod records;
mod redelivery;
mod signal;
mod xray;

use std::sync::Arc;

use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use opentelemetry::logs::LoggerProvider;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLoggerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter};
use opentelemetry_semantic_conventions::attribute::FAAS_VERSION;
use tokio::time::Instant;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;

use self::calls::Calls;
use self::counts::Counts;
use self::exporters::{Exporters, resource};
pub use self::phases::Phases;
use self::queue::{Collector, Queue, Waiting};
use self::records::LogRecords;
use super::{Layers, Sampling, Settings};
use crate::logs;

/// The instrumentation scope of all telemetry.
const SCOPE: &str = "usage-aggregator";

/// Collects the spans, log records and metrics of invocations, and exports them.
#[derive(Debug)]
pub struct Telemetry {
    settings: Settings,
    queue: Arc<Queue>,
    tracers: SdkTracerProvider,
    loggers: SdkLoggerProvider,
    exporters: Exporters,
    counts: Option<Counts>,
}

impl Telemetry {
    /// Starts what the environment asks for, if anything.
    ///
    /// # Errors
    /// If a variable has a value that isn't supported.
    pub fn from_env() -> Result<Option<Arc<Telemetry>>, String> {
        Settings::from_env()?.map(Telemetry::new).transpose()
    }

    /// Starts telemetry. Nothing is connected before the first export.
    ///
    /// # Errors
    /// If an endpoint isn't a valid URL.
    pub fn new(settings: Settings) -> Result<Arc<Telemetry>, String> {
        let resource = resource(&settings);
        let mut exporters = Exporters::new(&settings, &resource)?;
        let counts = exporters.metrics.take().map(|signal| Counts::new(signal, &resource));
        let queue = Arc::new(Queue::new(settings.queue, settings.function.clone()));
        let tracers = SdkTracerProvider::builder().with_sampler(sampler(settings.sampling));
        let tracers = tracers.with_span_processor(Collector(queue.clone())).with_resource(resource.clone()).build();
        let loggers = SdkLoggerProvider::builder().with_log_processor(Collector(queue.clone()));
        let loggers = loggers.with_resource(resource).build();
        panics::report();
        Ok(Arc::new(Telemetry { settings, queue, tracers, loggers, exporters, counts }))
    }

    /// The layers that collect spans with the target `telemetry`, and log lines of this function at its log level.
    pub fn layers(&self) -> Layers {
        let mut layers = Layers::new();
        if self.exporters.traces.is_some() {
            let spans = tracing_opentelemetry::layer()
                .with_tracer(self.tracers.tracer(SCOPE))
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_tracked_inactivity(false);
            layers.push(spans.with_filter(Targets::new().with_target("telemetry", Level::INFO)).boxed());
        }
        if self.exporters.logs.is_some() || self.exporters.traces.is_some() {
            let logger = self.exporters.logs.is_some().then(|| self.loggers.logger(SCOPE));
            let records = LogRecords { logger };
            layers.push(records.with_filter(Targets::new().with_target("usage_aggregator", logs::level())).boxed());
        }
        layers
    }

    /// What the SDK's clients report their calls to.
    pub fn interceptor(&self) -> SharedInterceptor {
        SharedInterceptor::new(Calls { tracer: self.tracers.tracer(SCOPE) })
    }

    /// Measures two phases of the current span that alternate. `None` if the trace isn't exported.
    pub fn phases(&self) -> Option<Phases> {
        Phases::start(self.tracers.tracer(SCOPE))
    }

    /// Adds to a count.
    pub fn count(&self, name: &'static str, pipeline: &str, value: f64) {
        self.counts.iter().for_each(|counts| counts.count(name, pipeline, value));
    }

    /// Adds a duration.
    pub fn milliseconds(&self, name: &'static str, pipeline: &str, value: f64) {
        self.counts.iter().for_each(|counts| counts.milliseconds(name, pipeline, value));
    }

    /// Exports what is finished, within the budget. Returns how much was dropped.
    pub async fn flush(&self) -> usize {
        let Waiting { spans, records, dropped } = self.queue.take();
        let until = Instant::now() + self.settings.budget;
        let Exporters { traces, logs, .. } = &self.exporters;
        let exported_spans = async {
            match traces {
                Some(signal) => signal.export(spans.len(), until, signal.exporter.export(spans)).await,
                None => 0,
            }
        };
        let exported_records = async {
            let batch: Vec<_> = records.iter().map(|(record, scope)| (record, scope)).collect();
            match logs {
                Some(signal) => signal.export(batch.len(), until, signal.exporter.export(LogBatch::new(&batch))).await,
                None => 0,
            }
        };
        let exported_counts = async {
            match &self.counts {
                Some(counts) => counts.flush(until).await,
                None => 0,
            }
        };
        let (spans, records, values) = tokio::join!(exported_spans, exported_records, exported_counts);
        dropped + spans + records + values
    }

    /// The spans and log records that wait for the export, as text.
    #[cfg(test)]
    pub(crate) fn collected(&self) -> (Vec<String>, Vec<String>) {
        let Waiting { spans, records, .. } = self.queue.take();
        let spans = spans.iter().map(|span| format!("{span:?}")).collect();
        (spans, records.iter().map(|record| format!("{record:?}")).collect())
    }

    /// Awaits an invocation as a child of the segment that Lambda's X-Ray header names.
    pub async fn within<F: Future>(&self, header: Option<&str>, function_arn: &str, invocation: F) -> F::Output {
        panics::start_invocation();
        let version = self.settings.resource.iter().find(|(name, _)| *name == FAAS_VERSION);
        let version = version.map(|(_, version)| version.as_str());
        self.queue.set_function(function::attributes(function_arn, version));
        let parent = header.and_then(xray::parent);
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        invocation.with_context(parent).await
    }
}

/// The sampler that decides as the settings ask for.
fn sampler(sampling: Sampling) -> Sampler {
    let by_trace_id = Sampler::TraceIdRatioBased(sampling.ratio);
    if sampling.follows_parent { Sampler::ParentBased(Box::new(by_trace_id)) } else { by_trace_id }
}
