//! What waits in a destination: one line for each document, or one row for each cause, with the time that is left.

use std::collections::BTreeMap;

use event_source_mapping::StreamKind;
use serde_json::{Value, json};
use usage_aggregator::time::Timestamp;

use super::document::{Cause, Document};
use super::limits::{DAY, HOUR, Limits};
use crate::shell::table;

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    Object { bucket: String, key: String },
    Message { id: String },
}

/// A document of a destination, or why what is there is none.
#[derive(Debug)]
pub struct Waiting {
    pub spot: Spot,
    pub content: Result<Content, String>,
}

/// What is known of a document without its payload.
#[derive(Debug, Clone)]
pub struct Content {
    pub kind: StreamKind,
    pub cause: Cause,
    pub records: usize,
    pub first_arrival: Option<Timestamp>,
    pub shard_id: String,
    pub first: String,
    pub last: String,
}

impl Spot {
    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Spot::Object { bucket, key } => format!("s3://{bucket}/{key}"),
            Spot::Message { id } => format!("message {id}"),
        }
    }

    pub fn destination(&self) -> &'static str {
        match self {
            Spot::Object { .. } => "S3",
            Spot::Message { .. } => "SQS",
        }
    }
}

impl From<&Document> for Content {
    fn from(document: &Document) -> Content {
        Content {
            kind: document.kind,
            cause: document.cause(),
            records: document.records(),
            first_arrival: document.first_arrival(),
            shard_id: document.position.shard_id.clone(),
            first: document.position.first.to_string(),
            last: document.position.last.to_string(),
        }
    }
}

/// One document as JSON.
pub fn line(waiting: &Waiting, limits: &Limits) -> Value {
    let (name, destination) = (waiting.spot.name(), waiting.spot.destination());
    let waiting = match &waiting.content {
        Ok(content) => json!({
            "document": name,
            "destination": destination,
            "condition": content.cause.condition,
            "response": content.cause.response.text(),
            "records": content.records,
            "shard_id": content.shard_id,
            "first_sequence_number": content.first,
            "last_sequence_number": content.last,
            "age_seconds": limits.age_seconds(content),
            "left_seconds": limits.left_seconds(&waiting.spot, content),
        }),
        Err(why) => json!({ "document": name, "destination": destination, "left_alone": why }),
    };
    json!({ "waiting": waiting })
}

/// What waits by its cause, for people.
pub fn by_cause(waiting: &[Waiting], limits: &Limits) -> String {
    let mut causes: BTreeMap<(&str, &Cause), Vec<(&Spot, &Content)>> = BTreeMap::new();
    for Waiting { spot, content } in waiting {
        if let Ok(content) = content {
            causes.entry((spot.destination(), &content.cause)).or_default().push((spot, content));
        }
    }
    let mut rows = table::titled(["in", "cause", "last answer", "documents", "records", "oldest", "left"]);
    for ((destination, cause), documents) in causes {
        let records: usize = documents.iter().map(|(_, content)| content.records).sum();
        let oldest = documents.iter().filter_map(|(_, content)| limits.age_seconds(content)).max();
        let left = documents.iter().filter_map(|(spot, content)| limits.left_seconds(spot, content)).min();
        rows.add_row([
            table::text(destination),
            table::text(&cause.condition),
            table::text(cause.response.text()),
            table::number(&documents.len().to_string()),
            table::number(&records.to_string()),
            table::number(&oldest.map_or_else(|| "?".to_owned(), span)),
            table::number(
                &left.map_or_else(|| "?".to_owned(), |left| if left > 0 { span(left) } else { "none".to_owned() }),
            ),
        ]);
    }
    rows.to_string()
}

/// `17 d 3 h`, `3 h 20 min`, `5 min`, `12 s`.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / DAY, seconds % DAY / HOUR, seconds % HOUR / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::redrive::document::Response;

    #[test]
    fn the_time_left_is_the_streams_or_the_horizons() {
        let object = Spot::Object { bucket: "b".to_owned(), key: "k".to_owned() };
        let message = Spot::Message { id: "m".to_owned() };
        let arrival = Timestamp::parse("2026-09-17T10:00:00Z");
        let cause = Cause { condition: "RetryAttemptsExhausted".to_owned(), response: Response::Partial };
        let (first, last) = ("1".to_owned(), "2".to_owned());
        let content = |kind| Content {
            kind,
            cause: cause.clone(),
            records: 2,
            first_arrival: arrival,
            shard_id: "shardId-1".to_owned(),
            first: first.clone(),
            last: last.clone(),
        };
        let limits =
            Limits { now: Timestamp::parse("2026-09-17T12:30:00Z").unwrap(), horizon_days: 18, kinesis_hours: 48 };
        let left = |spot, kind| limits.left_seconds(spot, &content(kind)).map(span).unwrap();
        assert_eq!(left(&object, StreamKind::DynamoDb), "17 d 21 h");
        assert_eq!(left(&message, StreamKind::DynamoDb), "21 h 30 min");
        assert_eq!(left(&message, StreamKind::Kinesis), "1 d 21 h");
        let short = Limits { horizon_days: 0, ..limits };
        assert_eq!(short.left_seconds(&message, &content(StreamKind::Kinesis)), Some(-9_000));
        assert_eq!(
            (span(59), span(60), span(86_399)),
            ("59 s".to_owned(), "1 min".to_owned(), "23 h 59 min".to_owned())
        );

        let waiting = [
            Waiting { spot: object, content: Ok(content(StreamKind::DynamoDb)) },
            Waiting { spot: message, content: Ok(content(StreamKind::DynamoDb)) },
            Waiting { spot: Spot::Message { id: "x".to_owned() }, content: Err("is no document".to_owned()) },
        ];
        insta::assert_snapshot!(by_cause(&waiting, &limits));
        insta::assert_json_snapshot!(waiting.iter().map(|waiting| line(waiting, &limits)).collect::<Vec<_>>());
    }
}
