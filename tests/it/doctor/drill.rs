//! `usagectl doctor --drill` with moto's SNS and CloudFormation. CloudWatch's alarms, their states, and their history are emulated,
//! because moto doesn't support the SDK's protocol for them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use ciborium::Value;
use laptop::emulators::sdk_config;
use serde_json::json;
use tokio::net::TcpListener;

use super::cloudwatch::{field, list, map, text};
use crate::fixture::{Fixture, Run};
use crate::redrive::moto::Moto;

fn topic(name: &str) -> String {
    format!("arn:aws:sns:us-east-1:123456789012:{name}")
}

/// Two alarms and a composite alarm, as CloudWatch evaluates them.
#[derive(Debug, Clone, Default)]
struct CloudWatch {
    /// Each state that was set, with its alarm.
    set: Arc<Mutex<Vec<(String, String)>>>,
    /// The actions: alarm and summary.
    history: Arc<Mutex<Vec<(String, String)>>>,
    /// Whether SNS refuses the composite alarm's notification.
    is_refused: bool,
}

impl CloudWatch {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/service/GraniteServiceVersion20100801/operation/{name}", post(answer));
        let routes = routes.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        url
    }

    fn answer(&self, operation: &str, request: &Value) -> Value {
        let given = |name: &str| field(request, name).and_then(Value::as_text).unwrap().to_owned();
        match operation {
            "DescribeAlarms" => {
                let alarm = |name: &str, topic_name: &str, rule: Option<&str>| {
                    let topics = list([text(&topic(topic_name))]);
                    let rule = text(rule.unwrap_or_default());
                    let fields = [("AlarmName", text(name)), ("StateValue", text("OK")), ("AlarmActions", topics)];
                    map([fields[0].clone(), fields[1].clone(), fields[2].clone(), ("AlarmRule", rule)])
                };
                let rule = r#"ALARM("drilled-ErrorRate") OR ALARM("drilled-DroppedEvents")"#;
                let metric = ["drilled-DroppedEvents", "drilled-ErrorRate", "drilled-AnyError"];
                map([
                    ("MetricAlarms", list(metric.map(|name| alarm(name, "alarm", None)))),
                    ("CompositeAlarms", list([alarm("drilled-Page", "page", Some(rule))])),
                ])
            }
            "SetAlarmState" => {
                let (name, state) = (given("AlarmName"), given("StateValue"));
                if state == "ALARM" {
                    let mut history = self.history.lock().unwrap();
                    history.push((name.clone(), format!("Successfully executed action {}", topic("alarm"))));
                    if name != "drilled-AnyError" {
                        let done =
                            if self.is_refused { "Failed to execute action" } else { "Successfully executed action" };
                        history.push(("drilled-Page".to_owned(), format!("{done} {}", topic("page"))));
                    }
                }
                self.set.lock().unwrap().push((name, state));
                map([])
            }
            "DescribeAlarmHistory" => {
                assert_eq!(given("HistoryItemType"), "Action");
                let types = field(request, "AlarmTypes").and_then(Value::as_array).unwrap();
                assert_eq!(types.len(), 2, "without types, composite alarms have no history");
                let (name, history) = (given("AlarmName"), self.history.lock().unwrap().clone());
                let items = history.into_iter().filter(|(alarm, _)| *alarm == name);
                map([("AlarmHistoryItems", list(items.map(|(_, summary)| map([("HistorySummary", text(&summary))]))))])
            }
            other => panic!("CloudWatch's {other} is not emulated"),
        }
    }
}

async fn answer(State(cloudwatch): State<CloudWatch>, Path(operation): Path<String>, body: Bytes) -> impl IntoResponse {
    let answer = cloudwatch.answer(&operation, &ciborium::from_reader(body.as_ref()).unwrap());
    let mut bytes = Vec::new();
    ciborium::into_writer(&answer, &mut bytes).unwrap();
    (StatusCode::OK, [("smithy-protocol", "rpc-v2-cbor"), (header::CONTENT_TYPE.as_str(), "application/cbor")], bytes)
}

