//! The names of a deployment's parts: the outputs of its stack, which options override.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::shell::console::UsageError;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;

/// The names of a deployment's parts, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Names that override the stack's outputs")]
pub struct Names {
    /// Lambda function, or one of its aliases (NAME:ALIAS)
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// UUID of the event source mapping
    #[arg(long, value_name = "UUID")]
    pub mapping: Option<String>,
    /// Lambda function that folds the ledger, or one of its aliases
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub fold_function: Option<String>,
    /// UUID of the mapping of the ledger's stream
    #[arg(long, value_name = "UUID", conflicts_with = "local")]
    pub ledger_mapping: Option<String>,
    /// ARN of the source stream
    #[arg(long, value_name = "ARN")]
    pub source_arn: Option<String>,
    /// Table with the usage snapshots
    #[arg(long, value_name = "NAME")]
    pub usage_table: Option<String>,
    /// Table with the ledger
    #[arg(long, value_name = "NAME")]
    pub ledger_table: Option<String>,
    /// Bucket of the archive
    #[arg(long, value_name = "NAME")]
    pub archive_bucket: Option<String>,
    /// Key prefix of the archive
    #[arg(long, value_name = "PREFIX")]
    pub archive_prefix: Option<String>,
    /// Bucket with failed batches
    #[arg(long, value_name = "NAME")]
    pub failure_bucket: Option<String>,
    /// Queue with the positions of failed batches
    #[arg(long, value_name = "URL")]
    pub failure_queue: Option<String>,
    /// Log group of the function
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub log_group: Option<String>,
    /// Log group of the fold function
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub fold_log_group: Option<String>,
    /// CloudWatch namespace of the custom metrics
    #[arg(long, value_name = "NAME")]
    pub metrics_namespace: Option<String>,
    /// Athena database
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub database: Option<String>,
    /// The stack's pipeline. Its option is `--pipeline` of all commands.
    #[arg(skip)]
    pub pipeline: Option<String>,
    /// The folder of the stack's pipeline, if its template carries one. Its option is `--pipeline-dir` of all commands.
    #[arg(skip)]
    pub pipeline_dir: Option<PathBuf>,
}

impl Names {
    /// The names in the outputs of a stack.
    pub fn of_outputs(outputs: &BTreeMap<String, String>) -> Names {
        let output = |key: &str| outputs.get(key).cloned();
        // The mappings invoke this alias of both functions.
        let aliased = |key: &str| {
            let alias = outputs.get("FunctionAlias").map(|alias| format!(":{alias}")).unwrap_or_default();
            output(key).map(|name| name + &alias)
        };
        Names {
            function: aliased("FunctionName"),
            mapping: output("EventSourceMappingId"),
            fold_function: aliased("FoldFunctionName"),
            ledger_mapping: output("LedgerMappingId"),
            fold_log_group: output("FoldLogGroup"),
            source_arn: output("SourceStreamArn"),
            usage_table: output("UsageTableName"),
            ledger_table: output("LedgerTableName"),
            archive_bucket: output("ArchiveBucketName"),
            archive_prefix: output("ArchiveKeyPrefix"),
            failure_bucket: output("FailureBucketName"),
            failure_queue: output("FailureQueueUrl"),
            log_group: output("FunctionLogGroup"),
            metrics_namespace: output("MetricsNamespaceName"),
            database: output("DatabaseName"),
            pipeline: output("PipelineName"),
            pipeline_dir: None,
        }
    }

    /// These names, completed by `others`.
    #[must_use]
    pub fn or(self, others: Names) -> Names {
        Names {
            function: self.function.or(others.function),
            mapping: self.mapping.or(others.mapping),
            fold_function: self.fold_function.or(others.fold_function),
            ledger_mapping: self.ledger_mapping.or(others.ledger_mapping),
            fold_log_group: self.fold_log_group.or(others.fold_log_group),
            source_arn: self.source_arn.or(others.source_arn),
            usage_table: self.usage_table.or(others.usage_table),
            ledger_table: self.ledger_table.or(others.ledger_table),
            archive_bucket: self.archive_bucket.or(others.archive_bucket),
            archive_prefix: self.archive_prefix.or(others.archive_prefix),
            failure_bucket: self.failure_bucket.or(others.failure_bucket),
            failure_queue: self.failure_queue.or(others.failure_queue),
            log_group: self.log_group.or(others.log_group),
            metrics_namespace: self.metrics_namespace.or(others.metrics_namespace),
            database: self.database.or(others.database),
            pipeline: self.pipeline.or(others.pipeline),
            pipeline_dir: self.pipeline_dir.or(others.pipeline_dir),
        }
    }

