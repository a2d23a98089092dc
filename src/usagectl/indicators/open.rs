//! The source table of a deployment, and the pipeline whose indicators it has.

use std::num::NonZeroUsize;

use anyhow::Context;
use aws_sdk_dynamodb::types::TableDescription;
use clap::Args;
use usage_aggregator::indicator::{Recomputer, SourceTable};
use usage_aggregator::pipeline::{Indicator, Pipeline};

use super::budget::Budget;
use super::projected::unprojected;
use crate::shell::console::UsageError;
use crate::shell::options::Options;
use crate::stack::{Access, Deployment, Where, source_name};

/// What all commands need to know.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Source table [default: the table that the function reads]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Only this indicator; can be repeated
    #[arg(long = "indicator", value_name = "NAME")]
    names: Vec<String>,
    // Last: the heading of its options applies to all that follow.
    #[command(flatten)]
    place: Where,
}

/// How fast to read and write.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Speed {
    /// Percentage of the table's capacity to use
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100))]
    share: u8,
    /// Targets to read, and parts of the table to scan, at the same time
    #[arg(long, value_name = "N", default_value = "8")]
    parallel: NonZeroUsize,
}

impl Speed {
    /// How many requests run at the same time.
    pub(super) fn parallel(self) -> usize {
        self.parallel.get()
    }

    /// The share of the table's capacity.
    pub(super) fn budget(self, table: &Table) -> Budget {
        Budget::share(&table.description, self.share)
    }
}

/// A table and its indicators.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) pipeline: Pipeline,
    pub(super) client: aws_sdk_dynamodb::Client,
    pub(super) description: TableDescription,
    /// The indexes in [`Pipeline::indicators`] that are wanted.
    wanted: Vec<usize>,
    /// Runs the embedded services, if the table is on this machine.
    _deployment: Deployment,
}

impl Selection {
    /// Finds the table and the pipeline.
    ///
    /// # Errors
    /// If there is no such table, if the pipeline has no such indicators, or if an index lacks what they read.
    pub(super) async fn open(&self, options: &Options, access: Access) -> anyhow::Result<Table> {
        let deployment = self.place.open(options).await?;
        let config = deployment.variables(options, access).await?.with_metrics_sink("none").config()?;
        let pipeline = config.pipeline;
        let wanted = self.wanted(&pipeline)?;
        let name = self.table_name(&deployment, &pipeline)?;
        let client = deployment.clients().dynamodb;
        let doing = || format!("describe the table {name} (dynamodb:DescribeTable)");
        let described = client.describe_table().table_name(&name).send().await;
        let description = described.with_context(doing)?.table.with_context(doing)?;
        for indicator in wanted.iter().filter_map(|index| pipeline.indicators.get(*index)) {
            let lacking = unprojected(&description, &pipeline, indicator);
            anyhow::ensure!(
                lacking.is_empty(),
                "the index {} of {name} doesn't project {}, which the indicator {} reads: use an index that does",
                indicator.query.index.as_deref().unwrap_or_default(),
                lacking.into_iter().collect::<Vec<_>>().join(", "),
                indicator.name
            );
        }
        Ok(Table { name, pipeline, client, description, wanted, _deployment: deployment })
    }

    fn table_name(&self, deployment: &Deployment, pipeline: &Pipeline) -> Result<String, UsageError> {
        let source = deployment.names.source_arn.as_deref().filter(|arn| arn.contains(":dynamodb:"));
        let only = match pipeline.sources.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        };
        let name = self.table.as_deref().or_else(|| source_name(source?)).or(only);
        let name = name.ok_or_else(|| UsageError("the source table is unknown: specify --table".to_owned()))?;
        Ok(name.to_owned())
    }

    fn wanted(&self, pipeline: &Pipeline) -> Result<Vec<usize>, UsageError> {
        let known: Vec<&str> = pipeline.indicators.iter().map(|indicator| indicator.name.as_str()).collect();
        if known.is_empty() {
            return Err(UsageError(format!(
                "the pipeline {} has no indicators: add [[indicator]] to its pipeline.toml, or choose another with --pipeline",
                pipeline.name
            )));
        }
        let index = |name: &String| known.iter().position(|known| known == name);
        if let Some(unknown) = self.names.iter().find(|name| index(name).is_none()) {
            let known = known.join(", ");
            return Err(UsageError(format!("unknown indicator `{unknown}`; expected one of {known}")));
        }
        let all = || (0..known.len()).collect();
        Ok(if self.names.is_empty() { all() } else { self.names.iter().filter_map(index).collect() })
    }
}

impl Table {
    /// The indicators that are wanted, with their indexes.
    pub(super) fn indicators(&self) -> impl Iterator<Item = (usize, &Indicator)> {
        self.wanted.iter().filter_map(|index| Some((*index, self.pipeline.indicators.get(*index)?)))
    }

    /// How many indicators are computed one from another before this one. None is part of a cycle.
    pub(super) fn depth(&self, index: usize) -> usize {
        let Some(indicator) = self.pipeline.indicators.get(index) else { return 0 };
        let others = self.pipeline.indicators.iter().enumerate();
        let read = others.filter(|(other_index, other)| {
            *other_index != index
                && indicator.path_into(&other.attribute).is_some()
                && indicator.may_find_target_of(other)
        });
        read.map(|(other, _)| self.depth(other) + 1).max().unwrap_or(0)
    }

    /// Computes and writes as the function does.
    pub(super) fn recomputer(&self) -> Recomputer<'_> {
        let table = SourceTable { client: &self.client, name: &self.name, deadline: None };
        Recomputer { pipeline: &self.pipeline, table, concurrency: 1 }
    }

    /// The names of the key's attributes, the partition key first.
    pub(super) fn key_names(&self) -> Vec<&str> {
        self.description.key_schema().iter().map(|element| element.attribute_name()).collect()
    }
}
