//! The same stream read through the SDK and in the process.

use event_source_mapping::sources::RemoteStream;
use event_source_mapping::{Position, Source};
use serde_json::{Value, json};

use crate::emulators::{EmbeddedStream, Services, StreamView, TableSpec, ensure_tables, sdk_config};

const TABLE: TableSpec<'_> = TableSpec {
    name: "orders",
    partition_key: "pk",
    sort_key: None,
    ttl_attribute: None,
    stream: Some(StreamView::Images),
};

#[tokio::test]
async fn records_are_the_same_as_in_the_process() {
    let services = Services::start(None).unwrap();
    let config = sdk_config(None);
    let tables = services.dynamodb_client(&config);
    ensure_tables(&tables, &[TABLE]).await.unwrap();
    let every_type = json!({
        "S": "a", "N": "1.5", "B": "Zm9v", "BOOL": true, "NULL": true, "SS": ["a"], "NS": ["1"], "BS": ["Zm9v"],
        "L": [{ "S": "x" }], "M": { "y": { "N": "2" } },
    });
    let attributes = every_type.as_object().unwrap().iter().map(|(kind, value)| {
        let typed = json!({ kind: value });
        (kind.clone(), serde_json::from_value::<dynoxide::types::AttributeValue>(typed).unwrap())
    });
    let key = dynoxide::types::AttributeValue::S("k".to_owned());
    let item = attributes.chain([("pk".to_owned(), key)]).collect();
    let put =
        dynoxide::actions::put_item::PutItemRequest { table_name: "orders".to_owned(), item, ..Default::default() };
    services.database().put_item(put).unwrap();

    let client = aws_sdk_dynamodbstreams::config::Builder::from(&config).endpoint_url(services.dynamodb_url());
    let described = tables.describe_table().table_name("orders").send().await.unwrap();
    let arn = described.table.unwrap().latest_stream_arn.unwrap();
    let remote = RemoteStream::new(aws_sdk_dynamodbstreams::Client::from_conf(client.build()), &arn);
    let embedded = EmbeddedStream::open(services.database(), "orders").unwrap();
    let shard = remote.shards().await.unwrap().remove(0);
    assert_eq!(shard, embedded.shards().await.unwrap().remove(0));
    let pages = [
        remote.read(&shard.id, &Position::TrimHorizon, 10).await.unwrap(),
        embedded.read(&shard.id, &Position::TrimHorizon, 10).await.unwrap(),
    ];
    let [one, other] = pages.each_ref().map(|page| page.records[0].clone());
    let [json, other_json] = [&one, &other].map(|record| serde_json::from_str::<Value>(&record.json).unwrap());
    assert_eq!(json, other_json);
    assert_eq!(remote.arn(), embedded.arn());
    assert_eq!((&one.sequence, one.item), (&other.sequence, other.item));
    assert_eq!(pages[0].next, pages[1].next);
}
