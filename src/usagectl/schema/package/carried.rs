//! The pipeline that a deployed template carries.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use usage_aggregator::pipeline::Folder;

use super::template::CARRIED;

/// The pipeline in a template that `usagectl package` wrote, which sam may have formatted anew. `None` if the template is for the
/// shipped pipelines.
///
/// # Errors
/// If the template has been damaged.
pub(in crate::schema) fn carried(template: &str) -> anyhow::Result<Option<Folder>> {
    let start = format!("{CARRIED}:");
    // A template is YAML, or JSON where other tools have transformed it.
    let unquoted = |line: &str| line.replace(['"', '\'', ','], "");
    let line = template.lines().map(str::trim).find_map(|line| unquoted(line).strip_prefix(&start).map(str::to_owned));
    let Some(line) = line else { return Ok(None) };
    let damaged = || format!("read the pipeline in the metadata `{CARRIED}` of the deployed template");
    let bytes = STANDARD.decode(line.trim()).with_context(damaged)?;
    let json: Json = serde_json::from_slice(&bytes).with_context(damaged)?;
    let name = json.get("name").and_then(Json::as_str).with_context(damaged)?.to_owned();
    let files = json.get("files").and_then(Json::as_object).with_context(damaged)?;
    let text = |(file, text): (&String, &Json)| Some((file.clone(), text.as_str()?.to_owned()));
    Ok(Some(Folder { name, files: files.iter().filter_map(text).collect() }))
}
