//! Starting and stopping the services, and creating tables and buckets.

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};
use aws_sdk_s3::primitives::ByteStream;

use super::*;

const TABLE: TableSpec<'_> = TableSpec {
    name: "ledger",
    partition_key: "pk",
    sort_key: Some("sk"),
    ttl_attribute: Some("expires_at"),
    stream: Some(StreamView::Images),
};

#[tokio::test]
async fn tables_and_buckets_are_created_once() {
    let services = Services::start(None).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    for _ in 0..2 {
        ensure_tables(&client, &[TABLE]).await.unwrap();
        ensure_bucket(&services.s3_client(&sdk_config(None)), "archive").await.unwrap();
    }
    let table = client.describe_table().table_name("ledger").send().await.unwrap().table.unwrap();
    assert_eq!(table.key_schema().len(), 2);
    assert!(table.stream_specification().unwrap().stream_enabled());
    let ttl = client.describe_time_to_live().table_name("ledger").send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some("expires_at"));
}

/// A source, whose items may have numbers of any name. They used to be deleted.
#[tokio::test]
async fn a_table_without_an_attribute_for_time_to_live_keeps_its_items() {
    let services = Services::start(None).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let source = [TableSpec { ttl_attribute: None, ..TABLE }];
    ensure_tables(&client, &source).await.unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = client.put_item().table_name("ledger").item("pk", text("a")).item("sk", text("b"));
    put.item("expires_at", AttributeValue::N("3600".to_owned())).send().await.unwrap();
    ensure_tables(&client, &source).await.unwrap();
    let status = async || {
        let ttl = client.describe_time_to_live().table_name("ledger").send().await.unwrap();
        ttl.time_to_live_description.unwrap().time_to_live_status.unwrap()
    };
    assert_eq!(status().await, TimeToLiveStatus::Disabled);
    assert_eq!(services.database().sweep_ttl().unwrap(), 0);
    // A table of the function gets it with the next start if the one before was killed.
    ensure_tables(&client, &[TABLE]).await.unwrap();
    assert_eq!(status().await, TimeToLiveStatus::Enabled);
}

#[tokio::test]
async fn data_in_a_folder_survives_the_services() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let services = Services::start(Some(folder.path())).unwrap();
        let client = services.dynamodb_client(&sdk_config(None));
        ensure_tables(&client, &[TABLE]).await.unwrap();
        let objects = services.s3_client(&sdk_config(None));
        ensure_bucket(&objects, "archive").await.unwrap();
        let key = |text: &str| AttributeValue::S(text.into());
        if round == 0 {
            let put = client.put_item().table_name("ledger").item("pk", key("a")).item("sk", key("b"));
            put.send().await.unwrap();
            objects.put_object().bucket("archive").key("a").body(ByteStream::from_static(b"x")).send().await.unwrap();
            let streams = services.kinesis_client(&sdk_config(None));
            streams.create_stream().stream_name("clicks").shard_count(1).send().await.unwrap();
        } else {
            let get = client.get_item().table_name("ledger").key("pk", key("a")).key("sk", key("b"));
            assert!(get.send().await.unwrap().item.is_some());
            objects.get_object().bucket("archive").key("a").send().await.unwrap();
            assert_eq!(services.streams().names(), ["clicks"]);
        }
    }
}

#[test]
fn services_start_and_stop_without_a_runtime_and_delete_their_folder() {
    let services = Services::start(None).unwrap();
    let folder = services._temporary.as_ref().unwrap().path().to_owned();
    assert!(folder.exists());
    drop(services);
    assert!(!folder.exists());
}
