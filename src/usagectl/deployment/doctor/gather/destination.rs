//! S3 and SQS: the failure destination, its failed batches, and the probe.

use anyhow::Context;
use aws_sdk_sqs::types::QueueAttributeName;
use usage_aggregator::time::Timestamp;

use super::super::facts::{Destination, Documents, Fact, FailedBatches, Mapping, Part, Stored, Unavailable};
use super::{Probe, bucket, metrics, seen, timestamp};
use crate::stack::{Account, Names};

/// The prefix of all keys that Lambda writes.
const PREFIX: &str = "aws/lambda/";

/// The prefix of the keys of quarantined records, which the function writes.
const QUARANTINE: &str = "quarantine/";

/// Checks that the destination exists, and writes to it with `--probe`.
pub(super) async fn of(account: &Account, mapping: &Fact<Mapping>, probe: Probe) -> Fact<Destination> {
    let mapping = mapping.as_ref().map_err(Clone::clone)?;
    let Some(arn) = mapping.on_failure.as_deref() else {
        return Err(Unavailable::NoData("there is no failure destination".to_owned()));
    };
    let name = arn.rsplit(':').next().unwrap_or_default();
    let sends = probe == Probe::Send;
    if arn.starts_with("arn:aws:s3:") {
        bucket::exists(&account.clients().s3, name).await?;
        let probe = if sends { Some(probe_bucket(account, name, &mapping.uuid).await) } else { None };
        return Ok(Destination { probe: probe.map(described) });
    }
    if arn.contains(":sqs:") {
        let got = account.sqs().get_queue_url().queue_name(name).send().await;
        let url = seen("sqs:GetQueueUrl", || Part::Queue(name.to_owned()), got)?.queue_url.unwrap_or_default();
        let probe = if sends { Some(probe_queue(account, &url).await) } else { None };
        return Ok(Destination { probe: probe.map(described) });
    }
    Ok(Destination { probe: sends.then(|| Err("only buckets and queues can be probed".to_owned())) })
}

fn described(probe: anyhow::Result<String>) -> Result<String, String> {
    probe.map_err(|error| format!("{error:#}"))
}

/// A text that is unique to this probe.
fn unique() -> String {
    let now = event_source_mapping::now().map_or(0, Timestamp::micros);
    format!("usagectl-doctor-probe-{now}")
}

async fn probe_bucket(account: &Account, bucket: &str, uuid: &str) -> anyhow::Result<String> {
    let (s3, key) = (account.clients().s3, format!("{PREFIX}{uuid}/{}", unique()));
    let body = b"{\"probe\":\"written by usagectl doctor; safe to delete\"}".to_vec();
    let put = s3.put_object().bucket(bucket).key(&key).body(body.into()).send().await;
    let put = put.with_context(|| format!("put s3://{bucket}/{key} (s3:PutObject)"))?;
    let version = put.version_id().map(str::to_owned);
    let deleted = s3.delete_object().bucket(bucket).key(&key).set_version_id(version).send().await;
    Ok(match deleted {
        Ok(_) => format!("a probe with your credentials was written and deleted again, s3://{bucket}/{key}"),
        // It was written, which is what matters.
        Err(_) => {
            format!(
                "a probe with your credentials was written and is LEFT BEHIND, because you aren't allowed to delete it: s3://{bucket}/{key}"
            )
        }
    })
}

/// How often to receive until the message that was just sent is found.
const RECEIVES: usize = 5;

async fn probe_queue(account: &Account, url: &str) -> anyhow::Result<String> {
    let (sqs, text) = (account.sqs(), unique());
    let sent = sqs.send_message().queue_url(url).message_body(&text).send().await;
    sent.with_context(|| format!("send to {url} (sqs:SendMessage)"))?;
    for _ in 0..RECEIVES {
        // 0: the messages stay visible to a redrive.
        let received = sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(0);
        let Ok(received) = received.wait_time_seconds(1).send().await else { break };
        let ours = received.messages().iter().find(|message| message.body() == Some(text.as_str()));
        let Some(handle) = ours.and_then(|message| message.receipt_handle()) else { continue };
        if sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.is_ok() {
            return Ok(format!("a probe with your credentials was sent and deleted again, {text}"));
        }
    }
    Ok(format!("a probe with your credentials was sent and is LEFT BEHIND in {url}: {text}"))
}

/// The failed batches in the stack's destination, and the quarantined records in its bucket.
pub(super) async fn waiting(account: &Account, names: &Names, now: Timestamp) -> Fact<FailedBatches> {
    let s3 = account.clients().s3;
    match (&names.failure_bucket, &names.failure_queue) {
        (Some(bucket), None) => in_bucket(&s3, bucket).await,
        (None, Some(queue)) => in_queue(account, queue, now).await,
        // The mapping writes to the queue, and the function to the bucket. It may still have batches, if the mapping wrote to it before.
        (Some(bucket), Some(queue)) => {
            let (in_queue, in_bucket) = futures::join!(in_queue(account, queue, now), in_bucket(&s3, bucket));
            let FailedBatches { count, more, oldest, quarantined, .. } = in_bucket?;
            Ok(FailedBatches { earlier: Some(Documents { count, more, oldest }), quarantined, ..in_queue? })
        }
        (None, None) => Err(Unavailable::Unnamed { option: "--failure-bucket or --failure-queue" }),
    }
}

/// The failed batches and the quarantined records in a bucket: the first 1,000 objects of each.
pub(super) async fn in_bucket(client: &aws_sdk_s3::Client, bucket: &str) -> Fact<FailedBatches> {
    let (batches, records) = futures::join!(listed(client, bucket, PREFIX), listed(client, bucket, QUARANTINE));
    let Documents { count, more, oldest } = batches?;
    Ok(FailedBatches { count, more, oldest, keeps: Stored::Records, earlier: None, quarantined: Some(records?) })
}

/// The first 1,000 objects whose keys start with `prefix`.
async fn listed(client: &aws_sdk_s3::Client, bucket: &str, prefix: &str) -> Fact<Documents> {
    let listed = client.list_objects_v2().bucket(bucket).prefix(prefix).send().await;
    let listed = seen("s3:ListBucket", || Part::Bucket(bucket.to_owned()), listed)?;
    Ok(Documents {
        count: u64::try_from(listed.contents().len()).unwrap_or(u64::MAX),
        more: listed.is_truncated() == Some(true),
        oldest: listed.contents().iter().filter_map(|object| timestamp(object.last_modified())).min(),
    })
}

async fn in_queue(account: &Account, url: &str, now: Timestamp) -> Fact<FailedBatches> {
    let attributes = account.sqs().get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let got = seen("sqs:GetQueueAttributes", || Part::Queue(url.to_owned()), attributes.send().await)?;
    let number = |name: QueueAttributeName| -> i64 {
        got.attributes().and_then(|attributes| attributes.get(&name)?.parse().ok()).unwrap_or(0)
    };
    let visible = number(QueueAttributeName::ApproximateNumberOfMessages);
    let count = visible + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let name = url.rsplit('/').next().unwrap_or_default();
    let age = if count > 0 { metrics::oldest_message(&account.clients().cloudwatch, name).await } else { None };
    let ago = age.and_then(|age| i64::try_from(std::time::Duration::try_from_secs_f64(age).ok()?.as_secs()).ok());
    Ok(FailedBatches {
        count: count.unsigned_abs(),
        more: false,
        oldest: ago.and_then(|ago| Timestamp::from_seconds(now.seconds() - ago)),
        keeps: Stored::Positions { retention_seconds: number(QueueAttributeName::MessageRetentionPeriod) },
        earlier: None,
        quarantined: None,
    })
}
