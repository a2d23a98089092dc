//! Batches that a local mapping discarded because of faults, redriven under load.

use std::process::Stdio;

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators;
use serde_json::{Value, json};

use super::moto::Moto;
use super::{Output, redrive};
use crate::fixture::{Fixture, Run};
use crate::local::Background;

/// A mapping that gives whole batches up after the first failure, those with a rejected record included.
const IMPATIENT: [&str; 11] = [
    "--rejected-records",
    "fail",
    "--batch-size",
    "40",
    "--retry-attempts",
    "0",
    "--bisect",
    "off",
    "--maximum-backoff",
    "100",
    "--faults",
];
const FAULTS: &str = "crash=70,redeliver=10,split=1s";

fn simulate(fixture: &Fixture, arguments: &[&str]) {
    let run = fixture.run(&[&["simulate", "orders", "--poison", "1", "--json"], arguments].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn reconcile(fixture: &Fixture) -> Value {
    let run = fixture.run(&["reconcile", "--json"]);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

/// Two redrives at once, while load is written.
fn redrive_twice_under_load(fixture: &Fixture, arguments: &[&str]) -> Vec<Output> {
    let load = ["simulate", "orders", "--poison", "1", "--records", "400", "--rate", "200", "--json"];
    let mut load = fixture.command(&load).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let output = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| redrive(fixture, arguments))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(load.wait().unwrap().success());
    output
}

/// Redrives until every record is counted once; returns the last redrive and the proof.
fn until_exact(fixture: &Fixture, arguments: &[&str]) -> (Output, Value) {
    for _ in 0..60 {
        let output = redrive(fixture, arguments);
        let proof = reconcile(fixture);
        if proof["agrees"] == json!(true) {
            return (output, proof);
        }
    }
    panic!("the counters never become exact: {:#}", reconcile(fixture));
}

/// Only bad records remain, and they are explained without their contents.
fn only_bad_records_remain(output: &Output, proof: &Value) {
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(output.sum("records_remaining"), proof["poison_records"].as_u64().unwrap());
    assert_eq!((output.sum("skipped"), output.all("lost")), (0, Vec::new()), "{}", output.summary());
    let remaining = output.all("remaining");
    assert_eq!(remaining.len() as u64, output.sum("records_remaining"));
    for record in remaining {
        assert!(record["code"].is_string() && record["field"].is_string(), "{record}");
        assert!(record["change"].as_str().unwrap().contains("schemas/orders/"), "{record}");
        assert!(!record.to_string().contains("CUSTOMER"), "{record}");
    }
}

/// The archive proves the counters: what a fixed schema accepts is counted and archived once.
#[tokio::test(flavor = "multi_thread")]
async fn reconcile_is_exact_after_a_redrive_with_a_fixed_schema() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &[]);
    let url = local.started["environment"]["AWS_ENDPOINT_URL_DYNAMODB"].as_str().unwrap();
    let config = emulators::sdk_config(None).into_builder().endpoint_url(url).build();
    let client = aws_sdk_dynamodb::Client::new(&config);
    let text = |text: String| AttributeValue::S(text);
    for number in 0..6 {
        let put = client.put_item().table_name("orders").item("pk", text("CUSTOMER#7".to_owned()));
        let put = put.item("sk", text(format!("ORDER#{number}"))).item("total", AttributeValue::N("2.50".to_owned()));
        // Every other order has no status, which the schema needs.
        let put = if number % 2 == 0 { put.item("status", text("NEW".to_owned())) } else { put };
        put.send().await.unwrap();
    }
    local.wait_for(|line| line["quarantined"]["records"] == 3);
    let proof = fixture.json(&["reconcile", "--archive"]);
    assert_eq!((&proof["agrees"], &proof["archived"]["agreeing_records"]), (&json!(true), &json!(3)), "{proof:#}");
    let kept = redrive(&fixture, &[]);
    assert_eq!((kept.code, kept.sum("kept"), kept.sum("records_redriven")), (Some(1), 3, 0), "{}", kept.summary());

    let status = r#""name": "status", "type": "string""#;
    fixture.write_orders(|file| file.replace(status, &format!(r#"{status}, "default": "NEW""#)));
    let done = redrive(&fixture, &["--pipeline-dir", "orders"]);
    assert_eq!((done.code, done.sum("deleted"), done.sum("records_redriven")), (Some(0), 3, 3), "{}", done.summary());
    let proof = fixture.json(&["reconcile", "--archive", "--pipeline-dir", "orders"]);
    assert_eq!((&proof["agrees"], &proof["archived"]["agreeing_records"]), (&json!(true), &json!(6)), "{proof:#}");
    local.stop();
}

#[test]
fn documents_of_a_bucket_are_redriven_twice_under_load_until_only_bad_records_remain() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &[&IMPATIENT[..], &[FAULTS]].concat());
    simulate(&fixture, &["--records", "1200", "--rate", "0"]);
    local.wait_for(|line| line["mapping"]["on_failure_destination_delivered_event_count"].as_u64() > Some(200));
    assert_ne!(reconcile(&fixture)["agrees"], json!(true), "there is nothing to redrive");

    let dry = redrive(&fixture, &["--dry-run"]);
    assert!(dry.sum("documents") > 0 && dry.summary()["dry_run"] == json!(true), "{}", dry.summary());
    let waiting = dry.all("waiting");
    assert!(waiting.iter().any(|document| document["response"] == "function error"), "{waiting:?}");
    assert!(waiting.iter().all(|document| document["left_seconds"].as_i64() > Some(17 * 86_400)), "{waiting:?}");

    let output = redrive_twice_under_load(&fixture, &[]);
    assert!(output.iter().any(|output| output.sum("records_redriven") > 0));
    assert_eq!(fixture.run(&["faults", "none"]).code, Some(0));
    let (output, proof) = until_exact(&fixture, &[]);
    only_bad_records_remain(&output, &proof);
    assert_eq!(proof["poison"]["records"], proof["poison"]["found_records"], "{proof:#}");
    // Once more, after later records: nothing changes.
    let again = redrive(&fixture, &[]);
    assert_eq!((again.sum("deleted"), again.sum("narrowed")), (0, 0), "{}", again.summary());
    assert_eq!(reconcile(&fixture)["agrees"], json!(true));
    // And when the run has ended.
    local.stop();
    let ended = redrive(&fixture, &[]);
    assert_eq!(ended.sum("kept"), again.sum("kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_queue_are_redriven_twice_under_load_until_only_bad_records_remain() {
    let moto = Moto::start();
    let queue = moto.queue("failed").await;
    let fixture = Fixture::new();
    let to_queue = ["--on-failure", &queue.url, "--parallelization-factor", "2"];
    let mut local = Background::start(&fixture, &[&IMPATIENT[..], &[FAULTS], &to_queue].concat());
    let from_queue = ["--from", "sqs", "--failure-queue", &queue.url];
    simulate(&fixture, &["--records", "600", "--rate", "0"]);
    local.wait_for(|line| line["mapping"]["on_failure_destination_delivered_event_count"].as_u64() > Some(200));

    let dry = redrive(&fixture, &[&from_queue[..], &["--dry-run"]].concat());
    assert!(dry.sum("documents") > 0, "{}", dry.summary());
    assert!(dry.all("waiting").iter().all(|document| document["left_seconds"].as_i64() <= Some(86_400)));
    assert_eq!(queue.messages().await.1, 0, "messages are visible again after a dry run");

    let output = redrive_twice_under_load(&fixture, &from_queue);
    assert!(output.iter().any(|output| output.sum("records_redriven") > 0));
    assert_eq!(fixture.run(&["faults", "none"]).code, Some(0));
    let (_, proof) = until_exact(&fixture, &from_queue);
    // The run has ended: the stream and its shards are read from the data folder.
    local.stop();
    let output = redrive(&fixture, &from_queue);
    only_bad_records_remain(&output, &proof);
    assert_eq!(reconcile(&fixture)["agrees"], json!(true));
    let documents = queue.documents().await;
    let positions: u64 =
        documents.iter().map(|document| document["DDBStreamBatchInfo"]["batchSize"].as_u64().unwrap()).sum();
    assert_eq!(positions, proof["poison_records"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_kinesis_stream_are_redriven_while_it_is_in_use() {
    let moto = Moto::start();
    let queue = moto.queue("failed").await;
    let fixture = Fixture::new();
    let race = ["--pipeline", "alleycat", "--polling-interval", "50", "--on-failure", &queue.url];
    let mut local = Background::start(&fixture, &[&IMPATIENT[..], &["crash=60"], &race].concat());
    let load = fixture.run(&["simulate", "alleycat", "--records", "400", "--entities", "50", "--rate", "0"]);
    assert_eq!(load.code, Some(0), "{load:?}");
    local.wait_for(|line| line["mapping"]["on_failure_destination_delivered_event_count"].as_u64() > Some(40));
    assert_eq!(fixture.run(&["faults", "none"]).code, Some(0));
    let from_queue = ["--pipeline", "alleycat", "--from", "sqs", "--failure-queue", &queue.url];
    let (output, proof) = until_exact(&fixture, &from_queue);
    assert_eq!((output.code, &proof["counted"]["records"]), (Some(0), &json!(400)), "{}", output.stderr);
    local.stop();
    assert_eq!(queue.messages().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_filter_excluded_are_excluded_again() {
    let moto = Moto::start();
    let queue = moto.queue("failed").await;
    let fixture = Fixture::new();
    let inserts = ["--filter", r#"{"eventName":["INSERT"]}"#, "--on-failure", &queue.url];
    let mut local = Background::start(&fixture, &[&IMPATIENT[..], &["crash=100"], &inserts].concat());
    let load = fixture.run(&["simulate", "orders", "--records", "300", "--rate", "0"]);
    assert_eq!(load.code, Some(0), "{load:?}");
    let polled = |line: &Value| line["mapping"]["polled_event_count"].as_u64().unwrap();
    let last = local.wait_for(|line| polled(line) >= 300 && line["waiting"]["records"] == json!(0));
    assert_eq!(fixture.run(&["faults", "none"]).code, Some(0));
    // What the function writes for its indicator is filtered out, too.
    let inserted = polled(&last) - last["mapping"]["filtered_out_event_count"].as_u64().unwrap();
    assert!((1..300).contains(&inserted) && queue.messages().await.0 > 0, "{last:#}");
    let output = redrive(&fixture, &["--from", "sqs", "--failure-queue", &queue.url]);
    assert_eq!((output.code, output.sum("kept"), output.sum("records_lost")), (Some(0), 0, 0), "{}", output.stderr);
    let archive = fixture.json(&["reconcile", "--archive"]);
    assert_eq!((&archive["agrees"], &archive["archived"]["records"]), (&json!(true), &json!(inserted)), "{archive:#}");
    local.stop();
    assert_eq!(queue.messages().await, (0, 0));
}

#[test]
fn there_is_nothing_to_redrive_where_nothing_failed() {
    let fixture = Fixture::new();
    let missing: Run = fixture.run(&["redrive", "--local"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("there is no data folder"), "{missing:?}");
    Background::start(&fixture, &[]).stop();
    let run = fixture.run(&["redrive", "--local"]);
    assert_eq!((run.code, &*run.stdout), (Some(0), "nothing to redrive\n"), "{run:?}");
}
