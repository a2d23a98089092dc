//! The embedded services over real HTTP with the real SDKs: what the rest of the project relies on.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;

use super::*;

const TABLE: TableSpec<'_> = TableSpec {
    name: "claims",
    partition_key: "pk",
    sort_key: Some("sk"),
    ttl_attribute: Some("expires_at"),
    stream: true,
};

async fn bucket(services: &Services) -> aws_sdk_s3::Client {
    let client = services.s3_client(&sdk_config(None));
    ensure_bucket(&client, "archive").await.unwrap();
    client
}

#[tokio::test]
async fn tables_and_buckets_are_created_once() {
    let services = Services::start(None).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    for _ in 0..2 {
        ensure_tables(&client, &[TABLE]).await.unwrap();
        bucket(&services).await;
    }
    let table = client.describe_table().table_name("claims").send().await.unwrap().table.unwrap();
    assert_eq!(table.key_schema().len(), 2);
    assert!(table.stream_specification().unwrap().stream_enabled());
    let ttl = client.describe_time_to_live().table_name("claims").send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some("expires_at"));
}

#[tokio::test]
async fn data_in_a_folder_outlive_the_services() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let services = Services::start(Some(folder.path())).unwrap();
        let client = services.dynamodb_client(&sdk_config(None));
        ensure_tables(&client, &[TABLE]).await.unwrap();
        let objects = bucket(&services).await;
        let key = |text: &str| AttributeValue::S(text.into());
        if round == 0 {
            let put = client.put_item().table_name("claims").item("pk", key("a")).item("sk", key("b"));
            put.send().await.unwrap();
            objects.put_object().bucket("archive").key("a").body(ByteStream::from_static(b"x")).send().await.unwrap();
        } else {
            let get = client.get_item().table_name("claims").key("pk", key("a")).key("sk", key("b"));
            assert!(get.send().await.unwrap().item.is_some());
            objects.get_object().bucket("archive").key("a").send().await.unwrap();
        }
    }
}

#[test]
fn services_start_and_end_without_a_runtime_and_delete_their_folder() {
    let services = Services::start(None).unwrap();
    let folder = services._temporary.as_ref().unwrap().path().to_owned();
    assert!(folder.exists());
    drop(services);
    assert!(!folder.exists());
}

#[tokio::test]
async fn one_of_many_conditional_writers_wins() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    for round in 0..5 {
        let writers = (0..20).map(|writer| {
            let body = ByteStream::from(vec![b'x'; 1000 * writer]);
            let put = client.put_object().bucket("archive").key(format!("round={round}/a.avro")).if_none_match("*");
            tokio::spawn(put.body(body).send())
        });
        let mut won = 0;
        for result in futures::future::join_all(writers).await {
            match result.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_get_during_overwrites_gives_one_whole_object() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let put = |byte: u8| client.put_object().bucket("archive").key("a").body(vec![byte; 100_000].into()).send();
    put(0).await.unwrap();
    let writes = async {
        for byte in 1..30 {
            put(byte).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..30 {
            let object = client.get_object().bucket("archive").key("a").send().await.unwrap();
            let body = object.body.collect().await.unwrap().into_bytes();
            assert!(body.len() == 100_000 && body.iter().all(|byte| Some(byte) == body.first()));
        }
    };
    tokio::join!(writes, reads);
}

#[tokio::test]
async fn objects_are_listed_in_pages_by_prefix() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    for number in 0..25 {
        let key = format!("orders/partition_date=2026-09-{:02}/{number:03}.avro", 1 + number % 2);
        client.put_object().bucket("archive").key(key).body(ByteStream::from_static(b"x")).send().await.unwrap();
    }
    let list =
        |prefix: &str| client.list_objects_v2().bucket("archive").prefix(prefix).max_keys(10).into_paginator().send();
    let mut pages = list("orders/");
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(keys.len(), 25);
    assert!(keys.is_sorted());
    let first = list("orders/partition_date=2026-09-02/").next().await.unwrap().unwrap();
    assert_eq!((first.contents().len(), first.is_truncated()), (10, Some(true)));
}

#[tokio::test]
async fn keys_are_stored_as_they_are_or_refused_without_effect() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let (longest, too_long, long_part) = ("k".repeat(161), "part/".repeat(33), "k".repeat(256));
    let cases = [
        ("orders/partition_date=2026-09-17/a b%2F+\u{e9}?#&.avro", None),
        (longest.as_str(), None),
        (&too_long, Some("KeyTooLongError")),
        (&long_part, Some("KeyTooLongError")),
        ("x//y", Some("InvalidArgument")),
        ("x/./y", Some("InvalidArgument")),
        ("../y", Some("InvalidArgument")),
        ("orders", Some("InternalError")),
    ];
    for (key, code) in cases {
        let put = client.put_object().bucket("archive").key(key).body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(put.err().as_ref().map(|error| error.code().unwrap()), code, "{key}");
        let get = client.get_object().bucket("archive").key(key).send().await;
        assert_eq!(get.is_ok(), code.is_none(), "{key}");
    }
    let listed = client.list_objects_v2().bucket("archive").send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, [longest.as_str(), cases[0].0]);
}

