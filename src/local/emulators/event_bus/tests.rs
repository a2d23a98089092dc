//! What PutEvents takes and refuses, and what is kept of it.

use super::*;

fn entry(detail: &Value) -> Value {
    json!({ "Source": "usage", "DetailType": "Usage alert", "Detail": detail.to_string(), "EventBusName": "default" })
}

fn put(bus: &EventBus, entries: &[Value]) -> (u16, Value) {
    bus.answer(TARGET, json!({ "Entries": entries }).to_string().as_bytes())
}

fn lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_event_is_a_line_of_the_file_however_often_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.jsonl");
    for round in 1..=2 {
        let bus = EventBus::open(&file).unwrap();
        let (status, answer) = put(&bus, &[entry(&json!({ "id": "a" })), entry(&json!({ "id": "b" }))]);
        assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(0)));
        assert_eq!(bus.events().len(), 2, "those of the earlier process are in the file only");
        assert_eq!(bus.events_after(1)[0].detail.get(), r#"{"id":"b"}"#);
        assert!(bus.events_after(3).is_empty());
        assert_eq!(lines(&file).len(), 2 * round);
    }
    let [first, .., last] = &lines(&file)[..] else { panic!("lines") };
    assert_ne!(first["id"], last["id"], "EventBridge's own id is new each time");
    assert_eq!((&first["detail-type"], &first["source"]), (&json!("Usage alert"), &json!("usage")));
    assert_eq!(first["detail"], json!({ "id": "a" }));
    assert_eq!(first["time"].as_str().unwrap().len(), "2026-11-28T08:57:00Z".len());
}

#[test]
fn an_entry_that_is_refused_leaves_the_others_alone() {
    let bus = EventBus::default();
    let malformed = json!({ "Source": "usage", "DetailType": "Usage alert", "Detail": "[]" });
    let (status, answer) = put(&bus, &[malformed, entry(&json!({ "id": "a" })), json!({ "Detail": "{}" })]);
    assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(2)));
    let codes: Vec<&Value> = answer["Entries"].as_array().unwrap().iter().map(|entry| &entry["ErrorCode"]).collect();
    assert_eq!(codes, [&json!("MalformedDetail"), &Value::Null, &json!("InvalidArgument")]);
    assert_eq!(bus.events().len(), 1);
}

#[test]
fn a_request_that_eventbridge_refuses_is_refused() {
    let bus = EventBus::default();
    let eleven = vec![entry(&json!({ "id": "a" })); 11];
    for (target, entries) in [(TARGET, &eleven[..]), (TARGET, &[]), ("AWSEvents.PutRule", &eleven[..1])] {
        let body = json!({ "Entries": entries }).to_string();
        assert_eq!(bus.answer(target, body.as_bytes()).0, 400, "{target} {}", entries.len());
    }
    let large = entry(&json!({ "text": "x".repeat(MAX_REQUEST_BYTES) }));
    assert_eq!(put(&bus, &[large]).0, 400);
    assert!(bus.events().is_empty());
}

#[test]
fn regression_a_detail_with_line_breaks_is_one_line_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.jsonl");
    let bus = EventBus::open(&file).unwrap();
    bus.put("usage", "Usage alert", "{\r\n  \"id\": \"a\"\n}").unwrap();
    assert_eq!(lines(&file).iter().map(|event| &event["detail"]).collect::<Vec<_>>(), [&json!({ "id": "a" })]);
}
