//! What a run of `usagectl local` leaves behind when it is stopped, killed, or joined by other programs, and what it refuses.

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification, StreamViewType};
use serde_json::{Value, json};

use super::Background;
use crate::fixture::{Fixture, two_orders};
use crate::page::Client;

/// Reads once when it starts, and then no more for the length of a test.
const READS_ONCE: [&str; 2] = ["--polling-interval", "600000"];

fn simulate(fixture: &Fixture, arguments: &[&str]) {
    let written = fixture.run(&[&["simulate", "orders", "--rate", "0"], arguments].concat());
    assert_eq!(written.code, Some(0), "{written:?}");
}

/// Starts a run that processes what waits, compares, and stops it.
fn catch_up(fixture: &Fixture) {
    let local = Background::start(fixture, &[]);
    let exact = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    local.stop();
}

/// Waits until both mappings have read this often.
async fn until_read(local: &Background, times: u64) {
    let control = Client::new(local.started["control"].as_str().unwrap());
    let mut status = json!({});
    let has_read = |status: &Value, polls: &str| status.pointer(polls).and_then(Value::as_u64) >= Some(times);
    while !["/mapping/polls", "/fold/mapping/polls"].iter().all(|polls| has_read(&status, polls)) {
        status = serde_json::from_str(&control.get("/status").await.text).unwrap();
    }
}

/// They used to be listed as missing, because the run had not read them and reported that nothing waited.
#[tokio::test]
async fn regression_records_that_a_stopped_run_has_not_read_wait() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &READS_ONCE);
    until_read(&local, 1).await;
    simulate(&fixture, &["--records", "20"]);
    let ended = &local.stop()["ended"];
    assert_eq!(
        (&ended["waiting"]["records"], &ended["waiting"]["more_unread"]),
        (&json!(0), &json!(true)),
        "{ended:#}"
    );

    let reconcile = fixture.run(&["reconcile"]);
    assert_eq!(reconcile.code, Some(1), "{reconcile:?}");
    assert!(reconcile.stdout.contains("20 records are missing because they wait in the stream"), "{reconcile:?}");
    assert!(reconcile.stdout.contains("Nothing else differs. To process them, start"), "{reconcile:?}");
    catch_up(&fixture);

    let local = Background::start(&fixture, &[]);
    until_read(&local, 8).await;
    let ended = &local.stop()["ended"];
    let unread = [&ended["waiting"]["more_unread"], &ended["fold"]["waiting"]["more_unread"]];
    assert_eq!(unread, [&json!(false); 2], "all is read: {ended:#}");
}

/// A change that wasn't copied to Kinesis yet used to be listed as missing.
#[tokio::test]
async fn regression_changes_that_a_stopped_run_has_not_copied_to_kinesis_wait() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &[&["--stream", "kinesis-for-dynamodb"], &READS_ONCE[..]].concat());
    until_read(&local, 1).await;
    // Usually between two steps of what copies them, which are 100 ms apart.
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = local.dynamodb().put_item().table_name("orders").item("pk", text("CUSTOMER#7"));
    put.item("sk", text("ORDER#1")).send().await.unwrap();
    let ended = &local.stop()["ended"];
    assert_eq!(ended["waiting"]["more_unread"], json!(true), "{ended:#}");
}

/// Nothing used to hint at the records that wait.
#[tokio::test]
async fn after_a_run_that_was_killed_records_may_wait() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &READS_ONCE);
    until_read(&local, 1).await;
    simulate(&fixture, &["--records", "20"]);
    local.kill();
    let reconcile = fixture.run(&["reconcile"]);
    assert_eq!(reconcile.code, Some(1), "{reconcile:?}");
    assert!(reconcile.stdout.contains("The last `usagectl local` here was killed or failed"), "{reconcile:?}");
    catch_up(&fixture);
    let exact = fixture.run(&["reconcile"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    assert!(!exact.stdout.contains("killed"), "{exact:?}");
}

/// The remedy used to be a command that isn't the one to run.
#[test]
fn the_command_that_reconcile_names_finishes_the_writes_of_an_interrupted_load() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &[]);
    simulate(&fixture, &["--records", "20"]);
    // As if the load had been interrupted before it knew that its last write was done.
    let ledger = fixture.0.path().join(".usage/simulated/orders.jsonl");
    let text = std::fs::read_to_string(&ledger).unwrap();
    let (earlier, last) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(last.starts_with(r#"{"done":"#), "{last}");
    std::fs::write(&ledger, format!("{earlier}\n")).unwrap();

    let reconcile = fixture.run(&["reconcile"]);
    assert_eq!(reconcile.code, Some(1), "{reconcile:?}");
    let problem = "orders.jsonl has 1 write that was started but not finished: to finish it, run `usagectl ";
    assert!(reconcile.stderr.contains(problem), "{reconcile:?}");
    let command = reconcile.stderr.split('`').nth(1).unwrap();
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    let finished = fixture.run(&arguments);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("1 finished for an earlier run"), "{finished:?}");
    let exact = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    local.stop();
}

