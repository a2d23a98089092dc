//! What the public APIs take, in `apis.json` with the sources, and a check of requests against it.

use serde_json::{Map, Value};
use usage_aggregator::decimal::Decimal;

use super::server::Received;

/// The facts about the API of a target.
pub fn api(target: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("apis.json")).unwrap();
    all[target].clone()
}

/// The events of a request, each checked.
pub fn events(target: &str, request: &Received) -> Vec<Map<String, Value>> {
    let api = api(target);
    assert_eq!((&*request.method, &*request.path), ("POST", api["path"].as_str().unwrap()));
    assert_eq!(request.headers["content-type"], api["content_type"].as_str().unwrap());
    let events: Vec<Map<String, Value>> = match target {
        "stripe" => vec![form(&request.body)],
        "lago" => {
            let body: Map<String, Value> = serde_json::from_str(&request.body).unwrap();
            assert_eq!(body.keys().collect::<Vec<_>>(), ["events"]);
            serde_json::from_value(body["events"].clone()).unwrap()
        }
        _ => serde_json::from_str(&request.body).unwrap(),
    };
    assert!(!events.is_empty() && events.len() as u64 <= api["most_events"].as_u64().unwrap_or(u64::MAX));
    events.iter().for_each(|event| check(&api, event));
    events
}

/// The identifier of an event.
pub fn id(event: &Map<String, Value>) -> String {
    ["id", "transaction_id", "identifier"]
        .iter()
        .find_map(|name| event.get(*name))
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

fn check(api: &Value, event: &Map<String, Value>) {
    for name in api["required"].as_array().unwrap() {
        assert!(event.contains_key(name.as_str().unwrap()), "{name} is missing in {event:?}");
    }
    for (name, value) in event {
        let rule = api["properties"].get(name).unwrap_or_else(|| panic!("{name} is not a property of the API"));
        let types = rule["type"].as_array().cloned().unwrap_or_else(|| vec![rule["type"].clone()]);
        assert!(types.iter().any(|of| is_of_type(value, of)), "{name}: {value} is not of type {types:?}");
        let length = value.as_str().map_or(0, |text| text.chars().count() as u64);
        assert!(rule["minLength"].as_u64().is_none_or(|least| length >= least), "{name}: {value}");
        assert!(rule["maxLength"].as_u64().is_none_or(|most| length <= most), "{name}: {value}");
        assert!(rule["enum"].as_array().is_none_or(|all| all.contains(value)), "{name}: {value}");
        if let Some(allowed) = rule["values"].as_array() {
            let is_allowed = |value: &Value| allowed.iter().any(|of| is_of_type(value, of));
            assert!(value.as_object().unwrap().values().all(is_allowed), "{name}: {value}");
        }
        check_format(name, value.as_str().unwrap_or_default(), rule);
    }
}

fn check_format(name: &str, text: &str, rule: &Value) {
    match rule["format"].as_str() {
        Some("date-time") => assert!(text.parse::<jiff::Timestamp>().is_ok(), "{name}: {text}"),
        Some("whole") => assert!(Decimal::parse(text).is_ok_and(|value| value.scale() == 0), "{name}: {text}"),
        Some("unix-time") => {
            let (age, day) = (event_source_mapping::now().unwrap().seconds() - text.parse::<i64>().unwrap(), 86_400);
            let (oldest, newest) = (rule["oldest_days"].as_i64().unwrap(), rule["newest_minutes"].as_i64().unwrap());
            assert!(-newest * 60 <= age && age <= oldest * day, "{name}: {text}");
        }
        _ => {}
    }
}

fn is_of_type(value: &Value, of: &Value) -> bool {
    match of.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => value.is_object(),
    }
}

/// The fields of a form.
fn form(body: &str) -> Map<String, Value> {
    let decoded = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                b'+' => bytes.push(b' '),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let field = |field: &str| {
        let (name, value) = field.split_once('=').unwrap();
        (decoded(name), Value::from(decoded(value)))
    };
    body.split('&').map(field).collect()
}
