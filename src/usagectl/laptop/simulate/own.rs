//! The load of your own table: its pipeline, the table's key, and the items in a sample.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use laptop::proof::load::{LoadItem, OwnTable};
use serde_json::Value;

use crate::event::read_event;
use crate::shell::console::UsageError;
use crate::shell::pipeline_choice::Variables;

/// The sample that `usagectl init` writes next to a pipeline.
const SAMPLE: &str = "sample.json";

/// Whether the variables choose a pipeline of your own.
pub fn is_own(variables: &Variables) -> bool {
    variables.value("PIPELINE").is_none() && variables.value("PIPELINE_DIR").is_some()
}

/// The load for a table, whose pipeline the variables choose. Without `name`, it is the table that the pipeline reads.
///
/// # Errors
/// If there is no sample, or if no load can be made from it.
pub async fn own_table(
    variables: &Variables,
    sample: Option<&Path>,
    client: &aws_sdk_dynamodb::Client,
    name: Option<&str>,
) -> anyhow::Result<Arc<OwnTable>> {
    let pipeline = variables.clone().with_metrics_sink("none").config()?.pipeline;
    let unnamed = || UsageError("the pipeline lists no source: name the table with --table".to_owned());
    let name = name.or(pipeline.sources.first().map(String::as_str)).ok_or_else(unnamed)?.to_owned();
    let path = sample_path(variables, sample)?;
    let samples = items(&read_event(&path)?).map_err(|why| UsageError(format!("{}: {why}", path.display())))?;
    let described = client.describe_table().table_name(&name).send().await;
    let described = described.with_context(|| format!("describe the table {name} (dynamodb:DescribeTable)"))?;
    let schema = described.table.and_then(|table| table.key_schema).unwrap_or_default();
    let keys = schema.into_iter().map(|key| key.attribute_name).collect();
    let table = OwnTable::new(&name, pipeline, keys, samples);
    Ok(Arc::new(table.map_err(|error| UsageError(format!("make load from {}: {error}", path.display())))?))
}

fn sample_path(variables: &Variables, sample: Option<&Path>) -> Result<PathBuf, UsageError> {
    if let Some(path) = sample {
        return Ok(path.to_owned());
    }
    let in_folder = variables.value("PIPELINE_DIR").map(|folder| Path::new(&folder).join(SAMPLE));
    in_folder.filter(|path| path.exists()).ok_or_else(|| {
        UsageError(format!(
            "no sample to make load from: the pipeline's folder has no {SAMPLE}; name an event of the table with --sample"
        ))
    })
}

/// The newest images in an event of a table's stream.
fn items(event: &[u8]) -> Result<Vec<LoadItem>, String> {
    let event: Value = serde_json::from_slice(event).map_err(|error| error.to_string())?;
    let records = event.get("Records").and_then(Value::as_array).ok_or("expected an event with `Records`")?;
    let image = |record: &Value| {
        let change = record.get("dynamodb")?;
        change.get("NewImage").or_else(|| change.get("OldImage")).cloned()
    };
    let items: Result<Vec<LoadItem>, _> = records.iter().filter_map(image).map(serde_json::from_value).collect();
    match items {
        Ok(items) if items.is_empty() => {
            Err("none of its records has an item; use an event of a DynamoDB stream".to_owned())
        }
        items => items.map_err(|error| format!("an item isn't DynamoDB JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_with_items_are_samples() {
        let event = br#"{"Records":[{"dynamodb":{"NewImage":{"pk":{"S":"A#1"},"tags":{"SS":["x"]},"m":{"M":{"n":{"NULL":true}}}}}}]}"#;
        assert_eq!(items(event).unwrap()[0].len(), 3);
        for other in [&br#"{"Items":[]}"#[..], br#"{"Records":[{"kinesis":{}}]}"#, b"x"] {
            assert!(items(other).is_err());
        }
    }
}
