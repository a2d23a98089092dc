//! The function behind an HTTP endpoint that speaks Lambda's Invoke, such as `cargo lambda watch`: the very binary that
//! is deployed.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::{Answer, Function};

/// 15 minutes: the longest that a function may run.
const TIMEOUT: Duration = Duration::from_secs(900);
/// 6 MB: the limit of a response.
const MAXIMUM_RESPONSE_BYTES: usize = 6 * 1024 * 1024;

/// A function at a URL.
#[derive(Debug, Clone)]
pub struct RemoteFunction {
    arn: String,
    uri: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl RemoteFunction {
    /// `url` is the endpoint's, such as `http://127.0.0.1:9000`, or that of the invocations themselves.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(arn: String, url: &str, function: &str) -> anyhow::Result<RemoteFunction> {
        let whole = if url.contains("/invocations") {
            url.to_owned()
        } else {
            format!("{}/2015-03-31/functions/{function}/invocations", url.trim_end_matches('/'))
        };
        let uri = whole.parse().with_context(|| format!("{whole} is no URL"))?;
        Ok(RemoteFunction { arn, uri, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    async fn try_invoke(&self, event: &[u8], request_id: &str) -> anyhow::Result<Answer> {
        let request = Request::post(&self.uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Amz-Client-Request-Id", request_id)
            .body(Full::new(Bytes::copy_from_slice(event)))?;
        let response = tokio::time::timeout(TIMEOUT, self.client.request(request)).await??;
        let status = response.status();
        let failed = response.headers().contains_key("x-amz-function-error");
        let body = Limited::new(response.into_body(), MAXIMUM_RESPONSE_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the response: {error}"))?.to_bytes();
        let text = || String::from_utf8_lossy(&body).into_owned();
        Ok(match (failed, status.is_success()) {
            (true, _) => Answer::FunctionError(text()),
            (false, true) => Answer::Returned(body.to_vec()),
            (false, false) => Answer::NotInvoked(format!("{status}: {}", text())),
        })
    }
}

#[async_trait::async_trait]
impl Function for RemoteFunction {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> Answer {
        self.try_invoke(event, request_id)
            .await
            .unwrap_or_else(|error| Answer::NotInvoked(format!("{}: {error:#}", self.uri)))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers with what the event asks for.
    async fn answer(event: String) -> (StatusCode, HeaderMap, String) {
        let mut headers = HeaderMap::new();
        let (status, body) = match event.as_str() {
            "fail" => {
                headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
                (StatusCode::OK, "boom")
            }
            "throttle" => (StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
            _ => (StatusCode::OK, r#"{"batchItemFailures":[]}"#),
        };
        (status, headers, body.to_owned())
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/2015-03-31/functions/f/invocations", post(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let function = RemoteFunction::new("arn".to_owned(), &url, "f").unwrap();
        assert_eq!(function.invoke(b"{}", "r").await, Answer::Returned(br#"{"batchItemFailures":[]}"#.to_vec()));
        assert_eq!(function.invoke(b"fail", "r").await, Answer::FunctionError("boom".to_owned()));
        assert!(matches!(function.invoke(b"throttle", "r").await, Answer::NotInvoked(why) if why.contains("429")));
        let nobody = RemoteFunction::new("arn".to_owned(), "http://127.0.0.1:1", "f").unwrap();
        assert!(matches!(nobody.invoke(b"{}", "r").await, Answer::NotInvoked(_)));
        assert!(RemoteFunction::new("arn".to_owned(), "not a url", "f").is_err());
    }
}
