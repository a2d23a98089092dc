//! Creates the exporters, and the resource that all of them name.

use std::sync::Arc;

use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, RetryPolicy, SpanExporter, WithExportConfig,
    WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::LogExporter as _;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::SpanExporter as _;
use opentelemetry_semantic_conventions::SCHEMA_URL;
use opentelemetry_semantic_conventions::attribute::SERVICE_NAME;

use super::endpoint::{Breaker, Endpoint};
use super::signal::Signal;
use crate::telemetry::Settings;

/// What exports each signal that goes anywhere.
#[derive(Debug, Default)]
pub(super) struct Exporters {
    pub traces: Option<Signal<SpanExporter>>,
    pub logs: Option<Signal<LogExporter>>,
    pub metrics: Option<Signal<MetricExporter>>,
}

/// The endpoints so far. Signals that go to the same host share one, so that a host that doesn't respond costs its timeout
/// only once.
#[derive(Debug, Default)]
struct Endpoints(Vec<(String, Arc<Endpoint>)>);

impl Endpoints {
    fn of(&mut self, url: &str) -> Result<Arc<Endpoint>, String> {
        let uri: Uri = url.parse().map_err(|error| format!("the OTLP endpoint {url} isn't a URL: {error}"))?;
        let (Some("http" | "https"), Some(host)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("the OTLP endpoint {url} must start with http:// or https://"));
        };
        if let Some((_, endpoint)) = self.0.iter().find(|(known, _)| known == host.as_str()) {
            return Ok(endpoint.clone());
        }
        let endpoint = Arc::new(Endpoint::new());
        self.0.push((host.as_str().to_owned(), endpoint.clone()));
        Ok(endpoint)
    }
}

impl Exporters {
    /// Creates the exporters that the settings ask for. They read the headers from the environment.
    pub(super) fn new(settings: &Settings, resource: &Resource) -> Result<Exporters, String> {
        let mut endpoints = Endpoints::default();
        let mut exporters = Exporters::default();
        let refused = |error: ExporterBuildError| error.to_string();
        if let Some(url) = &settings.traces {
            let endpoint = endpoints.of(url)?;
            let builder = configured(SpanExporter::builder().with_http(), url, &endpoint);
            let mut exporter = builder.build().map_err(refused)?;
            exporter.set_resource(resource);
            exporters.traces = Some(signal("traces", exporter, endpoint));
        }
        if let Some(url) = &settings.logs {
            let endpoint = endpoints.of(url)?;
            let builder = configured(LogExporter::builder().with_http(), url, &endpoint);
            let mut exporter = builder.build().map_err(refused)?;
            exporter.set_resource(resource);
            exporters.logs = Some(signal("logs", exporter, endpoint));
        }
        if let Some(url) = &settings.metrics {
            let endpoint = endpoints.of(url)?;
            let builder = MetricExporter::builder().with_temporality(Temporality::Delta).with_http();
            let exporter = configured(builder, url, &endpoint).build().map_err(refused)?;
            exporters.metrics = Some(signal("metrics", exporter, endpoint));
        }
        Ok(exporters)
    }
}

fn signal<E>(name: &'static str, exporter: E, endpoint: Arc<Endpoint>) -> Signal<E> {
    Signal { name, exporter, endpoint, breaker: Breaker::default() }
}

/// An export is tried once: there is no time for a second attempt, and the exporter would block the thread while it waits.
fn configured<B: WithExportConfig + WithHttpConfig>(builder: B, url: &str, endpoint: &Arc<Endpoint>) -> B {
    builder
        .with_shared_http_client(endpoint.clone())
        .with_retry_policy(RetryPolicy::disabled())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
}

/// The function, as the resource that all telemetry is of. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` add to it.
pub(super) fn resource(settings: &Settings) -> Resource {
    let of_lambda = settings.resource.iter().map(|(name, value)| KeyValue::new(*name, value.clone()));
    let service = (!settings.is_service_named).then(|| KeyValue::new(SERVICE_NAME, settings.function.clone()));
    // What the environment names wins over the former, the latter over the SDK's default.
    Resource::builder().with_schema_url(of_lambda, SCHEMA_URL).with_attributes(service).build()
}
