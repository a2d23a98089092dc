//! Transactions, sums, and batches of the embedded DynamoDB, for applications on a laptop. Not compared with AWS.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as Error;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
};

use crate::emulators::{Services, TableSpec, ensure_tables, sdk_config};

const TABLE: TableSpec<'_> =
    TableSpec { name: "usage", partition_key: "pk", sort_key: None, ttl_attribute: None, stream: None };
const KIB: usize = 1024;

async fn start() -> (Services, Client) {
    let services = Services::start(None).unwrap();
    let config = sdk_config(None).into_builder().retry_config(RetryConfig::disabled()).build();
    let client = services.dynamodb_client(&config);
    ensure_tables(&client, &[TABLE]).await.unwrap();
    (services, client)
}

fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(digits: impl Into<String>) -> AttributeValue {
    AttributeValue::N(digits.into())
}

fn put(put: aws_sdk_dynamodb::types::builders::PutBuilder) -> TransactWriteItem {
    TransactWriteItem::builder().put(put.table_name("usage").build().unwrap()).build()
}

/// Writes the item `key` with `version`, if it had the version `read`.
fn versioned(key: &str, read: Option<u32>, version: u32) -> TransactWriteItem {
    let put_item = Put::builder().item("pk", string(key)).item("version", number(version.to_string()));
    let put_item = put_item.return_values_on_condition_check_failure(OnFailure::AllOld);
    put(match read {
        None => put_item.condition_expression("attribute_not_exists(pk)"),
        Some(read) => {
            let at = number(read.to_string());
            put_item.condition_expression("version = :read").expression_attribute_values(":read", at)
        }
    })
}

fn add(key: &str, amount: &str) -> TransactWriteItem {
    let update = Update::builder().table_name("usage").key("pk", string(key)).update_expression("ADD amount :amount");
    let update = update.expression_attribute_values(":amount", number(amount)).build().unwrap();
    TransactWriteItem::builder().update(update).build()
}

fn item(key: String, size_bytes: usize) -> TransactWriteItem {
    put(Put::builder().item("pk", string(key)).item("b", AttributeValue::B(vec![7; size_bytes].into())))
}

async fn transact(client: &Client, actions: impl IntoIterator<Item = TransactWriteItem>) -> Result<(), Error> {
    let actions = Some(actions.into_iter().collect());
    let result = client.transact_write_items().set_transact_items(actions).send().await;
    result.map(drop).map_err(aws_sdk_dynamodb::error::SdkError::into_service_error)
}

async fn amount(client: &Client, key: &str) -> Option<String> {
    let get = client.get_item().table_name("usage").key("pk", string(key)).consistent_read(true);
    Some(get.send().await.unwrap().item?.get("amount")?.as_n().unwrap().clone())
}

