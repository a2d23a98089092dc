//! The pipeline whose usage table is its source, and the filter that the template gives the mapping of that pipeline.

use serde_json::Value;

/// The name of the pipeline.
pub const LIMITER: &str = "zae-limiter";
/// The patterns in `template.yaml`.
const FILTERS: &str = include_str!("../../../schemas/zae-limiter/filters.json");

/// The patterns of the filter.
///
/// # Errors
/// If the file isn't valid.
pub fn patterns() -> serde_json::Result<Vec<String>> {
    let patterns: Vec<Value> = serde_json::from_str(FILTERS)?;
    Ok(patterns.iter().map(Value::to_string).collect())
}
