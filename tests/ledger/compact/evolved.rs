//! The daily proof over rows that were archived before the schema was changed.

use std::path::Path;

use usage_aggregator::pipeline::shipped;

use super::proof::{Deployed, changes};

/// The shipped orders, with these fields instead of the total.
fn pipeline(folder: &Path, total: &str) -> String {
    let folder = folder.join("orders");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in shipped("orders").unwrap().files {
        let text = if name == "order.avsc" { text.replace(r#"{ "name": "total", "#, total) } else { text };
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn regression_rows_from_before_a_field_was_renamed_and_another_added_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let total = r#"{ "name": "total", "#;
    let renamed = r#"{ "name": "channel", "type": "string", "default": "web" },
    { "name": "order_total", "attribute": "total", "aliases": ["total"], "#;
    let [first, second] =
        [("1", total), ("2", renamed)].map(|(version, total)| pipeline(&folder.path().join(version), total));
    let mut deployed = Deployed::with(&[("PIPELINE", ""), ("PIPELINE_DIR", &first)]);
    deployed.deliver(&changes()[..4]).await;
    // The hours of the insertions become Parquet files, and that of the first update stays an Avro file.
    deployed.compact(3).await;
    assert!(!deployed.files("/parquet/").is_empty());
    deployed.redeploy(&[("PIPELINE", ""), ("PIPELINE_DIR", &second)]);
    deployed.deliver_only(&changes()[4..]).await;
    assert_eq!(deployed.proven().await, [0, 0], "the hours of the insertions are compacted");
    deployed.compact(40).await;
    deployed.compact(40 + 25).await;
    assert!(deployed.files("/avro/").is_empty());
    assert_eq!(deployed.proven().await, [0, 0], "Parquet files only");
}
