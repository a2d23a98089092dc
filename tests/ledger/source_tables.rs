//! A Kinesis stream may carry the changes of several tables. Each target is in the table of the items that it is computed from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::place::{MINUTE, create_table};
use crate::refused_targets::{QUARANTINE, Shop, codes, deliver, image, key, named};

/// A change of this table, which put the item.
fn change(number: usize, table: &str, image: &Value) -> Value {
    let change = json!({
        "awsRegion": "eu-west-1", "eventID": format!("{table}-{number}"), "eventName": "INSERT", "userIdentity": null,
        "recordFormat": "application/json", "tableName": table, "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": MINUTE * 1_000, "Keys": { "pk": image["pk"], "sk": image["sk"] }, "NewImage": image,
        },
    });
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": (100 + number).to_string(),
            "data": BASE64.encode(change.to_string()), "approximateArrivalTimestamp": MINUTE,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("shardId-000000000000:{}", 100 + number),
        "eventName": "aws:kinesis:record", "awsRegion": "eu-west-1",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:1:stream/orders",
    })
}

fn other_item() -> Value {
    json!({ "pk": { "S": "STOCK#1" }, "sk": { "S": "STOCK" } })
}

#[tokio::test(start_paused = true)]
async fn regression_each_target_is_computed_in_the_table_of_its_items() {
    let shop = Shop::new().await;
    create_table(&shop.place.database, "returns");
    let mut records = vec![change(0, "returns", &other_item())];
    for (number, table, total) in [(1, "orders", "5"), (2, "returns", "7")] {
        shop.put_into(table, &json!({ "pk": key("a"), "sk": { "S": "PROFILE" } })).await;
        let image = image("a", number, total);
        shop.put_into(table, &image).await;
        records.push(change(number, table, &image));
    }
    let outcome = deliver(&shop.function(QUARANTINE, 9), &json!({ "Records": records })).await;
    assert_eq!((named(&outcome), outcome.durable, outcome.recomputed.changed), (None, 3, 2));
    for (table, total) in [("orders", "5"), ("returns", "7")] {
        assert_eq!(shop.shown_in(table, "a").await, Some(("1".to_owned(), total.to_owned())), "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_table_that_the_function_cannot_use_does_not_hold_up_the_others() {
    let shop = Shop::new().await;
    let image = image("a", 2, "5");
    shop.put_into("orders", &image).await;
    // One of the other table that asks for nothing, too.
    let records = [change(0, "unknown", &other_item()), change(1, "unknown", &image), change(2, "orders", &image)];
    let outcome = deliver(&shop.function(QUARANTINE, 9), &json!({ "Records": records })).await;
    assert_eq!((named(&outcome), outcome.durable), (None, 3));
    assert_eq!((codes(&outcome), shop.documents().len()), (vec![("101", "mixed_sources")], 1));
    assert_eq!(shop.shown_in("orders", "a").await, Some(("1".to_owned(), "5".to_owned())));
}
