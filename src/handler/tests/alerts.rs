//! Alerts, from the event of the ledger's stream to EventBridge and SNS.

use serde_json::{Value, json};

use super::*;
use crate::outcome::FoldOutcome;

/// An event of the ledger's stream with these keys. The sequence numbers count from 0.
fn event(keys: &[(String, String)]) -> String {
    let record = |(number, (key, sort_key)): (usize, &(String, String))| {
        json!({
            "eventName": "INSERT", "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/ledger/stream/1",
            "dynamodb": { "SequenceNumber": number.to_string(), "Keys": { "pk": { "S": key }, "sk": { "S": sort_key } } },
        })
    };
    json!({ "Records": keys.iter().enumerate().map(record).collect::<Vec<_>>() }).to_string()
}

fn alerts(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| ("a#orders#2026-11".to_owned(), format!("hash#{number:06}"))).collect()
}

/// The item of the alert that a Query asks for. That of the alert 1 has expired.
fn item(body: &str) -> String {
    let query: Value = serde_json::from_str(body).unwrap();
    let values = &query["ExpressionAttributeValues"];
    let text = |name: &str| values[name]["S"].as_str().unwrap_or_default();
    let name = text(":sk");
    if !text(":pk").starts_with("a#") || name == "hash#000001" {
        return r#"{"Items":[]}"#.to_owned();
    }
    let detail = json!({ "id": name }).to_string();
    json!({ "Items": [{ "pk": values[":pk"], "sk": { "S": name }, "detail": { "S": detail } }] }).to_string()
}

/// EventBridge refuses the alert 12.
fn event_bridge(body: &str) -> String {
    let request: Value = serde_json::from_str(body).unwrap();
    let answer = |entry: &Value| {
        assert_eq!((&entry["Source"], &entry["DetailType"]), (&json!("usage-aggregator"), &json!("Usage alert")));
        match entry["Detail"].as_str().unwrap().contains("000012") {
            true => json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "try again" }),
            false => json!({ "EventId": "1" }),
        }
    };
    let entries: Vec<Value> = request["Entries"].as_array().unwrap().iter().map(answer).collect();
    json!({ "FailedEntryCount": 0, "Entries": entries }).to_string()
}

fn answer(operation: &str, body: &str) -> String {
    match operation {
        "Query" => item(body),
        "PutEvents" => event_bridge(body),
        // SNS doesn't name its operations in a header.
        _ => "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".to_owned(),
    }
}

async fn fold(keys: &[(String, String)], more: &[(&'static str, &'static str)]) -> (FoldOutcome, Vec<String>) {
    let services = Services { answer, ..Services::answering(200) };
    let now = Timestamp::parse("2026-11-28T09:00:00Z").unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
    let handled = handler_with(&services, more).handle(event(keys).as_bytes(), &invocation).await.unwrap();
    let Outcome::Folded(outcome) = handled else { panic!("the event is of the ledger") };
    let requests = services.requests.lock().unwrap().clone();
    let sent = requests.into_iter().filter(|(uri, _)| uri.contains("events.") || uri.contains("sns."));
    (outcome, sent.map(|(_, body)| body).collect())
}

#[tokio::test]
async fn the_first_alert_that_event_bridge_refuses_is_answered() {
    let (outcome, calls) = fold(&alerts(14), &[("ALERT_BUS", "usage")]).await;
    // Ten in the first call, and one has expired.
    assert_eq!((outcome.alerts_sent, outcome.alerts_failed, outcome.failed.as_deref()), (12, 2, Some("12")));
    assert!(outcome.alert_error.unwrap().message.contains("usage (events:PutEvents): InternalFailure: try again"));
    let entries = calls.iter().map(|body| serde_json::from_str::<Value>(body).unwrap()["Entries"].clone());
    let entries: Vec<Value> = entries.collect();
    assert_eq!(entries.iter().map(|entries| entries.as_array().unwrap().len()).collect::<Vec<_>>(), [10, 3]);
    assert_eq!(
        (&entries[0][1]["Detail"], &entries[0][1]["EventBusName"]),
        (&json!(r#"{"id":"hash#000002"}"#), &json!("usage"))
    );
    let (outcome, _) = fold(&alerts(12), &[]).await;
    assert_eq!((outcome.alerts_sent, outcome.failed, outcome.ignored), (12, None, 0));
}

#[tokio::test]
async fn a_topic_gets_each_alert_as_a_message() {
    let (outcome, calls) = fold(&alerts(3), &[("ALERT_TOPIC", "arn:aws:sns:eu-west-1:1:usage")]).await;
    assert_eq!((outcome.alerts_sent, outcome.failed, calls.len()), (3, None, 2));
    assert!(calls[0].contains("Action=Publish") && calls[0].contains("hash%23000000"), "{}", calls[0]);
}

#[tokio::test(start_paused = true)]
async fn an_alert_behind_a_notice_that_is_not_settled_is_delivered_again_with_it() {
    let page = ("p#orders#2026-11-28T08:57#0".to_owned(), "00ff00ff00ff00ff".to_owned());
    let keys: Vec<_> = alerts(1).into_iter().chain([page]).chain(alerts(3)).collect();
    // The page is missing, so that it can't be folded.
    let (outcome, calls) = fold(&keys, &[]).await;
    assert_eq!((outcome.alerts_sent, outcome.alerts_failed, outcome.failed.as_deref()), (1, 0, Some("1")));
    assert_eq!(calls.len(), 1);
}

#[tokio::test]
async fn only_new_alerts_of_the_pipeline_are_sent() {
    let others = [("a#orders2#2026-11", "hash#1"), ("s#orders#2026-11", "2026-11-28/")];
    let others: Vec<_> = others.map(|(key, sort_key)| (key.to_owned(), sort_key.to_owned())).to_vec();
    let (outcome, calls) = fold(&others, &[]).await;
    assert_eq!((outcome.ignored, outcome.alerts_sent, calls.len()), (2, 0, 0));
}

/// Two stacks of a pipeline can use one event bus, and the rule of each got the alerts of both.
#[tokio::test]
async fn regression_an_alert_names_the_function_that_sent_it() {
    let lambda = ("AWS_LAMBDA_FUNCTION_NAME", "staging-fold");
    let (_, calls) = fold(&alerts(1), &[lambda, ("ALERT_BUS", "usage")]).await;
    let entry = serde_json::from_str::<Value>(&calls[0]).unwrap()["Entries"][0].clone();
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, json!({ "id": "hash#000000", "function": "staging-fold" }));
    let (_, calls) = fold(&alerts(1), &[lambda, ("ALERT_TOPIC", "arn:aws:sns:eu-west-1:1:usage")]).await;
    assert!(calls[0].contains("staging-fold"), "{}", calls[0]);
}
