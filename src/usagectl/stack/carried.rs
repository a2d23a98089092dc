//! How a template carries a pipeline of your own: `usagectl package` records it in the metadata, and `deployed_pipeline` reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use usage_aggregator::pipeline::Folder;

/// The key of the pipeline in the template's metadata.
pub const CARRIED: &str = "UsageAggregatorPipeline";
/// The output of a stack whose template carries its pipeline.
pub const PACKAGED_PIPELINE: &str = "PackagedPipeline";

/// The value of the key. It is base64, because sam breaks other long texts over several lines.
pub fn encoded(folder: &Folder) -> String {
    STANDARD.encode(json!({ "name": folder.name, "files": folder.files }).to_string())
}
