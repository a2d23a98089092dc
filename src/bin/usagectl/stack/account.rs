//! The SDK clients of an AWS account, by the credentials, region and `AWS_ENDPOINT_URL_…` variables of the environment.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use usage_aggregator::clients::Clients;

use crate::workplace::https;

/// An account, as the environment reaches it.
#[derive(Debug, Clone)]
pub struct Account {
    config: Box<SdkConfig>,
}

impl Account {
    pub async fn open() -> Account {
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https()).load().await;
        Account { config: Box::new(config) }
    }

    /// The outputs of a stack.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be looked at.
    pub async fn outputs(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let described = client.describe_stacks().stack_name(stack).send().await;
        let described = described.with_context(|| {
            format!(
                "describe the stack {stack} (cloudformation:DescribeStacks); do the credentials and the region fit?"
            )
        })?;
        let Some(found) = described.stacks.unwrap_or_default().into_iter().next() else {
            bail!("there is no stack {stack} in this account and region");
        };
        let outputs = found.outputs.unwrap_or_default();
        Ok(outputs.into_iter().filter_map(|output| Some((output.output_key?, output.output_value?))).collect())
    }

    /// The clients that the function has, too.
    pub fn clients(&self) -> Clients {
        Clients::new(&self.config)
    }

    pub fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        aws_sdk_dynamodbstreams::Client::new(&self.config)
    }

    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&self.config)
    }

    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    pub fn glue(&self) -> aws_sdk_glue::Client {
        aws_sdk_glue::Client::new(&self.config)
    }

    pub fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.config)
    }

    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.config)
    }
}
