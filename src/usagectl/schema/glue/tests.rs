//! The resources of a small pipeline, and pipelines that are refused.

use std::collections::BTreeMap;

use super::*;

fn folder(avsc: &str) -> Folder {
    let pipeline =
        "[[record]]\ntype = \"visit\"\nmatch = { pk = \"V#{visit}\" }\n[record.archive]\nschema = \"visit.avsc\"\n";
    let files = [("pipeline.toml", pipeline), ("visit.avsc", avsc), (USAGE_QUERY, "SELECT 'it''s'\nFROM visit\n")];
    let files: BTreeMap<_, _> = files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    Folder { name: "my-site".to_owned(), files }
}

#[test]
fn a_pipeline_becomes_a_table_a_view_and_queries() {
    let avsc = r#"{"type":"record","name":"V","doc":"a visitor's","fields":[{"name":"Id","type":"string","source":"record_id"},{"name":"n","type":["null","int"],"default":null}]}"#;
    insta::assert_snapshot!(pipeline_resources(&folder(avsc)).unwrap());
}

#[test]
fn a_schema_that_athena_cannot_deduplicate_or_read_is_refused() {
    let without_id = r#"{"type":"record","name":"V","fields":[{"name":"n","type":"int"}]}"#;
    let union = r#"{"type":"record","name":"V","fields":[{"name":"id","type":"string","source":"record_id"},{"name":"n","type":["int","string"]}]}"#;
    for (avsc, mistake) in [
        (without_id, "no field has \"source\": \"record_id\""),
        (union, "n: Athena can't read a union of several types"),
    ] {
        let refused = pipeline_resources(&folder(avsc)).unwrap_err().to_string();
        assert!(refused.starts_with("my-site/visit: ") && refused.contains(mistake), "{refused}");
    }
}

#[test]
fn only_text_between_the_markers_is_replaced() {
    let template = "a:\n  # glue: begin (made)\n  old\n  # glue: end\nb:\n";
    let new = replaced(template, "\n  new: 1\n").unwrap();
    assert_eq!(new, "a:\n  # glue: begin (made)\n\n  new: 1\n\n  # glue: end\nb:\n");
    assert_eq!(replaced(&new, "\n  new: 1\n").unwrap(), new);
    assert!(replaced("a:\n", "x").unwrap_err().to_string().contains("# glue: begin"));
}
