//! The sample as a Lambda event: as it is, or made of items as if each had just been inserted.

use anyhow::Context;
use serde_json::{Map, Value, json};
use usage_aggregator::time::Timestamp;

use super::super::infer::read;

/// How many records the sample in the folder has.
const EXCERPT: usize = 20;

/// An event to draft from.
pub(in crate::schema) struct Sample {
    /// The event.
    pub event: Vec<u8>,
    /// The table or stream, if the event was made of items.
    pub source: Option<String>,
    /// The number of records.
    pub count: usize,
    /// Notes for the person who reviews the draft.
    pub notes: Vec<String>,
}

impl Sample {
    /// The event with its first records only.
    pub(in crate::schema) fn excerpt(&self) -> anyhow::Result<String> {
        let mut event: Value = serde_json::from_slice(&self.event).context("read the sample")?;
        if let Some(records) = event.get_mut("Records").and_then(Value::as_array_mut) {
            records.truncate(EXCERPT);
        }
        Ok(format!("{}\n", serde_json::to_string_pretty(&event)?))
    }
}

/// The event in a file, or one made of the file's items, which are from the table `source`.
///
/// # Errors
/// If it has no items, or their key is unknown.
pub(in crate::schema) fn of_file(bytes: &[u8], key: &[String], source: &str) -> Result<Sample, String> {
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
        match document {
            Ok(document) => documents.push(document),
            // The reader of items says what is accepted instead.
            Err(_) => return read(bytes, &mut Vec::new(), key).map(|_| empty()),
        }
    }
    if let Some(records) = documents.iter().find_map(|document| document.get("Records")) {
        let count = records.as_array().map_or(0, Vec::len);
        return Ok(Sample { event: bytes.to_vec(), source: None, count, notes: Vec::new() });
    }
    let mut scratch = Vec::new();
    let input = read(bytes, &mut scratch, key)?;
    let keys = input.samples.first().map(|sample| sample.keys.clone()).unwrap_or_default();
    let items: Vec<Value> = documents.into_iter().flat_map(items_in).collect();
    let mut sample = of_items(&keys, &items, source).map_err(|error| error.to_string())?;
    sample.notes = input.notes;
    Ok(sample)
}

fn empty() -> Sample {
    Sample { event: Vec::new(), source: None, count: 0, notes: Vec::new() }
}

/// The items of one document of the AWS CLI or of an export.
fn items_in(mut document: Value) -> Vec<Value> {
    let mut take = |name: &str| document.get_mut(name).map(Value::take).filter(|value| !value.is_null());
    if let Some(Value::Array(items)) = take("Items") {
        return items;
    }
    ["Item", "NewImage", "OldImage"].into_iter().find_map(take).into_iter().collect()
}

/// An event in which each of `items` was just inserted into `table`.
///
/// # Errors
/// If the time can't be read.
pub(super) fn of_items(keys: &[String], items: &[Value], table: &str) -> anyhow::Result<Sample> {
    let now = event_source_mapping::now()?;
    let records: Vec<Value> = (1..).zip(items).map(|(number, item)| record(number, keys, item, table, now)).collect();
    let event = serde_json::to_vec(&json!({ "Records": records }))?;
    Ok(Sample { event, source: Some(table.to_owned()), count: items.len(), notes: Vec::new() })
}

fn record(number: u64, keys: &[String], item: &Value, table: &str, now: Timestamp) -> Value {
    let key: Map<String, Value> =
        keys.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect();
    json!({
        "eventID": format!("{number:032x}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": now.seconds(),
            "Keys": key,
            "NewImage": item,
            "SequenceNumber": format!("{number:021}"),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": format!("arn:aws:dynamodb:us-east-1:123456789012:table/{table}/stream/2026-01-01T00:00:00.000"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_a_scan_and_of_an_export_become_insertions() {
        let item = |id: &str| json!({ "id": { "S": id }, "n": { "N": "1" } });
        let scan = json!({ "Items": [item("a"), item("b")], "Count": 2 }).to_string();
        let export = format!("{}\n{}\n", json!({ "Item": item("a") }), json!({ "Item": item("b") }));
        for text in [scan, export] {
            let sample = of_file(text.as_bytes(), &[], "visits").unwrap();
            let event: Value = serde_json::from_slice(&sample.event).unwrap();
            let record = &event["Records"][1];
            assert_eq!((sample.count, &record["eventName"]), (2, &json!("INSERT")));
            assert_eq!(record["dynamodb"]["Keys"], json!({ "id": { "S": "b" } }));
            assert!(record["eventSourceARN"].as_str().unwrap().contains(":table/visits/stream/"), "{record}");
        }
    }

    #[test]
    fn an_event_is_kept_and_its_excerpt_is_short() {
        let event = json!({ "Records": vec![json!({ "a": 1 }); 30] }).to_string();
        let sample = of_file(event.as_bytes(), &[], "x").unwrap();
        assert_eq!((sample.count, sample.source.clone()), (30, None));
        let excerpt: Value = serde_json::from_str(&sample.excerpt().unwrap()).unwrap();
        assert_eq!(excerpt["Records"].as_array().unwrap().len(), EXCERPT);
    }

    #[test]
    fn a_file_that_is_not_json_is_refused_with_what_is_accepted() {
        let refused = of_file(b"id,n\n", &[], "x").map(drop).unwrap_err();
        assert!(refused.contains("aws dynamodb scan"), "{refused}");
    }
}
