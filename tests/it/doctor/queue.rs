//! A queue as the failure destination: the age of its messages is from CloudWatch, and the probe is deleted again. And a
//! Kinesis stream as the source.

use super::place::{Place, front};
use super::{healthy, unwrapped};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_probed_and_its_messages_last_as_long_as_the_stream() {
    let mut answers = healthy();
    answers.numbers.insert("ApproximateAgeOfOldestMessage", 600.0);
    let front = front("Terminate", 10, env!("CARGO_PKG_VERSION"));
    let place = Place::new(&["Pipeline=orders", "FailureStore=SQS"], front, answers).await;
    let sqs = aws_sdk_sqs::Client::new(&place.config);
    let url = place.output("FailureQueueUrl");
    let empty = place.doctor(&["--stack", "moto", "--probe", "failure-destination"]).await;
    assert_eq!(empty.code, Some(0), "{empty:?}");
    assert!(unwrapped(&empty.stdout).contains("a probe with your credentials was sent and deleted again"), "{empty:?}");

    sqs.send_message().queue_url(url).message_body("{}").send().await.unwrap();
    let full = place.doctor(&["--stack", "moto", "failure-destination"]).await;
    assert_eq!(full.code, Some(2), "{full:?}");
    let expected = "1 batch is in the failure destination, the oldest sent 10 min ago; the stream may trim the records of a message 2 h after it is sent, so as little as 1 h 50 min may be left";
    assert!(unwrapped(&full.stdout).contains(expected), "{full:?}");
    assert!(full.stdout.ends_with("usagectl redrive --stack moto --dry-run\n"), "{full:?}");
    let left = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
    assert_eq!(left.messages().len(), 1, "the probe is deleted, the batch is not");

    // Batches that failed while the destination was still the bucket, and a record that was quarantined since.
    let bucket = place.output("FailureBucketName");
    for key in ["aws/lambda/m/shard/2026/11/28/a", "aws/lambda/m/shard/2026/11/28/b", "quarantine/orders/c"] {
        place.s3().put_object().bucket(bucket).key(key).body(b"{}".to_vec().into()).send().await.unwrap();
    }
    let both = place.doctor(&["--stack", "moto", "failure-destination"]).await;
    let text = unwrapped(&both.stdout);
    assert!(both.code == Some(2) && text.contains(expected), "{both:?}");
    assert!(text.contains("2 batches are in the failure bucket, the oldest "), "{both:?}");
    sqs.purge_queue().queue_url(url).send().await.unwrap();
    let old = place.doctor(&["--stack", "moto", "failure-destination"]).await;
    let text = unwrapped(&old.stdout);
    assert!(text.contains("2 batches are in the failure bucket, the oldest "), "{old:?}");
    assert!(old.code == Some(1) && !text.contains("the failure destination is empty"), "{old:?}");

    let kinesis = aws_sdk_kinesis::Client::new(&place.config);
    kinesis.create_stream().stream_name("race").shard_count(3).send().await.unwrap();
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/race";
    let race = place.doctor(&["--stack", "moto", "--source-arn", arn, "no-invocations"]).await;
    assert!(unwrapped(&race.stdout).contains("the Kinesis stream race is active"), "{race:?}");
    assert!(
        unwrapped(&race.stdout).contains("the reserved concurrency is 10, enough for 3 shards × factor 1 = 3"),
        "{race:?}"
    );
}