/// A stack and its two topics on moto.
struct Drilled {
    moto: Moto,
    sns: aws_sdk_sns::Client,
    cloudwatch: CloudWatch,
}

impl Drilled {
    async fn new(cloudwatch: CloudWatch) -> Drilled {
        let moto = Moto::start();
        let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
        let resource = |name: &str| json!({ "Type": "AWS::SNS::Topic", "Properties": { "TopicName": name } });
        let template = json!({
            "Resources": { "Alarm": resource("alarm"), "Page": resource("page") },
            "Outputs": { "FunctionName": { "Value": "drilled" } },
        });
        let create = aws_sdk_cloudformation::Client::new(&config).create_stack().stack_name("drilled");
        create.template_body(template.to_string()).send().await.unwrap();
        Drilled { moto, sns: aws_sdk_sns::Client::new(&config), cloudwatch }
    }

    async fn subscribe(&self, name: &str, endpoint: &str) {
        let queue = format!("arn:aws:sqs:us-east-1:123456789012:{endpoint}");
        self.sns.subscribe().topic_arn(topic(name)).protocol("sqs").endpoint(queue).send().await.unwrap();
    }

    async fn drill(&self, options: &[&str]) -> Run {
        let fixture = Fixture::new();
        let mut command = fixture.command(&[&["doctor", "--drill", "--stack", "drilled"], options].concat());
        command.envs([
            ("AWS_ENDPOINT_URL", self.moto.url.clone()),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", self.cloudwatch.serve().await),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    fn set(&self) -> Vec<(String, String)> {
        self.cloudwatch.set.lock().unwrap().drain(..).collect()
    }
}

fn and_back(alarm: &str) -> Vec<(String, String)> {
    ["ALARM", "OK"].map(|state| (format!("drilled-{alarm}"), state.to_owned())).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_lets_an_alarm_fire_says_who_was_notified_and_sets_it_back() {
    let stack = Drilled::new(CloudWatch::default()).await;
    let nobody = stack.drill(&[]).await;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stdout.contains("nobody would be notified, so no alarm was set"), "{nobody:?}");
    assert!(nobody.stdout.contains("NO subscription: make deploy STACK=drilled PARAMETERS='AlarmEmail=ADDRESS'"));
    assert_eq!(stack.set(), []);

    // Only the topic of every alarm has a subscriber, so nobody is paged.
    stack.subscribe("alarm", "ops").await;
    let unpaged = stack.drill(&["--json"]).await;
    assert_eq!(unpaged.code, Some(1), "{unpaged:?}");
    assert_eq!(stack.set(), and_back("DroppedEvents"));
    // Without the composite, the topic is enough.
    assert_eq!(stack.drill(&["--alarm", "AnyError"]).await.code, Some(0));
    assert_eq!(stack.set(), and_back("AnyError"));

    stack.subscribe("page", "pager").await;
    let dry = stack.drill(&["--dry-run"]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(
        dry.stdout.ends_with("dry run: would set drilled-DroppedEvents to ALARM, and then back to OK\n"),
        "{dry:?}"
    );
    assert_eq!(stack.set(), []);

    let run = stack.drill(&[]).await;
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
    insta::assert_snapshot!("drill", run.stdout);
    assert_eq!(stack.set(), and_back("DroppedEvents"));
    let json = stack.drill(&["--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&report["good"], &report["drill"]), (&json!(true), &json!("fired")), "{report:#}");
    let paged = &report["notifications"][1];
    assert_eq!((&paged["alarm"], &paged["notification"]), (&json!("drilled-Page"), &json!("sent")), "{report:#}");
    assert_eq!(paged["subscriptions"][0]["confirmed"], json!(true), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_sns_refuses_fails_the_drill_and_the_alarm_is_set_back() {
    let stack = Drilled::new(CloudWatch { is_refused: true, ..CloudWatch::default() }).await;
    stack.subscribe("alarm", "ops").await;
    stack.subscribe("page", "pager").await;
    let run = stack.drill(&[]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("drilled-Page notifies page: FAILED"), "{run:?}");
    assert_eq!(stack.set(), and_back("DroppedEvents"));
    let unknown = stack.drill(&["--alarm", "Nothing"]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}
