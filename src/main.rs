//! The Lambda function: sets up logging, configuration and clients, and starts the run loop. It contains no logic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tracing::{Instrument, error, info_span};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;
use usage_aggregator::error::Error;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::logs;
use usage_aggregator::outcome::Response;
use usage_aggregator::telemetry::Telemetry;
use usage_aggregator::time::Timestamp;

// One thread: a small function has a fraction of a core and mostly waits for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    logs::report_panics();
    let telemetry = Telemetry::from_env();
    match &telemetry {
        Ok(Some(telemetry)) => logs::start_observed(logs::level(), std::io::stdout, telemetry.layers()),
        Ok(None) | Err(_) => logs::start(),
    }
    let telemetry = telemetry.inspect_err(|mistake| error!(mistake, "failed to start telemetry")).unwrap_or_default();
    let config = Config::from_env().inspect_err(|mistakes| error!(%mistakes, "failed to start"))?;
    let margin = Duration::from_millis(config.deadline_margin_ms);
    let handler = &Handler::with_telemetry(config, clients().await, telemetry.clone());
    let telemetry = telemetry.as_deref();
    handler.connect().await;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        let invocation = invocation(&event.context, margin)?;
        let span = info_span!("invocation", requestId = %invocation.request_id);
        // Boxed, because the type of the future is deeply nested.
        let response = respond(handler, event.payload.get(), &invocation).instrument(span).boxed();
        let lambda_runtime::Context { xray_trace_id, invoked_function_arn, .. } = &event.context;
        let response = match telemetry {
            Some(telemetry) => telemetry.within(xray_trace_id.as_deref(), invoked_function_arn, response).boxed(),
            None => response,
        };
        Ok::<_, lambda_runtime::Error>(response.await?)
    }))
    .await
}

async fn respond(handler: &Handler, event: &str, invocation: &Invocation) -> Result<Response, Error> {
    handler.handle(event.as_bytes(), invocation).await.map(|outcome| outcome.response())
}

/// All services share one HTTP client and its connections.
async fn clients() -> Clients {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    Clients::new(&config)
}

#[expect(clippy::disallowed_methods, reason = "the clock is read once for each invocation")]
fn invocation(context: &lambda_runtime::Context, margin: Duration) -> Result<Invocation, Error> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since_epoch.as_micros()).ok().and_then(Timestamp::from_micros);
    let now = now.ok_or_else(|| Error::config("read the clock: its year is outside 2000 to 2099"))?;
    // cargo-lambda sends a deadline in 1970, which means that there is no deadline.
    let deadline = Duration::from_millis(context.deadline);
    let is_real = Timestamp::from_seconds(i64::try_from(deadline.as_secs()).unwrap_or(0)).is_some();
    let left = deadline.saturating_sub(since_epoch);
    if is_real && left <= margin {
        let (left, margin) = (left.as_millis(), margin.as_millis());
        return Err(Error::config(format!(
            "handle the batch: only {left} ms remain and DEADLINE_MARGIN_MS reserves {margin}; raise the function's timeout"
        )));
    }
    let deadline = is_real.then(|| tokio::time::Instant::now() + left.saturating_sub(margin));
    Ok(Invocation { request_id: context.request_id.clone(), now, deadline })
}
