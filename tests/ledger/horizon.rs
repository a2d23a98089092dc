//! How long to wait between raising KEEP_DAYS and HORIZON_DAYS: what was written before keeps its expiry.

use usage_aggregator::window::Window;

use crate::place::Place;

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
/// In minutes after [`MINUTE`](crate::place::MINUTE): on the first day of December, which has 31 days.
const RAISED: i64 = 3 * DAY;
const NEW_HORIZON: i64 = 90;

/// Counts two records, one after the other, so that their states have two versions.
async fn count(place: &Place, first: u64, minute: i64) {
    for number in [first, first + 1] {
        assert!(counts(place, number, minute).await, "record {number}");
    }
}

/// Whether a record of this minute still counts.
async fn counts(place: &Place, number: u64, minute: i64) -> bool {
    let notices = place.append(&[(number, "a", minute, 100)], 1).await;
    place.try_fold(&notices).await.is_ok_and(|folded| folded.settled == 1)
}

/// A place that has counted a record eleven days before its KEEP_DAYS were raised, and one just before.
async fn raised() -> Place {
    let mut place = Place::with_windows(&Window::DEFAULT);
    count(&place, 1, RAISED - 11 * DAY).await;
    count(&place, 3, RAISED - 5).await;
    place.folder.ledger.keep_days = NEW_HORIZON;
    place
}

#[tokio::test(start_paused = true)]
async fn a_horizon_that_is_raised_too_early_accepts_records_that_can_not_be_folded() {
    // The old horizon and a month later: the folds of an open month have kept its days, but not their hours.
    let place = raised().await;
    count(&place, 5, RAISED + DAY).await;
    count(&place, 7, RAISED - 10 * DAY).await;
    place.expire(RAISED + 49 * DAY);
    assert!(!counts(&place, 9, RAISED - 11 * DAY).await);
    // The new horizon later, if nothing was counted in the rest of the month: the day is gone, and the month lists it.
    let place = raised().await;
    place.expire(RAISED + NEW_HORIZON * DAY);
    assert!(!counts(&place, 5, RAISED + HOUR).await);
}

#[tokio::test(start_paused = true)]
async fn a_horizon_that_is_raised_as_documented_accepts_records_that_count() {
    let semantics = include_str!("../../docs/semantics.md");
    assert!(semantics.contains("once as many days as the new horizon and 32 more"));
    for quiet in [false, true] {
        let place = raised().await;
        if !quiet {
            count(&place, 5, RAISED + DAY).await;
            count(&place, 7, RAISED + 32 * DAY - 5).await;
        }
        let now = RAISED + (NEW_HORIZON + 32) * DAY;
        place.expire(now);
        for (number, minute) in [(9, now - NEW_HORIZON * DAY), (10, RAISED + 50 * DAY), (11, now)] {
            assert!(counts(&place, number, minute).await, "record {number}");
        }
    }
}
