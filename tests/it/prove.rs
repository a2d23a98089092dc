//! `usagectl prove`: snapshots, ledger and archive agree; what doesn't is found, and only what follows from the ledger is repaired.

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use crate::correct::{counted, minute_of, month, order_at, recent};
use crate::fixture::{Fixture, event};

/// The exit code and the result of `prove --json`.
fn prove(fixture: &Fixture, window: &str) -> (Option<i32>, Value) {
    let run = fixture.run(&["prove", window, "--local", "--json"]);
    (run.code, serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}")))
}

fn day() -> String {
    minute_of(recent())[..10].to_owned()
}

/// Adds 1 to the amount of the month's snapshot.
async fn falsify(fixture: &Fixture) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let items = client.scan().table_name("orders-usage").send().await.unwrap().items.unwrap_or_default();
    let mut item = items.into_iter().find(|item| item["window"].as_s().unwrap() == "month").unwrap();
    item.insert("amount".to_owned(), AttributeValue::N("201".to_owned()));
    client.put_item().table_name("orders-usage").set_item(Some(item)).send().await.unwrap();
}

#[test]
fn snapshots_ledger_and_archive_agree_with_corrections() {
    let fixture = counted();
    let at = minute_of(recent());
    let signed = ["--author", "ann", "--reason", "a test", "--local"];
    let group = ["--entity", "7", "--resource", "orders", "--measure", "amount", "--amount", "1.5", "--at", &at];
    assert_eq!(fixture.run(&[&["correct", "add"], &group[..], &signed].concat()).code, Some(0));
    let why = fixture.run(&["why", "7", "orders", &at, "--local", "--json"]).stdout;
    let record = why.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let record = record.map(|mut line| line["record"].take()).find(|record| record["kind"] == "usage").unwrap();
    let record = record["record_id"].as_str().unwrap();
    assert_eq!(
        fixture.run(&[&["correct", "void", "--record", record, "--at", &at], &signed[..]].concat()).code,
        Some(0)
    );
    let week = at[..10].parse::<jiff::civil::Date>().unwrap().strftime("%G-W%V").to_string();
    for window in [&at[..7], &week, &at[..10], &at[..13]] {
        let (code, proof) = prove(&fixture, window);
        assert_eq!((code, &proof["agrees"]), (Some(0), &json!(true)), "{proof:#}");
        assert_eq!(proof["archive"]["continuity"]["records"], json!(3), "{proof:#}");
        assert_eq!(proof["archive"]["continuity"]["gap_count"], json!(0), "{proof:#}");
    }
    let text = fixture.run(&["prove", &at[..10], "--local"]);
    let expected = ["snapshots = ledger", "states = pages", "3 records continuous"];
    assert!(expected.iter().all(|line| text.stdout.contains(line)), "{text:?}");
    let minute = fixture.run(&["prove", &at, "--local"]);
    assert!(minute.code == Some(2) && minute.stderr.contains("choose an hour"), "{minute:?}");
}

