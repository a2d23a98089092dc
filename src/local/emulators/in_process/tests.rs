//! The same requests to the in-process services and over HTTP: the function gets the same responses.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem, Update};
use aws_sdk_s3::primitives::ByteStream;

use super::*;
use crate::emulators::{Services, TableSpec, ensure_bucket, ensure_tables};

const TABLE: TableSpec<'_> = TableSpec {
    name: "counters",
    partition_key: "pk",
    sort_key: None,
    ttl_attribute: Some("expires_at"),
    stream: None,
};

/// The function's clients of both kinds, with a table and a bucket each.
async fn both() -> (Services, [Clients; 2]) {
    let services = Services::start(None).unwrap();
    let config = sdk_config(None);
    let over_http = Clients {
        dynamodb: services.dynamodb_client(&config),
        s3: services.s3_client(&config),
        cloudwatch: services.cloudwatch_client(&config),
        ..Clients::new(&config)
    };
    ensure_bucket(&over_http.s3, "archive").await.unwrap();
    let objects = Objects::default();
    objects.create_bucket("archive");
    let in_process = clients(client(Database::memory().unwrap(), objects));
    for clients in [&over_http, &in_process] {
        ensure_tables(&clients.dynamodb, &[TABLE]).await.unwrap();
    }
    (services, [over_http, in_process])
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.to_owned())
}

/// An item that must be new, in the table `table`.
fn new_item(table: &str, key: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(table)
        .item("pk", string(key))
        .item("ids", AttributeValue::B(b"\0\xff".as_slice().into()));
    let put = put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", "pk");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

/// An addition to `attribute` of the item `key`.
fn add(key: &str, attribute: &str, amount: AttributeValue) -> TransactWriteItem {
    let update = Update::builder().table_name("counters").key("pk", string(key)).update_expression("ADD #a :a");
    let update = update.expression_attribute_names("#a", attribute).expression_attribute_values(":a", amount);
    TransactWriteItem::builder().update(update.build().unwrap()).build()
}

async fn transact(clients: &Clients, token: Option<&str>, writes: Vec<TransactWriteItem>) -> String {
    let sent = clients.dynamodb.transact_write_items().set_transact_items(Some(writes));
    match sent.set_client_request_token(token.map(str::to_owned)).send().await {
        Ok(_) => "done".to_owned(),
        Err(error) => {
            let status = error.raw_response().unwrap().status().as_u16();
            let (code, message) = (error.code().map(str::to_owned), error.message().map(str::to_owned));
            let reasons = match error.into_service_error() {
                TransactWriteItemsError::TransactionCanceledException(canceled) => canceled.cancellation_reasons,
                _ => None,
            };
            format!("{status} {code:?} {message:?} {reasons:?}")
        }
    }
}

async fn read(clients: &Clients, table: &str) -> String {
    let keys = ["a", "b", "nobody"].map(|key| HashMap::from([("pk".to_owned(), string(key))]));
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.into())).consistent_read(true).build().unwrap();
    match clients.dynamodb.batch_get_item().request_items(table, keys).send().await {
        Ok(found) => {
            let mut items: Vec<_> = found.responses.unwrap().remove(table).unwrap();
            items.sort_by_key(|item| item["pk"].as_s().unwrap().clone());
            let sorted = items.iter().map(|item| item.iter().collect::<std::collections::BTreeMap<_, _>>());
            format!("{:?} {:?}", sorted.collect::<Vec<_>>(), found.unprocessed_keys)
        }
        Err(error) => format!("{:?} {:?}", error.code(), error.message()),
    }
}

async fn put(clients: &Clients, bucket: &str, key: &str, body: &'static [u8]) -> (Option<u16>, Option<String>) {
    let request =
        clients.s3.put_object().bucket(bucket).key(key).if_none_match("*").body(ByteStream::from_static(body));
    match request.send().await {
        Ok(_) => (None, None),
        Err(error) => (Some(error.raw_response().unwrap().status().as_u16()), error.code().map(str::to_owned)),
    }
}

#[tokio::test]
async fn transactions_and_reads_have_the_same_answers_as_over_http() {
    let (_services, both) = both().await;
    let answers = async |clients: &Clients| {
        vec![
            transact(clients, None, vec![new_item("counters", "a"), add("b", "amount", number("0.1"))]).await,
            // The condition fails, and with it the addition.
            transact(clients, None, vec![new_item("counters", "a"), add("b", "amount", number("7"))]).await,
            // The SDK's retry of a transaction that was applied, recognized by its token.
            transact(clients, Some("token"), vec![add("b", "amount", number("1"))]).await,
            transact(clients, Some("token"), vec![add("b", "amount", number("1"))]).await,
            transact(clients, Some("token"), vec![add("b", "amount", number("2"))]).await,
            transact(clients, None, vec![add("b", "pk", number("1"))]).await,
            transact(clients, None, vec![new_item("counters", "c"), add("a", "ids", number("1"))]).await,
            transact(clients, None, vec![new_item("missing", "a")]).await,
            read(clients, "counters").await,
            read(clients, "missing").await,
        ]
    };
    let (over_http, in_process) = (answers(&both[0]).await, answers(&both[1]).await);
    assert_eq!(in_process, over_http);
    assert!(over_http[1].contains("ConditionalCheckFailed") && over_http[8].contains("1.1"), "{over_http:?}");
}

#[tokio::test]
async fn objects_are_put_once_as_over_http() {
    let (_services, both) = both().await;
    let key = "data/avro/order/partition_date=2026-09-17/a b%2F+\u{e9}?#&.avro";
    let answers = async |clients: &Clients| {
        vec![
            put(clients, "archive", key, b"first").await,
            put(clients, "archive", key, b"second").await,
            put(clients, "archive", "empty", b"").await,
            put(clients, "missing", key, b"first").await,
        ]
    };
    assert_eq!(answers(&both[1]).await, answers(&both[0]).await);
}

#[tokio::test]
async fn the_bytes_and_the_key_arrive_as_they_were_sent() {
    let objects = Objects::default();
    objects.create_bucket("archive");
    let clients = clients(client(Database::memory().unwrap(), objects.clone()));
    let key = "partition_date=2026-09-17/a b%2F+\u{e9}?#&.avro";
    assert_eq!(put(&clients, "archive", key, b"first").await, (None, None));
    assert_eq!(put(&clients, "archive", key, b"second").await, (Some(412), Some("PreconditionFailed".to_owned())));
    let found: Vec<_> = objects.bucket("archive").into_iter().map(|(key, body)| (key, body.to_vec())).collect();
    assert_eq!(found, [(key.to_owned(), b"first".to_vec())]);
}

#[tokio::test]
async fn unsupported_operations_are_errors_that_say_so() {
    let clients = clients(client(Database::memory().unwrap(), Objects::default()));
    let listed = clients.s3.list_buckets().send().await.unwrap_err();
    assert_eq!(listed.code(), Some("NotImplemented"));
    let listed = clients.dynamodb.list_tables().send().await.unwrap_err();
    assert!(listed.message().unwrap().contains("doesn't support ListTables"), "{listed:?}");
}
