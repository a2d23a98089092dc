//! Exports the traces and log records of a local run's functions.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use axum::http::Uri;
use tokio::net::TcpStream;
use tracing::Level;
use usage_aggregator::logs;
use usage_aggregator::telemetry::{Settings, Telemetry};

use super::target::FUNCTION;
use crate::shell::console::UsageError;
use crate::shell::options::Options;

/// Starts what `--otlp` asks for, and logging with it.
///
/// # Errors
/// If the URL is invalid, or if nothing listens there.
pub(super) async fn start(url: Option<&str>, options: &Options) -> anyhow::Result<Option<Arc<Telemetry>>> {
    let Some(url) = url else { return Ok(None) };
    let value = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
        "AWS_LAMBDA_FUNCTION_NAME" => Some(FUNCTION.to_owned()),
        _ => None,
    };
    let settings = Settings::read(value).map_err(UsageError)?;
    let telemetry =
        settings.map(Telemetry::new).transpose().map_err(|mistake| UsageError(format!("--otlp: {mistake}")))?;
    check(url).await?;
    let layers = telemetry.as_ref().map(|telemetry| telemetry.layers()).unwrap_or_default();
    if options.verbose {
        logs::start_observed(Level::DEBUG, io::stderr, layers);
    } else {
        logs::start_observed(Level::ERROR, io::sink, layers);
    }
    Ok(telemetry)
}

/// Connects once: the function itself would only log that it can't export.
async fn check(url: &str) -> anyhow::Result<()> {
    let invalid = || UsageError(format!("--otlp: `{url}` isn't the URL of an endpoint, such as http://localhost:4318"));
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let host = uri.host().ok_or_else(invalid)?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let connected = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
    connected.with_context(|| format!("connect to {url}; start a receiver first, such as `usagectl traces`"))?;
    Ok(())
}
