//! What isn't durable at the deadline is reported before it. In virtual time, so that no slow machine changes what happens.

use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan};
use serde_json::{Value, json};
use tokio::time::Instant;
use usage_aggregator::handler::Invocation;

use crate::prefix::{NOW, event, order, orders};
use crate::simulation::bench::{Bench, Release};
use crate::world::{at, claimed, rows};

/// Longer than any invocation lasts.
const STALL: Fault = Fault::Delay(Duration::from_secs(3_600));

fn a_minute_left() -> Invocation {
    Invocation { deadline: Some(Instant::now() + Duration::from_secs(60)), ..at(NOW) }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_before_the_deadline_is_reported_in_time() {
    let cases = [
        ("BatchGetItem", Fault::Throttle, 0),
        ("BatchGetItem", STALL, 0),
        ("TransactWriteItems", Fault::Status503, 0),
        ("TransactWriteItems", STALL, 0),
        ("PutObject", Fault::Status503, 3),
        ("PutObject", STALL, 3),
    ];
    for (operation, fault, counted) in cases {
        let bench = Bench::new();
        let lease = bench.sandbox(Release::Failing);
        lease.sandbox.http.set_plan(FaultPlan::always(operation, fault));
        let invocation = a_minute_left();
        let outcome = lease.sandbox.handler.handle(&event(&orders(3)), &invocation).await.unwrap();
        assert!(Instant::now() <= invocation.deadline.unwrap(), "{operation}: after the deadline");
        assert_eq!(outcome.rejected[0].fault.code.name(), "not_durable", "{operation}");
        assert_eq!(outcome.response().batch_item_failures.len(), 1);
        assert_eq!((outcome.durable, claimed(&bench.stored().claims).len()), (0, counted), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_counters_leave_time_for_the_files_of_earlier_records() {
    let bench = Bench::new();
    let lease = bench.sandbox(Release::Failing);
    lease.sandbox.http.set_plan(FaultPlan::always("TransactWriteItems", Fault::Throttle));
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
    let outcome = lease.sandbox.handler.handle(&event(&records), &a_minute_left()).await.unwrap();
    assert_eq!(outcome.rejected[0].sequence.as_str(), records[3]["dynamodb"]["SequenceNumber"]);
    let archived = bench.stored().objects.values().flat_map(|body| rows(body)).count();
    assert_eq!((outcome.durable, outcome.applied, archived), (3, 3, 3));
}
