//! What isn't durable at the deadline is reported before it. In virtual time, so that no slow machine changes what happens.

use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan};
use serde_json::{Value, json};
use tokio::time::Instant;
use usage_aggregator::handler::Invocation;

use crate::prefix::{NOW, event, order, orders};
use crate::simulation::bench::{Bench, LEDGER, Release};
use crate::world::{appended, at, notices, page_keys, rows};

/// Longer than any invocation lasts.
const STALL: Fault = Fault::Delay(Duration::from_secs(3_600));

fn a_minute_left() -> Invocation {
    Invocation { deadline: Some(Instant::now() + Duration::from_secs(60)), ..at(NOW) }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_before_the_deadline_is_reported_in_time() {
    let cases = [
        ("PutItem", Fault::Throttle, 0),
        ("PutItem", Fault::Status503, 0),
        ("PutItem", STALL, 0),
        ("PutObject", Fault::Status503, 3),
        ("PutObject", STALL, 3),
    ];
    for (operation, fault, counted) in cases {
        let bench = Bench::new();
        let lease = bench.sandbox(Release::Failing);
        lease.sandbox.http.set_plan(FaultPlan::always(operation, fault));
        let invocation = a_minute_left();
        let outcome = lease.sandbox.handler.append(&event(&orders(3)), &invocation).await.unwrap();
        assert!(Instant::now() <= invocation.deadline.unwrap(), "{operation}: after the deadline");
        assert_eq!(outcome.rejected[0].fault.code.name(), "not_durable", "{operation}");
        assert_eq!(outcome.response().batch_item_failures.len(), 1);
        assert_eq!((outcome.durable, appended(&bench.stored().ledger).len()), (0, counted), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_put_holds_up_no_file_of_earlier_records() {
    let bench = Bench::new();
    let lease = bench.sandbox(Release::Failing);
    lease.sandbox.http.set_plan(FaultPlan::always("PutItem", Fault::Throttle));
    let line = |number: usize| {
        let mut line = order(number, &json!({ "N": "1" }));
        let (pk, sk) = (json!({ "S": "ORDER#1" }), json!({ "S": format!("LINE#{number}") }));
        line["dynamodb"]["Keys"] = json!({ "pk": pk, "sk": sk });
        line["dynamodb"]["NewImage"] =
            json!({ "pk": pk, "sk": sk, "sku": { "S": "x" }, "quantity": { "N": "1" }, "price": { "N": "1.50" } });
        line
    };
    let mut records: Vec<Value> = (0..3).map(line).collect();
    records.extend((3..6).map(|number| order(number, &json!({ "N": "1" }))));
    let outcome = lease.sandbox.handler.append(&event(&records), &a_minute_left()).await.unwrap();
    assert_eq!(outcome.rejected[0].sequence.as_str(), records[3]["dynamodb"]["SequenceNumber"]);
    let archived = bench.stored().objects.values().flat_map(|body| rows(body)).count();
    assert_eq!((outcome.durable, archived), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_folded_before_the_deadline_is_reported_in_time() {
    for (operation, fault) in [("Query", Fault::Throttle), ("Query", STALL), ("PutItem", STALL), ("UpdateItem", STALL)]
    {
        let bench = Bench::new();
        let lease = bench.sandbox(Release::Failing);
        lease.sandbox.handler.append(&event(&orders(3)), &at(NOW)).await.unwrap();
        lease.sandbox.http.set_plan(FaultPlan::always(operation, fault));
        let keys = page_keys(&bench.stored().ledger);
        let invocation = a_minute_left();
        let outcome = lease.sandbox.handler.fold(&notices(LEDGER, &keys), &invocation).await.unwrap();
        assert!(Instant::now() <= invocation.deadline.unwrap(), "{operation}: after the deadline");
        assert_eq!((outcome.failed.as_deref(), bench.stored().usage.len()), (Some("0"), 0), "{operation}");
    }
}
