//! Notices of the ledger that its mapping has discarded: they are folded, and their document is deleted.

use aws_sdk_dynamodb::types::AttributeValue;
use event_source_mapping::event_of;
use laptop::emulators;
use serde_json::{Value, json};

use super::redrive;
use super::stack::{Stack, today};
use crate::fixture::Fixture;
use crate::local::Background;
use crate::world::{appended, at, notices, page_keys};

const LEDGER_MAPPING: &str = "9d2f7c31-0a54-4c5e-b1a7-2f0b7a6f4e55";
const FOLD: &str = "usage-aggregator-fold";

/// A document of these notices, as the ledger's mapping writes it, and its key.
pub fn document(mapping: &str, function: &str, event: &[u8]) -> (String, Value) {
    let records: Value = serde_json::from_slice(event).unwrap();
    let records = records["Records"].as_array().unwrap();
    let (first, last) = (&records[0], &records[records.len() - 1]);
    let shard = "shardId-1";
    let body = json!({
        "requestContext": {
            "requestId": "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
            "functionArn": format!("arn:aws:lambda:us-east-1:123456789012:function:{function}"),
            "condition": "RecordAgeExceeded",
            "approximateInvokeCount": 3_000,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": null },
        "version": "1.0",
        "payload": String::from_utf8(event.to_vec()).unwrap(),
        "timestamp": today(),
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": first["dynamodb"]["SequenceNumber"],
            "endSequenceNumber": last["dynamodb"]["SequenceNumber"],
            "approximateArrivalOfFirstRecord": today(),
            "approximateArrivalOfLastRecord": today(),
            "batchSize": records.len(),
            "streamArn": first["eventSourceARN"],
        },
    });
    let name = "2026-11-28T13.29.12-0c7a2f2e-6c8d-4d0e-8a43-1f6d0f4a9b55";
    (format!("aws/lambda/{mapping}/{shard}/2026/11/28/{name}"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_notices_of_a_deployment_are_folded_by_its_fold_function() {
    let stack = Stack::new("rd-fold", &[]).await;
    let records = stack.orders(&["1", "2", "3"]).await;
    let now = at(today());
    stack.world.function().handler.append(event_of(&records).as_bytes(), &now).await.unwrap();
    let ledger = stack.world.variable("LEDGER_TABLE");
    let pages = page_keys(&stack.world.items("ledger").await);
    let (key, body) = document(LEDGER_MAPPING, FOLD, &notices(&ledger, &pages));
    stack.put(&key, body.to_string()).await;
    assert!(stack.world.items("usage").await.is_empty(), "nothing is folded yet");

    let names = ["--ledger-table", &ledger, "--ledger-mapping", LEDGER_MAPPING];
    let unknown = stack.redrive(&[&stack.bucket_options()[..], &names].concat()).await;
    assert_eq!((unknown.code, unknown.sum("skipped")), (Some(1), 1), "{}", unknown.stderr);
    let reason = unknown.all("skipped")[0]["reason"].as_str().unwrap();
    assert_eq!(reason, "has notices of the ledger: redrive it with --fold-function NAME");

    let options = [&stack.bucket_options()[..], &names, &["--fold-function", FOLD]].concat();
    let dry = stack.redrive(&[&options[..], &["--dry-run"]].concat()).await;
    assert_eq!((dry.code, dry.sum("documents"), dry.sum("skipped")), (Some(0), 1, 0), "{}", dry.stderr);
    let output = stack.redrive(&options).await;
    assert_eq!((output.code, output.sum("deleted")), (Some(0), 1), "{}", output.stderr);
    assert_eq!(output.sum("records_redriven"), pages.len() as u64);
    assert_eq!(*stack.lambda.functions.lock().unwrap(), [FOLD]);
    let snapshots = stack.world.items("usage").await;
    let orders: Vec<&str> = snapshots.iter().map(|item| item["orders"].as_n().unwrap().as_str()).collect();
    assert_eq!((orders, stack.keys().await.len()), (vec!["3", "3", "3"], 0));

    // A page that is lost: its notice remains, and the fold's log is named.
    let lost = (pages[0].0.clone(), "00ff00ff00ff00ff".to_owned());
    let (key, body) = document(LEDGER_MAPPING, FOLD, &notices(&ledger, &[pages[0].clone(), lost]));
    stack.put(&key, body.to_string()).await;
    let output = stack.redrive(&[&options[..], &["--fold-log-group", "/aws/lambda/fold"]].concat()).await;
    let counts = ["narrowed", "records_redriven", "records_remaining"].map(|name| output.sum(name));
    assert_eq!((output.code, counts), (Some(1), [1, 1, 1]), "{}", output.stderr);
    let change = output.all("remaining")[0]["change"].as_str().unwrap();
    assert!(change.contains("/aws/lambda/fold, or sweep its minute with `usagectl ledger sweep`"), "{change}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_notices_of_a_local_run_are_folded_in_process() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &["--fold-window", "300"]);
    let load = fixture.run(&["simulate", "orders", "--records", "40", "--rate", "0", "--entities", "3"]);
    assert_eq!(load.code, Some(0), "{load:?}");
    local.wait_for(|line| {
        line["mapping"]["invoked_event_count"].as_u64() >= Some(40) && line["waiting"]["records"] == 0
    });
    let running = std::fs::read_to_string(fixture.0.path().join(".usage/running.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    let (fold, endpoint) = (&running["fold"], |name: &str| running[name].as_str().unwrap().to_owned());
    let config = |name: &str| emulators::sdk_config(None).into_builder().endpoint_url(endpoint(name)).build();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config("dynamodb"));
    let arn = fold["source_arn"].as_str().unwrap();
    let ledger = arn.split('/').nth(1).unwrap();
    let prefix = AttributeValue::S("p#".to_owned());
    let pages = dynamodb.scan().table_name(ledger).filter_expression("begins_with(pk, :p)");
    let items = pages.expression_attribute_values(":p", prefix).send().await.unwrap().items.unwrap_or_default();
    let pages = page_keys(&items);
    assert!(!pages.is_empty());
    let mut event: Value = serde_json::from_slice(&notices(ledger, &pages)).unwrap();
    event["Records"].as_array_mut().unwrap().iter_mut().for_each(|record| record["eventSourceARN"] = arn.into());
    let (uuid, function) = (fold["uuid"].as_str().unwrap(), fold["function"].as_str().unwrap());
    let (key, body) = document(uuid, function, event.to_string().as_bytes());
    let s3 = aws_sdk_s3::config::Builder::from(&config("s3")).force_path_style(true);
    let s3 = aws_sdk_s3::Client::from_conf(s3.build());
    emulators::ensure_bucket(&s3, "failures").await.unwrap();
    s3.put_object().bucket("failures").key(&key).body(body.to_string().into_bytes().into()).send().await.unwrap();

    let output = redrive(&fixture, &[]);
    assert_eq!((output.code, output.sum("deleted")), (Some(0), 1), "{}\n{}", output.summary(), output.stderr);
    assert_eq!(output.sum("records_redriven"), pages.len() as u64);
    let top = fixture.run(&["usage", "top", "--local", "--measure", "changes", "--window", "month", "--json"]);
    let sums = top.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["sum"].clone());
    let sum: f64 = sums.map(|sum| sum.as_str().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(sum.to_string(), appended(&items).len().to_string(), "{top:?}");
    local.stop();
}
