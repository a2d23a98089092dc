//! What a stack calls its parts: its outputs say it, and an option before them.

use std::collections::BTreeMap;

use clap::Args;

use crate::shell::console::UsageError;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;

/// The names of a deployment's parts; each as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Names, where they aren't those of the stack's outputs")]
pub struct Names {
    /// The function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// UUID of the event source mapping
    #[arg(long, value_name = "UUID")]
    pub mapping: Option<String>,
    /// ARN of the stream that is read
    #[arg(long, value_name = "ARN")]
    pub source_arn: Option<String>,
    /// Table of the snapshots
    #[arg(long, value_name = "NAME")]
    pub usage_table: Option<String>,
    /// Table of the claims
    #[arg(long, value_name = "NAME")]
    pub claims_table: Option<String>,
    /// Bucket of the Avro files
    #[arg(long, value_name = "NAME")]
    pub archive_bucket: Option<String>,
    /// What their keys start with
    #[arg(long, value_name = "PREFIX")]
    pub archive_prefix: Option<String>,
    /// Bucket of failed batches
    #[arg(long, value_name = "NAME")]
    pub failure_bucket: Option<String>,
    /// Queue of failed batches' positions
    #[arg(long, value_name = "URL")]
    pub failure_queue: Option<String>,
    /// The function's log group
    #[arg(long, value_name = "NAME")]
    pub log_group: Option<String>,
    /// CloudWatch namespace of the function's own metrics
    #[arg(long, value_name = "NAME")]
    pub metrics_namespace: Option<String>,
    /// Database of Athena
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// The stack's pipeline, which `--pipeline` says elsewhere
    #[arg(skip)]
    pub pipeline: Option<String>,
}

impl Names {
    /// The names of a stack by its outputs.
    pub fn of_outputs(outputs: &BTreeMap<String, String>) -> Names {
        let output = |key: &str| outputs.get(key).cloned();
        Names {
            function: output("FunctionName"),
            mapping: output("EventSourceMappingId"),
            source_arn: output("SourceStreamArn"),
            usage_table: output("UsageTableName"),
            claims_table: output("ClaimsTableName"),
            archive_bucket: output("ArchiveBucketName"),
            archive_prefix: output("ArchiveKeyPrefix"),
            failure_bucket: output("FailureBucketName"),
            failure_queue: output("FailureQueueUrl"),
            log_group: output("FunctionLogGroup"),
            metrics_namespace: output("MetricsNamespaceName"),
            database: output("DatabaseName"),
            pipeline: output("PipelineName"),
        }
    }

    /// These names, and those of `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: Names) -> Names {
        Names {
            function: self.function.or(others.function),
            mapping: self.mapping.or(others.mapping),
            source_arn: self.source_arn.or(others.source_arn),
            usage_table: self.usage_table.or(others.usage_table),
            claims_table: self.claims_table.or(others.claims_table),
            archive_bucket: self.archive_bucket.or(others.archive_bucket),
            archive_prefix: self.archive_prefix.or(others.archive_prefix),
            failure_bucket: self.failure_bucket.or(others.failure_bucket),
            failure_queue: self.failure_queue.or(others.failure_queue),
            log_group: self.log_group.or(others.log_group),
            metrics_namespace: self.metrics_namespace.or(others.metrics_namespace),
            database: self.database.or(others.database),
            pipeline: self.pipeline.or(others.pipeline),
        }
    }

    /// A name that a command can't do without; `option` is how a person gives it.
    ///
    /// # Errors
    /// When neither the stack nor an option says it.
    pub fn need<'n>(name: &'n Option<String>, option: &str) -> Result<&'n str, UsageError> {
        name.as_deref().ok_or_else(|| {
            UsageError(format!("{option} is not known: the stack has no output for it; give the option, or --stack"))
        })
    }

    /// The variables of a function that is `configured` like this: its pipeline is the one that the options choose, or the
    /// stack's, or its own; its tables and bucket are those of these names.
    pub fn variables(&self, options: &Options, configured: BTreeMap<String, String>) -> Variables {
        let pipeline = match &options.pipeline_dir {
            Some(_) => None,
            None => options.pipeline.clone().or_else(|| self.pipeline.clone()),
        };
        let known = [
            ("USAGE_TABLE", &self.usage_table),
            ("CLAIMS_TABLE", &self.claims_table),
            ("ARCHIVE_BUCKET", &self.archive_bucket),
            ("ARCHIVE_PREFIX", &self.archive_prefix),
        ];
        let known = known.into_iter().filter_map(|(variable, name)| Some((variable, name.clone()?)));
        Variables::of_deployed(&Options { pipeline, ..options.clone() }, configured).with(known)
    }

    /// The table or Kinesis stream whose changes are read.
    pub fn source_name(&self) -> Option<&str> {
        source_name(self.source_arn.as_deref()?)
    }
}

/// The table or Kinesis stream that an ARN is of.
pub fn source_name(arn: &str) -> Option<&str> {
    // arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-… or arn:aws:kinesis:…:stream/alleycat
    arn.split('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_goes_before_an_output() {
        let outputs = BTreeMap::from([
            ("FunctionName".to_owned(), "of-the-stack".to_owned()),
            ("UsageTableName".to_owned(), "usage".to_owned()),
            ("SourceStreamArn".to_owned(), "arn:aws:kinesis:us-east-1:1:stream/alleycat".to_owned()),
        ]);
        let given = Names { function: Some("given".to_owned()), ..Names::default() };
        let names = given.or(Names::of_outputs(&outputs));
        assert_eq!((names.function.as_deref(), names.usage_table.as_deref()), (Some("given"), Some("usage")));
        assert_eq!(names.source_name(), Some("alleycat"));
        assert_eq!(Names::need(&names.function, "--function").unwrap(), "given");
        assert!(
            Names::need(&names.mapping, "--mapping").unwrap_err().to_string().starts_with("--mapping is not known")
        );
    }
}
