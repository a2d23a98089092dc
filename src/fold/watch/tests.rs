//! Which values cross a threshold, and what the next version of a state knows of it.

use super::*;
use crate::fold::state::{State, halves};
use crate::ledger::Measure;
use crate::pipeline::{Folder, Pipeline};
use crate::usage::{Cell, CounterKey};
use crate::window::Zone;

const PIPELINE: &str = r##"
[snapshot]
windows = ["hour", "month"]
partition_key = { name = "pk", value = "{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "request"
match = { tenant = "{tenant}", endpoint = "{endpoint}" }

[[record.counter]]
entity = "{tenant}"
resource = "requests"
measure = [{ name = "requests", kind = "count" }, { name = "slowest", kind = "max", attribute = "duration" }]
alert = [
    { measure = "requests", window = "month", limit = 100, at = [0.8, 1.0], rearm = 0.5 },
    { measure = "slowest", window = "month", limit = 2.5 },
]

[[record.counter]]
entity = "{tenant}"
resource = "endpoint {endpoint}"
measure = [{ name = "requests", kind = "count" }]

[[record.counter]]
entity = "endpoint:{endpoint}"
resource = "requests"
measure = [{ name = "requests", kind = "count" }]
"##;

fn snapshot() -> Snapshot {
    parsed(PIPELINE)
}

fn parsed(pipeline: &str) -> Snapshot {
    let files = [("pipeline.toml".to_owned(), pipeline.to_owned())].into();
    let pipeline = Pipeline::parse(&Folder { name: "api".to_owned(), files });
    pipeline.unwrap_or_else(|mistakes| panic!("{mistakes}")).snapshot.unwrap()
}

fn key(resource: &str) -> GroupKey {
    GroupKey::from(&CounterKey(vec!["7".to_owned(), resource.to_owned()]))
}

/// The totals of one group.
fn totals(resource: &str, requests: i64, slowest: Option<&str>) -> Totals {
    let mut totals = Totals::default();
    let measure = |name: &str, aggregate| Measure { name: name.into(), aggregate };
    let measures = [measure("requests", Aggregate::Sum), measure("slowest", Aggregate::Max)];
    totals.update(&key(resource), measures.iter(), |place, value| match (place, slowest) {
        (0, _) => value.insert(&Cell::Number(Decimal::from(requests))),
        (_, Some(slowest)) => value.insert(&Cell::Number(Decimal::parse(slowest).unwrap())),
        (_, None) => {}
    });
    totals
}

fn next(watches: &Watches, version: &NewVersion<'_>) -> Watches {
    watches.next(version, &LimitsOf::new())
}

/// What versions 1, 2, ... of a month with these totals know.
fn watches(versions: &[Totals]) -> Watches {
    let (snapshot, mut watches, mut old) = (snapshot(), Watches::default(), Totals::default());
    for (version, new) in (1..).zip(versions) {
        watches =
            next(&watches, &NewVersion { snapshot: &snapshot, window: Some(Window::Month), version, old: &old, new });
        old = new.clone();
    }
    watches
}

/// The thresholds that the group has crossed, with the version of the first crossing and the number of events.
fn of(watches: &Watches, resource: &str) -> Vec<(String, u64, u64)> {
    let text = |(rule, watch): (&Rule, &Watch)| (format!("{} {}", rule.measure, rule.at), watch.since, watch.events);
    watches.of(&key(resource)).map(text).collect()
}

fn expected(watches: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    watches.iter().map(|(rule, since, events)| ((*rule).to_owned(), *since, *events)).collect()
}

#[test]
fn a_value_crosses_at_the_threshold_and_is_armed_again_below_rearm() {
    let requests = |counts: &[i64]| {
        let versions: Vec<Totals> = counts.iter().map(|count| totals("requests", *count, None)).collect();
        of(&watches(&versions), "requests")
    };
    assert_eq!(requests(&[79]), []);
    assert_eq!(requests(&[79, 80]), expected(&[("requests 0.8", 2, 1)]));
    assert_eq!(requests(&[120]), expected(&[("requests 0.8", 1, 1), ("requests 1", 1, 1)]), "both at once");
    assert_eq!(requests(&[100, 50, 100]), expected(&[("requests 0.8", 1, 1), ("requests 1", 1, 1)]), "not below 50");
    assert_eq!(requests(&[90, 49, 85]), expected(&[("requests 0.8", 1, 3)]));
}

#[test]
fn a_maximum_that_no_record_feeds_any_more_has_fallen_back() {
    let slowest = |values: &[Option<&str>]| {
        let versions: Vec<Totals> = values.iter().map(|value| totals("requests", 1, *value)).collect();
        of(&watches(&versions), "requests")
    };
    assert_eq!(slowest(&[Some("2.4"), Some("2.5")]), expected(&[("slowest 1", 2, 1)]));
    assert_eq!(slowest(&[Some("3"), None]), expected(&[("slowest 1", 1, 2)]));
}

#[test]
fn groups_of_other_counters_and_other_windows_are_left_alone() {
    assert!(watches(&[totals("endpoint /orders", 120, None)]).is_empty());
    let (snapshot, old, new) = (snapshot(), Totals::default(), totals("requests", 120, None));
    for window in [None, Some(Window::Hour)] {
        let version = NewVersion { snapshot: &snapshot, window, version: 1, old: &old, new: &new };
        assert!(next(&Watches::default(), &version).is_empty(), "{window:?}");
    }
}

/// A rule is what is measured, where, and at which limit. Both counters have the same one.
#[test]
fn regression_the_rearm_of_another_counter_with_the_same_rule_does_not_count() {
    let counter = |resource: &str, rearm: &str| {
        format!(
            r#"
[[record.counter]]
entity = "{{tenant}}"
resource = "{resource}"
measure = [{{ name = "requests", kind = "count" }}]
alert = [{{ measure = "requests", window = "month", limit = 100, rearm = {rearm} }}]
"#
        )
    };
    let (head, _) = PIPELINE.split_once("[[record.counter]]").unwrap();
    for counters in [[("requests", "0.5"), ("other", "0.95")], [("other", "0.95"), ("requests", "0.5")]] {
        let counters = counters.map(|(resource, rearm)| counter(resource, rearm)).concat();
        let snapshot = parsed(&format!("{head}{counters}"));
        let (mut watches, mut old) = (Watches::default(), Totals::default());
        for (version, requests) in (1..).zip([100, 90, 100]) {
            let new = totals("requests", requests, None);
            let window = Some(Window::Month);
            let version = NewVersion { snapshot: &snapshot, window, version, old: &old, new: &new };
            watches = next(&watches, &version);
            old = new;
        }
        assert_eq!(of(&watches, "requests"), expected(&[("requests 1", 1, 1)]), "{counters}");
    }
}

#[test]
fn groups_that_a_more_specific_counter_counts_are_left_alone() {
    let snapshot = snapshot();
    let key = |entity: &str| GroupKey::from(&CounterKey(vec![entity.to_owned(), "requests".to_owned()]));
    let mut new = Totals::default();
    for key in ["acme", "endpoint:/orders"].map(key) {
        let requests = [Measure { name: "requests".into(), aggregate: Aggregate::Sum }];
        new.update(&key, requests.iter(), |_, value| value.insert(&Cell::Number(Decimal::from(120))));
    }
    let old = Totals::default();
    let version = NewVersion { snapshot: &snapshot, window: Some(Window::Month), version: 1, old: &old, new: &new };
    let watches = next(&Watches::default(), &version);
    assert_eq!(watches.keys().collect::<Vec<_>>(), [&key("acme")]);
}

#[test]
fn a_rule_that_the_pipeline_does_not_have_is_kept() {
    let before = watches(&[totals("requests", 120, None)]);
    let mut snapshot = snapshot();
    snapshot.alerts.clear();
    let (old, new) = (totals("requests", 120, None), totals("requests", 10, None));
    let version = NewVersion { snapshot: &snapshot, window: Some(Window::Month), version: 9, old: &old, new: &new };
    assert_eq!(next(&before, &version), before);
}

#[test]
fn only_a_change_of_the_value_crosses() {
    let mut snapshot = snapshot();
    let alerts = std::mem::take(&mut snapshot.alerts);
    let (old, new) = (totals("requests", 120, None), totals("requests", 120, Some("1")));
    snapshot.alerts = alerts;
    let version = NewVersion { snapshot: &snapshot, window: Some(Window::Month), version: 2, old: &old, new: &new };
    assert!(next(&Watches::default(), &version).is_empty(), "an alert that is new waits for the next record");
}

#[test]
fn a_fall_is_corrected_if_the_new_version_has_a_correction() {
    let corrected = |resource: &str, requests, corrections| {
        let mut totals = totals(resource, requests, None);
        totals.corrections.insert(key(resource), corrections);
        totals
    };
    let versions = [
        totals("requests", 90, None),
        corrected("requests", 40, 1),
        // More records, and the correction is still there.
        corrected("requests", 90, 1),
        corrected("requests", 40, 1),
    ];
    let watches = watches(&versions);
    let (_, watch) = watches.of(&key("requests")).next().unwrap();
    assert_eq!((watch.events, &watch.corrected), (4, &vec![2]));
}

#[test]
fn watches_and_corrections_read_back_and_the_halves_have_each_once() {
    let mut totals = totals("requests", 120, Some("7"));
    for resource in ["a", "b", "c", "requests"] {
        totals.corrections.insert(key(resource), 3);
    }
    let mut watches = watches(&[totals.clone()]);
    let rules = watches.0[&key("requests")].clone();
    for (resource, events) in [("a", 4), ("b", 1), ("c", 300)] {
        let mut rules = rules.clone();
        rules
            .values_mut()
            .for_each(|watch| *watch = Watch { since: 5 << 48, events, corrected: vec![2, 4], limits: vec![] });
        watches.0.insert(key(resource), rules);
    }
    let state = State { version: 3, totals, watches, ..State::default() };
    assert_eq!(State::read(3, &state.frame(), Zone::UTC), Ok(state.clone()));
    let [first, second] = halves("").map(|part| state.watches.part(&part));
    let both: Watches = Watches(first.0.clone().into_iter().chain(second.0.clone()).collect());
    assert_eq!((both, first.0.len() + second.0.len()), (state.watches, 4));
}

#[test]
fn a_state_without_watches_keeps_its_bytes() {
    let state = State { version: 1, totals: totals("requests", 10, None), ..State::default() };
    let content = crate::ledger::content_of(&state.frame()).unwrap();
    assert_eq!(content[0], 1);
    let watched = State { watches: watches(&[totals("requests", 90, None)]), ..state };
    let content = crate::ledger::content_of(&watched.frame()).unwrap();
    assert_eq!(content[0], 2);
}
