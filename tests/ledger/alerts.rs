//! Alerts: each crossing of a group has one item, whatever crashes, and a fall takes back what a crossing said.

use std::sync::Arc;

use laptop::emulators::{Fault, FaultPlan};
use usage_aggregator::fold::{AlertState, Depth, MAX_STATE_BYTES, Mode, Notice};
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::pipeline::TimeToLive;
use usage_aggregator::pipeline::template::{ParsedText, Template};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Window, Zone};

use crate::place::{Counted, MINUTE, Place, groups, minute_of, text, values};

/// Three orders in an hour, and again after fewer than two.
const THREE: &str = "measure = \"orders\"\nwindow = \"hour\"\nlimit = 3\nrearm = 0.5";

fn place(alert: &str) -> Place {
    let mut place = Place::with_windows(&[Window::Hour]);
    place.alert(alert);
    place
}

fn now() -> Timestamp {
    Timestamp::from_seconds(MINUTE + 600).unwrap()
}

/// Appends records and folds them.
async fn count(place: &Place, records: &[Counted<'_>]) -> Vec<Notice> {
    let notices = place.append(records, 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    notices
}

/// Takes records back and folds that.
async fn void(place: &Place, records: &[Counted<'_>]) {
    for notice in place.take_back(&groups(records)).await {
        assert_eq!(place.fold(&[notice]).await.settled, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_says_what_has_crossed_which_limit() {
    let place = place("measure = \"orders\"\nwindow = \"hour\"\nlimit = 4\nat = [0.75, 1.0]");
    count(&place, &[(1, "a", 0, 100), (2, "a", 1, 100)]).await;
    assert_eq!(place.alerts(), []);
    count(&place, &[(3, "a", 0, 100), (4, "b", 0, 100)]).await;
    let [alert] = &place.alerts()[..] else { panic!("{:?}", place.alerts()) };
    let expected = serde_json::json!({
        "id": alert.id, "pipeline": "orders", "entity": "a", "resource": "orders", "measure": "orders", "window": "hour",
        "window_start": "2026-11-28T08:00:00Z", "window_end": "2026-11-28T09:00:00Z", "limit": 4, "at": 0.75,
        "threshold": 3, "state": "fired", "crossing": 1,
    });
    assert_eq!(serde_json::to_value(alert).unwrap(), expected);
    assert!(
        alert.id.starts_with("a#orders#2026-11-28T08/") && alert.id.ends_with("#0000000000000002#000001"),
        "{alert:?}"
    );
    let items = place.items("ledger");
    let expiry = |key: &str| {
        let item = items.iter().find(|item| item["pk"].as_s().unwrap().starts_with(key)).unwrap();
        item["expires_at"].as_n().unwrap().clone()
    };
    assert_eq!(expiry("a#orders#2026-11-28T08"), expiry("s#orders#2026-11-28"), "it is kept as long as its state");
    let raised_at = |event: &str| {
        let items = place.items("ledger");
        let item = items.iter().find(|item| item["sk"].as_s().unwrap().ends_with(event)).unwrap();
        item["raised_at"].as_s().unwrap().clone()
    };
    assert_eq!(raised_at("#000001"), now().to_string(), "when it was found");
    count(&place, &[(5, "a", 2, 100)]).await;
    let mut alerted = place.alerted();
    alerted.sort();
    assert_eq!(alerted, ["a 0.75 1 fired", "a 1 1 fired"].map(str::to_owned).to_vec());
}

/// Otherwise a fold would put it again after it has expired, and it would be sent again.
#[tokio::test(start_paused = true)]
async fn an_alert_is_kept_as_long_as_its_state_with_event_time() {
    let mut place = place(THREE);
    place.folder.ledger.late_days = 8;
    count(&place, &[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)]).await;
    let items = place.items("ledger");
    let expiry = |key: &str| {
        let item = items.iter().find(|item| item["pk"].as_s().unwrap().starts_with(key)).unwrap();
        item["expires_at"].as_n().unwrap().clone()
    };
    assert_eq!(expiry("a#orders#2026-11-28T08"), expiry("s#orders#2026-11-28"));
}

#[tokio::test(start_paused = true)]
async fn a_group_of_a_more_specific_counter_is_left_alone() {
    let mut place = place(THREE);
    let literal = |text: &str| Template::new(&ParsedText::parse(text).unwrap(), |_| None).unwrap();
    let snapshot = Arc::get_mut(&mut place.pipeline).unwrap().snapshot.as_mut().unwrap();
    snapshot.alerts[0].others = vec![vec![literal("b"), literal("orders")]];
    count(&place, &[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1), (4, "b", 0, 1), (5, "b", 0, 1), (6, "b", 0, 1)])
        .await;
    assert_eq!(place.alerted(), ["a 1 1 fired"]);
}

#[tokio::test(start_paused = true)]
async fn each_crossing_at_least_once_with_one_id() {
    let mut id = None;
    for fault in Fault::ALL {
        for call in 1..=12 {
            let place = place(THREE);
            count(&place, &[(1, "a", 0, 100), (2, "b", 0, 100)]).await;
            let notices = place.append(&[(3, "a", 1, 100), (4, "a", 1, 100)], 1).await;
            place.http.set_plan(FaultPlan::at(call, fault));
            tokio::select! {
                _ = place.try_fold(&notices) => {}
                () = place.http.crashed() => {}
            }
            place.http.revive();
            place.http.set_plan(FaultPlan::none());
            // Delivered again, twice.
            for _ in 0..2 {
                assert_eq!(place.fold(&notices).await.settled, 1, "{fault:?} at {call}");
            }
            let [alert] = &place.alerts()[..] else { panic!("{fault:?} at {call}: {:?}", place.alerts()) };
            assert_eq!(*id.get_or_insert_with(|| alert.id.clone()), alert.id, "{fault:?} at {call}");
            assert!(place.has_all_alerts().await, "{fault:?} at {call}");
        }
    }
}

/// The fold dies between the swap of the hour and the item, and the redelivered notice finds nothing new.
#[tokio::test(start_paused = true)]
async fn a_fold_that_finds_nothing_new_puts_what_another_one_could_not() {
    let place = place(THREE);
    let notices = place.append(&[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)], 1).await;
    // The minute and the hour are put, and the third PutItem is that of the alert.
    place.http.set_plan(FaultPlan::on("PutItem", 3, Fault::CrashBefore));
    tokio::select! {
        _ = place.try_fold(&notices) => panic!("it crashes"),
        () = place.http.crashed() => {}
    }
    place.http.revive();
    place.http.set_plan(FaultPlan::none());
    assert_eq!((place.alerts().len(), place.snapshots().len()), (0, 1), "the snapshot is there, the alert isn't");
    let folded = place.fold(&notices).await;
    assert_eq!((folded.settled, folded.snapshots, folded.alerts), (1, 0, 1));
    assert_eq!(place.alerted(), ["a 1 1 fired"].map(str::to_owned).to_vec());
    assert_eq!(place.fold(&notices).await.alerts, 0, "what is there isn't put again");
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_not_settled_before_its_alert_is_there() {
    let place = place(THREE);
    let notices = place.append(&[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)], 1).await;
    place.http.set_plan(FaultPlan::on("PutItem", 3, Fault::AccessDenied));
    let error = place.try_fold(&notices).await.unwrap_err();
    assert!(error.message.contains("put an alert into ledger"), "{error}");
    place.http.set_plan(FaultPlan::none());
    assert_eq!((place.fold(&notices).await.settled, place.alerts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_correction_that_takes_the_value_back_is_reported_and_arms_the_alert_again() {
    let place = place(THREE);
    let records = [(1, "a", 0, 100), (2, "a", 0, 100), (3, "a", 0, 100)];
    count(&place, &records).await;
    void(&place, &records[..1]).await;
    assert_eq!(
        place.alerted(),
        ["a 1 1 fired"].map(str::to_owned).to_vec(),
        "2 is not below the value that arms it again"
    );
    void(&place, &records[1..2]).await;
    count(&place, &[(4, "a", 1, 100), (5, "a", 1, 100)]).await;
    let expected = ["a 1 1 fired", "a 1 1 corrected", "a 1 2 fired"];
    assert_eq!(place.alerted(), expected.map(str::to_owned).to_vec());
    assert!(place.has_all_alerts().await);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_falls_by_itself_is_cleared() {
    let place = place("measure = \"amount\"\nwindow = \"hour\"\nlimit = 100");
    count(&place, &[(1, "a", 0, 10_000)]).await;
    count(&place, &[(2, "a", 1, -1)]).await;
    count(&place, &[(3, "a", 2, 1)]).await;
    let expected = ["a 1 1 fired", "a 1 1 cleared", "a 1 2 fired"];
    assert_eq!(place.alerted(), expected.map(str::to_owned).to_vec());
    let states: Vec<AlertState> = place.alerts().iter().map(|alert| alert.state).collect();
    assert_eq!(states, [AlertState::Fired, AlertState::Cleared, AlertState::Fired]);
}

#[tokio::test(start_paused = true)]
async fn what_rises_and_falls_within_one_fold_is_not_seen() {
    let place = place(THREE);
    let records = [(1, "a", 0, 100), (2, "a", 0, 100), (3, "a", 0, 100)];
    let mut notices = place.append(&records, 1).await;
    notices.extend(place.take_back(&groups(&records[..2])).await);
    assert_eq!(place.fold(&notices).await.settled, 2);
    assert_eq!(place.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn a_split_state_keeps_what_its_groups_have_crossed() {
    let mut place = place(THREE);
    let names = ["a", "b", "c", "d"];
    for name in names {
        count(
            &place,
            &[(1, name, 0, 1), (2, name, 0, 1), (3, name, 0, 1)]
                .map(|(id, name, minute, cents)| (id + 10 * u64::from(name.as_bytes()[0]), name, minute, cents)),
        )
        .await;
    }
    assert_eq!(place.alerts().len(), 4);
    place.folder.max_state_bytes = 60;
    let notices = count(&place, &[(9, "e", 0, 5), (10, "a", 0, 5)]).await;
    assert!(place.states().into_keys().any(|(_, sort_key)| sort_key.ends_with("/0")), "nothing was split");
    assert_eq!((place.fold(&notices).await.alerts, place.alerts().len()), (0, 4), "nobody crosses again");
    count(&place, &[(11, "e", 0, 5), (12, "e", 0, 5)]).await;
    assert_eq!(place.alerts().len(), 5);
}

/// While a release with another pipeline.toml still runs.
#[tokio::test(start_paused = true)]
async fn a_function_without_the_rule_keeps_and_reports_what_another_one_has_counted() {
    let mut place = place(THREE);
    let notices = place.append(&[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)], 1).await;
    place.http.set_plan(FaultPlan::on("PutItem", 3, Fault::CrashBefore));
    tokio::select! {
        _ = place.try_fold(&notices) => panic!("it crashes"),
        () = place.http.crashed() => {}
    }
    place.http.revive();
    place.http.set_plan(FaultPlan::none());
    place.alert("");
    assert_eq!(place.fold(&notices).await.alerts, 1);
    count(&place, &[(4, "a", 0, 1)]).await;
    place.alert(THREE);
    count(&place, &[(5, "a", 0, 1)]).await;
    assert_eq!(place.alerted(), ["a 1 1 fired"].map(str::to_owned).to_vec());
}

#[tokio::test(start_paused = true)]
async fn a_new_epoch_reports_again_under_another_id() {
    let mut place = place(THREE);
    let notices = count(&place, &[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)]).await;
    place.folder.epoch = 1;
    assert_eq!(place.fold(&notices).await.settled, 1);
    let [first, again] = &place.alerts()[..] else { panic!("{:?}", place.alerts()) };
    assert!(first.id < again.id && again.id.contains("#0001000000000000#"), "{} {}", first.id, again.id);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_reports_nothing_new_unless_the_state_was_damaged() {
    let place = place(THREE);
    count(&place, &[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)]).await;
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let rebuild = || place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now(), None);
    rebuild().await.unwrap();
    assert_eq!(place.alerts().len(), 1);
    let request = serde_json::json!({
        "TableName": "ledger",
        "Key": { "pk": { "S": "s#orders#2026-11-28" }, "sk": { "S": "2026-11-28T08/" } },
        "UpdateExpression": "SET #data = :data",
        "ExpressionAttributeNames": { "#data": "data" },
        "ExpressionAttributeValues": { ":data": { "B": "AAAA" } },
    });
    place.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
    rebuild().await.unwrap();
    assert_eq!(place.alerted(), ["a 1 1 fired", "a 1 1 fired"].map(str::to_owned).to_vec());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_puts_the_alert_of_a_lost_notice() {
    let place = place(THREE);
    let notices = place.append(&[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)], 1).await;
    place.http.set_plan(FaultPlan::on("PutItem", 3, Fault::CrashBefore));
    tokio::select! {
        _ = place.try_fold(&notices) => panic!("it crashes"),
        () = place.http.crashed() => {}
    }
    place.http.revive();
    place.http.set_plan(FaultPlan::none());
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Windows, now(), None).await.unwrap();
    assert_eq!((swept.repaired, place.alerts().len()), (0, 1));
}

/// A redrive brings records of a window whose snapshot isn't kept that long.
#[tokio::test(start_paused = true)]
async fn an_alert_is_put_although_the_snapshot_has_expired() {
    let mut place = place(THREE);
    let snapshot = Arc::get_mut(&mut place.pipeline).unwrap().snapshot.as_mut().unwrap();
    snapshot.time_to_live = Some(TimeToLive { attribute: "ttl".to_owned(), days: vec![(Window::Hour, 1)] });
    let notices = place.append(&[(1, "a", 0, 1), (2, "a", 0, 1), (3, "a", 0, 1)], 1).await;
    let later = Timestamp::from_seconds(MINUTE + 3 * 86_400).unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let folded = place.folder.fold(snapshot, &notices, later, None).await.unwrap();
    assert_eq!((folded.settled, folded.snapshots, folded.alerts), (notices.len(), 0, 1));
    assert_eq!((place.alerted(), place.items("usage")), (vec!["a 1 1 fired".to_owned()], Vec::new()));
}

fn set_limit(place: &Place, entity: &str, limit: &str) {
    let item = serde_json::json!({ "pk": { "S": format!("LIMIT#{entity}") }, "sk": { "S": "LIMIT" }, "orders": { "N": limit } });
    let request = serde_json::json!({ "TableName": "usage", "Item": item });
    place.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_entity_can_have_a_limit_of_its_own_that_changes() {
    let limit = "{ table = \"usage\", key = { pk = \"LIMIT#{customer}\", sk = \"LIMIT\" }, attribute = \"orders\" }";
    let mut place = Place::with_windows(&[Window::Hour]);
    place.alert(&format!("measure = \"orders\"\nwindow = \"hour\"\nlimit = {limit}"));
    set_limit(&place, "a", "2");
    set_limit(&place, "b", "4");
    let notices = place.append(&[(1, "a", 0, 1), (2, "a", 0, 1), (3, "b", 0, 1), (4, "c", 0, 1)], 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    assert_eq!(place.alerted(), ["a 1 1 fired"].map(str::to_owned).to_vec(), "c has no limit");
    // A limit is remembered for a few minutes.
    set_limit(&place, "a", "10");
    count(&place, &[(5, "a", 0, 1)]).await;
    assert_eq!(place.alerts().len(), 1);
    tokio::time::advance(std::time::Duration::from_secs(301)).await;
    count(&place, &[(6, "a", 0, 1)]).await;
    let said: Vec<_> = place.alerts().iter().map(|alert| (alert.state, alert.limit.to_string())).collect();
    assert_eq!(said, [(AlertState::Fired, "2".to_owned()), (AlertState::Cleared, "10".to_owned())]);
    assert!(place.has_all_alerts().await);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_cannot_be_read_is_an_error() {
    let mut place = Place::with_windows(&[Window::Hour]);
    let limit = "{ table = \"quotas\", key = { pk = \"{customer}\" }, attribute = \"orders\" }";
    place.alert(&format!("measure = \"orders\"\nwindow = \"hour\"\nlimit = {limit}"));
    let notices = place.append(&[(1, "a", 0, 1)], 1).await;
    let error = place.try_fold(&notices).await.unwrap_err();
    assert!(error.message.contains("read a limit from quotas (dynamodb:GetItem)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn regression_an_entity_that_is_too_long_for_the_key_of_a_limit_has_none_and_blocks_nobody() {
    // A snapshot has the entity in its partition key, which may have 2,048 bytes. A sort key may have 1,024.
    let limit = "{ table = \"usage\", key = { pk = \"LIMIT\", sk = \"{customer}\" }, attribute = \"orders\" }";
    let mut place = Place::with_windows(&[Window::Hour]);
    place.alert(&format!("measure = \"orders\"\nwindow = \"hour\"\nlimit = {limit}"));
    let item = serde_json::json!({ "pk": { "S": "LIMIT" }, "sk": { "S": "a" }, "orders": { "N": "1" } });
    let request = serde_json::json!({ "TableName": "usage", "Item": item });
    place.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
    let long = "x".repeat(1_500);
    let notices = place.append(&[(1, "a", 0, 1), (2, long.as_str(), 0, 1)], 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    assert_eq!(place.alerted(), ["a 1 1 fired"].map(str::to_owned).to_vec());
}

#[tokio::test(start_paused = true)]
async fn regression_limits_are_read_once_at_the_same_time_and_not_before_a_state_is_split() {
    let limit = "{ table = \"usage\", key = { pk = \"LIMIT#{customer}\", sk = \"LIMIT\" }, attribute = \"orders\" }";
    let alert = format!("measure = \"orders\"\nwindow = \"hour\"\nlimit = {limit}\nat = [0.5, 1]");
    let names: Vec<String> =
        (0..40_u64).map(|number| blake3::hash(&number.to_be_bytes()).to_hex()[..60].to_owned()).collect();
    let mut results = Vec::new();
    // From nothing, without a split and with splits, and in a new epoch.
    for (max_state_bytes, epoch) in [(MAX_STATE_BYTES, 0), (300, 0), (300, 1)] {
        let mut place = Place::with_windows(&[Window::Hour]);
        names.iter().for_each(|name| set_limit(&place, name, "2"));
        let records = (0..80_u64).map(|number| (number, names[number as usize % 40].as_str(), 0, 1));
        let notices = place.append(&records.collect::<Vec<_>>(), 1).await;
        place.fold(&notices).await;
        if epoch == 0 {
            place.delete("ledger", "s#orders#2026-11-28", "2026-11-28T08/");
        }
        place.alert(&alert);
        (place.folder.max_state_bytes, place.folder.epoch) = (max_state_bytes, epoch);
        place.http.set_plan(FaultPlan::always("GetItem", Fault::Delay(std::time::Duration::from_millis(100))));
        let started = tokio::time::Instant::now();
        while place.fold(&notices).await.settled < notices.len() {}
        // From nothing, a state is split step by step, with pauses.
        assert!(
            started.elapsed().as_millis() < 2_000 || (max_state_bytes, epoch) == (300, 0),
            "{:?}",
            started.elapsed()
        );
        let operations: Vec<String> = place.http.calls().into_iter().map(|(call, _)| call.operation).collect();
        let runs = operations.split(|operation| operation != "GetItem").map(<[String]>::len);
        let (all, longest) = (runs.clone().sum::<usize>(), runs.max().unwrap());
        assert_eq!((all, longest < 40), (40, max_state_bytes == 300), "{operations:?}");
        let mut alerted = place.alerted();
        alerted.sort_unstable();
        assert_eq!(alerted.len(), 80);
        let snapshots = place.items("usage").into_iter().filter(|item| item.contains_key("window"));
        let mut counted: Vec<_> = snapshots.map(|item| (text(&item, "entity"), values(&item).0)).collect();
        counted.sort_unstable();
        results.push((alerted, counted));
    }
    assert!(results.iter().all(|result| *result == results[0]));
}

#[tokio::test(start_paused = true)]
async fn regression_a_sweep_looks_for_the_alerts_of_several_groups_at_once() {
    let mut place = Place::with_windows(&[Window::Hour]);
    place.alert("measure = \"orders\"\nwindow = \"hour\"\nlimit = 1");
    let names: Vec<String> = (0..64).map(|number| format!("customer-{number}")).collect();
    let records: Vec<_> = names.iter().zip(0..).map(|(name, number)| (number, name.as_str(), 0, 1)).collect();
    assert_eq!(place.fold(&place.append(&records, 1).await).await.alerts, 64);
    place.http.set_plan(FaultPlan::always("Query", Fault::Delay(std::time::Duration::from_millis(10))));
    let (started, now) = (tokio::time::Instant::now(), Timestamp::from_seconds(MINUTE + 600).unwrap());
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    // 08:59, with which the snapshots of the hour are compared. Eight requests at once.
    place.folder.sweep(snapshot, minute_of(2), Depth::Differences, now, None).await.unwrap();
    let elapsed = started.elapsed().as_millis();
    assert!((80..200).contains(&elapsed), "{elapsed} ms");
}

/// The state of a day was kept longer since KEEP_DAYS was raised, but its alerts weren't.
#[tokio::test(start_paused = true)]
async fn regression_alerts_that_have_expired_are_not_sent_again() {
    let mut place = Place::with_windows(&[Window::Day, Window::Month]);
    place.alert("measure = \"orders\"\nwindow = \"day\"\nlimit = 1");
    place.fold(&place.append(&[(1, "a", -8 * 1_440, 1)], 1).await).await;
    place.folder.ledger.keep_days = 90;
    place.fold(&place.append(&[(2, "b", 0, 1)], 1).await).await;
    assert_eq!(place.alerted(), ["a 1 1 fired", "b 1 1 fired"]);
    place.expire(50 * 1_440);
    assert_eq!(place.alerted(), ["b 1 1 fired"]);
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let now = Timestamp::from_seconds(MINUTE + 50 * 86_400).unwrap();
    let day = WindowKey::parse("2026-11-20", Zone::UTC).unwrap();
    place.folder.republish(snapshot, day, now, None).await.unwrap();
    place.folder.sweep(snapshot, minute_of(-8 * 1_440), Depth::Windows, now, None).await.unwrap();
    assert_eq!(place.alerted(), ["b 1 1 fired"]);
}
