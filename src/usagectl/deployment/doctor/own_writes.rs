//! The function's own writes as they would appear in its table's stream: does a mapping's filter let them through?

use event_source_mapping::{FilterError, Filters, SourceRecord, StreamKind};
use serde_json::{Map, Value, json};
use usage_aggregator::pipeline::{Pipeline, Snapshot};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{CounterKey, SnapshotItem};

/// The own writes that pass `patterns`, by event name and window: snapshots that are inserted or modified. Expired snapshots
/// are left out: the function writes nothing in response to them.
///
/// # Errors
/// When Lambda would reject the patterns.
pub fn passing(pipeline: &Pipeline, patterns: &[String], now: Timestamp) -> Result<Vec<String>, FilterError> {
    let filters = Filters::parse(patterns)?;
    let Some(snapshot) = &pipeline.snapshot else { return Ok(Vec::new()) };
    let mut passing = Vec::new();
    for window in &snapshot.windows {
        let span = window.containing(now, snapshot.zone);
        let item = item(snapshot, &SnapshotItem::new(snapshot, &example(snapshot), span));
        for event in ["INSERT", "MODIFY"] {
            let record = record(event, &item, now);
            if record.is_some_and(|record| filters.matches(StreamKind::DynamoDb, &record)) {
                passing.push(format!("{event} of {}", window.name()));
            }
        }
    }
    Ok(passing)
}

fn example(snapshot: &Snapshot) -> CounterKey {
    CounterKey(snapshot.group_variables.clone())
}

/// Keys and image of a snapshot.
struct OwnWrite {
    keys: Value,
    image: Value,
}

fn item(snapshot: &Snapshot, item: &SnapshotItem) -> OwnWrite {
    let text = |(name, value): &(String, String)| (name.clone(), json!({ "S": value }));
    let keys: Map<String, Value> = item.key.iter().map(text).collect();
    let mut image = keys.clone();
    image.extend(item.attributes.iter().map(text));
    image.extend(item.expires_at.iter().map(|(name, at)| (name.clone(), json!({ "N": at.to_string() }))));
    let counter = snapshot.if_taken.as_ref().map_or_else(|| "counter".to_owned(), |taken| taken.render(|_| "counter"));
    image.insert(counter, json!({ "N": "1" }));
    OwnWrite { keys: Value::Object(keys), image: Value::Object(image) }
}

fn record(event: &str, own: &OwnWrite, now: Timestamp) -> Option<SourceRecord> {
    let mut change = json!({ "Keys": own.keys, "NewImage": own.image, "SequenceNumber": "100000000000000000001",
        "SizeBytes": 100, "StreamViewType": "NEW_AND_OLD_IMAGES", "ApproximateCreationDateTime": now.seconds() });
    if event == "MODIFY" {
        change.as_object_mut()?.insert("OldImage".to_owned(), own.image.clone());
    }
    let json = json!({ "eventName": event, "eventSource": "aws:dynamodb", "dynamodb": change });
    let sequence = SequenceNumber::parse("100000000000000000001")?;
    Some(SourceRecord { sequence, item: 0, created_at: now, json: json.to_string() })
}

#[cfg(test)]
mod tests {
    use usage_aggregator::pipeline::shipped;

    use super::*;

    #[test]
    fn filters_exclude_own_writes_or_let_them_pass() {
        let now = Timestamp::parse("2026-11-26T21:00:00Z").unwrap();
        let of = |pipeline: &str, patterns: &[&str]| {
            let pipeline = Pipeline::parse(&shipped(pipeline).unwrap()).unwrap();
            let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
            passing(&pipeline, &patterns, now).unwrap()
        };
        let absent = ["resource", "window", "window_start"]
            .map(|name| json!({ "dynamodb": { "NewImage": { name: { "S": [{ "exists": false }] } } } }).to_string());
        assert_eq!(of("orders", &absent.each_ref().map(String::as_str)), Vec::<String>::new());
        let states = r##"{"eventName":["INSERT","MODIFY"],"dynamodb":{"Keys":{"SK":{"S":["#STATE"]}}}}"##;
        assert_eq!(of("zae-limiter", &[states]), Vec::<String>::new());
        assert_eq!(of("orders", &[]).len(), 6);
        assert_eq!(
            of("orders", &[r#"{"eventName":["INSERT"]}"#]),
            ["INSERT of hour", "INSERT of day", "INSERT of month"]
        );
    }
}
