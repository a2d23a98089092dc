//! The stack on moto, a second opinion of AWS that reads CloudFormation: what the template makes is what the deployed
//! binary needs. moto's CloudWatch doesn't speak the SDK's protocol, so metrics go to the embedded endpoint.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators;
use serde_json::{Value, json};

use super::{python, root, template};
use crate::runtime::{Received, Sandbox, recent_orders};
use crate::world::services;

/// What moto can't make from CloudFormation; docs/operations.md lists it.
const UNKNOWN: [&str; 14] = [
    "AWS::Athena::NamedQuery",
    "AWS::Athena::WorkGroup",
    "AWS::Budgets::Budget",
    "AWS::CloudTrail::Trail",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::SubscriptionFilter",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
];

/// How many resources moto makes: two log groups, three roles, two functions with a version and an alias each, two mappings,
/// three tables, two buckets, key and three topics.
const MADE: usize = 28;

/// A moto server with the stack, and another one beside it, until it is dropped.
pub struct Stack {
    server: Child,
    pub report: Value,
}

impl Stack {
    pub fn create(parameters: &[&str]) -> Stack {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template.json");
        std::fs::write(&path, template().to_string()).unwrap();
        let mut server = Command::new(python())
            .arg("tests/moto_stack.py")
            .arg(&path)
            .args(parameters)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("moto made no stack: {error}: {line}"));
        Stack { server, report }
    }

    pub fn text(&self, group: &str, name: &str) -> &str {
        self.report[group][name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.report))
    }

    fn texts(list: &Value) -> BTreeSet<&str> {
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The script ends when its stdin does.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_binary_counts_archives_and_measures_on_the_stack() {
    let stack = Stack::create(&["Pipeline=orders", "MetricsSink=cloudwatch", "Freshness=now"]);
    assert_eq!(stack.report["status"], "CREATE_COMPLETE");
    assert_eq!(Stack::texts(&stack.report["unknown"]), BTreeSet::from(UNKNOWN));
    let [first, second] = [0, 1].map(|number| Stack::texts(&stack.report["names"][number]));
    assert_eq!((first.len(), second.len()), (MADE, MADE));
    assert!(first.is_disjoint(&second), "{first:?} and {second:?}");

    let url = stack.report["url"].as_str().unwrap();
    let deployed: Vec<(String, String)> = stack.report["variables"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let variables: Vec<(&str, &str)> = deployed
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain([("AWS_ENDPOINT_URL_DYNAMODB", url), ("AWS_ENDPOINT_URL_S3", url)])
        .chain([("AWS_ENDPOINT_URL_CLOUDWATCH", services().cloudwatch_url())])
        .collect();
    let mut sandbox = Sandbox::start(&variables).await;
    let event = recent_orders(20, 0);
    for delivery in 1..=2 {
        let answer = sandbox.invoke(&event).await;
        let good = matches!(&answer, Received::Response(body) if *body == json!({ "batchItemFailures": [] }));
        assert!(good, "delivery {delivery}: {answer:?}");
    }

    let config = emulators::sdk_config(None).into_builder().endpoint_url(url).build();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let snapshots = dynamodb.scan().table_name(stack.text("outputs", "UsageTableName")).send().await.unwrap();
    // Hour, day and month; counted once, though delivered twice.
    let orders: Vec<&AttributeValue> = snapshots.items().iter().map(|item| &item["orders"]).collect();
    assert_eq!(orders, vec![&AttributeValue::N("20".to_owned()); 3]);

    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    let listed = s3.list_objects_v2().bucket(stack.text("outputs", "ArchiveBucketName")).send().await.unwrap();
    let keys: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let prefix = stack.text("outputs", "ArchiveKeyPrefix");
    assert!(keys[0].starts_with(&format!("{prefix}/avro/order/partition_date=")), "{keys:?}");

    let namespace = stack.text("outputs", "MetricsNamespaceName");
    let points = services().metrics().points();
    let sent = |name: &str| -> Vec<f64> {
        let mine = points.iter().filter(|point| point.namespace == namespace && point.name == name);
        mine.flat_map(|point| point.values.clone()).collect()
    };
    assert_eq!(sent("RecordsProcessed"), vec![20.0, 20.0]);
    let [first, again] = sent("PagesWritten")[..] else { panic!("two batches") };
    assert!(first > 0.0 && first == again, "the same records make the same pages: {first} and {again}");
}
