//! SDK clients for the embedded services, with dummy credentials, over plain HTTP.
//!
//! Nothing is read from the environment or the user's AWS profile, so a test can't reach a real account.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};

use super::{REGION, Services};

/// The services accept any credentials.
const ACCESS_KEY: &str = "local";
const SECRET_KEY: &str = "local";

/// A plain HTTP client with its own connection pool.
pub fn http_client() -> SharedHttpClient {
    // build_http is public although its documentation is hidden. The loopback interface needs no TLS.
    aws_smithy_http_client::Builder::new().build_http()
}

/// The SDK's standard retries, three attempts, with an initial backoff of 5 ms instead of a second: no shared service
/// needs protection here.
pub fn retry_config() -> RetryConfig {
    RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(5))
}

/// The configuration of local clients, with a new HTTP client if none is given, and with [`retry_config`]. For other
/// retries: `sdk_config(..).into_builder().retry_config(..).build()`.
pub fn sdk_config(http_client: Option<SharedHttpClient>) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client.unwrap_or_else(self::http_client))
        .retry_config(retry_config())
        .build()
}

impl Services {
    /// A client of the embedded DynamoDB.
    pub fn dynamodb_client(&self, config: &SdkConfig) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .endpoint_url(self.dynamodb_url())
            .retry_partition(own_retry_quota())
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// A client of the embedded S3, with path-style addresses.
    pub fn s3_client(&self, config: &SdkConfig) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(config)
            .endpoint_url(self.s3_url())
            .force_path_style(true)
            .retry_partition(own_retry_quota())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// A client of the embedded CloudWatch.
    pub fn cloudwatch_client(&self, config: &SdkConfig) -> aws_sdk_cloudwatch::Client {
        let config = aws_sdk_cloudwatch::config::Builder::from(config)
            .endpoint_url(self.cloudwatch_url())
            .retry_partition(own_retry_quota())
            .build();
        aws_sdk_cloudwatch::Client::from_conf(config)
    }

    /// A client of the embedded EventBridge.
    pub fn eventbridge_client(&self, config: &SdkConfig) -> aws_sdk_eventbridge::Client {
        let config = aws_sdk_eventbridge::config::Builder::from(config)
            .endpoint_url(self.eventbridge_url())
            .retry_partition(own_retry_quota())
            .build();
        aws_sdk_eventbridge::Client::from_conf(config)
    }

    /// A client of the embedded Kinesis.
    pub fn kinesis_client(&self, config: &SdkConfig) -> aws_sdk_kinesis::Client {
        let config = aws_sdk_kinesis::config::Builder::from(config)
            .endpoint_url(self.kinesis_url())
            .retry_partition(own_retry_quota())
            .build();
        aws_sdk_kinesis::Client::from_conf(config)
    }
}

/// A retry quota for one client. The SDK's default quota is shared by the process, so that one test's injected faults
/// would use up the retries of another.
fn own_retry_quota() -> RetryPartition {
    RetryPartition::custom("local").build()
}