#[tokio::test]
async fn no_bucket_no_object_and_no_credentials_are_errors_as_in_s3() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let body = || ByteStream::from_static(b"x");
    let missing = client.put_object().bucket("missing").key("a").body(body()).send().await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchBucket"));
    let missing = client.get_object().bucket("archive").key("a").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchKey"));
    client.put_object().bucket("archive").key("a").body(body()).send().await.unwrap();
    let again =
        client.put_object().bucket("archive").key("a").if_none_match("*").body(body()).send().await.unwrap_err();
    assert_eq!(again.raw_response().unwrap().status().as_u16(), 412);
    let stranger = aws_sdk_s3::config::Credentials::new("stranger", "x", None, None, "test");
    let config = client.config().to_builder().credentials_provider(stranger).build();
    assert!(aws_sdk_s3::Client::from_conf(config).list_buckets().send().await.is_err());
}

#[tokio::test]
async fn cloudwatch_keeps_small_and_compressed_data_points() {
    let services = Services::start(None).unwrap();
    let client = services.cloudwatch_client(&sdk_config(None));
    let datum = |number: usize| {
        let dimension = Dimension::builder().name("Pipeline").value("orders").build();
        let datum = MetricDatum::builder().metric_name(format!("RecordsCommitted{number}")).dimensions(dimension);
        datum.unit(StandardUnit::Count).value(1.5)
    };
    let put = |data: Vec<MetricDatum>| client.put_metric_data().namespace("Usage").set_metric_data(Some(data)).send();
    let timed = datum(0).timestamp(std::time::SystemTime::now().into()).build();
    put(vec![timed]).await.unwrap();
    // Well over the 10 KiB from which the SDK compresses.
    put((1..=500).map(|number| datum(number).build()).collect()).await.unwrap();
    let points = services.metrics().points();
    assert_eq!(points.len(), 501);
    let expected = DataPoint {
        namespace: "Usage".into(),
        name: "RecordsCommitted500".into(),
        dimensions: BTreeMap::from([("Pipeline".into(), "orders".into())]),
        values: vec![1.5],
        counts: vec![],
        unit: Some("Count".into()),
    };
    assert_eq!(points.last(), Some(&expected));
    services.metrics().clear();
    let distinct = MetricDatum::builder().metric_name("Latency").set_values(Some(vec![1.0, 2.0]));
    put(vec![distinct.set_counts(Some(vec![3.0, 1.0])).build()]).await.unwrap();
    let points = services.metrics().points();
    assert_eq!((&points[0].values, &points[0].counts, &points[0].unit), (&vec![1.0, 2.0], &vec![3.0, 1.0], &None));
}
