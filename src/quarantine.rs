//! Turns rejected records into documents for the failure bucket, which `usagectl`'s redrive, explain and invoke read. Pure:
//! [`archive::Bucket`](crate::archive::Bucket) puts them.
//!
//! A document has the structure of the one that Lambda writes for a discarded batch, plus the reason of the rejection. Its
//! key is a hash of the record, so however often a record is delivered and rejected, there is one document of it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::archive::Object;
use crate::decode::{Event, RawRecord};
use crate::plan::Quarantined;
use crate::time::Timestamp;

/// The prefix of the documents' keys.
pub const PREFIX: &str = "quarantine/";

/// The document of one rejected record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The position of the record in the batch.
    pub record: usize,
    /// The key of the object.
    pub key: String,
    /// The JSON of the document.
    pub body: Bytes,
}

impl Document {
    /// The object to put.
    pub fn object(&self) -> Object<'_> {
        Object { key: &self.key, body: &self.body, content_type: "application/json" }
    }
}

/// Returns the documents of quarantined records. `function` is the name of the function. An aggregated Kinesis
/// record has one document, with the reason of its first user record that is rejected: a replay of the whole counts those
/// that were counted before once, by their ids.
pub fn documents(event: &Event<'_>, quarantined: &[Quarantined], pipeline: &str, function: &str) -> Vec<Document> {
    let mut quarantined: Vec<(&RawRecord<'_>, &Quarantined)> = quarantined
        .iter()
        .filter_map(|quarantined| Some((event.records().get(quarantined.record)?, quarantined)))
        .collect();
    quarantined
        .dedup_by(|(next, _), (first, _)| next.user_record().is_some() && std::ptr::eq(next.json(), first.json()));
    quarantined.into_iter().map(|(raw, quarantined)| document(raw, quarantined, pipeline, function)).collect()
}

/// What a document says about its record besides the reason, as far as the record can be read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Described {
    #[serde(rename = "eventSourceARN")]
    stream_arn: Value,
    #[serde(rename = "eventID")]
    event_id: Value,
    dynamodb: Times,
    kinesis: Times,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Times {
    #[serde(rename = "ApproximateCreationDateTime")]
    created: Value,
    approximate_arrival_timestamp: Value,
}

fn document(raw: &RawRecord<'_>, quarantined: &Quarantined, pipeline: &str, function: &str) -> Document {
    let described: Described = serde_json::from_str(raw.json()).unwrap_or_default();
    let time = [&described.dynamodb.created, &described.kinesis.approximate_arrival_timestamp]
        .into_iter()
        .find_map(|time| Timestamp::from_micros(micros(time.as_f64()?)?))
        .map(|time| time.to_string());
    let (kind, shard) = match raw.is_from_kinesis() {
        // shardId-000000000000:49590338271490256608559692538361571095921575989136588898
        true => {
            ("KinesisBatchInfo", described.event_id.as_str().and_then(|id| id.split_once(':')).map(|(shard, _)| shard))
        }
        false => ("DDBStreamBatchInfo", None),
    };
    let rejection = &quarantined.rejection;
    let sequence = rejection.sequence.as_str();
    let mut reason = json!({
        "pipeline": pipeline,
        "sequenceNumber": sequence,
        "code": rejection.fault.code.name(),
        "field": rejection.fault.field,
        "reason": rejection.fault.message,
    });
    if let (Value::Object(fields), Some(index)) = (&mut reason, rejection.user_record) {
        fields.insert("userRecord".to_owned(), index.into());
    }
    let mut body = json!({
        "version": "1.0",
        "timestamp": time,
        "requestContext": {
            "requestId": "",
            "functionArn": function,
            "condition": "RecordRejected",
            "approximateInvokeCount": 1,
        },
        "rejection": reason,
        "payload": format!(r#"{{"Records":[{}]}}"#, raw.json()),
    });
    let batch = json!({
        "shardId": shard.unwrap_or_default(),
        "startSequenceNumber": sequence,
        "endSequenceNumber": sequence,
        "approximateArrivalOfFirstRecord": time,
        "approximateArrivalOfLastRecord": time,
        "batchSize": 1,
        "streamArn": described.stream_arn.as_str().unwrap_or_default(),
    });
    if let Value::Object(fields) = &mut body {
        fields.insert(kind.to_owned(), batch);
    }
    let hash = blake3::hash(raw.json().as_bytes()).to_hex();
    let key = format!("{PREFIX}{pipeline}/{}.json", hash.get(..32).unwrap_or_default());
    Document { record: quarantined.record, key, body: body.to_string().into() }
}

/// Converts seconds since 1970 to whole microseconds, if they fit.
fn micros(seconds: f64) -> Option<i64> {
    let time = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    i64::try_from(time.as_micros()).ok()
}

#[cfg(test)]
mod tests;
