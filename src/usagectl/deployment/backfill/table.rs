//! The source table: its key, and the stream that the function reads.

use anyhow::{Context, bail};
use stream_types::Timestamp;
use usage_aggregator::pipeline::Pipeline;

use crate::shell::console::UsageError;
use crate::stack::{Deployment, source_name};

/// The source table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) arn: String,
    /// The attributes of its key.
    pub(super) key: Vec<String>,
    pub(super) stream: Option<TableStream>,
}

/// The stream of the table.
#[derive(Debug, Clone)]
pub(super) struct TableStream {
    pub(super) arn: String,
    /// When it was attached: the label at the end of its ARN.
    pub(super) attached_at: Timestamp,
}

impl TableStream {
    /// The stream with this ARN: `arn:aws:dynamodb:…:table/orders/stream/2026-11-28T08:57:00.000`.
    fn of(arn: &str) -> Option<TableStream> {
        let (_, label) = arn.rsplit_once("/stream/")?;
        Some(TableStream { arn: arn.to_owned(), attached_at: Timestamp::parse(&format!("{label}Z"))? })
    }
}

/// Finds the table that a person names, or that the deployment reads, or that the pipeline is for.
///
/// # Errors
/// If there is none, or if it can't be described.
pub(super) async fn find(deployment: &Deployment, pipeline: &Pipeline, named: Option<&str>) -> anyhow::Result<Table> {
    let source = deployment.names.source_arn.as_deref();
    let read = source.filter(|arn| arn.contains(":dynamodb:"));
    let only = || match pipeline.sources.as_slice() {
        [only] => Some(only.as_str()),
        _ => None,
    };
    let name = named.or_else(|| source_name(read?)).or_else(only);
    let name = name.ok_or_else(|| UsageError("the source table is unknown: specify --table".to_owned()))?;
    let doing = || format!("describe the table {name} (dynamodb:DescribeTable)");
    let described = deployment.clients().dynamodb.describe_table().table_name(name).send().await;
    let table = described.with_context(doing)?.table.with_context(doing)?;
    let key = table.key_schema().iter().map(|element| element.attribute_name().to_owned()).collect();
    let latest = table.latest_stream_arn().filter(|_| {
        // A stream that was disabled can be read for a day, but the mapping of a Kinesis source doesn't read it at all.
        table.stream_specification().is_some_and(|stream| stream.stream_enabled()) && source.is_none()
    });
    let stream = read.filter(|arn| source_name(arn) == Some(name)).or(latest);
    Ok(Table {
        name: name.to_owned(),
        arn: table.table_arn().with_context(doing)?.to_owned(),
        key,
        stream: stream.and_then(TableStream::of),
    })
}

impl Table {
    /// Checks that an export is of this table. The copy of a table has another ARN.
    ///
    /// # Errors
    /// If it isn't.
    pub(super) fn check_export(&self, arn: &str) -> anyhow::Result<()> {
        if arn != self.arn {
            bail!(UsageError(format!("this is an export of {arn}, and the function reads {}", self.arn)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a_stream_says_when_it_was_attached() {
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-02T08:15:27.416";
        let stream = TableStream::of(arn).unwrap();
        assert_eq!(Some(stream.attached_at), Timestamp::parse("2026-11-02T08:15:27.416Z"));
        assert!(TableStream::of("arn:aws:kinesis:us-east-1:123456789012:stream/orders").is_none());
    }
}