    /// A name that a command needs; `option` specifies it.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn need<'n>(name: &'n Option<String>, option: &str) -> Result<&'n str, UsageError> {
        name.as_deref()
            .ok_or_else(|| UsageError(format!("{option} is required: set it, or use a --stack with this output")))
    }

    /// The variables of a function with the variables `configured`: its pipeline is the one that the options choose, or the
    /// stack's, or its own; its tables and bucket are those of these names.
    pub fn variables(&self, options: &Options, configured: BTreeMap<String, String>) -> Variables {
        let (pipeline, pipeline_dir) = match (&options.pipeline, &options.pipeline_dir) {
            (None, None) if self.pipeline_dir.is_some() => (None, self.pipeline_dir.clone()),
            (None, None) => (self.pipeline.clone(), None),
            (pipeline, folder) => (pipeline.clone(), folder.clone()),
        };
        let options = Options { pipeline, pipeline_dir, ..options.clone() };
        Variables::of_deployed(&options, configured).with(self.storage_variables())
    }

    /// The variables that name the function's tables and bucket, as far as their names are known.
    pub fn storage_variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let variables = [
            ("USAGE_TABLE", &self.usage_table),
            ("LEDGER_TABLE", &self.ledger_table),
            ("ARCHIVE_BUCKET", &self.archive_bucket),
            ("ARCHIVE_PREFIX", &self.archive_prefix),
        ];
        variables.map(|(variable, name)| Some((variable, name.clone()?))).into_iter().flatten()
    }

    /// The table or Kinesis stream whose changes are read.
    pub fn source_name(&self) -> Option<&str> {
        source_name(self.source_arn.as_deref()?)
    }
}

/// The table or Kinesis stream in an ARN.
pub fn source_name(arn: &str) -> Option<&str> {
    // arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-… or arn:aws:kinesis:…:stream/alleycat
    arn.split('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployed_function_has_its_own_variables_or_the_defaults() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let options = <Line as clap::Parser>::parse_from(["usagectl"]).options;
        let names = Names { usage_table: Some("usage-of-the-stack".to_owned()), ..Names::default() };
        let config = |configured: &[(&str, &str)]| {
            let configured = configured.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            names.variables(&options, configured.collect()).with_metrics_sink("none").config().unwrap()
        };
        let defaults = config(&[]);
        assert_eq!((&*defaults.pipeline.name, defaults.horizon_days), ("orders", 18));
        let configured = config(&[("PIPELINE", "demand"), ("PIPELINE_DIR", ""), ("HORIZON_DAYS", "9")]);
        assert_eq!((&*configured.pipeline.name, configured.horizon_days), ("demand", 9));
        assert_eq!(defaults.tables.unwrap().usage, "usage-of-the-stack");
    }

    #[test]
    fn the_functions_of_a_stack_with_an_alias_are_those_that_the_mappings_invoke() {
        let output = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut outputs = BTreeMap::from([output("FunctionName", "usage"), output("FoldFunctionName", "usage-fold")]);
        let functions = |outputs: &BTreeMap<String, String>| {
            let names = Names::of_outputs(outputs);
            (names.function.unwrap(), names.fold_function.unwrap())
        };
        assert_eq!(functions(&outputs), ("usage".to_owned(), "usage-fold".to_owned()));
        outputs.extend([output("FunctionAlias", "live")]);
        assert_eq!(functions(&outputs), ("usage:live".to_owned(), "usage-fold:live".to_owned()));
    }

    #[test]
    fn an_option_overrides_an_output() {
        let outputs = BTreeMap::from([
            ("FunctionName".to_owned(), "of-the-stack".to_owned()),
            ("UsageTableName".to_owned(), "usage".to_owned()),
            ("SourceStreamArn".to_owned(), "arn:aws:kinesis:us-east-1:1:stream/alleycat".to_owned()),
        ]);
        let given = Names { function: Some("given".to_owned()), ..Names::default() };
        let names = given.or(Names::of_outputs(&outputs));
        assert_eq!((names.function.as_deref(), names.usage_table.as_deref()), (Some("given"), Some("usage")));
        assert_eq!(names.source_name(), Some("alleycat"));
        assert_eq!(source_name("arn:aws:kinesis:us-east-1:1:stream/alleycat/consumer/usage:1795"), Some("alleycat"));
        assert_eq!(Names::need(&names.function, "--function").unwrap(), "given");
        assert!(Names::need(&names.mapping, "--mapping").unwrap_err().to_string().starts_with("--mapping is required"));
    }
}
