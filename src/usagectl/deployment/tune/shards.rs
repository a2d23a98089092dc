//! The shards of the stream that a deployment reads.

use anyhow::Context;

use super::gather::float;
use crate::stack::Deployment;

/// The number of open shards, or `None` if the stream isn't in an account.
///
/// # Errors
/// When the stream can't be read.
pub(in crate::deployment) async fn shards(deployment: &Deployment) -> anyhow::Result<Option<f64>> {
    let (Some(account), Some(arn)) = (deployment.account(), &deployment.names.source_arn) else { return Ok(None) };
    if arn.contains(":kinesis:") {
        // Its name, because the ARN may be that of a consumer.
        let name = deployment.names.source_name().map(str::to_owned);
        let asked = account.kinesis().describe_stream_summary().set_stream_name(name).send().await;
        let asked = asked.with_context(|| format!("read the shards of {arn} (kinesis:DescribeStreamSummary)"))?;
        return Ok(asked.stream_description_summary().map(|summary| summary.open_shard_count().into()));
    }
    let (mut open, mut after) = (0, None);
    loop {
        let asked =
            deployment.streams().describe_stream().stream_arn(arn).set_exclusive_start_shard_id(after).send().await;
        let asked = asked.with_context(|| format!("read the shards of {arn} (dynamodb:DescribeStream)"))?;
        let Some(stream) = asked.stream_description() else { break };
        let is_open = |shard: &&aws_sdk_dynamodbstreams::types::Shard| {
            shard.sequence_number_range().is_none_or(|range| range.ending_sequence_number().is_none())
        };
        open += stream.shards().iter().filter(is_open).count();
        after = stream.last_evaluated_shard_id().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    Ok((open > 0).then(|| float(open)))
}