#[test]
fn a_group_of_which_everything_was_taken_back_is_0_in_all_of_them() {
    let fixture = counted();
    let at = minute_of(recent());
    let signed = ["--author", "ann", "--reason", "a test", "--local"];
    let group = ["--entity", "7", "--resource", "orders", "--measure", "amount", "--amount", "1.5", "--at", &at];
    let added = fixture.run(&[&["correct", "add", "--id", "T-1"], &group[..], &signed].concat());
    assert_eq!(added.code, Some(0), "{added:?}");
    let void = |what: &[&str]| {
        let voided = fixture.run(&[&["correct", "void"], what, &signed[..]].concat());
        assert_eq!(voided.code, Some(0), "{voided:?}");
    };
    void(&["--correction", "T-1"]);
    let why = fixture.run(&["why", "7", "orders", &at[..7], "--local", "--json"]).stdout;
    let lines: Vec<Value> = why.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let records: Vec<&Value> = lines.iter().map(|line| &line["record"]).filter(|one| one["kind"] == "usage").collect();
    assert!(!records.is_empty(), "{why}");
    for record in records {
        void(&["--record", record["record_id"].as_str().unwrap(), "--at", record["minute"].as_str().unwrap()]);
    }
    let (code, proof) = prove(&fixture, &at[..10]);
    assert_eq!((code, &proof["agrees"]), (Some(0), &json!(true)), "{proof:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_someone_changed_is_found_and_written_again_from_the_ledger() {
    let fixture = counted();
    falsify(&fixture).await;
    assert_eq!(month(&fixture)["amount"], json!("201"));
    let window = &day()[..7];
    let (code, proof) = prove(&fixture, window);
    assert_eq!(
        (code, &proof["wrong_snapshot_count"], &proof["wrong_state_count"]),
        (Some(1), &json!(1), &json!(0)),
        "{proof:#}"
    );
    let wrong = &proof["wrong_snapshots"][0];
    assert_eq!([&wrong["snapshot"], &wrong["state"], &wrong["pages"]], [&json!("201"), &json!("200"), &json!("200")]);
    assert_eq!(month(&fixture)["amount"], json!("201"), "nothing is written without --repair");

    let repaired = fixture.run(&["prove", window, "--local", "--repair", "--author", "ann"]);
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert!(repaired.stdout.contains("1 snapshot written again from the ledger; audit entry"), "{repaired:?}");
    assert_eq!(month(&fixture)["amount"], json!("200"));
    assert_eq!(prove(&fixture, window).0, Some(0));
    let audit = fixture.json(&["correct", "list", "--local"]);
    let listed =
        json!([{ "window": window, "group": ["7", "orders"], "measure": "amount", "before": "201", "after": "200" }]);
    assert_eq!((&audit["author"], &audit["repaired"]["listed"]), (&json!("ann"), &listed), "{audit:#}");
    let history = fixture.run(&["prove", "--history", "--local"]).stdout;
    let expected =
        [format!("by ann: 1 counter in {window} repaired"), format!("  {window} 7 orders amount: 201 -> 200")];
    assert!(expected.iter().all(|text| history.contains(text)), "{history}");
    // Nothing is left to repair, so no audit entry is added.
    assert_eq!(fixture.run(&["prove", window, "--local", "--repair", "--author", "ann"]).code, Some(0));
    assert_eq!(fixture.run(&["correct", "list", "--local", "--json"]).stdout.lines().count(), 1);
}

/// Fills the month's snapshot up to DynamoDB's limit for an item, and takes its amount away.
async fn fill(fixture: &Fixture) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let items = client.scan().table_name("orders-usage").send().await.unwrap().items.unwrap_or_default();
    let mut item = items.into_iter().find(|item| item["window"].as_s().unwrap() == "month").unwrap();
    item.remove("amount");
    let (mut fits, mut exceeds) = (0_usize, 400 * 1024);
    while exceeds - fits > 1 {
        let length = fits.midpoint(exceeds);
        item.insert("filler".to_owned(), AttributeValue::S("x".repeat(length)));
        match client.put_item().table_name("orders-usage").set_item(Some(item.clone())).send().await {
            Ok(_) => fits = length,
            Err(_) => exceeds = length,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_dynamodb_refuses_fails_and_names_the_snapshot() {
    let fixture = counted();
    fill(&fixture).await;
    let window = &day()[..7];
    let repaired = fixture.run(&["prove", window, "--local", "--repair", "--author", "ann"]);
    assert_eq!(repaired.code, Some(1), "{repaired:?}");
    let expected =
        ["0 snapshots written again from the ledger", "DynamoDB refuses the snapshot pk=", "dynamodb:UpdateItem"];
    assert!(expected.iter().all(|text| repaired.stdout.contains(text)), "{repaired:?}");
    assert_eq!(prove(&fixture, window).0, Some(1));
}

/// The stream lost a change from 10 to 15.
#[test]
fn a_change_that_the_stream_lost_shows_in_the_next_change_of_the_item() {
    let fixture = Fixture::new();
    let mut later = order_at(1, "20", recent() + 60);
    let mut old = later["dynamodb"]["NewImage"].clone();
    old["total"] = json!({ "N": "15" });
    later["eventName"] = json!("MODIFY");
    later["dynamodb"]["OldImage"] = old;
    later["dynamodb"]["SequenceNumber"] = json!("800000000003126279999");
    fixture.write("event.json", &event(&[order_at(1, "10", recent()), later]));
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let (code, proof) = prove(&fixture, &day());
    let continuity = &proof["archive"]["continuity"];
    assert_eq!(
        (code, &continuity["gap_count"], &proof["wrong_snapshot_count"]),
        (Some(1), &json!(1), &json!(0)),
        "{proof:#}"
    );
    let gap = &continuity["gaps"][0];
    let found = ["what", "measure", "ledger", "archive", "sequence_number"].map(|name| gap[name].as_str().unwrap());
    assert_eq!(found, ["discontinuous", "amount", "5", "10", "800000000003126279999"], "{proof:#}");
    let text = fixture.run(&["prove", &day(), "--local"]).stdout;
    assert!(text.contains("the ledger counted amount 5, but from the item's row before it follows 10"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_gone_makes_the_state_and_the_archive_differ_from_the_pages() {
    let fixture = counted();
    {
        let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
        let client = services.dynamodb_client(&sdk_config(None));
        let key = format!("p#orders#{}#0", minute_of(recent() + 60));
        let items = client.scan().table_name("ledger").send().await.unwrap().items.unwrap_or_default();
        let page = items.into_iter().find(|item| item["pk"].as_s().unwrap() == &key).unwrap();
        let call =
            client.delete_item().table_name("ledger").key("pk", page["pk"].clone()).key("sk", page["sk"].clone());
        call.send().await.unwrap();
    }
    let (code, proof) = prove(&fixture, &day());
    // Three measures of the hour and the day.
    assert_eq!(
        (code, &proof["wrong_state_count"], &proof["wrong_snapshot_count"]),
        (Some(1), &json!(6), &json!(0)),
        "{proof:#}"
    );
    let gap = &proof["archive"]["continuity"]["gaps"][0];
    assert_eq!((&gap["what"], &gap["archive"]), (&json!("not_counted"), &json!("70")), "{proof:#}");
}
