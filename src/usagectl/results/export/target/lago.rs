//! Lago: batches of usage events at `/api/v1/events/batch`. Lago takes an event with the same `transaction_id` once. A batch is
//! stored as a whole or not at all; the response says which events were the reason.

use serde_json::{Map, Value, json};

use super::{Event, Request, Response, Verdict};

/// The request with these events.
pub(super) fn request(events: &[Event]) -> Request {
    let event = |event: &Event| {
        let mut properties: Map<String, Value> =
            event.fields.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        properties.insert("value".to_owned(), event.row.value.as_str().into());
        json!({
            "transaction_id": event.id,
            "external_subscription_id": event.customer,
            "code": event.name,
            "timestamp": event.second,
            "properties": properties,
        })
    };
    Request {
        path: "/api/v1/events/batch",
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: json!({ "events": events.iter().map(event).collect::<Vec<_>>() }).to_string(),
    }
}

/// What a response that isn't a success says about the events.
pub(super) fn judge(response: &Response) -> Verdict {
    let json = response.json();
    let details = json.get("error_details").and_then(Value::as_object);
    let places = details.and_then(|details| {
        let place = |(place, why): (&String, &Value)| Some((place.parse::<usize>().ok()?, why.clone()));
        details.iter().map(place).collect::<Option<Vec<_>>>()
    });
    let Some(places) = places.filter(|places| !places.is_empty()) else {
        return Verdict::Refused(response.describe());
    };
    let is_known = |(_, why): &(usize, Value)| *why == json!({ "transaction_id": ["value_already_exist"] });
    let (known, refused): (Vec<_>, Vec<_>) = places.into_iter().partition(is_known);
    Verdict::Partly {
        known: known.into_iter().map(|(place, _)| place).collect(),
        refused: refused.into_iter().map(|(place, why)| (place, format!("{} {why}", response.status))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_batch_names_the_events_that_are_known_and_those_that_are_not_valid() {
        let response = |body: &str| Response { status: 422, retry_after: None, body: body.to_owned() };
        let both = r#"{"status":422,"code":"validation_errors","error_details":{"2":{"transaction_id":["value_already_exist"]},"5":{"timestamp":["invalid_format"]}}}"#;
        let refused = vec![(5, r#"422 {"timestamp":["invalid_format"]}"#.to_owned())];
        assert_eq!(judge(&response(both)), Verdict::Partly { known: vec![2], refused });
        let all = r#"{"error":"Unprocessable Entity","error_details":{"events":["too_many_events"]}}"#;
        assert!(matches!(judge(&response(all)), Verdict::Refused(_)));
        assert_eq!(judge(&response("<html>")), Verdict::Refused("422 <html>".to_owned()));
    }
}
