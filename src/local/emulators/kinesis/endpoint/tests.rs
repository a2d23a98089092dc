//! The endpoint through the SDK's client, over HTTP.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StreamStatus};

use super::*;
use crate::emulators::kinesis::KinesisSource;
use crate::emulators::{Services, sdk_config};
use event_source_mapping::{Position, Source};

async fn stream(services: &Services, shards: i32) -> Client {
    let client = services.kinesis_client(&sdk_config(None));
    client.create_stream().stream_name("clicks").shard_count(shards).send().await.unwrap();
    client
}

fn entry(key: &str, data: impl Into<Vec<u8>>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build().unwrap()
}

#[tokio::test]
async fn the_sdk_puts_records_that_a_source_reads() {
    let services = Services::start(None).unwrap();
    let client = stream(&services, 1).await;
    let put = client.put_record().stream_name("clicks").partition_key("a").data(Blob::new(*b"{\"n\":1}"));
    let put = put.sequence_number_for_ordering("0").send().await.unwrap();
    assert_eq!((put.shard_id(), put.sequence_number().len()), ("shardId-000000000000", 56));
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
    let entries = (2..=500).map(|number| entry("b", format!("{{\"n\":{number}}}")));
    let puts = client.put_records().stream_arn(arn).set_records(Some(entries.collect())).send().await.unwrap();
    assert_eq!((puts.failed_record_count(), puts.records().len()), (Some(0), 499));

    let source = KinesisSource::new(services.streams(), "clicks").unwrap();
    let page = source.read("shardId-000000000000", &Position::TrimHorizon, 1000).await.unwrap();
    let read: Vec<&str> = page.records.iter().map(|record| record.sequence.as_str()).collect();
    let sent = puts.records().iter().map(|record| record.sequence_number().unwrap());
    assert_eq!(read, std::iter::once(put.sequence_number()).chain(sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_sdk_sees_streams_and_shards() {
    let services = Services::start(None).unwrap();
    let client = stream(&services, 2).await;
    let summary = client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    let summary = summary.stream_description_summary().unwrap();
    assert_eq!(summary.stream_status(), &StreamStatus::Active);
    assert_eq!(summary.stream_arn(), "arn:aws:kinesis:us-east-1:000000000000:stream/clicks");
    assert_eq!(summary.open_shard_count(), 2);
    assert_eq!(client.list_streams().send().await.unwrap().stream_names(), ["clicks"]);

    let merge = client.merge_shards().stream_name("clicks").shard_to_merge("shardId-000000000000");
    merge.adjacent_shard_to_merge("shardId-000000000001").send().await.unwrap();
    let split = client.split_shard().stream_name("clicks").shard_to_split("shardId-000000000002");
    split.new_starting_hash_key("5").send().await.unwrap();
    let listed = client.list_shards().stream_name("clicks").send().await.unwrap();
    let shards: Vec<_> = listed
        .shards()
        .iter()
        .map(|shard| {
            let open = shard.sequence_number_range().unwrap().ending_sequence_number().is_none();
            let start = shard.hash_key_range().unwrap().starting_hash_key();
            let id = |id: &str| id.rsplit('0').next().unwrap().to_owned();
            let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()].map(|parent| parent.map(id));
            (start, parents, open)
        })
        .collect();
    let some = |id: &str| Some(id.to_owned());
    let expected = [
        ("0", [None, None], false),
        ("170141183460469231731687303715884105728", [None, None], false),
        ("0", [some(""), some("1")], false),
        ("0", [some("2"), None], true),
        ("5", [some("2"), None], true),
    ];
    assert_eq!(shards, expected);
    let put = client.put_record().stream_name("clicks").partition_key("a").data(Blob::new(*b"{}"));
    assert_eq!(put.explicit_hash_key("4").send().await.unwrap().shard_id(), "shardId-000000000003");
}

#[tokio::test]
async fn errors_are_those_of_kinesis() {
    let services = Services::start(None).unwrap();
    let client = stream(&services, 1).await;
    let put = |stream: &str, key: &str| {
        client.put_record().stream_name(stream).partition_key(key).data(Blob::new(*b"{}")).send()
    };
    let unknown = put("visits", "a").await.unwrap_err();
    assert!(unknown.as_service_error().unwrap().is_resource_not_found_exception());
    assert_eq!(unknown.message(), Some("stream visits not found in account 000000000000: create it first"));
    assert_eq!(put("clicks", "").await.unwrap_err().code(), Some("InvalidArgumentException"));
    let again = client.create_stream().stream_name("clicks").shard_count(1).send().await.unwrap_err();
    assert!(again.as_service_error().unwrap().is_resource_in_use_exception());
    // If one entry is invalid, none is put, so that a retry repeats nothing.
    let entries = vec![entry("a", "{}"), entry("", "{}")];
    let refused = client.put_records().stream_name("clicks").set_records(Some(entries)).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidArgumentException"));
    let source = KinesisSource::new(services.streams(), "clicks").unwrap();
    assert!(source.read("shardId-000000000000", &Position::TrimHorizon, 10).await.unwrap().records.is_empty());
    let many = vec![entry("a", "{}"); 501];
    let refused = client.put_records().stream_name("clicks").set_records(Some(many)).send().await.unwrap_err();
    assert_eq!(refused.message(), Some("PutRecords has 501 records; expected 1 to 500"));
    let deletion = client.delete_stream().stream_name("clicks").send().await.unwrap_err();
    assert_eq!(deletion.code(), Some("UnknownOperationException"));
    let message = deletion.message().unwrap();
    assert!(
        message.starts_with("the embedded Kinesis doesn't support \"DeleteStream\"; it supports CreateStream,"),
        "{message}"
    );
    // A parameter that would have no effect is refused.
    let limited = client.list_shards().stream_name("clicks").max_results(1).send().await.unwrap_err();
    assert_eq!(limited.code(), Some("ValidationException"));
    assert!(limited.message().unwrap().contains("unknown field `MaxResults`"));
}

/// Every record of up to 10 MiB used to be accepted.
#[tokio::test]
async fn a_record_has_up_to_1_mib_with_its_key_unless_its_stream_allows_more() {
    let services = Services::start(None).unwrap();
    let client = stream(&services, 1).await;
    let create = client.create_stream().stream_name("large").shard_count(1).max_record_size_in_kib(10_240);
    create.send().await.unwrap();
    let (mebibyte, limit) = (1024 * 1024, 10 * 1024 * 1024);
    let put = |stream: &str, bytes: usize| {
        client.put_record().stream_name(stream).partition_key("a").data(Blob::new(vec![b'x'; bytes])).send()
    };
    put("clicks", mebibyte - 1).await.unwrap();
    let refused = put("clicks", mebibyte).await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidArgumentException"));
    assert!(refused.message().unwrap().contains("raise MaxRecordSizeInKiB"), "{refused:?}");
    put("large", limit - 1).await.unwrap();
    assert!(put("large", limit).await.is_err());

    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
    let raise = |kib: i32| client.update_max_record_size().stream_arn(arn).max_record_size_in_kib(kib).send();
    let wrong = raise(10_241).await.unwrap_err();
    assert_eq!(wrong.message(), Some("MaxRecordSizeInKiB is 10241; expected 1024 to 10240"));
    raise(2_048).await.unwrap();
    put("clicks", mebibyte).await.unwrap();
    let summary = client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    assert_eq!(summary.stream_description_summary().unwrap().max_record_size_in_kib(), Some(2_048));
}

#[test]
fn an_invalid_request_is_refused_with_its_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    let answer = |protocol: &str, operation: &str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, protocol.parse().unwrap());
        headers.insert("x-amz-target", format!("Kinesis_20131202.{operation}").parse().unwrap());
        operate(&streams, &headers, body.as_bytes()).map_err(|Refusal { code, message }| format!("{code}: {message}"))
    };
    assert_eq!(answer(PROTOCOL, "CreateStream", r#"{"StreamName":"clicks","ShardCount":1}"#), Ok(None));
    let cases = [
        (
            "application/x-amz-cbor-1.1",
            "PutRecord",
            "",
            r#"SerializationException: the embedded Kinesis supports application/x-amz-json-1.1 only, not "application/x-amz-cbor-1.1""#,
        ),
        (
            PROTOCOL,
            "PutRecord",
            "{",
            "ValidationException: the embedded Kinesis can't read this request: EOF while parsing an object at line 1 column 1",
        ),
        (
            PROTOCOL,
            "PutRecord",
            r#"{"StreamName":"clicks","Data":""}"#,
            "ValidationException: the embedded Kinesis can't read this request: missing field `PartitionKey`",
        ),
        (
            PROTOCOL,
            "PutRecord",
            r#"{"StreamName":"clicks","Data":"*","PartitionKey":"a"}"#,
            "InvalidArgumentException: Data isn't valid base64",
        ),
        (
            PROTOCOL,
            "PutRecord",
            r#"{"StreamName":"clicks","Data":"","PartitionKey":"a","ExplicitHashKey":"340282366920938463463374607431768211456"}"#,
            r#"InvalidArgumentException: "340282366920938463463374607431768211456" is not a valid hash key; expected 0 to 2^128 - 1"#,
        ),
        (
            PROTOCOL,
            "ListShards",
            r#"{"StreamARN":"clicks"}"#,
            r#"InvalidArgumentException: "clicks" is not a valid stream ARN"#,
        ),
        (PROTOCOL, "ListShards", "{}", "InvalidArgumentException: the request needs a StreamName or StreamARN"),
        (
            PROTOCOL,
            "CreateStream",
            r#"{"StreamName":"visits","ShardCount":0}"#,
            "ValidationException: the embedded Kinesis can't read this request: invalid value: integer `0`, expected a nonzero u32",
        ),
        (
            PROTOCOL,
            "SplitShard",
            r#"{"StreamName":"clicks","ShardToSplit":"shardId-000000000007","NewStartingHashKey":"1"}"#,
            "ResourceNotFoundException: shard shardId-000000000007 not found: list the stream's shards",
        ),
    ];
    for (protocol, operation, body, expected) in cases {
        assert_eq!(answer(protocol, operation, body), Err(expected.to_owned()), "{operation} {body}");
    }
}
