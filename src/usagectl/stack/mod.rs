//! The deployment that a command works on: a deployed stack, or the embedded services of this machine. `names` has the names
//! of its parts, `function_name` takes a function's apart, `account` the clients, `metrics` its metrics, `figures` reads them from
//! CloudWatch, and `blocked` recognizes a blocked shard by them. `carried` and `deployed_pipeline` are about the pipeline
//! in a stack's template.

#[cfg(feature = "deployment")]
mod account;
mod blocked;
mod carried;
#[cfg(feature = "deployment")]
mod deployed_pipeline;
mod figures;
mod function_name;
mod metrics;
mod names;

#[cfg(feature = "deployment")]
use std::collections::BTreeMap;

use clap::Args;
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;

use crate::shell::console::UsageError;
#[cfg(feature = "deployment")]
use crate::shell::console::note;
#[cfg(feature = "deployment")]
use crate::shell::failure::describe;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::running::Running;
use crate::shell::workplace::{Uses, Workplace};

#[cfg(feature = "deployment")]
pub use account::{Account, undecrypted};
pub use blocked::{BlockedShard, Point, blocked, failing_now};
pub use carried::{CARRIED, PACKAGED_PIPELINE, encoded};
#[cfg(feature = "deployment")]
pub use deployed_pipeline::carried;
pub use figures::{Figure, Figures, Statistic};
pub use function_name::FunctionName;
pub use names::{Names, source_name};

/// The options that choose a deployment.
#[derive(Debug, Clone, Default, Args)]
pub struct Where {
    /// Use this CloudFormation stack, with the AWS credentials and region of the environment
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub stack: Option<String>,
    /// Use the embedded services of the data folder, or of the `usagectl local` that is running there
    #[arg(long)]
    pub local: bool,
    /// Names of parts, which override the stack's outputs.
    #[command(flatten)]
    pub names: Names,
}

/// A deployment: the names of its parts, and how to reach them.
pub struct Deployment {
    /// The names of its parts.
    pub names: Names,
    /// Where it is.
    pub place: Place,
}

/// What a command does with what it computes by the function's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It shows it: settings that can't be read are assumed.
    Read,
    /// It writes it, or shows what it would write: settings that can't be read are an error.
    Write,
}

/// Where a deployment is.
pub enum Place {
    /// In an AWS account.
    #[cfg(feature = "deployment")]
    Account(Account),
    /// On this machine.
    Here(Box<Workplace>),
}

/// The default name of the bucket of failed batches in `usagectl local`.
const LOCAL_FAILURES: &str = "failures";

impl Where {
    /// Whether no option names a deployment, or a part of one.
    pub fn is_nowhere(&self) -> bool {
        !self.local && self.stack.is_none() && self.names == Names::default()
    }

    /// Checks that a command that can also assume a deployment has one, or an assumption.
    ///
    /// # Errors
    /// If it has neither. `option` is that of the assumptions.
    pub fn check_or_assumed(&self, has_assumptions: bool, option: &str) -> Result<(), UsageError> {
        match self.is_nowhere() && !has_assumptions {
            true => Err(UsageError(format!(
                "no deployment specified: use --stack NAME, --local, or {option} for an estimate without one"
            ))),
            false => Ok(()),
        }
    }

    /// Finds the deployment.
    ///
    /// # Errors
    /// When no deployment was specified, or it doesn't exist.
    pub async fn open(&self, options: &Options) -> anyhow::Result<Deployment> {
        if self.local {
            return self.open_here(options).await;
        }
        if self.is_nowhere() {
            let remedy = "use --stack NAME, or --local for the embedded services of this machine";
            return Err(UsageError(format!("no deployment specified: {remedy}")).into());
        }
        self.open_account(options).await
    }

    #[cfg(feature = "deployment")]
    async fn open_account(&self, options: &Options) -> anyhow::Result<Deployment> {
        let account = Account::open().await;
        let mut known = Names::default();
        if let Some(stack) = &self.stack {
            let outputs = account.outputs(stack).await?;
            known = Names::of_outputs(&outputs);
            let is_chosen = options.pipeline.is_some() || options.pipeline_dir.is_some();
            if outputs.contains_key(PACKAGED_PIPELINE) && !is_chosen {
                known.pipeline_dir = Some(deployed_pipeline::unpacked(&account, stack, &options.data).await?);
            }
        }
        Ok(Deployment { names: self.names.clone().or(known), place: Place::Account(account) })
    }

