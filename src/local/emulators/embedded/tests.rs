//! The embedded stream read by the function's decoder, and behavior of AWS that dynoxide lacks.

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification, StreamViewType};

use super::*;
use crate::emulators::{Services, StreamView, TableSpec, ensure_tables, sdk_config};
use usage_aggregator::decode::Event;

const TABLE: TableSpec<'_> = TableSpec {
    name: "orders",
    partition_key: "pk",
    sort_key: None,
    ttl_attribute: Some("gone_at"),
    stream: Some(StreamView::Images),
};

struct Place {
    _folder: tempfile::TempDir,
    services: Services,
    client: aws_sdk_dynamodb::Client,
    stream: EmbeddedStream,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let services = Services::start(Some(folder.path())).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    ensure_tables(&client, &[TABLE]).await.unwrap();
    let stream = EmbeddedStream::open(services.database(), "orders").unwrap();
    Place { _folder: folder, services, client, stream }
}

impl Place {
    async fn put(&self, key: &str, attributes: &[(&str, AttributeValue)]) {
        let mut put = self.client.put_item().table_name("orders").item("pk", AttributeValue::S(key.to_owned()));
        for (name, value) in attributes {
            put = put.item(*name, value.clone());
        }
        put.send().await.unwrap();
    }

    async fn read(&self, position: &Position) -> Page {
        self.try_read(position).await.unwrap()
    }

    async fn try_read(&self, position: &Position) -> Result<Page, ReadError> {
        self.stream.read(&self.stream.name.shard, position, 1_000).await
    }

    /// Disables the stream and enables it again.
    async fn replace_stream(&self) {
        for enabled in [false, true] {
            let view_type = enabled.then_some(StreamViewType::NewAndOldImages);
            let stream = StreamSpecification::builder().stream_enabled(enabled).set_stream_view_type(view_type);
            let update = self.client.update_table().table_name("orders").stream_specification(stream.build().unwrap());
            update.send().await.unwrap();
        }
    }

    /// Deletes the table and creates it again.
    async fn replace_table(&self) {
        self.client.delete_table().table_name("orders").send().await.unwrap();
        ensure_tables(&self.client, &[TABLE]).await.unwrap();
    }

    /// The same with the stream that the table has now.
    fn reopened(self) -> Place {
        let stream = EmbeddedStream::open(self.services.database(), "orders").unwrap();
        Place { stream, ..self }
    }
}

fn number(text: &str) -> AttributeValue {
    AttributeValue::N(text.to_owned())
}

fn event_names(page: &Page) -> Vec<String> {
    let name = |record: &Arc<SourceRecord>| {
        let record: serde_json::Value = serde_json::from_str(&record.json).unwrap();
        record["eventName"].as_str().unwrap().to_owned()
    };
    page.records.iter().map(name).collect()
}

