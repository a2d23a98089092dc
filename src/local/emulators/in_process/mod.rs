//! DynamoDB and S3 without a socket: an HTTP client that answers the SDK's requests in the caller's own thread and
//! never waits, so that virtual time stands still over it.
//!
//! It answers what the function asks. Everything else, and everything that is about HTTP, is left to
//! [`Services`](super::Services), which a test holds it against.

use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{IdentityCache, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use dynoxide::Database;

mod dynamodb;
mod s3;

pub use s3::Objects;

use super::sdk_config;
use usage_aggregator::clients::Clients;

/// Nobody listens there; the clients only want some address.
const ENDPOINT: &str = "http://in-process";

/// An HTTP client whose DynamoDB is `database` and whose S3 is `objects`.
pub fn client(database: Database, objects: Objects) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(InProcess { database, objects });
    http_client_fn(move |_, _| connector.clone())
}

/// The function's clients over `http`. Their retries are limited in number as usual, but never by a quota, which would
/// carry the troubles of one run into the next; and they sign nothing, as nobody looks at it.
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
    }
}

#[derive(Clone)]
struct InProcess {
    database: Database,
    objects: Objects,
}

/// What a service answers.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.clone();
        // In the future and not before: what is dropped before it is polled has not been sent.
        HttpConnectorFuture::new(async move { service.answer(&request) })
    }
}

impl InProcess {
    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let Some(body) = request.body().bytes() else {
            return Err(ConnectorError::user("the in-process services take bodies from memory only".into()));
        };
        let Answer { status, content_type, body } = match request.headers().get("x-amz-target") {
            Some(target) => dynamodb::answer(&self.database, target, body),
            None => self.objects.answer(request, body),
        };
        let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
        let mut response = HttpResponse::new(status, body.into());
        response.headers_mut().insert("content-type", content_type);
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
