//! DynamoDB and S3 without sockets: an HTTP client that answers the SDK's requests on the caller's thread and never waits,
//! so that virtual time doesn't advance.
//!
//! It supports the function's calls. For all other calls, and for real HTTP, there are [`Services`](super::Services); a
//! test checks that both give the same responses.

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

/// The clients need an address, but nothing listens there.
const ENDPOINT: &str = "http://in-process";

/// An HTTP client whose DynamoDB is `database` and whose S3 is `objects`.
pub fn client(database: Database, objects: Objects) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(InProcess { database, objects });
    http_client_fn(move |_, _| connector.clone())
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
    }
}

#[derive(Clone)]
struct InProcess {
    database: Database,
    objects: Objects,
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
        HttpConnectorFuture::new(async move { service.answer(&request) })
    }
}

impl InProcess {
    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let Some(body) = request.body().bytes() else {
            return Err(ConnectorError::user("the in-process services support bodies in memory only".into()));
        };
        let ServiceResponse { status, content_type, body } = match request.headers().get("x-amz-target") {
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
