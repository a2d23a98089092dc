//! Writes metrics as a line in the embedded metric format, which CloudWatch Logs turns into metrics without an API
//! call.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Metrics;
use crate::time::Timestamp;

/// Formats one JSON object on one line. Values are escaped, and the names of the metrics are fixed.
pub(super) fn line(metrics: &Metrics, namespace: &str, pipeline: &str, request_id: &str, now: Timestamp) -> String {
    let data = metrics.data();
    let definitions: Vec<Value> =
        data.iter().map(|datum| json!({ "Name": datum.name, "Unit": datum.unit.name() })).collect();
    let directive = json!({
        "Timestamp": now.micros() / 1000,
        "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [["Pipeline"]], "Metrics": definitions }],
    });
    let mut root = Map::new();
    root.insert("_aws".to_owned(), directive);
    root.insert("Pipeline".to_owned(), pipeline.into());
    root.insert("requestId".to_owned(), request_id.into());
    root.extend(data.iter().map(|datum| (datum.name.to_owned(), datum.value.into())));
    Value::Object(root).to_string()
}

/// Prints a line in a single write, so that no log line can end up in the middle of it.
///
/// # Errors
/// If stdout is closed.
pub(super) fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_whatever_the_names_hold() {
        let mut metrics = Metrics::default();
        metrics.count("RecordsProcessed", 3);
        metrics.count_unless_zero("Overflow", 0);
        metrics.milliseconds("ProcessingLatency", 1.5);
        let now = Timestamp::parse("2026-11-21T03:00:00Z").unwrap();
        let line = line(&metrics, "Name\nspace", "pipe\"line", "id\r\n{\"_aws\":1}", now);
        assert!(!line.contains(['\n', '\r']));
        insta::assert_json_snapshot!(serde_json::from_str::<Value>(&line).unwrap());
    }
}