    #[cfg(not(feature = "deployment"))]
    async fn open_account(&self, _: &Options) -> anyhow::Result<Deployment> {
        let remedy = "build the complete tool with `cargo build --package usagectl`";
        Err(UsageError(format!("this usagectl was built without the deployment commands: {remedy}")).into())
    }

    async fn open_here(&self, options: &Options) -> anyhow::Result<Deployment> {
        let variables = Variables::new(options, &Sample::default());
        let Config { pipeline, tables, archive, metrics, .. } = variables.with_metrics_sink("none").config()?;
        let place = Workplace::open_existing(options, Uses::Everything).await?;
        let (usage_table, ledger_table) = tables.map(|tables| (tables.usage, tables.ledger)).unzip();
        let (archive_bucket, archive_prefix) = archive.map(|place| (place.bucket, place.prefix)).unzip();
        let running = Running::read(&options.data);
        let (mapping, fold) = running.map(|running| (running.mapping, running.fold)).unwrap_or_default();
        let known = Names {
            function: mapping.as_ref().map(|mapping| mapping.function.clone()),
            mapping: mapping.as_ref().map(|mapping| mapping.uuid.clone()),
            fold_function: fold.as_ref().map(|fold| fold.function.clone()),
            ledger_mapping: fold.map(|fold| fold.uuid),
            source_arn: mapping.map(|mapping| mapping.source_arn),
            metrics_namespace: Some(metrics.namespace),
            usage_table,
            ledger_table,
            archive_bucket,
            archive_prefix,
            failure_bucket: Some(LOCAL_FAILURES.to_owned()),
            pipeline: Some(pipeline.name),
            ..Names::default()
        };
        Ok(Deployment { names: self.names.clone().or(known), place: Place::Here(Box::new(place)) })
    }
}

impl Deployment {
    /// The function's environment variables. Those of a deployed function are the ones that it is configured with, never those of
    /// the operator's shell.
    ///
    /// # Errors
    /// When a command that writes can't read them. One that reads gets the defaults instead.
    #[cfg_attr(
        not(feature = "deployment"),
        expect(unused_variables, reason = "on this machine, they are always known")
    )]
    pub async fn variables(&self, options: &Options, access: Access) -> anyhow::Result<Variables> {
        match &self.place {
            #[cfg(feature = "deployment")]
            Place::Account(account) => {
                let configured = match (&self.names.function, access) {
                    (None, Access::Read) => BTreeMap::new(),
                    (function, _) => configured(account, Names::need(function, "--function")?, access).await?,
                };
                Ok(self.names.variables(options, configured))
            }
            Place::Here(_) => Ok(Variables::new(options, &Sample::default()).with(self.names.storage_variables())),
        }
    }

    /// The clients of the services that the function uses.
    pub fn clients(&self) -> Clients {
        match &self.place {
            #[cfg(feature = "deployment")]
            Place::Account(account) => account.clients(),
            Place::Here(place) => place.clients.clone(),
        }
    }

    /// A client of DynamoDB Streams.
    pub fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        match &self.place {
            #[cfg(feature = "deployment")]
            Place::Account(account) => account.streams(),
            Place::Here(place) => place.connections.streams(),
        }
    }

    /// A client of CloudWatch.
    pub fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        self.clients().cloudwatch
    }

    /// The account, unless the deployment is on this machine.
    #[cfg(feature = "deployment")]
    pub fn account(&self) -> Option<&Account> {
        match &self.place {
            Place::Account(account) => Some(account),
            Place::Here(_) => None,
        }
    }
}

/// The variables that a function is configured with, or none if they can't be read and needn't be.
#[cfg(feature = "deployment")]
async fn configured(account: &Account, function: &str, access: Access) -> anyhow::Result<BTreeMap<String, String>> {
    match (account.function(function).await, access) {
        (Ok(found), _) => Ok(found.variables),
        // A wrong cut, expiry, or number of buckets would be stored, and nothing would show that it is wrong.
        (Err(error), Access::Write) => Err(error.context(format!(
            "nothing was written: the settings of the function {function} decide what this command writes; allow lambda:GetFunctionConfiguration on it, and kms:Decrypt on its key if it has one"
        ))),
        (Err(error), Access::Read) => {
            note(&format!(
                "note: assuming default settings, which may differ from those of the function {function}: {}",
                describe(&error)
            ));
            Ok(BTreeMap::new())
        }
    }
}
