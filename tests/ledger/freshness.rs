//! FRESHNESS=now: a batch folds its own pages before it is answered. That it couldn't is no reason to deliver it again.

use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan};
use tokio::time::Instant;
use usage_aggregator::fold::Notice;
use usage_aggregator::handler::Invocation;

use crate::place::{MINUTE, Place, text};
use crate::schedule::{at, handler_with, order};

/// An event with an order that asks for no indicator, whose queries would fail as well.
fn shipped(number: i64) -> Vec<u8> {
    String::from_utf8(order(number, MINUTE)).unwrap().replace("\"NEW\"", "\"SHIPPED\"").into_bytes()
}

/// The notices of all pages of the ledger.
fn notices(place: &Place) -> Vec<Notice> {
    let items = place.items("ledger");
    items.iter().filter_map(|item| Notice::of("orders", &text(item, "pk"), &text(item, "sk"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_folded_at_once_is_durable_and_counted_by_a_later_fold() {
    for fault in [Fault::Throttle, Fault::AccessDenied, Fault::Delay(Duration::from_hours(1))] {
        let place = Place::new();
        let function = handler_with(&place, &[("FRESHNESS", "now")]);
        let minute_left = || Invocation { deadline: Some(Instant::now() + Duration::from_mins(1)), ..at(MINUTE + 1) };
        assert!(function.append(&shipped(1), &minute_left()).await.unwrap().response().batch_item_failures.is_empty());
        assert_eq!(place.month("a"), (1, 100), "{fault:?}: nothing is wrong yet");

        place.http.set_plan(FaultPlan::always("Query", fault));
        let invocation = minute_left();
        let outcome = function.append(&shipped(2), &invocation).await.unwrap();
        assert!(Instant::now() <= invocation.deadline.unwrap(), "{fault:?}: after the deadline");
        assert!(outcome.response().batch_item_failures.is_empty(), "{fault:?}: {outcome:?}");
        assert_eq!((outcome.durable, outcome.pages.len(), notices(&place).len()), (1, 1, 2), "{fault:?}");
        assert_eq!(place.month("a"), (1, 100), "{fault:?}: it isn't folded");

        place.http.set_plan(FaultPlan::none());
        assert_eq!(place.fold(&notices(&place)).await.settled, 2, "{fault:?}");
        assert_eq!(place.month("a"), (2, 200), "{fault:?}");
        // Lambda delivers both again.
        for number in [1, 2] {
            function.append(&shipped(number), &minute_left()).await.unwrap();
        }
        assert_eq!((place.month("a"), notices(&place).len()), ((2, 200), 2), "{fault:?}");
    }
}