/// The counters of another program used to look like an error of the tool.
#[test]
fn counters_of_records_outside_the_simulation_are_explained() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let invoked = fixture.run(&["invoke", "event.json"]);
    assert_eq!(invoked.code, Some(0), "{invoked:?}");
    let local = Background::start(&fixture, &[]);
    // The event is of customer 7.
    simulate(&fixture, &["--records", "20", "--entities", "3"]);
    let reconcile = fixture.run(&["reconcile", "--wait", "5s"]);
    let json = fixture.json(&["reconcile"]);
    local.stop();
    assert_eq!(reconcile.code, Some(1), "{reconcile:?}");
    assert_eq!(json["counted"]["records"], json["counted"]["agreeing_records"], "{json:#}");
    assert!(json["counted"]["foreign_counters"].as_u64() > Some(0), "{json:#}");
    assert!(
        reconcile.stdout.contains(" of the counters that differ are in groups to which no simulation wrote.\n"),
        "{reconcile:?}"
    );
    assert!(reconcile.stdout.contains("`usagectl invoke`"), "{reconcile:?}");
}

/// Each of them used to start a run that failed at the end, or that had no end.
#[test]
fn options_with_which_a_run_could_not_end_well_are_refused() {
    let fixture = Fixture::new();
    let inserts = r#"{"eventName":["INSERT"]}"#;
    let margin = "--timeout: of 1 s, DEADLINE_MARGIN_MS reserves 1000 ms, so the function has no time";
    let load = "--simulate: the load `orders` needs a pipeline with the record type `order`; api-usage has none";
    for (arguments, expected) in [
        (&["--timeout", "0"][..], "invalid value '0' for '--timeout <SECONDS>'"),
        (&["--timeout", "1"][..], margin),
        (&["--retention", "0"][..], "invalid value '0' for '--retention <HOURS>'"),
        (
            &["--simulate", "orders", "--filter", inserts][..],
            "--filter: --simulate checks that every record is counted",
        ),
        (&["--simulate", "orders", "--pipeline", "api-usage"][..], load),
    ] {
        let refused = fixture.run(&[&["local"], arguments].concat());
        assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{refused:?}");
        assert!(refused.stderr.contains(expected), "{refused:?}");
    }
    assert!(!fixture.0.path().join(".usage").exists());
}

/// Another stream used to bring the same changes with other IDs, and everything of the last day counted twice, without a word.
#[test]
fn regression_the_changes_of_a_table_are_not_counted_again_through_another_stream() {
    let fixture = Fixture::new();
    let load = ["local", "--simulate", "orders", "--records", "20", "--rate", "0", "--polling-interval", "100"];
    let kinesis = ["--stream", "kinesis-for-dynamodb"];
    assert_eq!(fixture.run(&load).code, Some(0));
    let refused = fixture.run(&[&load[..], &kinesis].concat());
    assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{refused:?}");
    assert!(refused.stderr.contains("Keep `--stream dynamodb`, or start over with --fresh"), "{refused:?}");
    let exact = fixture.run(&["reconcile"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");

    let fresh = fixture.run(&[&load[..], &kinesis, &["--fresh"]].concat());
    assert_eq!(fresh.code, Some(0), "{fresh:?}");
    let refused = fixture.run(&load);
    assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{refused:?}");
    assert!(refused.stderr.contains("Keep `--stream kinesis-for-dynamodb`"), "{refused:?}");
}

/// The page was calm, the exit code was 0, and the records of the new stream were listed as missing.
#[tokio::test]
async fn regression_a_stream_that_was_replaced_is_a_problem_until_the_run_is_restarted() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &[]);
    for view_type in [None, Some(StreamViewType::NewAndOldImages)] {
        let stream = StreamSpecification::builder().stream_enabled(view_type.is_some()).set_stream_view_type(view_type);
        let update = local.dynamodb().update_table().table_name("orders").stream_specification(stream.build().unwrap());
        update.send().await.unwrap();
    }
    let gone = local.wait_for(|line| line["mapping"]["gone_shards"] == json!(1));
    assert_eq!((&gone["waiting"]["stream_gone"], &gone["waiting"]["more_unread"]), (&json!(true), &json!(true)));
    let page = Client::new(local.started["page"].as_str().unwrap().trim_end_matches('/'));
    while !json!(page.events(3).await).to_string().contains("restart `usagectl local` to read the new one") {}
    simulate(&fixture, &["--records", "20"]);
    let ended = &local.stop_with(1)["ended"];
    assert_eq!(ended["waiting"]["more_unread"], json!(true), "{ended:#}");

    let reconcile = fixture.run(&["reconcile"]);
    assert_eq!(reconcile.code, Some(1), "{reconcile:?}");
    assert!(reconcile.stdout.contains("20 records are missing because they wait in the stream"), "{reconcile:?}");
    catch_up(&fixture);
}
