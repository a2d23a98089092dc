//! A stack that moto has created from template.yaml, found by its outputs, with the deployed binary behind Invoke. S3,
//! CloudFormation and Lambda are moto's, except Invoke, for which moto needs Docker.

use std::collections::BTreeSet;

use laptop::emulators;
use serde_json::{Value, json};

use super::Output;
use super::lambda::{Code, Lambda};
use super::notices::document as failed_notices;
use super::stack::today;
use crate::fixture::{Fixture, Run};
use crate::runtime::{Sandbox, recent_orders};
use crate::template::moto::Stack;
use crate::world::{ledger_stream, notices, page_keys};

/// A document of these records, as the stack's mapping writes it.
fn document(stack: &Stack, event: &Value, alias: &str) -> Value {
    let records = event["Records"].as_array().unwrap();
    let sequence = |record: &Value| record["dynamodb"]["SequenceNumber"].clone();
    json!({
        "requestContext": {
            "requestId": "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
            "functionArn": format!("arn:aws:lambda:us-east-1:123456789012:function:{}{alias}", stack.text("outputs", "FunctionName")),
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 11,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": null },
        "version": "1.0",
        "payload": event.to_string(),
        "timestamp": today(),
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001789651619772-2a9e5aad",
            "startSequenceNumber": sequence(&records[0]),
            "endSequenceNumber": sequence(&records[records.len() - 1]),
            "approximateArrivalOfFirstRecord": today(),
            "approximateArrivalOfLastRecord": today(),
            "batchSize": records.len(),
            "streamArn": stack.text("outputs", "SourceStreamArn"),
        },
    })
}

async fn redrive(fixture: &Fixture, url: &str, lambda_url: &str) -> Output {
    let mut command = fixture.command(&["redrive", "--stack", "moto", "--json"]);
    command.envs([
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ENDPOINT_URL_LAMBDA", lambda_url),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_REGION", "us-east-1"),
    ]);
    let run: Run = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into();
    run.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outputs_of_a_stack_are_all_that_a_redrive_needs() {
    redrives_by_outputs("none", "").await;
}

/// What isn't shifted yet, or was shifted back, must not be given the records.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_invokes_the_alias_that_the_mappings_invoke() {
    redrives_by_outputs("Canary10Percent15Minutes", ":live").await;
}

async fn redrives_by_outputs(gradual_deployment: &str, alias: &str) {
    let gradual_deployment = format!("GradualDeployment={gradual_deployment}");
    let stack = Stack::create(&["Pipeline=orders", "MetricsSink=none", &gradual_deployment]);
    let url = stack.report["url"].as_str().unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let variables = stack.report["variables"].as_object().unwrap().iter();
    let variables: Vec<(&str, String)> = variables.map(|(name, value)| (name.as_str(), text(value))).collect();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let endpoints = [("AWS_ENDPOINT_URL_DYNAMODB", url), ("AWS_ENDPOINT_URL_S3", url)];
    let sandbox = Sandbox::start(&[&variables[..], &endpoints].concat()).await;
    let lambda = Lambda::new(Code::Binary(Box::new(sandbox)), today(), &[]);
    let lambda_url = lambda.serve_before(url).await;

    let config = emulators::sdk_config(None).into_builder().endpoint_url(url).build();
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    let mut event: Value = serde_json::from_slice(&recent_orders(20, 0)).unwrap();
    event["Records"][7]["dynamodb"]["NewImage"]["total"] = json!({ "S": "free" });
    let bucket = stack.text("outputs", "FailureBucketName");
    let folder = format!(
        "aws/lambda/{}/shardId-00000001789651619772-2a9e5aad/2026/09/17/",
        stack.text("outputs", "EventSourceMappingId")
    );
    let key = format!("{folder}2026-09-17T13.29.12-0c7a2f2e-6c8d-4d0e-8a43-1f6d0f4a9b55");
    let body = document(&stack, &event, alias).to_string().into_bytes();
    s3.put_object().bucket(bucket).key(&key).body(body.into()).send().await.unwrap();

    let fixture = Fixture::new();
    for (ended, redriven) in [("narrowed", 19), ("kept", 0)] {
        let output = redrive(&fixture, url, &lambda_url).await;
        assert_eq!(
            (output.code, output.sum(ended), output.sum("records_redriven")),
            (Some(1), 1, redriven),
            "{}",
            output.stderr
        );
        assert_eq!(output.all("remaining")[0]["code"], "invalid_value");
        // HORIZON_DAYS of the deployed function is 18.
        assert!(output.all("waiting")[0]["left_seconds"].as_i64() > Some(17 * 86_400), "{:?}", output.all("waiting"));
        assert_eq!(output.stderr, "");
    }
    let listed = s3.list_objects_v2().bucket(bucket).send().await.unwrap();
    let keys: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert!(keys.len() == 1 && keys[0].starts_with(&folder) && keys[0] != key, "{keys:?}");

    // The pages are appended. The notices of them go to the fold function.
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let scan = async |table| dynamodb.scan().table_name(stack.text("outputs", table)).send().await.unwrap();
    assert_eq!(scan("UsageTableName").await.count, 0);
    let ledger = stack.text("outputs", "LedgerTableName");
    let pages = page_keys(scan("LedgerTableName").await.items());
    let arn = stack.text("outputs", "LedgerStreamArn");
    let event = String::from_utf8(notices(ledger, &pages)).unwrap().replace(&ledger_stream(ledger), arn);
    let fold = stack.text("outputs", "FoldFunctionName");
    let (key, body) = failed_notices(stack.text("outputs", "LedgerMappingId"), fold, event.as_bytes());
    s3.put_object().bucket(bucket).key(&key).body(body.to_string().into_bytes().into()).send().await.unwrap();
    let output = redrive(&fixture, url, &lambda_url).await;
    let counts = ["deleted", "kept", "skipped", "records_redriven"].map(|name| output.sum(name));
    assert_eq!(counts, [1, 1, 0, pages.len() as u64], "{}", output.stderr);
    let append = stack.text("outputs", "FunctionName");
    let invoked: BTreeSet<String> = lambda.functions.lock().unwrap().drain(..).collect();
    assert_eq!(invoked, [append, fold].map(|name| format!("{name}{alias}")).into());
    let snapshots = scan("UsageTableName").await;
    let orders: Vec<&str> = snapshots.items().iter().map(|item| item["orders"].as_n().unwrap().as_str()).collect();
    assert_eq!(orders, ["19", "19", "19"]);
}