#[tokio::test]
async fn the_function_decodes_records_as_lambda_delivers_them() {
    let place = place().await;
    place.put("a", &[("total", number("1.5"))]).await;
    place.put("a", &[("total", number("2"))]).await;
    let deleted = place.client.delete_item().table_name("orders").key("pk", AttributeValue::S("a".to_owned()));
    deleted.send().await.unwrap();
    let page = place.read(&Position::TrimHorizon).await;
    assert_eq!(event_names(&page), ["INSERT", "MODIFY", "REMOVE"]);
    assert!(page.records.is_sorted_by(|a, b| a.sequence < b.sequence && a.item == b.item));
    let event =
        format!("{{\"Records\":[{}]}}", page.records.iter().map(|r| r.json.as_str()).collect::<Vec<_>>().join(","));
    let event = Event::read(event.as_bytes()).unwrap();
    for raw in event.records() {
        let mut scratch = Vec::new();
        let decoded = raw.decode(&mut scratch).unwrap();
        assert_eq!(decoded.source.name, "orders");
    }
    let label = place.stream.arn().rsplit('/').next().unwrap();
    assert!(place.stream.arn().starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/20"));
    assert_eq!((label.len(), label.as_bytes()[10]), (23, b'T'), "{label}");
}

#[tokio::test]
async fn the_time_of_a_change_is_exact_and_the_event_has_whole_seconds() {
    let place = place().await;
    for id in ["a", "b", "c", "d"] {
        place.put(id, &[]).await;
    }
    let records = place.read(&Position::TrimHorizon).await.records;
    assert!(records.is_sorted_by(|one, next| one.created_at < next.created_at));
    for record in records {
        let event: serde_json::Value = serde_json::from_str(&record.json).unwrap();
        let whole: i64 =
            event["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap().to_string().parse().unwrap();
        // The database reads its clock once for each of them.
        assert!((record.created_at.seconds() - whole).abs() <= 1, "{whole} and {:?}", record.created_at);
    }
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_record() {
    let place = place().await;
    for _ in 0..3 {
        place.put("a", &[("total", number("1.5"))]).await;
    }
    place.put("b", &[]).await;
    let page = place.read(&Position::TrimHorizon).await;
    assert_eq!(event_names(&page), ["INSERT", "INSERT"]);
    let rest = place.read(&page.next).await;
    assert!(rest.records.is_empty() && rest.next == page.next);
}

#[tokio::test]
async fn a_deletion_by_time_to_live_names_dynamodb_as_the_user() {
    let place = place().await;
    place.put("a", &[("gone_at", number("1000000000"))]).await;
    assert_eq!(place.services.database().sweep_ttl().unwrap(), 1);
    let page = place.read(&Position::TrimHorizon).await;
    let identity = r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#;
    assert!(page.records[1].json.contains(identity), "{}", page.records[1].json);
}

/// dynoxide keeps the records of both streams under one shard.
#[tokio::test]
async fn a_stream_has_no_records_of_an_earlier_stream_of_the_table_or_of_an_earlier_table() {
    for is_table in [false, true] {
        let place = place().await;
        place.put("a", &[]).await;
        let earlier = place.read(&Position::TrimHorizon).await.next;
        if is_table {
            place.replace_table().await
        } else {
            place.replace_stream().await
        }
        for position in [&Position::TrimHorizon, &earlier] {
            let read = place.try_read(position).await;
            assert!(matches!(read, Err(ReadError::Gone)), "{position:?}: {read:?}");
        }
        let place = place.reopened();
        for position in [&Position::TrimHorizon, &Position::Latest, &earlier] {
            let page = place.read(position).await;
            assert!(page.records.is_empty() && page.end == PageEnd::CaughtUp, "{page:?}");
        }
        assert_eq!(place.read(&Position::Latest).await.next, Position::TrimHorizon);
        place.put("b", &[]).await;
        for position in [&Position::TrimHorizon, &earlier] {
            let page = place.read(position).await;
            assert_eq!(event_names(&page), ["INSERT"]);
            assert!(page.records[0].json.contains(r#""Keys":{"pk":{"S":"b"}}"#), "{}", page.records[0].json);
        }
    }
}

#[tokio::test]
async fn a_disabled_stream_is_gone() {
    let place = place().await;
    let off = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    place.client.update_table().table_name("orders").stream_specification(off).send().await.unwrap();
    for position in [Position::TrimHorizon, Position::Latest] {
        assert!(matches!(place.try_read(&position).await, Err(ReadError::Gone)));
    }
}

#[tokio::test]
async fn old_records_can_be_trimmed() {
    let place = place().await;
    place.put("a", &[]).await;
    let first = place.read(&Position::TrimHorizon).await;
    let created = first.records[0].created_at;
    place.put("b", &[]).await;
    assert_eq!(place.stream.trim(created).unwrap(), 0);
    let later = Timestamp::from_seconds(created.seconds() + 10).unwrap();
    assert_eq!(place.stream.trim(later).unwrap(), 2);
}

#[tokio::test]
async fn a_table_without_a_stream_is_refused() {
    let place = place().await;
    ensure_tables(&place.client, &[TableSpec { name: "still", stream: None, ..TABLE }]).await.unwrap();
    let refused = EmbeddedStream::open(place.services.database(), "still").err().unwrap();
    assert!(refused.to_string().contains("has no stream"), "{refused}");
    assert!(EmbeddedStream::open(place.services.database(), "nowhere").is_err());
}
