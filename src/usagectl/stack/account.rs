//! The SDK clients of an AWS account, by the credentials, region and `AWS_ENDPOINT_URL_…` variables of the environment.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use usage_aggregator::clients::Clients;

use crate::shell::workplace::https;

/// An account, as the environment reaches it.
#[derive(Debug, Clone)]
pub struct Account {
    config: Box<SdkConfig>,
}

/// What of a function's configuration figures are read by.
#[derive(Debug, Clone)]
pub struct FunctionSettings {
    pub memory_megabytes: f64,
    pub timeout_seconds: f64,
    pub arm64: bool,
    pub variables: BTreeMap<String, String>,
}

impl FunctionSettings {
    /// One of its variables, if it is set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
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
        let outputs = self.stack(stack).await?.outputs.unwrap_or_default();
        Ok(outputs.into_iter().filter_map(|output| Some((output.output_key?, output.output_value?))).collect())
    }

    /// The parameters that a stack was deployed with.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be looked at.
    pub async fn parameters(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let parameters = self.stack(stack).await?.parameters.unwrap_or_default();
        Ok(parameters.into_iter().filter_map(|given| Some((given.parameter_key?, given.parameter_value?))).collect())
    }

    async fn stack(&self, stack: &str) -> anyhow::Result<aws_sdk_cloudformation::types::Stack> {
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
        Ok(found)
    }

    /// How a function is configured.
    ///
    /// # Errors
    /// When there is no such function, or it can't be looked at.
    pub async fn function(&self, name: &str) -> anyhow::Result<FunctionSettings> {
        let asked = self.lambda().get_function_configuration().function_name(name).send().await;
        let found = asked.with_context(|| format!("look at the function {name} (lambda:GetFunctionConfiguration)"))?;
        let variables = found.environment().and_then(|environment| environment.variables()).cloned();
        Ok(FunctionSettings {
            memory_megabytes: found.memory_size().unwrap_or(128).into(),
            timeout_seconds: found.timeout().unwrap_or(3).into(),
            arm64: found.architectures().contains(&aws_sdk_lambda::types::Architecture::Arm64),
            variables: variables.unwrap_or_default().into_iter().collect(),
        })
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
