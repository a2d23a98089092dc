//! What the event source mapping reads: filter patterns and the function's responses.

use std::sync::{Arc, LazyLock};

use event_source_mapping::{Filters, SequenceNumber, SourceRecord, StreamKind, Timestamp, lowest_failure};

/// A filter pattern, and a record on the lines after it.
pub(crate) fn filter_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, json) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(filters) = Filters::parse(&[pattern.to_owned()]) else { return };
    let record = record("100", json);
    for kind in [StreamKind::DynamoDb, StreamKind::Kinesis] {
        let is_match = filters.matches(kind, &record);
        // A second pattern can only add matches.
        let twice = Filters::parse(&[pattern.to_owned(), r#"{"none":["x"]}"#.to_owned()]);
        assert!(twice.is_ok_and(|twice| !is_match || twice.matches(kind, &record)), "{pattern}");
        assert!(!is_match || serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok(), "{json}");
    }
}

static RECORDS: LazyLock<Vec<Arc<SourceRecord>>> =
    LazyLock::new(|| ["100", "101", "102"].into_iter().map(|sequence| Arc::new(record(sequence, "{}"))).collect());

/// The response of a function to a batch of three records.
pub(crate) fn function_response(data: &[u8]) {
    let lowest = lowest_failure(data, &RECORDS);
    assert!(lowest.as_ref().is_ok_and(|lowest| lowest.is_none_or(|index| index < RECORDS.len())) || lowest.is_err());
    if let Ok(Some(index)) = lowest {
        let sequence = RECORDS[index].sequence.as_str().as_bytes();
        let is_named = data.windows(sequence.len()).any(|bytes| bytes == sequence) || data.contains(&b'\\');
        assert!(is_named, "{}", data.escape_ascii());
    }
}

fn record(sequence: &'static str, json: &str) -> SourceRecord {
    let (Some(sequence), Some(created_at)) = (SequenceNumber::parse(sequence), Timestamp::from_seconds(1_795_230_305))
    else {
        panic!("both are constants");
    };
    SourceRecord { sequence, item: 1, created_at, json: json.to_owned() }
}
