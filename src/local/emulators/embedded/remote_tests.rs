//! The same stream read through the SDK and in the process.

use aws_sdk_dynamodb::types::AttributeValue;
use event_source_mapping::sources::RemoteStream;
use event_source_mapping::{PageEnd, Position, ReadError, Source};
use serde_json::{Value, json};

use crate::emulators::{EmbeddedStream, Services, StreamView, TableSpec, ensure_tables, sdk_config};

const TABLE: TableSpec<'_> = TableSpec {
    name: "orders",
    partition_key: "pk",
    sort_key: None,
    ttl_attribute: None,
    stream: Some(StreamView::Images),
};

async fn place() -> (Services, aws_sdk_dynamodb::Client) {
    let services = Services::start(None).unwrap();
    let tables = services.dynamodb_client(&sdk_config(None));
    ensure_tables(&tables, &[TABLE]).await.unwrap();
    (services, tables)
}

fn client(services: &Services) -> aws_sdk_dynamodbstreams::Client {
    let config = aws_sdk_dynamodbstreams::config::Builder::from(&sdk_config(None));
    aws_sdk_dynamodbstreams::Client::from_conf(config.endpoint_url(services.dynamodb_url()).build())
}

/// The stream that the table has now, through the SDK.
async fn remote(services: &Services, tables: &aws_sdk_dynamodb::Client) -> RemoteStream {
    let described = tables.describe_table().table_name("orders").send().await.unwrap();
    RemoteStream::new(client(services), &described.table.unwrap().latest_stream_arn.unwrap())
}

async fn put(tables: &aws_sdk_dynamodb::Client, key: &str, text: String) {
    let put = tables.put_item().table_name("orders").item("pk", AttributeValue::S(key.to_owned()));
    put.item("text", AttributeValue::S(text)).send().await.unwrap();
}

#[tokio::test]
async fn records_are_the_same_as_in_the_process() {
    let (services, tables) = place().await;
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

    let remote = remote(&services, &tables).await;
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

#[tokio::test]
async fn an_iterator_of_an_earlier_stream_reads_nothing_of_the_current_one() {
    let (services, tables) = place().await;
    put(&tables, "a", "x".to_owned()).await;
    let earlier = remote(&services, &tables).await;
    let shard = earlier.shards().await.unwrap().remove(0).id;
    // Which keeps an iterator.
    let next = earlier.read(&shard, &Position::TrimHorizon, 10).await.unwrap().next;
    tables.delete_table().table_name("orders").send().await.unwrap();
    ensure_tables(&tables, &[TABLE]).await.unwrap();
    put(&tables, "b", "x".to_owned()).await;
    for position in [&next, &Position::TrimHorizon] {
        let read = earlier.read(&shard, position, 10).await;
        assert!(matches!(read, Err(ReadError::Gone)), "{position:?}: {read:?}");
    }
    let current = remote(&services, &tables).await;
    let shard = current.shards().await.unwrap().remove(0).id;
    let page = current.read(&shard, &Position::TrimHorizon, 10).await.unwrap();
    assert_eq!(page.records.len(), 1);
    let described = client(&services).describe_stream().stream_arn(current.arn()).send().await.unwrap();
    let range = described.stream_description.unwrap().shards.unwrap().remove(0).sequence_number_range.unwrap();
    assert!(range.starting_sequence_number.unwrap().as_str() <= page.records[0].sequence.as_str());
    assert_eq!(current.read(&shard, &next, 10).await.unwrap().records.len(), 1, "the other one is older");
}

#[tokio::test]
async fn a_page_has_at_most_one_megabyte() {
    const RECORDS: usize = 45;
    const RECORD_BYTES: usize = 50_000;
    let (services, tables) = place().await;
    for number in 0..RECORDS {
        put(&tables, &number.to_string(), "x".repeat(RECORD_BYTES)).await;
    }
    let embedded = EmbeddedStream::open(services.database(), "orders").unwrap();
    let sources: [&dyn Source; 2] = [&embedded, &remote(&services, &tables).await];
    for source in sources {
        let shard = source.shards().await.unwrap().remove(0).id;
        let (mut position, mut pages) = (Position::TrimHorizon, Vec::new());
        loop {
            let page = source.read(&shard, &position, 1_000).await.unwrap();
            pages.push(page.records.len());
            position = page.next;
            if page.end == PageEnd::CaughtUp {
                break;
            }
        }
        assert_eq!(pages, [20, 20, 5]);
    }
}
