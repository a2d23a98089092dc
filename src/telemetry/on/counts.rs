//! The metrics of invocations over OTLP, for METRICS_SINK=otlp. What can't be exported yet is added up until it can.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality};
use tokio::time::Instant;

use super::SCOPE;
use super::signal::Signal;

/// The dimension that all metrics have, as in CloudWatch.
const DIMENSION: &str = "Pipeline";

/// Counts and durations that wait for the export.
#[derive(Debug)]
pub(super) struct Counts {
    signal: Signal<MetricExporter>,
    meter: Meter,
    reader: Arc<ManualReader>,
    /// How many values wait.
    waiting: AtomicUsize,
    /// Keeps the meter alive.
    _provider: SdkMeterProvider,
}

impl Counts {
    pub(super) fn new(signal: Signal<MetricExporter>, resource: &Resource) -> Counts {
        let reader = Arc::new(ManualReader::builder().with_temporality(Temporality::Delta).build());
        let builder = SdkMeterProvider::builder().with_resource(resource.clone());
        let provider = builder.with_reader(SharedReader(reader.clone())).build();
        Counts { signal, meter: provider.meter(SCOPE), reader, waiting: AtomicUsize::new(0), _provider: provider }
    }

    /// Adds to a count.
    pub(super) fn count(&self, name: &'static str, pipeline: &str, value: f64) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.meter.f64_counter(name).build().add(value, &[KeyValue::new(DIMENSION, pipeline.to_owned())]);
    }

    /// Adds a duration.
    pub(super) fn milliseconds(&self, name: &'static str, pipeline: &str, value: f64) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let histogram = self.meter.f64_histogram(name).with_unit("ms").build();
        histogram.record(value, &[KeyValue::new(DIMENSION, pipeline.to_owned())]);
    }

    /// Exports what was counted, unless the endpoint is left alone. Returns how many values were dropped.
    pub(super) async fn flush(&self, until: Instant) -> usize {
        if !self.signal.is_open() {
            return 0;
        }
        let mut metrics = ResourceMetrics::default();
        let waiting = self.waiting.swap(0, Ordering::Relaxed);
        if self.reader.collect(&mut metrics).is_err() {
            return waiting;
        }
        self.signal.export(waiting, until, self.signal.exporter.export(&metrics)).await
    }
}

/// The meter provider owns its reader, but the reader is asked from here.
#[derive(Debug)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
