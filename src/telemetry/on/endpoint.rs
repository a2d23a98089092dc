//! The HTTP client of the exporters: the AWS SDK's, with connections of its own. An endpoint that doesn't respond is left
//! alone for a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use http::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use tokio::time::Instant;

/// How long an endpoint is left alone.
const PAUSE: Duration = Duration::from_secs(60);

/// Stops calls that would fail: after a failure, none is made for a minute.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Option<Instant>>);

impl Breaker {
    /// Whether a call may be made.
    pub(super) fn allows(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| until <= Instant::now())
    }

    /// Stops calls for a minute.
    pub(super) fn open(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }
}

/// A host that takes exports.
#[derive(Debug)]
pub(super) struct Endpoint {
    connector: Connector,
    /// Open if the host doesn't respond.
    pub breaker: Breaker,
}

impl Endpoint {
    pub(super) fn new() -> Endpoint {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Endpoint { connector, breaker: Breaker::default() }
    }
}

#[async_trait]
impl HttpClient for Endpoint {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = HttpRequest::try_from(request.map(SdkBody::from))?;
        let response = self.connector.call(request).await.inspect_err(|_| self.breaker.open())?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await?.into_bytes();
        Ok(Response::builder().status(status).body(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_no_call_is_made_for_a_minute() {
        let breaker = Breaker::default();
        assert!(breaker.allows());
        breaker.open();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!breaker.allows());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(breaker.allows());
    }
}
