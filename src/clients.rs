//! The AWS SDK clients of the function. They share one HTTP client, its connections and its credentials.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;

/// One client for each service.
#[derive(Debug, Clone)]
pub struct Clients {
    /// DynamoDB, for the usage table and the ledger.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// S3, for the archive.
    pub s3: aws_sdk_s3::Client,
    /// CloudWatch, for metrics sent with PutMetricData.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// EventBridge, for alerts.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// SNS, for alerts that go to a topic instead.
    pub sns: aws_sdk_sns::Client,
}

impl Clients {
    /// Creates clients for the endpoints that `config` and the environment select.
    #[expect(clippy::disallowed_methods, reason = "the SDK reads these variables, too")]
    pub fn new(config: &SdkConfig) -> Clients {
        // A custom S3 endpoint, such as the laptop's, has no host name per bucket: the bucket goes into the path.
        let own_endpoint =
            ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].into_iter().any(|name| std::env::var_os(name).is_some());
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(own_endpoint).build();
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            cloudwatch: aws_sdk_cloudwatch::Client::new(config),
            eventbridge: aws_sdk_eventbridge::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
        }
    }

    /// The same clients, which report their calls to `interceptor`.
    #[must_use]
    pub fn observed_by(self, interceptor: &SharedInterceptor) -> Clients {
        macro_rules! observed {
            ($field:ident, $service:ident) => {{
                let mut config = self.$field.config().to_builder();
                config.push_interceptor(interceptor.clone());
                $service::Client::from_conf(config.build())
            }};
        }
        Clients {
            dynamodb: observed!(dynamodb, aws_sdk_dynamodb),
            s3: observed!(s3, aws_sdk_s3),
            cloudwatch: observed!(cloudwatch, aws_sdk_cloudwatch),
            eventbridge: observed!(eventbridge, aws_sdk_eventbridge),
            sns: observed!(sns, aws_sdk_sns),
        }
    }
}