fn reasons(error: Error) -> Vec<String> {
    let Error::TransactionCanceledException(cancelled) = error else { panic!("not cancelled: {error:?}") };
    cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_condition_and_a_sum_take_effect_together_or_not_at_all() {
    let (_services, client) = start().await;
    transact(&client, [versioned("item", None, 1), add("sum", "1")]).await.unwrap();
    transact(&client, [versioned("item", Some(1), 2), add("sum", "1")]).await.unwrap();
    for stale in [None, Some(1)] {
        let error = transact(&client, [add("sum", "1"), versioned("item", stale, 2)]).await.unwrap_err();
        let Error::TransactionCanceledException(cancelled) = &error else { panic!("{error:?}") };
        let current = cancelled.cancellation_reasons()[1].item().unwrap();
        assert_eq!(current["version"], number("2"));
        assert_eq!(reasons(error), ["None", "ConditionalCheckFailed"]);
    }
    assert_eq!(amount(&client, "sum").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn one_of_many_concurrent_transactions_wins() {
    let (_services, client) = start().await;
    let writers = (0..30).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { transact(&client, [versioned("item", None, 1), add("sum", "1")]).await })
    });
    let results = futures::future::join_all(writers).await;
    assert_eq!(results.into_iter().filter(|result| result.as_ref().unwrap().is_ok()).count(), 1);
    assert_eq!(amount(&client, "sum").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn sums_are_exact_to_38_digits_and_refused_beyond() {
    let (_services, client) = start().await;
    let nines = "99999999999999999999999999999999999999";
    let cases = [
        ("12345678901234567890123456789012345678", "1", Some("12345678901234567890123456789012345679")),
        (nines, "1", Some("100000000000000000000000000000000000000")),
        ("0.1", "0.2", Some("0.3")),
        ("-1", "1", Some("0")),
        ("0.5", "1E-38", Some("0.50000000000000000000000000000000000001")),
        ("1E30", "1E-8", None),
        ("1E38", "1", None),
        ("1E100", "-1", None),
        ("9E125", "9E125", None),
    ];
    for (case, (start, more, sum)) in cases.into_iter().enumerate() {
        let key = format!("sum {case}");
        transact(&client, [add(&key, start)]).await.unwrap();
        match transact(&client, [add("other", "1"), add(&key, more)]).await {
            Ok(()) => assert_eq!(amount(&client, &key).await.as_deref(), sum),
            Err(error) => {
                assert_eq!(sum, None, "{start} + {more}");
                assert_eq!(reasons(error), ["None", "ValidationError"]);
            }
        }
    }
    let too_long = transact(&client, [add("sum", &format!("{nines}9"))]).await.unwrap_err();
    assert_eq!(too_long.code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_transaction_has_a_hundred_actions_on_distinct_items_and_four_megabytes() {
    let (_services, client) = start().await;
    let adds = |count: usize| (0..count).map(|key| add(&key.to_string(), "1"));
    let items = |count: usize| (0..count).map(|key| item(key.to_string(), 390 * KIB));
    transact(&client, adds(100)).await.unwrap();
    transact(&client, items(10)).await.unwrap();
    for actions in [
        adds(101).collect::<Vec<_>>(),
        adds(0).collect(),
        vec![add("a", "1"), add("a", "1")],
        items(11).collect(),
        vec![item("big".into(), 400 * KIB)],
        vec![add("", "1")],
    ] {
        assert_eq!(transact(&client, actions).await.unwrap_err().code(), Some("ValidationException"));
    }
}

#[tokio::test]
async fn an_item_that_grows_too_large_or_has_another_type_cancels_the_transaction() {
    let (_services, client) = start().await;
    transact(&client, [item("full".into(), 400 * KIB - 7)]).await.unwrap();
    let text = put(Put::builder().item("pk", string("text")).item("amount", string("1")));
    transact(&client, [text]).await.unwrap();
    for key in ["full", "text"] {
        let error = transact(&client, [add("sum", "1"), add(key, "1")]).await.unwrap_err();
        assert_eq!(reasons(error), ["None", "ValidationError"], "{key}");
    }
    assert_eq!(amount(&client, "sum").await, None);
}

#[tokio::test]
async fn a_request_token_applies_once_and_refuses_other_content() {
    let (_services, client) = start().await;
    let with_token =
        |amount| client.transact_write_items().client_request_token("t").transact_items(add("sum", amount));
    with_token("1").send().await.unwrap();
    with_token("1").send().await.unwrap();
    assert_eq!(amount(&client, "sum").await.as_deref(), Some("1"));
    let other = with_token("2").send().await.unwrap_err();
    assert_eq!(other.code(), Some("IdempotentParameterMismatchException"));
}

#[tokio::test]
async fn a_batch_get_reads_a_hundred_keys_and_sixteen_megabytes() {
    let (_services, client) = start().await;
    let get = |table: &str, count: usize| {
        let keys = (0..count).map(|key| [("pk".to_owned(), string(key.to_string()))].into()).collect();
        let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build().unwrap();
        client.batch_get_item().request_items(table, keys).send()
    };
    transact(&client, (0..100).map(|key| add(&key.to_string(), "1"))).await.unwrap();
    let all = get("usage", 100).await.unwrap();
    assert_eq!(all.responses().unwrap()["usage"].len(), 100);
    assert!(all.unprocessed_keys().unwrap().is_empty());
    assert_eq!(get("usage", 101).await.unwrap_err().code(), Some("ValidationException"));
    assert_eq!(get("missing", 1).await.unwrap_err().code(), Some("ResourceNotFoundException"));

    for start in (0..50).step_by(10) {
        transact(&client, (start..start + 10).map(|key| item(key.to_string(), 390 * KIB))).await.unwrap();
    }
    let some = get("usage", 50).await.unwrap();
    let unprocessed = some.unprocessed_keys().unwrap()["usage"].keys().len();
    assert!(unprocessed > 0);
    assert_eq!(some.responses().unwrap()["usage"].len() + unprocessed, 50);
}

#[tokio::test]
async fn a_missing_table_fails_the_transaction_without_reasons() {
    let (_services, client) = start().await;
    let update = Update::builder().table_name("missing").key("pk", string("a")).update_expression("ADD amount :one");
    let update = update.expression_attribute_values(":one", number("1")).build().unwrap();
    let missing = TransactWriteItem::builder().update(update).build();
    let error = transact(&client, [add("sum", "1"), missing]).await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    assert_eq!(amount(&client, "sum").await, None);
}
