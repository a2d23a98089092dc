//! The SDK clients of the sinks, which share one HTTP client, its connections and its credentials.

use aws_config::SdkConfig;

/// One client for each service.
#[derive(Debug, Clone)]
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
}

impl Clients {
    /// Clients of the services that `config` and the environment name.
    pub fn new(config: &SdkConfig) -> Clients {
        // An S3 of one's own, as on a laptop, has no host names for buckets: they go into the path.
        let own_endpoint =
            ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].into_iter().any(|name| std::env::var_os(name).is_some());
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(own_endpoint).build();
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            cloudwatch: aws_sdk_cloudwatch::Client::new(config),
        }
    }
}
