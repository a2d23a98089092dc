//! What people write: pipelines and schemas.

use std::collections::BTreeMap;

use usage_aggregator::archive::RecordSchema;
use usage_aggregator::pipeline::{Folder, Pipeline};

/// A schema for pipelines that archive.
const SCHEMA: &str = r#"{"type":"record","name":"row","fields":[{"name":"record_id","type":"string","source":"record_id"},{"name":"id","type":["null","string"],"default":null}]}"#;

/// The text of a pipeline.
pub(crate) fn pipeline_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files = [("pipeline.toml", text), ("row.avsc", SCHEMA)].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let folder = Folder { name: "fuzz".to_owned(), files: BTreeMap::from(files) };
    match Pipeline::parse(&folder) {
        Ok(pipeline) => assert!(!pipeline.routes.is_empty()),
        Err(mistakes) => assert!(mistakes.to_string().starts_with("fuzz/"), "{mistakes}"),
    }
}

/// The text of a schema.
pub(crate) fn avsc(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match RecordSchema::parse(text) {
        Ok(schema) => {
            let again = RecordSchema::parse(schema.json());
            assert!(again.is_ok_and(|again| again.json() == schema.json() && again.parsed() == schema.parsed()));
        }
        Err(mistakes) => assert!(!mistakes.is_empty()),
    }
}
