//! The Lambda function that compacts the archive: what it does is in the library, in `function`.

// The futures of the SDK's calls are nested deeply.
#![recursion_limit = "256"]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;
use tracing::{error, info};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::ConfigMistakes;
use usage_aggregator::logs;
use usage_compact::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    logs::report_panics();
    logs::start();
    let function = &start().await.inspect_err(|mistakes| error!(%mistakes, "failed to start"))?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = deadline(event.context.deadline);
        let answer =
            function.handle(&event.payload, deadline).await.inspect_err(|error| error!(%error, "invocation failed"))?;
        info!(?answer, "done");
        Ok::<_, lambda_runtime::Error>(answer)
    }))
    .await
}

async fn start() -> Result<Function, ConfigMistakes> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    Function::new(environment, Clients::new(&config), aws_sdk_lambda::Client::new(&config), Arc::new(now))
}

#[expect(clippy::disallowed_methods, reason = "the environment is read once, when the function starts")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How long before Lambda's deadline a proof ends, so that it can report what it found.
const MARGIN: Duration = Duration::from_secs(20);

/// When a proof must end, from the milliseconds since the epoch at which Lambda ends the invocation.
fn deadline(milliseconds: u64) -> Option<Instant> {
    let left = Duration::from_millis(milliseconds).saturating_sub(since_epoch());
    // cargo-lambda sends a deadline in 1970, which means that there is no deadline.
    (!left.is_zero()).then(|| Instant::now() + left.saturating_sub(MARGIN))
}

fn now() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
