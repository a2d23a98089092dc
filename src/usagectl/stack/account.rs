//! The SDK clients of an AWS account, configured by the credentials, region and `AWS_ENDPOINT_URL_…` variables of the
//! environment.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use usage_aggregator::clients::Clients;

use super::FunctionName;
use crate::shell::failure::unanswered;
use crate::shell::workplace::https;

/// Why Lambda left out the environment variables of a function, if it did: it answers all the same if the caller can't decrypt them.
pub fn undecrypted(environment: Option<&aws_sdk_lambda::types::EnvironmentResponse>) -> Option<String> {
    let error = environment?.error()?;
    let code = error.error_code().unwrap_or("unknown error");
    Some(format!("{code}: {}", error.message().unwrap_or("no message")))
}

/// The account that the credentials of the environment belong to.
#[derive(Debug, Clone)]
pub struct Account {
    config: Box<SdkConfig>,
}

/// A function's configuration.
#[derive(Debug, Clone)]
pub struct FunctionSettings {
    /// Its memory.
    pub memory_megabytes: f64,
    /// Its timeout.
    pub timeout_seconds: f64,
    /// Whether it runs on arm64 rather than x86_64.
    pub arm64: bool,
    /// Its environment variables.
    pub variables: BTreeMap<String, String>,
}

impl FunctionSettings {
    /// An environment variable, if it is set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

impl Account {
    /// Loads the credentials and the region.
    pub async fn open() -> Account {
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https()).load().await;
        Account { config: Box::new(config) }
    }

    /// The outputs of a stack.
    ///
    /// # Errors
    /// When the stack doesn't exist or can't be read.
    pub async fn outputs(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let outputs = self.stack(stack).await?.outputs.unwrap_or_default();
        Ok(outputs.into_iter().filter_map(|output| Some((output.output_key?, output.output_value?))).collect())
    }

    /// The parameters that a stack was deployed with.
    ///
    /// # Errors
    /// When the stack doesn't exist or can't be read.
    pub async fn parameters(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let parameters = self.stack(stack).await?.parameters.unwrap_or_default();
        Ok(parameters.into_iter().filter_map(|given| Some((given.parameter_key?, given.parameter_value?))).collect())
    }

    /// The template that a stack was deployed with, as it was before transforms. `None` if the stack doesn't exist.
    ///
    /// # Errors
    /// When the template can't be read.
    pub async fn template(&self, stack: &str) -> anyhow::Result<Option<String>> {
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let stage = aws_sdk_cloudformation::types::TemplateStage::Original;
        let got = client.get_template().stack_name(stack).template_stage(stage).send().await;
        match got.map_err(|error| error.into_service_error()) {
            Ok(got) => Ok(got.template_body),
            // CloudFormation has no error code for a stack that doesn't exist.
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => Ok(None),
            Err(error) => {
                let doing = format!("read the template of the stack {stack} (cloudformation:GetTemplate)");
                Err(unanswered(error.into(), &doing))
            }
        }
    }

    async fn stack(&self, stack: &str) -> anyhow::Result<aws_sdk_cloudformation::types::Stack> {
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let described = client.describe_stacks().stack_name(stack).send().await;
        let described = described.map_err(|error| {
            unanswered(error.into(), &format!("describe the stack {stack} (cloudformation:DescribeStacks)"))
        })?;
        let Some(found) = described.stacks.unwrap_or_default().into_iter().next() else {
            bail!("the stack {stack} doesn't exist in this account and region");
        };
        Ok(found)
    }

    /// The identity of the caller: the ARN of a user or of a session of a role.
    ///
    /// # Errors
    /// When the credentials are missing or wrong.
    pub async fn caller(&self) -> anyhow::Result<String> {
        let asked = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let identity = asked.context("ask for the caller's identity (sts:GetCallerIdentity)")?;
        identity.arn.context("ask for the caller's identity: STS names none")
    }

    /// The configuration of a function, or of the version that its alias invokes.
    ///
    /// # Errors
    /// When the function doesn't exist or can't be read.
    pub async fn function(&self, name: &str) -> anyhow::Result<FunctionSettings> {
        let FunctionName { unqualified, qualifier, .. } = FunctionName::parse(name);
        let asked = self.lambda().get_function_configuration().function_name(unqualified);
        let asked = asked.set_qualifier(qualifier.map(str::to_owned)).send().await;
        let found = asked.with_context(|| {
            format!("read the configuration of the function {name} (lambda:GetFunctionConfiguration)")
        })?;
        if let Some(error) = undecrypted(found.environment()) {
            bail!("read the environment variables of the function {name} (kms:Decrypt): {error}");
        }
        let variables = found.environment().and_then(|environment| environment.variables()).cloned();
        Ok(FunctionSettings {
            memory_megabytes: found.memory_size().unwrap_or(128).into(),
            timeout_seconds: found.timeout().unwrap_or(3).into(),
            arm64: found.architectures().contains(&aws_sdk_lambda::types::Architecture::Arm64),
            variables: variables.unwrap_or_default().into_iter().collect(),
        })
    }

    /// The clients of the services that the function uses.
    pub fn clients(&self) -> Clients {
        Clients::new(&self.config)
    }

    /// A client of DynamoDB Streams.
    pub fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        aws_sdk_dynamodbstreams::Client::new(&self.config)
    }

    /// A client of Kinesis.
    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&self.config)
    }

    /// A client of Lambda.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    /// A client of SNS.
    pub fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config)
    }

    /// A client of SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// A client of Glue.
    pub fn glue(&self) -> aws_sdk_glue::Client {
        aws_sdk_glue::Client::new(&self.config)
    }

    /// A client of IAM.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.config)
    }

    /// A client of CloudWatch Logs.
    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.config)
    }
}
