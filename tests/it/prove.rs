//! `usagectl prove`: snapshots, ledger and archive agree; what doesn't is found, and only what follows from the ledger is repaired.

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use crate::correct::{counted, minute_of, month, order_at, recent};
use crate::fixture::{Fixture, Run, event};

/// The exit code and the result of `prove --json`.
fn prove(fixture: &Fixture, window: &str) -> (Option<i32>, Value) {
    let run = fixture.run(&["prove", window, "--local", "--json"]);
    (run.code, serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}")))
}

fn day() -> String {
    minute_of(recent())[..10].to_owned()
}

/// Sets the amount of the month's snapshot to 201.
async fn falsify(fixture: &Fixture) {
    change(fixture, "month", &[("amount", AttributeValue::N("201".to_owned()))]).await;
}

/// Changes attributes of the snapshot of a window.
pub(crate) async fn change(fixture: &Fixture, window: &str, attributes: &[(&str, AttributeValue)]) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let items = client.scan().table_name("orders-usage").send().await.unwrap().items.unwrap_or_default();
    let mut item = items.into_iter().find(|item| item["window"].as_s().unwrap() == window).unwrap();
    item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
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

/// Two deployments in the middle of the windows: a measure makes room for an attribute, and the sort key gets a variable.
#[test]
fn what_a_changed_pipeline_no_longer_publishes_is_not_compared() {
    let fixture = counted();
    let at = minute_of(recent());
    let group = ["--entity", "7", "--resource", "orders", "--measure", "amount", "--amount", "1.5", "--at", &at];
    let signed = ["--author", "ann", "--reason", "a test", "--local"];
    assert_eq!(fixture.run(&[&["correct", "add"], &group[..], &signed].concat()).code, Some(0));
    let changes = "[[record.measure]]\nname = \"changes\"\nkind = \"count\"\n";
    let attribute = |text: &str| {
        text.replace(changes, "").replace("attributes = { entity", "attributes = { changes = \"{resource}\", entity")
    };
    let variable = |text: &str| {
        let bound = "bind = { currency = \"currency\" }\nentity = \"{customer}\"\nresource = \"orders\"";
        let text = text.replace("entity = \"{customer}\"\nresource = \"orders\"", bound);
        attribute(&text).replace("#{resource}#", "#{resource}#{currency}#")
    };
    for generation in ["2", "3"] {
        let numbered = format!("generation = {generation}\ndescription =");
        let changed = |text: &str| if generation == "2" { attribute(text) } else { variable(text) };
        fixture.write_orders(|text| changed(text).replacen("description =", &numbered, 1));
        let number = 10 + generation.parse::<u32>().unwrap();
        fixture.write("event.json", &event(&[order_at(number, "5", recent())]));
        let run = fixture.run(&["invoke", "event.json", "--pipeline-dir", "orders"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let run = fixture.run(&["prove", &at[..7], "--pipeline-dir", "orders", "--local", "--json"]);
        let proof: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        let differences = [&proof["wrong_snapshot_count"], &proof["wrong_state_count"]];
        assert_eq!(differences, [&json!(0), &json!(0)], "generation {generation}: {proof:#}");
        // The rows of the records that the generations before have counted say something else now.
        let reason = proof["archive"]["not_comparable"][0].as_str().unwrap();
        assert!(reason.starts_with("another generation of the pipeline counted "), "{proof:#}");
        assert_eq!((run.code, &proof["agrees"]), (Some(0), &json!(true)), "{proof:#}");
        let exported =
            fixture.run(&["export", "--pipeline-dir", "orders", "--local", "--start", &at[..7], "--corrections"]);
        let is_listed = exported.stdout.contains("a test");
        assert_eq!((exported.code, is_listed), (Some(0), generation == "2"), "{exported:?}");
    }
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
    assert_eq!(fixture.run(&["prove", "--history", "--local"]).stdout, "no repairs found\n");
}

#[test]
fn a_value_that_the_ledger_does_not_know_is_left_alone() {
    let fixture = Fixture::new();
    fixture.write_orders(|text| text.replace(r#""precision": 20, "scale": 2"#, r#""precision": 38"#));
    let nines = "9".repeat(38);
    fixture.write("event.json", &event(&[order_at(20, &nines, recent()), order_at(21, &nines, recent())]));
    let invoked = fixture.run(&["invoke", "event.json", "--pipeline-dir", "orders"]);
    assert_eq!(invoked.code, Some(0), "{invoked:?}");
    // The sum has 39 digits, so the snapshot keeps what it has.
    let window = &day()[..7];
    let prove = ["prove", window, "--local", "--pipeline-dir", "orders"];
    let run = fixture.run(&[&prove[..], &["--json"]].concat());
    let proof: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let wrong = [&proof["wrong_snapshot_count"], &proof["wrong_state_count"]];
    assert_eq!((run.code, &proof["agrees"], wrong), (Some(0), &json!(true), [&json!(0); 2]), "{proof:#}");
    // In the hour, the day, and the month.
    let not_known = proof["not_known"].as_array().unwrap();
    assert_eq!((not_known.len(), &proof["not_known_count"]), (3, &json!(3)), "{proof:#}");
    let amount = |one: &Value| (one["group"].clone(), one["measure"].clone(), one["state"].clone());
    let expected = (json!(["7", "orders"]), json!("amount"), json!("not known"));
    assert!(not_known.iter().all(|one| amount(one) == expected), "{proof:#}");
    let repair = ["--repair", "--author", "ann"];
    for repair in [&[][..], &repair, &["--repair", "--author", "ann", "--dry-run"]] {
        let run = fixture.run(&[&prove[..], repair].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(
            run.stdout.contains(" counters not compared: its sum has more than 38 digits, or the ledger"),
            "{run:?}"
        );
        assert!(run.stdout.contains("snapshots = ledger") && !run.stdout.contains("written again"), "{run:?}");
        // One sum that is too large keeps nobody from comparing the others.
        assert!(run.stdout.contains(" counters not compared: a sum of more than 38 digits, or a change"), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_writes_nothing_fails_and_leaves_no_audit_entry() {
    let fixture = counted();
    let later = AttributeValue::B(vec![0, 1, 0, 0, 0, 0, 0, 1].into());
    change(&fixture, "month", &[("amount", AttributeValue::N("201".to_owned())), ("usage_version", later)]).await;
    let repaired = fixture.run(&["prove", &day()[..7], "--local", "--repair", "--author", "ann"]);
    let expected = "0 snapshots written again from the ledger; 1 counter left alone: changed meanwhile";
    assert!(repaired.code == Some(1) && repaired.stdout.contains(expected), "{repaired:?}");
    assert_eq!(fixture.run(&["prove", "--history", "--local"]).stdout, "no repairs found\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_have_expired_are_not_compared_and_not_repaired() {
    let fixture = Fixture::new();
    let keep = |days: &str| fixture.write_orders(|text| text.replace("hour_days = 90", &format!("hour_days = {days}")));
    let run = |arguments: &[&str]| fixture.run(&[&["--pipeline-dir", "orders"], arguments].concat());
    let prove = |window: &str| -> (Option<i32>, Value) {
        let run = run(&["prove", window, "--local", "--json"]);
        (run.code, serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}")))
    };
    let second = recent() - 3 * 86_400;
    let at = minute_of(second);
    let (day, hour) = (&at[..10], &at[..13]);
    fixture.write("event.json", &event(&[order_at(1, "10", second)]));
    keep("1");
    let counted = run(&["invoke", "event.json"]);
    assert_eq!(counted.code, Some(0), "{counted:?}");
    for window in [day, hour] {
        let (code, proof) = prove(window);
        let expired = [&proof["expired_windows"], &proof["archive"]["report"]["counted"]["expired_windows"]];
        assert_eq!((code, &proof["agrees"], expired), (Some(0), &json!(true), [&json!(1); 2]), "{proof:#}");
        assert_eq!(proof["wrong_state_count"], json!(0), "{proof:#}");
    }
    let text = run(&["prove", day, "--local", "--repair", "--author", "ann"]);
    assert!(text.code == Some(0) && !text.stdout.contains("written again"), "{text:?}");
    let expected = [
        "snapshots = ledger, as far as neither has expired",
        "1 window whose snapshots or states have expired: not compared with each other",
        "1 window not compared: the snapshots have expired",
    ];
    assert!(expected.iter().all(|line| text.stdout.contains(line)), "{text:?}");
    assert_eq!(run(&["prove", "--history", "--local"]).stdout, "no repairs found\n");
    let reconciled = run(&["reconcile", "--archive"]);
    assert!(reconciled.code == Some(0) && reconciled.stdout.contains(expected[2]), "{reconciled:?}");

    // DynamoDB hasn't deleted it yet, and nobody writes it any more.
    keep("90");
    assert_eq!(run(&["ledger", "sweep", &at, "--windows", "--local"]).code, Some(0));
    change(&fixture, "hour", &[("amount", AttributeValue::N("201".to_owned()))]).await;
    let (code, proof) = prove(hour);
    assert_eq!((code, &proof["wrong_snapshot_count"], &proof["expired_windows"]), (Some(1), &json!(1), &json!(0)));
    keep("1");
    let (code, proof) = prove(hour);
    assert_eq!((code, &proof["wrong_snapshot_count"], &proof["expired_windows"]), (Some(0), &json!(0), &json!(1)));
    assert_eq!(run(&["reconcile", "--archive"]).code, Some(0));
}

/// Its pages aren't read, so its records are in the archive only.
#[test]
fn an_hour_whose_pages_have_expired_has_no_gaps() {
    let fixture = Fixture::new();
    let second = recent() - 30 * 86_400;
    fixture.write("event.json", &event(&[order_at(1, "10", second)]));
    let run: Run = fixture.command(&["invoke", "event.json"]).env("HORIZON_DAYS", "40").output().unwrap().into();
    assert_eq!(run.code, Some(0), "{run:?}");
    let (code, proof) = prove(&fixture, &minute_of(second)[..13]);
    let continuity = &proof["archive"]["continuity"];
    assert_eq!((code, &proof["expired_minutes"]), (Some(0), &json!(60)), "{proof:#}");
    assert_eq!([&continuity["records"], &continuity["gap_count"]], [&json!(0); 2], "{proof:#}");
}

/// Deletes everything from the ledger but the items with these sort keys.
async fn keep_only(fixture: &Fixture, kept: &[String]) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let mut items = client.scan().table_name("ledger").send().await.unwrap().items.unwrap_or_default();
    items.retain(|item| !kept.contains(item["sk"].as_s().unwrap()));
    for item in items {
        let delete = client.delete_item().table_name("ledger").key("pk", item["pk"].clone());
        delete.key("sk", item["sk"].clone()).send().await.unwrap();
    }
}

/// The state of a month outlives the states of its days, and the pages.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_month_of_which_only_the_state_is_left_agrees() {
    let fixture = Fixture::new();
    let second = recent() - 90 * 86_400;
    let month = &minute_of(second)[..7];
    fixture.write("event.json", &event(&[order_at(1, "10", second)]));
    let invoked = fixture.command(&["invoke", "event.json"]).env("HORIZON_DAYS", "36500").output().unwrap();
    assert!(invoked.status.success(), "{invoked:?}");
    keep_only(&fixture, &[format!("{month}/")]).await;
    let (code, proof) = prove(&fixture, month);
    let differences = [&proof["wrong_snapshot_count"], &proof["wrong_state_count"]];
    assert_eq!((code, &proof["counters"], differences), (Some(0), &json!(3), [&json!(0); 2]), "{proof:#}");
    assert!(proof["expired_minutes"].as_u64().unwrap() >= 28 * 24 * 60, "{proof:#}");
}

/// What was written before KEEP_DAYS was raised keeps its expiry: of a record, only the states of its day and month are left.
#[tokio::test(flavor = "multi_thread")]
async fn regression_what_expired_before_keep_days_was_raised_is_not_missing() {
    let fixture = Fixture::new();
    let second = recent() - 40 * 86_400;
    let minute = minute_of(second);
    let (day, hour) = (&minute[..10], &minute[..13]);
    fixture.write("event.json", &event(&[order_at(1, "10", second)]));
    let invoked = fixture.command(&["invoke", "event.json"]).env("HORIZON_DAYS", "36500").output().unwrap();
    assert!(invoked.status.success(), "{invoked:?}");
    keep_only(&fixture, &[format!("{day}/"), format!("{}/", &day[..7])]).await;
    let run =
        |arguments: &[&str]| -> Run { fixture.command(arguments).env("KEEP_DAYS", "90").output().unwrap().into() };
    for (window, expired_windows) in [(day, 1), (hour, 1)] {
        let proven = run(&["prove", window, "--local", "--json"]);
        let proof: Value = serde_json::from_str(&proven.stdout).unwrap();
        assert_eq!((proven.code, &proof["expired_minutes"]), (Some(0), &json!(60)), "{proof:#}");
        assert_eq!(proof["expired_windows"], json!(expired_windows), "{proof:#}");
    }
    let snapshots = run(&["snapshots", "--json"]).stdout;
    assert_eq!(run(&["ledger", "sweep", &minute, "--windows", "--local"]).code, Some(0));
    assert_eq!(run(&["snapshots", "--json"]).stdout, snapshots);
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

const CALLS: &str = r##"
[snapshot]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window}#{window_start}" }
attributes = { entity = "{entity}", resource = "{resource}", window = "{window}", window_start = "{window_start}" }

[[record]]
type = "call"
match = { pk = "CUSTOMER#{customer}", sk = "ORDER#{call}" }
window_time = { attribute = "started_at", beyond = "reject" }
entity = "{customer}"
resource = "calls"

[[record.measure]]
name = "cost"
kind = "delta"
attribute = "total"

[record.archive]
schema = "call.avsc"
"##;

const CALL: &str = r#"{ "type": "record", "name": "Call", "fields": [
    { "name": "record_id", "type": "string", "source": "record_id" },
    { "name": "event_name", "type": "string", "source": "event_name" },
    { "name": "sequence_number", "type": "string", "source": "sequence_number" },
    { "name": "created_at", "type": { "type": "long", "logicalType": "timestamp-micros" }, "source": "created_at" },
    { "name": "expired", "type": "boolean", "source": "expired" },
    { "name": "pk", "type": "string" }, { "name": "sk", "type": "string" },
    { "name": "total", "type": "long" }, { "name": "started_at", "type": "long" }
] }"#;

/// A call of customer 7, created and started at these seconds, that cost this much.
fn call(number: u32, cost: &str, created_at: i64, started_at: i64) -> Value {
    let mut record = order_at(number, cost, created_at);
    record["dynamodb"]["NewImage"]["started_at"] = json!({ "N": started_at.to_string() });
    record
}

/// The same call with another cost and start, in the next minute.
fn changed(call: &Value, sequence: &str, old: [&str; 2], new: [&str; 2]) -> Value {
    let mut record = call.clone();
    record["eventName"] = json!("MODIFY");
    record["dynamodb"]["SequenceNumber"] = json!(sequence);
    record["dynamodb"]["OldImage"] = record["dynamodb"]["NewImage"].clone();
    for (image, [cost, started_at]) in [("OldImage", old), ("NewImage", new)] {
        record["dynamodb"][image]["total"] = json!({ "N": cost });
        record["dynamodb"][image]["started_at"] = json!({ "N": started_at });
    }
    record["dynamodb"]["ApproximateCreationDateTime"] = json!(recent() + 60);
    record
}

#[test]
fn windows_of_event_time_agree_with_the_archive_whenever_their_records_were_created() {
    let fixture = Fixture::new();
    let folder = fixture.0.path().join("calls");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [("pipeline.toml", CALLS), ("call.avsc", CALL)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let (now, earlier, yesterday) = (recent(), recent() - 3 * 3_600, recent() - 86_400);
    let calls = [call(1, "10", now, now), call(2, "20", now, earlier), call(3, "30", now, yesterday)];
    let starts = [now, earlier].map(|second| second.to_string());
    // It costs 5 more, and 3 hours earlier.
    let moved = changed(&calls[0], "800000000003126279998", ["10", &starts[0]], ["15", &starts[1]]);
    let deliver = |records: &[Value]| {
        fixture.write("event.json", &event(records));
        let run = fixture.run(&["--pipeline-dir", "calls", "invoke", "event.json"]);
        assert_eq!(run.code, Some(0), "{run:?}");
    };
    let prove = |window: &str| {
        let run = fixture.run(&["--pipeline-dir", "calls", "prove", window, "--local", "--json"]);
        (run.code, serde_json::from_str::<Value>(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}")))
    };
    deliver(&[&calls[..], &[moved]].concat());
    let hour = |second: i64| minute_of(second)[..13].to_owned();
    for (second, records) in [(now, 2), (earlier, 2), (yesterday, 1)] {
        let (code, proof) = prove(&hour(second));
        let continuity = &proof["archive"]["continuity"];
        assert_eq!((code, &continuity["records"]), (Some(0), &json!(records)), "{proof:#}");
        for window in [10, 7].map(|length| minute_of(second)[..length].to_owned()) {
            let (code, proof) = prove(&window);
            assert_eq!((code, &proof["archive"]["continuity"]["gap_count"]), (Some(0), &json!(0)), "{proof:#}");
        }
    }
    // The stream lost a change from 20 to 22.
    let later = changed(&calls[1], "800000000003126279999", ["22", &starts[1]], ["25", &starts[1]]);
    deliver(&[later]);
    let (code, proof) = prove(&hour(earlier));
    let gap = &proof["archive"]["continuity"]["gaps"][0];
    let found = ["what", "measure", "ledger", "archive"].map(|name| gap[name].as_str().unwrap());
    assert_eq!((code, found), (Some(1), ["discontinuous", "cost", "3", "5"]), "{proof:#}");
    assert_eq!([now, yesterday].map(|second| prove(&hour(second)).0), [Some(0); 2], "no other hour lacks it");
}
