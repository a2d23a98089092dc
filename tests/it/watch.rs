//! `usagectl watch --stack`: on the stack that moto creates from template.yaml, with the metrics and alarms of `doctor::cloudwatch`. How
//! the page looks and works in a browser is in `page`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::doctor::cloudwatch::Answers;
use crate::doctor::healthy;
use crate::doctor::place::{Place, front};
use crate::fixture::{Fixture, Run};
use crate::page::Client;
use crate::reconcile_stack::Deployed;

/// A stack with customers, failed batches and a quarantined record.
struct Watched {
    place: Place,
    asked: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Watched {
    async fn new(answers: Answers) -> Watched {
        let asked = answers.asked.clone();
        let place = Place::new(&["Pipeline=orders"], front("Terminate", 10, env!("CARGO_PKG_VERSION")), answers).await;
        Watched { place, asked }
    }

    /// Puts a month of a customer into the usage table.
    async fn count(&self, customer: &str, amount: &str) {
        let month = event_source_mapping::now().unwrap().to_string();
        let text = |text: String| AttributeValue::S(text);
        let put = aws_sdk_dynamodb::Client::new(&self.place.config).put_item();
        let put = put.table_name(self.place.output("UsageTableName")).item("pk", text(format!("CUSTOMER#{customer}")));
        let put = put.item("sk", text(format!("USAGE#orders#month#{}-01T00:00:00Z", &month[..7])));
        put.item("amount", AttributeValue::N(amount.to_owned())).send().await.unwrap();
    }

    async fn fail(&self, key: &str, document: Value) {
        let put = self.place.s3().put_object().bucket(self.place.output("FailureBucketName")).key(key);
        put.body(document.to_string().into_bytes().into()).send().await.unwrap();
    }

    async fn json(&self) -> (Run, Value) {
        let run = self.place.run(&["watch", "--stack", "moto", "--json"]).await;
        let view = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        (run, view)
    }

    fn asked(&self) -> Vec<(String, usize)> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

/// The document of a quarantined record.
fn quarantined() -> Value {
    json!({
        "version": "1.0", "timestamp": "2026-11-28T12:00:00Z",
        "requestContext": { "requestId": "", "functionArn": "moto", "condition": "RecordRejected", "approximateInvokeCount": 1 },
        "rejection": { "pipeline": "orders", "code": "missing_attribute", "field": "NewImage.total", "reason": "is missing" },
        "DDBStreamBatchInfo": {
            "shardId": "", "startSequenceNumber": "312", "endSequenceNumber": "312", "batchSize": 1,
            "approximateArrivalOfFirstRecord": null, "approximateArrivalOfLastRecord": null, "streamArn": "arn",
        },
        "payload": "{\"Records\":[]}",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_a_stack_are_those_of_its_metrics_tables_and_failure_bucket() {
    let mut answers = healthy();
    answers.alarms.iter_mut().filter(|(name, ..)| name == "moto-ErrorRate").for_each(|alarm| alarm.1 = "ALARM");
    let stack = Watched::new(answers).await;
    stack.count("7", "150.5").await;
    stack.count("8", "900").await;
    stack.fail("aws/lambda/uuid/shard/2026-11-28T12.00.00-a", json!({})).await;
    stack.fail("quarantine/orders/0a.json", quarantined()).await;
    let (run, view) = stack.json().await;
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");

    let figures =
        ["processed", "delivered", "invocations", "failed", "iterator_age_ms"].map(|name| &view["figures"][name]);
    assert_eq!(figures, [&json!(60_000.0), &json!(60_000.0), &json!(1_200.0), &json!(0.0), &json!(400.0)], "{view:#}");
    let history = &view["history"];
    assert!(history["processed"].as_array().unwrap().contains(&json!(1_000.0)), "60,000 in a minute: {history}");
    assert!(history["seconds"].as_array().unwrap().len() > 170, "three hours from the start: {history}");
    let top: Vec<&Value> =
        view["usage"]["measures"][0]["top"].as_array().unwrap().iter().map(|of| &of["value"]).collect();
    assert_eq!(top, [&json!("900"), &json!("150.5")]);
    let failures = &view["storage"]["failures"];
    assert_eq!((&failures["batches"], &failures["quarantined"]), (&json!(1), &json!(1)));
    let rejection = &view["rejections"][0];
    assert_eq!((&rejection["sequence_number"], &rejection["field"]), (&json!("312"), &json!("NewImage.total")));
    assert_eq!(
        (&view["alarms"][0]["name"], &view["mappings"]["source"]["state"]),
        (&json!("ErrorRate"), &json!("Enabled"))
    );
    let reasons = view["summary"]["reasons"].as_array().unwrap();
    assert_eq!((&view["missing"], reasons.len()), (&json!([]), 3), "{reasons:?}");

    // The page states what it does: the sizes are read once, and each time as many metrics as it says.
    let metrics = usize::try_from(view["calls"]["metrics"].as_u64().unwrap()).unwrap();
    let mut asked = stack.asked();
    asked.sort();
    let get = |metrics| ("GetMetricData".to_owned(), metrics);
    assert_eq!(asked, [("DescribeAlarms".to_owned(), 0), get(3), get(metrics)]);
    assert_eq!((metrics, &view["calls"]["per_minute"]), (24, &json!(24)), "as in --help");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_named_and_left_out_and_without_metrics_there_is_no_page() {
    let mut stack = Watched::new(Answers { denied: vec!["DescribeAlarms"], ..healthy() }).await;
    let (run, view) = stack.json().await;
    assert_eq!((run.code, &view["alarms"], view["missing"].as_array().unwrap().len()), (Some(1), &Value::Null, 1));
    let missing = view["missing"][0].as_str().unwrap();
    let expected = "read the alarms of the stack moto (cloudwatch:DescribeAlarms): AccessDenied";
    assert!(missing.starts_with(expected), "{missing}");
    assert_eq!(view["summary"]["level"], json!("warning"), "{view:#}");

    let denied = Answers { denied: vec!["GetMetricData"], ..healthy() }.serve().await;
    stack.place.environment.insert("AWS_ENDPOINT_URL_CLOUDWATCH", denied);
    let blind = stack.place.run(&["watch", "--stack", "moto"]).await;
    assert_eq!((blind.code, &*blind.stdout), (Some(1), ""), "{blind:?}");
    let expected = "error: watch the stack moto: read metrics from CloudWatch (cloudwatch:GetMetricData): AccessDenied";
    assert!(blind.stderr.starts_with(expected), "{blind:?}");
    let nowhere = stack.place.run(&["watch", "--stack", "elsewhere"]).await;
    assert!(
        nowhere.code == Some(1) && nowhere.stderr.starts_with("error: describe the stack elsewhere"),
        "{nowhere:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_lacks_an_output_is_refused_with_its_name() {
    let deployed = Deployed::new("watch-outputs").await;
    let run = deployed.run(&["watch", "--stack", "counted"]).await;
    assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{run:?}");
    let expected = "error: the stack counted has no output EventSourceMappingId, MetricsNamespaceName: choose";
    assert!(run.stderr.starts_with(expected), "{run:?}");
    let fixture = Fixture::new();
    insta::assert_snapshot!("help_watch", fixture.run(&["watch", "--help"]).stdout);
    for wrong in [&[][..], &["--stack", "s", "--span", "1d"], &["--stack", "s", "--local"]] {
        let run = fixture.run(&[&["watch"], wrong].concat());
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{wrong:?}: {run:?}");
    }
}

/// A page that is served until it is stopped.
struct Served {
    process: Child,
    url: String,
    _fixture: Fixture,
}

impl Served {
    fn start(place: &Place, options: &[&str]) -> Served {
        let fixture = Fixture::new();
        let mut command = fixture.command(&[&["watch", "--stack", "moto"], options].concat());
        command.envs(&place.environment).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("live page of moto: ").and_then(|url| url.strip_suffix('/'));
        let url = url.unwrap_or_else(|| panic!("{line}")).to_owned();
        Served { process, url, _fixture: fixture }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_stack_changes_nothing_unless_redrive_is_allowed() {
    let stack = Watched::new(healthy()).await;
    let served = Served::start(&stack.place, &[]);
    let client = Client::new(&served.url);
    let events = client.events(2).await;
    let (hello, view) = (&events[0].1, &events[1].1);
    assert_eq!((&hello["facts"]["kind"], &hello["facts"]["stack"]), (&json!("stack"), &json!("moto")));
    assert!(hello["switches"].is_null(), "no faults are offered");
    assert!(hello["history"]["seconds"].as_array().unwrap().len() > 170, "the charts begin with the last hours");
    assert_eq!(view["tasks"].as_array().unwrap().len(), 1);
    let cost = hello["facts"]["cost"].as_str().unwrap();
    assert!(cost.starts_with("At most 24 calls per minute and $0.03 per hour"), "{cost}");

    let token = hello["token"].as_str().unwrap();
    let own = ("x-usagectl-token", token);
    let redrive = client.send(Method::POST, "/page/tasks/redrive", &[own], "").await;
    assert_eq!(redrive.status, StatusCode::FORBIDDEN);
    assert!(redrive.text.contains("start `usagectl watch` with --allow-redrive"), "{}", redrive.text);
    for path in ["/page/faults", "/faults", "/stop"] {
        let other = client.send(Method::POST, path, &[own], r#"{"name":"crash","on":true}"#).await;
        assert_eq!(other.status, StatusCode::NOT_FOUND, "{path}");
    }
    let start =
        async |headers: &[(&str, &str)]| client.send(Method::POST, "/page/tasks/reconcile", headers, "").await.status;
    assert_eq!(start(&[]).await, StatusCode::FORBIDDEN, "without the token");
    assert_eq!(start(&[own, ("origin", "http://evil.example")]).await, StatusCode::FORBIDDEN);
    assert_eq!(start(&[own, ("host", "evil.example")]).await, StatusCode::FORBIDDEN, "DNS rebinding");
    assert_eq!(start(&[own, ("origin", &served.url)]).await, StatusCode::ACCEPTED);
    // However many look at the page, the stack is read once.
    client.events(2).await;
    client.events(2).await;
    assert_eq!(stack.asked().iter().filter(|(operation, _)| operation == "DescribeAlarms").count(), 1);

    let allowed = Served::start(&stack.place, &["--allow-redrive"]);
    let client = Client::new(&allowed.url);
    let events = client.events(2).await;
    let command = &events[1].1["tasks"][1]["command"];
    assert_eq!(command, &json!("usagectl redrive --stack moto"));
    let token = events[0].1["token"].as_str().unwrap();
    let started = client.send(Method::POST, "/page/tasks/redrive", &[("x-usagectl-token", token)], "").await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
}
