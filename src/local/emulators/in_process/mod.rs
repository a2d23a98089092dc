//! DynamoDB, S3, CloudWatch and EventBridge without sockets: an HTTP client that answers the SDK's requests on the caller's
//! thread and never waits, so that virtual time doesn't advance.
//!
//! It supports the function's calls. For all other calls, and for real HTTP, there are [`Services`](super::Services); a
//! test checks that both give the same responses.

use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{IdentityCache, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use dynoxide::Database;

mod dynamodb;
mod s3;

pub use s3::Objects;

use super::faults::{Call, Service};
use super::{EventBus, Metrics, event_bus, sdk_config};
use usage_aggregator::clients::Clients;

/// The clients need an address, but nothing listens there.
const ENDPOINT: &str = "http://in-process";

/// An HTTP client whose DynamoDB is `database` and whose S3 is `objects`.
pub fn client(database: Database, objects: Objects) -> SharedHttpClient {
    InProcess { database, objects, metrics: Metrics::default(), events: EventBus::default() }.client()
}

/// The same with a CloudWatch, which keeps `metrics`.
pub fn client_with_metrics(database: Database, objects: Objects, metrics: Metrics) -> SharedHttpClient {
    InProcess { database, objects, metrics, events: EventBus::default() }.client()
}

/// The same with an EventBridge, which keeps `events`.
pub fn client_with_events(database: Database, objects: Objects, events: EventBus) -> SharedHttpClient {
    InProcess { database, objects, metrics: Metrics::default(), events }.client()
}

/// The function's clients over `http`. The number of retries is limited as usual, but there is no retry quota, which would
/// carry the faults of one run into the next. Requests aren't signed, because nothing verifies signatures.
pub fn clients(http: SharedHttpClient) -> Clients {
    let config = sdk_config(Some(http));
    let quota = || RetryPartition::custom("in-process").token_bucket(TokenBucket::unlimited()).build();
    macro_rules! client {
        ($service:ident) => {
            $service::config::Builder::from(&config)
                .endpoint_url(ENDPOINT)
                .retry_partition(quota())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .identity_cache(IdentityCache::no_cache())
                .allow_no_auth()
                .auth_scheme_preference([AuthSchemeId::new("noAuth")])
        };
    }
    Clients {
        dynamodb: aws_sdk_dynamodb::Client::from_conf(client!(aws_sdk_dynamodb).build()),
        s3: aws_sdk_s3::Client::from_conf(client!(aws_sdk_s3).force_path_style(true).build()),
        cloudwatch: aws_sdk_cloudwatch::Client::from_conf(client!(aws_sdk_cloudwatch).build()),
        eventbridge: aws_sdk_eventbridge::Client::from_conf(client!(aws_sdk_eventbridge).build()),
        ..Clients::new(&config)
    }
}

#[derive(Clone)]
struct InProcess {
    database: Database,
    objects: Objects,
    metrics: Metrics,
    events: EventBus,
}

/// A service's response.
struct ServiceResponse {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.clone();
        // In the future rather than here: a request that is dropped before it is polled hasn't been sent.
        HttpConnectorFuture::new(async move {
            match Call::of(&request, 0).service {
                Service::CloudWatch => service.answer_of_cloudwatch(&request).await,
                Service::DynamoDb | Service::S3 | Service::EventBridge => service.answer(&request),
            }
        })
    }
}

impl InProcess {
    fn client(self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self);
        http_client_fn(move |_, _| connector.clone())
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let Some(body) = request.body().bytes() else {
            return Err(ConnectorError::user("the in-process services support bodies in memory only".into()));
        };
        let ServiceResponse { status, content_type, body } = match request.headers().get("x-amz-target") {
            Some(target) if target.starts_with("AWSEvents.") => {
                let (status, answer) = self.events.answer(target, body);
                ServiceResponse { status, content_type: event_bus::PROTOCOL, body: answer.to_string().into_bytes() }
            }
            Some(target) => dynamodb::answer(&self.database, target, body),
            None => self.objects.answer(request, body),
        };
        let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
        let mut response = HttpResponse::new(status, body.into());
        response.headers_mut().insert("content-type", content_type);
        Ok(response)
    }
}

impl InProcess {
    async fn answer_of_cloudwatch(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let other = |error: BoxError| ConnectorError::other(error, None);
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers() {
            let name = HeaderName::try_from(name).map_err(|error| other(error.into()))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|error| other(error.into()))?);
        }
        let path = Call::of(request, 0).path;
        let response = self.metrics.answer(&path, &headers, request.body().bytes().unwrap_or_default());
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| other(error.into()))?;
        let status = StatusCode::try_from(head.status.as_u16()).map_err(|error| other(error.into()))?;
        let mut response = HttpResponse::new(status, body.into());
        for (name, value) in &head.headers {
            let value = value.to_str().map_err(|error| other(error.into()))?.to_owned();
            response.headers_mut().insert(name.as_str().to_owned(), value);
        }
        Ok(response)
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
