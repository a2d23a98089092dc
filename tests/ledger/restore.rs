//! What a sweep heals after the ledger was restored, and what it publishes of a ledger that has expired in part.

use std::collections::{BTreeMap, BTreeSet};

use usage_aggregator::fold::{Depth, Mode};
use usage_aggregator::ledger::{PageRef, WindowKey};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Window, Zone};

use crate::place::{Item, MINUTE, Place, minute_of, text, values};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// A restore of the ledger may have the parts of a transaction of different moments, and states without their pages.
#[tokio::test(start_paused = true)]
async fn a_restored_cut_heals() {
    let mut place = Place::new();
    place.folder.max_state_bytes = 60;
    let mut pages = Vec::new();
    for number in 0..6 {
        let records = [(number, "a", 0, 1), (100 + number, "b", number as i64 % 3, 1)];
        let new = place.append(&records, 1).await;
        place.fold(&new).await;
        pages.extend(new);
    }
    let before = place.snapshots();
    let halves = place.states().into_keys().filter(|(_, sort_key)| sort_key.ends_with("/0"));
    let halves: Vec<_> = halves.collect();
    assert!(halves.len() >= 3, "{halves:?}");
    halves.iter().for_each(|(key, sort_key)| place.delete("ledger", key, sort_key));
    place.delete("ledger", "p#orders#2026-11-28T08:57#0", &format!("{:016x}", pages[0].page.name));
    place.folder.epoch = 1;
    // As `usagectl ledger sweep` does it: what lacks parts of other minutes is swept again.
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    let pipeline = place.pipeline.clone();
    let snapshot = pipeline.snapshot.as_ref().unwrap();
    for _ in 0..2 {
        for minute in 0..3 {
            _ = place.folder.sweep(snapshot, minute_of(minute), Depth::Windows, now, None).await;
        }
    }
    assert_eq!((place.month("a").0, place.month("b").0), (5, 5), "the page that is lost is not counted");
    // The source delivers its records again.
    let again = place.append(&[(0, "a", 0, 1), (100, "b", 0, 1)], 1).await;
    assert_eq!(place.fold(&again).await.settled, again.len());
    let after = place.snapshots();
    for (key, (orders, cents, version)) in before {
        assert_eq!((after[&key].0, after[&key].1), (orders, cents), "{key:?}");
        assert!(after[&key].2 > version.max(1 << 48), "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn windows_whose_pages_have_expired_are_published_from_their_states() {
    let place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    let before = place.snapshots();
    place.items("usage").iter().for_each(|item| {
        place.delete("usage", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
    });
    // 25 days later, the pages and the minute are gone; the hour, the day, and the month are not.
    for (key, sort_key) in [
        ("p#orders#2026-11-28T08:57#0", place.items("ledger").iter().find_map(page_name).unwrap()),
        ("s#orders#2026-11-28T08", "2026-11-28T08:57/".to_owned()),
    ] {
        place.delete("ledger", key, &sort_key);
    }
    let now = Timestamp::from_seconds(MINUTE + 25 * 86_400).unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Windows, now, None).await.unwrap();
    assert_eq!((swept.repaired, place.snapshots()), (3, before));
    let refused = place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now, None).await.unwrap_err();
    assert!(refused.message.contains("its pages may have expired"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_holds_a_window_while_it_may_have_a_page_or_a_state_of_it() {
    let mut place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    // Its minute is 2026-11-28T08:57, and no other hour has a state.
    let [hour, before] = ["2026-11-28T08", "2026-11-28T07"].map(|text| WindowKey::parse(text, Zone::UTC).unwrap());
    for late_days in [0, 3] {
        place.folder.ledger.late_days = late_days;
        // A page stays for 18 days and 7 days of grace, and may be gone a day earlier. The last minute of 07 is 07:59.
        let last = MINUTE - 58 * 60 + (18 + 7 - 1 + late_days) * 86_400;
        for (window, now, expected) in
            [(before, last, true), (before, last + 1, false), (hour, last, true), (hour, last + 86_400, true)]
        {
            let now = Timestamp::from_seconds(now).unwrap();
            assert_eq!(place.folder.holds(window, now, None).await.unwrap(), expected, "{window} at {now}");
        }
    }
}

/// What was written before KEEP_DAYS was raised has expired earlier.
#[tokio::test(start_paused = true)]
async fn regression_what_expired_before_keep_days_was_raised_is_not_held() {
    let (place, now) = restored_after_a_raise().await;
    let window = |text: &str| WindowKey::parse(text, Zone::UTC).unwrap();
    for (text, is_held, has_lost) in [
        // Of October, only the state of the month is left; of November 5, that of the day.
        ("2026-10-20T08", false, true),
        ("2026-11-05T08", false, true),
        ("2026-11-05T09", false, false),
        ("2026-11-28T08", true, true),
        ("2027-01-16T08", true, false),
    ] {
        assert_eq!(place.folder.holds(window(text), now, None).await.unwrap(), is_held, "{text}");
        assert_eq!(place.folder.has_lost(window(text), None).await.unwrap(), has_lost, "{text}");
    }
    place.append(&[(7, "a", -23 * 1_440 + 60, 7_000_000)], 1).await;
    for (text, is_held) in [("2026-11-05", true), ("2026-11-05T09", true), ("2026-11-05T10", false)] {
        assert_eq!(place.folder.holds(window(text), now, None).await.unwrap(), is_held, "{text}");
    }
}

/// Deletes what has expired in the ledger after so many seconds, but no page of the first minute: DynamoDB takes its time.
fn expire(place: &Place, now: Timestamp) {
    for item in place.items("ledger") {
        let expires_at = item.get("expires_at").map(|at| at.as_n().unwrap().parse::<i64>().unwrap());
        let key = item["pk"].as_s().unwrap();
        if expires_at.is_some_and(|at| at < now.seconds()) && !key.starts_with("p#orders#2026-11-28T08:57#") {
            place.delete("ledger", key, item["sk"].as_s().unwrap());
        }
    }
}

/// A place in which a notice of [`MINUTE`] was lost, and one of "a" wasn't; so many seconds later, the rest of its day, its month
/// and the next one were counted, and what has expired is gone. Returns the page whose notice wasn't lost.
async fn lost(seconds: i64) -> (Place, PageRef, Timestamp) {
    let place = Place::with_windows(&Window::ALL);
    let first = place.append(&[(1, "a", 0, 1)], 1).await;
    // The hour before, a minute later, the rest of the day, the day after, and the month after.
    let others = [-60_i64, 1, 600, 1_440, 4 * 1_440].map(|minute| (1_000 + minute.unsigned_abs(), "a", minute, 1));
    let others = place.append(&others, 1).await;
    assert_eq!(place.fold(&first).await.settled + place.fold(&others).await.settled, 6);
    place.append(&[(2, "a", 0, 10), (3, "b", 0, 100)], 1).await;
    let now = Timestamp::from_seconds(MINUTE + seconds).unwrap();
    expire(&place, now);
    (place, first[0].page, now)
}

/// A notice that is older than HORIZON_DAYS and six days isn't folded: its pages live for another day.
#[tokio::test(start_paused = true)]
async fn what_a_notice_was_too_old_for_is_swept_until_its_pages_expire() {
    for seconds in [24 * DAY - HOUR, 24 * DAY + HOUR, 25 * DAY] {
        let (place, _, now) = lost(seconds).await;
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Minute, now, None).await.unwrap();
        assert_eq!((swept.pages, swept.repaired, swept.too_old.len()), (2, 10, 0), "{seconds}");
        let of = |entity: &str, window: &str| {
            let items = place.items("usage");
            let is_it = |item: &&Item| text(item, "entity") == entity && text(item, "window") == window;
            let mut counted: Vec<_> =
                items.iter().filter(is_it).map(values).map(|(orders, cents, _)| (orders, cents)).collect();
            counted.sort_unstable();
            counted
        };
        assert_eq!(of("a", "hour"), [(1, 1), (1, 1), (1, 1), (1, 1), (3, 12)], "{seconds}");
        assert_eq!(of("a", "day"), [(1, 1), (1, 1), (5, 14)], "{seconds}");
        assert_eq!((of("a", "week"), of("a", "month")), (vec![(1, 1), (6, 15)], vec![(1, 1), (6, 15)]), "{seconds}");
        assert_eq!(of("a", "total"), [(7, 16)], "{seconds}");
        for window in ["hour", "day", "week", "month", "total"] {
            assert_eq!(of("b", window), [(1, 100)], "{window} {seconds}");
        }
        let again = place.folder.sweep(snapshot, minute_of(0), Depth::Windows, now, None).await.unwrap();
        assert_eq!(again.repaired, 0, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_a_minute_that_has_lost_a_page_too_early_fails() {
    let (place, page, now) = lost(24 * DAY + HOUR).await;
    place.delete("ledger", "p#orders#2026-11-28T08:57#0", &format!("{:016x}", page.name));
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Minute, now, None).await;
    assert!(swept.unwrap_err().message.contains("is missing"));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_names_a_minute_whose_pages_have_expired_and_were_not_folded() {
    for seconds in [25 * DAY + 60, 26 * DAY] {
        // The state of the minute has expired in the second case, and so has that of its hour.
        let (place, ..) = lost(24 * DAY).await;
        let now = Timestamp::from_seconds(MINUTE + seconds).unwrap();
        expire(&place, now);
        let (snapshot, before) = (place.pipeline.snapshot.as_ref().unwrap(), (place.snapshots(), place.states()));
        let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Minute, now, None).await.unwrap();
        assert_eq!((swept.repaired, swept.too_old), (0, BTreeSet::from([minute_of(0)])));
        assert_eq!((place.snapshots(), place.states()), before);
    }
    // Its pages were folded: its state says so, or that of its hour.
    for seconds in [25 * DAY + 60, 25 * DAY + HOUR] {
        let place = Place::with_windows(&Window::ALL);
        place.fold(&place.append(&[(1, "a", 0, 1)], 1).await).await;
        let now = Timestamp::from_seconds(MINUTE + seconds).unwrap();
        expire(&place, now);
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Windows, now, None).await.unwrap();
        assert_eq!((swept.pages, swept.repaired, swept.too_old.len()), (1, 0, 0));
    }
}

/// Everything in both tables.
fn tables(place: &Place) -> BTreeMap<(String, String), Item> {
    let items = place.items("ledger").into_iter().chain(place.items("usage"));
    items.map(|item| ((text(&item, "pk"), text(&item, "sk")), item)).collect()
}

/// A place that counted on October 20, on November 5 and 20, and, after KEEP_DAYS had been raised from 18 to 90, on November 28
/// and once more in the minute of November 20. Fifty days later, what has expired is gone, and the ledger is restored.
async fn restored_after_a_raise() -> (Place, Timestamp) {
    let mut place = Place::with_windows(&Window::ALL);
    let before = [(1, "a", -39 * 1_440, 1), (2, "a", -23 * 1_440, 20), (3, "a", -8 * 1_440, 300)];
    place.fold(&place.append(&before, 1).await).await;
    place.folder.ledger.keep_days = 90;
    place.fold(&place.append(&[(4, "a", 0, 4_000), (5, "a", -8 * 1_440, 50_000)], 1).await).await;
    place.expire(50 * 1_440);
    place.folder.epoch = 1;
    (place, Timestamp::from_seconds(MINUTE + 50 * DAY).unwrap())
}

/// What was written before KEEP_DAYS was raised keeps its expiry, and what it was summed up into outlives it: of October, the month
/// is left; of November 5, the day; of November 20, the second page of a minute.
#[tokio::test(start_paused = true)]
async fn regression_after_keep_days_was_raised_a_new_epoch_keeps_windows_whose_parts_have_expired() {
    let (place, now) = restored_after_a_raise().await;
    let sort_keys: BTreeSet<String> = place.states().into_keys().map(|(_, sort_key)| sort_key).collect();
    let has = |window: &str| sort_keys.contains(&format!("{window}/"));
    assert!(has("2026-10") && !has("2026-10-20") && has("2026-11-05") && !has("2026-11-05T08"), "{sort_keys:?}");
    let (snapshot, before) = (place.pipeline.snapshot.as_ref().unwrap(), tables(&place));
    for (minute, pages) in [(-39 * 1_440, 0), (-23 * 1_440, 0), (-8 * 1_440, 1), (-8 * 1_440 + 1, 0)] {
        let swept = place.folder.sweep(snapshot, minute_of(minute), Depth::Windows, now, None).await.unwrap();
        assert_eq!((swept.pages, swept.repaired, swept.too_old.len()), (pages, 0, 0), "{minute}");
        assert!(tables(&place) == before, "the sweep of {minute} changed something");
    }
    // The total is written again in the new epoch, with everything.
    let notices = place.append(&[(6, "a", 49 * 1_440, 600_000)], 1).await;
    let folded = place.folder.fold(snapshot, &notices, now, None).await.unwrap();
    assert_eq!((folded.settled, folded.error.map(|error| error.message)), (1, None));
    let total = &place.snapshots()[&("a".to_owned(), "total".to_owned())];
    assert_eq!((total.0, total.1, total.2 >= 1 << 48), (6, 654_321, true));
}

/// A page that was never folded is folded until it expires; but if what the state of its minute, or of its day, stood for has expired,
/// neither becomes smaller.
#[tokio::test(start_paused = true)]
async fn regression_a_new_epoch_never_sums_up_again_what_has_expired() {
    for minute in [-8 * 1_440, -23 * 1_440 + 60] {
        let (place, now) = restored_after_a_raise().await;
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        place.append(&[(7, "a", minute, 7_000_000)], 1).await;
        let of_days = |place: &Place| {
            let states = place.states().into_iter();
            states.filter(|((_, sort_key), _)| sort_key.len() <= "2026-11-05/".len()).collect::<BTreeMap<_, _>>()
        };
        let before = of_days(&place);
        let sweep = || place.folder.sweep(snapshot, minute_of(minute), Depth::Windows, now, None);
        let refused = sweep().await.unwrap_err();
        assert!(refused.message.contains("is missing; see the runbook for a blocked fold"), "{minute}: {refused}");
        let rebuilt = place.folder.rebuild(snapshot, minute_of(minute), Mode::Rebuild, now, None).await.unwrap_err();
        assert!(rebuilt.message.contains("is missing"), "{minute}: {rebuilt}");
        assert_eq!(of_days(&place), before, "{minute}");
        // Somebody who has seen what is missing can forget it.
        assert_eq!(place.folder.missing(snapshot, minute_of(minute), None).await.unwrap().len(), 1, "{minute}");
        place.folder.rebuild(snapshot, minute_of(minute), Mode::Forget, now, None).await.unwrap();
        assert_eq!(sweep().await.unwrap().repaired, 0, "{minute}");
    }
}

/// The name of a page, if an item is one.
fn page_name(item: &Item) -> Option<String> {
    item["pk"].as_s().unwrap().starts_with("p#").then(|| item["sk"].as_s().unwrap().clone())
}
