//! OpenMeter: batches of CloudEvents at `/api/v1/events`. OpenMeter takes an event with the same source and id once.

use serde_json::{Map, Value, json};
use usage_aggregator::time::Timestamp;

use super::{Event, Request};

/// The request with these events. Any status of 200 to 299 means that all were accepted; the documented one is 204.
pub(super) fn request(events: &[Event], source: &str) -> Request {
    let events: Value = events.iter().map(|event| cloud_event(event, source)).collect();
    Request {
        path: "/api/v1/events",
        headers: vec![("Content-Type", "application/cloudevents-batch+json".to_owned())],
        body: events.to_string(),
    }
}

fn cloud_event(event: &Event, source: &str) -> Value {
    let mut data: Map<String, Value> =
        event.fields.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
    data.insert("value".to_owned(), event.row.value.as_str().into());
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": event.name,
        "subject": event.customer,
        "time": Timestamp::from_seconds(event.second).map(|time| time.to_string()),
        "datacontenttype": "application/json",
        "data": data,
    })
}
