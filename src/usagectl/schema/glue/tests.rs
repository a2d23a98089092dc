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
fn names_that_yaml_would_misread_are_quoted() {
    let avsc = r#"{"type":"record","name":"V","fields":[{"name":"id","type":"string","source":"record_id"},{"name":"no","type":"long"},{"name":"on","type":"string"},{"name":"null","type":"string"},{"name":"true","type":"long"}]}"#;
    let pipeline =
        "[[record]]\ntype = \"no\"\nmatch = { pk = \"V#{visit}\" }\n[record.archive]\nschema = \"no.avsc\"\n";
    let files = [("pipeline.toml", pipeline), ("no.avsc", avsc)];
    let files = files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let text = pipeline_resources(&Folder { name: "shop".to_owned(), files }).unwrap();
    for line in ["Name: 'no'", "Name: 'no_once'", "Name: 'no',", "Name: 'on',", "Name: 'null',", "Name: 'true',"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn tables_and_views_of_the_same_name_are_refused() {
    let avsc = r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string","source":"record_id"}]}"#;
    for (first, second) in
        [("payment", "payment_once"), ("payment", "payment_compacted"), ("order_line", "order__line")]
    {
        let record = |name: &str| {
            format!(
                "[[record]]\ntype = \"{name}\"\nmatch = {{ kind = \"{name}\" }}\n[record.archive]\nschema = \"p.avsc\"\n"
            )
        };
        let files = [("pipeline.toml", record(first) + &record(second)), ("p.avsc", avsc.to_owned())];
        let files = files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let refused = pipeline_resources(&Folder { name: "shop".to_owned(), files }).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("shop/{second}: ")) && refused.contains(first), "{refused}");
    }
}

#[test]
fn partition_dates_from_an_attribute_can_be_in_the_future() {
    let avsc = r#"{"type":"record","name":"V","fields":[{"name":"id","type":"string","source":"record_id"},{"name":"stay","type":{"type":"int","logicalType":"date"}}]}"#;
    let mut folder = folder(avsc);
    assert!(pipeline_resources(&folder).unwrap().contains("${ArchiveSince},NOW+1DAYS"));
    folder.files.get_mut("pipeline.toml").unwrap().push_str("partition_date = \"stay\"\n");
    // The tables of raw and of compacted rows.
    assert_eq!(pipeline_resources(&folder).unwrap().matches("${ArchiveSince},NOW+5YEARS").count(), 2);
}

#[test]
fn only_text_between_the_markers_is_replaced() {
    let template = "a:\n  # glue: begin (made)\n  old\n  # glue: end\nb:\n";
    let new = replaced(template, |_| "\n  new: 1\n".to_owned()).unwrap();
    assert_eq!(new, "a:\n  # glue: begin (made)\n\n  new: 1\n\n  # glue: end\nb:\n");
    assert_eq!(replaced(&new, str::to_owned).unwrap(), new);
    assert!(replaced("a:\n", str::to_owned).unwrap_err().to_string().contains("# glue: begin"));
}
