//! Sends a request until it is answered: after a lost connection, a timeout, 429 or a server error, the same request is sent
//! again, after the pause that the server asks for. That is safe because every event has an identifier.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Bytes;
use axum::http::{self, HeaderMap, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::Request;
use crate::shell::console::{UsageError, plain};
use crate::shell::options::is_this_machine;

/// How long to wait for a response.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts of one request. The pauses between them add up to about two minutes.
const ATTEMPTS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A server that asks for a longer pause isn't waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);
/// 1 MB: more isn't read of a response.
const MOST_BYTES: usize = 1024 * 1024;

/// A client of one server. It has no debug output, which would show the key.
pub(super) struct Http {
    url: String,
    key: Option<String>,
    client: Connection,
}

/// How to connect.
enum Connection {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Encrypted(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// A response that isn't temporary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: String,
}

impl Response {
    /// The body as JSON; null if it isn't.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The status, and the reason as far as the server gives one.
    pub(super) fn describe(&self) -> String {
        let json = self.json();
        let reasons = ["/error/message", "/detail", "/message", "/error_details", "/error", "/title"];
        let reason = reasons.into_iter().find_map(|place| json.pointer(place)).map_or_else(
            || self.body.trim().to_owned(),
            |reason| reason.as_str().map_or_else(|| reason.to_string(), str::to_owned),
        );
        let reason: String = plain(&reason).chars().take(300).collect();
        format!("{} {reason}", self.status).trim_end().to_owned()
    }
}

impl Http {
    /// A client of the server at `url`, which uses this API key.
    ///
    /// # Errors
    /// If the URL isn't valid, or if it would send a key unencrypted to another machine.
    pub(super) fn new(url: &str, key: Option<String>) -> anyhow::Result<Http> {
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some() && uri.query().is_none());
        let builder = Client::builder(TokioExecutor::new());
        let client = match uri.as_ref().and_then(Uri::scheme_str).zip(uri.as_ref().and_then(Uri::host)) {
            Some(("https", _)) => {
                let roots = HttpsConnectorBuilder::new().with_native_roots().context("load the root certificates")?;
                Connection::Encrypted(builder.build(roots.https_only().enable_http1().build()))
            }
            Some(("http", host)) if key.is_none() || is_this_machine(host) => Connection::Plain(builder.build_http()),
            Some(("http", _)) => {
                let risk = "the API key would be sent unencrypted";
                return Err(UsageError(format!("--url {url}: {risk}; use https")).into());
            }
            _ => return Err(UsageError(format!("--url: `{url}` is not a valid URL")).into()),
        };
        Ok(Http { url: url.trim_end_matches('/').to_owned(), key, client })
    }

    /// The URL of a request.
    pub(super) fn url_of(&self, request: &Request) -> String {
        format!("{}{}", self.url, request.path)
    }

    /// Sends a request until the response isn't temporary.
    ///
    /// # Errors
    /// If there is none after several attempts.
    pub(super) async fn send(&self, request: &Request) -> anyhow::Result<Response> {
        let url = self.url_of(request);
        let mut attempt = 1;
        loop {
            let (problem, asked) = match tokio::time::timeout(TIMEOUT, self.attempt(&url, request)).await {
                Ok(Ok(response)) if !is_temporary(response.status) => return Ok(response),
                Ok(Ok(response)) => (response.describe(), response.retry_after),
                Ok(Err(error)) => (error, None),
                Err(_) => (format!("no response within {} s", TIMEOUT.as_secs()), None),
            };
            let again = "run the command again later: events that have arrived count once";
            match pause(attempt, asked, fastrand::f64()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => bail!("{url}: {problem} (attempt {attempt}); {again}"),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, url: &str, request: &Request) -> Result<Response, String> {
        let mut post = http::Request::post(url).header(header::USER_AGENT, "usagectl");
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        if let Some(key) = &self.key {
            post = post.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let post = post.body(Full::new(Bytes::from(request.body.clone()))).map_err(|error| error.to_string())?;
        let sent = match &self.client {
            Connection::Plain(client) => client.request(post).await,
            Connection::Encrypted(client) => client.request(post).await,
        };
        let response = sent.map_err(|error| chain(&error))?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok(Response { status, retry_after, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
    }
}

/// Whether the same request may succeed later: 408, 425, 429, a conflict with a request that is still running, or a server error.
fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500..=599)
}

/// How long the server asks to wait. The form with a date is ignored, and treated like no header.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long to pause after this attempt: exponential backoff with full jitter, but at least as long as the server asks for. `None`
/// to give up.
fn pause(attempt: u32, asked: Option<Duration>, random: f64) -> Option<Duration> {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
    let asked = asked.unwrap_or_default();
    (attempt < ATTEMPTS && asked <= LONGEST_RETRY_AFTER).then(|| asked.max(longest.mul_f64(random)))
}

/// The error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_and_is_as_long_as_the_server_asks_for() {
        let seconds = Duration::from_secs;
        assert_eq!(pause(1, None, 1.0), Some(seconds(1)));
        assert_eq!(pause(3, None, 0.5), Some(seconds(2)));
        assert_eq!(pause(8, None, 1.0), Some(seconds(60)));
        assert_eq!(pause(1, Some(seconds(7)), 1.0), Some(seconds(7)));
        assert_eq!(pause(4, Some(seconds(1)), 1.0), Some(seconds(8)));
        assert_eq!((pause(9, None, 0.0), pause(1, Some(seconds(301)), 0.0)), (None, None));
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let header = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, header::HeaderValue::from_static(text))]))
        };
        assert_eq!(header("120"), Some(Duration::from_secs(120)));
        assert_eq!((header("Fri, 06 Nov 2026 07:28:00 GMT"), retry_after(&HeaderMap::new())), (None, None));
    }

    #[test]
    fn a_key_is_never_sent_unencrypted_to_another_machine() {
        let key = || Some("sk".to_owned());
        for (url, key, is_allowed) in [
            ("https://api.example.com", key(), true),
            ("http://127.0.0.1:9", key(), true),
            ("http://localhost", key(), true),
            ("http://openmeter.internal:8888", None, true),
            ("http://openmeter.internal:8888", key(), false),
            ("ftp://127.0.0.1", key(), false),
            ("127.0.0.1", key(), false),
            ("https://example.com/?q=1", key(), false),
        ] {
            assert_eq!(Http::new(url, key).is_ok(), is_allowed, "{url}");
        }
    }

    #[test]
    fn a_response_is_described_by_its_status_and_reason() {
        let describe = |body: &str| Response { status: 400, retry_after: None, body: body.to_owned() }.describe();
        assert_eq!(describe(r#"{"error":{"message":"No such\u001b customer"}}"#), "400 No such\u{fffd} customer");
        assert_eq!(describe(r#"{"title":"Bad Request","detail":"no subject"}"#), "400 no subject");
        assert_eq!((describe(""), describe("gone")), ("400".to_owned(), "400 gone".to_owned()));
    }
}
