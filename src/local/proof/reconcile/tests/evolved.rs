//! Rows that were archived before the schema was changed.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::backfilled::{SCHEMA, change, compare, pipeline};
use super::fixture::Fixture;
use crate::proof::load::ProfileName;
use crate::proof::reconcile::{Truth, reconcile};

/// The pipeline with this field instead of `units`, and one more.
fn changed(units: &Value, more: &Value) -> (TempDir, PathBuf) {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    *fields.iter_mut().find(|field| field["name"] == "units").unwrap() = units.clone();
    fields.push(more.clone());
    pipeline(&schema.to_string())
}

fn renamed() -> Value {
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2 });
    json!({ "name": "units_now", "type": decimal, "attribute": "units", "aliases": ["units"] })
}

#[tokio::test]
async fn regression_rows_from_before_a_field_was_renamed_and_another_added_prove_what_follows_them() {
    let (_first, path) = pipeline(SCHEMA);
    let mut fixture = Fixture::with_variables(ProfileName::Orders, &path, &[]).await;
    fixture.append(&[change(1, "a", 5, None, Some(4)), change(2, "b", 6, None, Some(7))]).await;
    fixture.compact().await;
    fixture.delete_raw_files().await;
    // What was inserted before the change is in a Parquet file, and in an Avro file.
    fixture.append(&[change(3, "c", 7, None, Some(9)), change(4, "d", 8, None, Some(2))]).await;
    let added = json!({ "name": "channel", "type": "string", "default": "web" });
    let (_second, path) = changed(&renamed(), &added);
    fixture.redeploy(&path);
    fixture.append(&[change(5, "a", 9, Some(4), None), change(6, "b", 10, Some(7), Some(8))]).await;
    fixture.append(&[change(7, "c", 11, Some(9), None), change(8, "d", 12, Some(2), Some(3))]).await;
    let (report, gaps) = compare(&fixture).await;
    assert!(report.agrees() && report.unprovable.is_empty(), "{report:#?}");
    assert_eq!((gaps.gap_count, gaps.records), (0, 8), "{gaps:#?}");
}

#[tokio::test]
async fn a_row_that_the_current_schema_cannot_have_is_named() {
    let (_first, path) = pipeline(SCHEMA);
    let mut fixture = Fixture::with_variables(ProfileName::Orders, &path, &[]).await;
    fixture.append(&[change(1, "a", 5, None, Some(4))]).await;
    let (_second, path) = changed(&renamed(), &json!({ "name": "channel", "type": "string" }));
    fixture.redeploy(&path);
    let error = reconcile(&fixture.site(), &Truth::Archive, &[], &|| {}).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with("read s3://archive/data-pipeline/avro/item/partition_date="), "{error}");
    assert!(error.contains(".avro: read row 1 (record "), "{error}");
    let why = ") with the current schema: channel: the row has no value for it, and the current schema has no default";
    assert!(error.ends_with(why), "{error}");
}
