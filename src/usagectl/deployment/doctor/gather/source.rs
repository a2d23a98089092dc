//! DynamoDB and Kinesis: the stream that the mapping reads.

use super::super::facts::{Fact, Part, SourceFacts, Stream, Unavailable};
use super::{named, seen};
use crate::stack::{Account, Names};
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS};

/// 24 hours: how long DynamoDB keeps stream records.
const TABLE_RETENTION: i64 = DAY_SECONDS;

pub(super) async fn of(account: &Account, names: &Names) -> Fact<SourceFacts> {
    let arn = named(&names.source_arn, "--source-arn")?;
    let name = names.source_name().ok_or(Unavailable::Unnamed { option: "--source-arn" })?;
    if arn.contains(":kinesis:") {
        return of_kinesis(&account.kinesis(), name).await;
    }
    let (source, streams) = (of_table(&account.clients().dynamodb, name).await?, account.streams());
    Ok(SourceFacts { shards: open_shards(&streams, arn).await, ..source })
}

/// A table as the source. Its shards aren't counted.
pub(super) async fn of_table(client: &aws_sdk_dynamodb::Client, name: &str) -> Fact<SourceFacts> {
    let described = client.describe_table().table_name(name).send().await;
    let described = seen("dynamodb:DescribeTable", || Part::Table(name.to_owned()), described)?;
    let table = described.table();
    let specification = table.and_then(|table| table.stream_specification());
    let stream = Stream::Table {
        on: specification.is_some_and(|specification| specification.stream_enabled()),
        view: specification.and_then(|found| found.stream_view_type()).map(|view| view.as_str().to_owned()),
        latest_arn: table.and_then(|table| table.latest_stream_arn()).map(str::to_owned),
    };
    let shards = Err(Unavailable::NotApplicable("shards aren't counted here"));
    Ok(SourceFacts { name: name.to_owned(), stream, shards, retention_seconds: TABLE_RETENTION })
}

async fn open_shards(streams: &aws_sdk_dynamodbstreams::Client, arn: &str) -> Fact<usize> {
    let (mut open, mut from) = (0, None);
    loop {
        let page = streams.describe_stream().stream_arn(arn).set_exclusive_start_shard_id(from).send().await;
        let page = seen("dynamodb:DescribeStream", || Part::Other(format!("the stream {arn}")), page)?;
        let Some(stream) = page.stream_description() else { return Ok(open) };
        let is_open = |shard: &&aws_sdk_dynamodbstreams::types::Shard| {
            shard.sequence_number_range().and_then(|range| range.ending_sequence_number()).is_none()
        };
        open += stream.shards().iter().filter(is_open).count();
        from = stream.last_evaluated_shard_id().map(str::to_owned);
        if from.is_none() {
            return Ok(open);
        }
    }
}

async fn of_kinesis(client: &aws_sdk_kinesis::Client, name: &str) -> Fact<SourceFacts> {
    let described = client.describe_stream_summary().stream_name(name).send().await;
    let described =
        seen("kinesis:DescribeStreamSummary", || Part::Other(format!("the Kinesis stream {name}")), described)?;
    let summary = described.stream_description_summary();
    let shards = summary.and_then(|summary| usize::try_from(summary.open_shard_count()).ok());
    Ok(SourceFacts {
        name: name.to_owned(),
        stream: Stream::Kinesis {
            status: summary.map_or("unknown", |summary| summary.stream_status().as_str()).to_owned(),
        },
        shards: shards.ok_or_else(|| Unavailable::Failed(format!("Kinesis doesn't report the shards of {name}"))),
        retention_seconds: summary
            .map_or(TABLE_RETENTION, |summary| i64::from(summary.retention_period_hours()) * HOUR_SECONDS),
    })
}
