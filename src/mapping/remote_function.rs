//! A function behind an HTTP endpoint that speaks Lambda's Invoke API, such as `cargo lambda watch`.
//!
//! As in Lambda, a function that may have run counts as a function error if it doesn't answer: after a timeout, a broken
//! connection, or a response that is too large. Only if it certainly did not run was it not invoked.

use std::error::Error;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::function::{Function, InvocationResult};

/// 6 MB: Lambda's limit of a response.
const MAXIMUM_RESPONSE_BYTES: usize = 6 * 1024 * 1024;

/// A function behind a URL.
#[derive(Debug, Clone)]
pub struct RemoteFunction {
    arn: String,
    uri: Uri,
    timeout: Duration,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl RemoteFunction {
    /// `url` is an endpoint, such as `http://127.0.0.1:9000`, or the complete URL of the Invoke API. An invocation that
    /// takes longer than `timeout` is a function error.
    ///
    /// # Errors
    /// If `url` is not a valid URL.
    pub fn new(arn: String, url: &str, function: &str, timeout: Duration) -> anyhow::Result<RemoteFunction> {
        let url = if url.contains("/invocations") {
            url.to_owned()
        } else {
            format!("{}/2015-03-31/functions/{function}/invocations", url.trim_end_matches('/'))
        };
        let uri = url.parse().with_context(|| format!("`{url}` is not a valid URL"))?;
        Ok(RemoteFunction { arn, uri, timeout, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    fn request(&self, event: &[u8], request_id: &str) -> http::Result<Request<Full<Bytes>>> {
        Request::post(&self.uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Amz-Client-Request-Id", request_id)
            .body(Full::new(Bytes::copy_from_slice(event)))
    }

    /// Sends the request and reads the response, without a time limit.
    async fn send(&self, request: Request<Full<Bytes>>) -> InvocationResult {
        let uri = &self.uri;
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return InvocationResult::NotInvoked(format!("failed to connect to {uri}: {}", chain(&error)));
            }
            // The function may have run, and may have had an effect.
            Err(error) => {
                return InvocationResult::FunctionError(format!("the connection to {uri} was lost: {}", chain(&error)));
            }
        };
        let status = response.status();
        let failed = response.headers().contains_key("x-amz-function-error");
        let body = match Limited::new(response.into_body(), MAXIMUM_RESPONSE_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return InvocationResult::FunctionError("the response exceeds Lambda's limit of 6 MB".to_owned());
            }
            Err(error) => {
                return InvocationResult::FunctionError(format!(
                    "the connection to {uri} was lost: {}",
                    chain(&*error)
                ));
            }
        };
        let text = || String::from_utf8_lossy(&body).into_owned();
        match (failed, status.is_success()) {
            (true, _) => InvocationResult::FunctionError(text()),
            (false, true) => InvocationResult::Returned(body.to_vec()),
            (false, false) => InvocationResult::NotInvoked(format!("{uri} returned {status}: {}", text())),
        }
    }
}

#[async_trait::async_trait]
impl Function for RemoteFunction {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
        let request = match self.request(event, request_id) {
            Ok(request) => request,
            Err(error) => return InvocationResult::NotInvoked(format!("failed to build the request: {error}")),
        };
        tokio::time::timeout(self.timeout, self.send(request)).await.unwrap_or_else(|_| {
            InvocationResult::FunctionError(format!("Task timed out after {:.2} seconds", self.timeout.as_secs_f64()))
        })
    }
}

/// An error and its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
