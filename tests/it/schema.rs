//! `usagectl schema` as a user runs it: drafts that the function accepts, and changes that fail with the reason.

use std::process::{Command, Output};

use serde_json::Value;

fn usagectl(arguments: &[&str]) -> Output {
    let root = crate::repository();
    Command::new(env!("CARGO_BIN_EXE_usagectl")).args(arguments).current_dir(root).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_draft_handles_the_records_it_was_made_from() {
    let events = ["mixed", "demand", "kinesis-plain", "kinesis-wrapped", "ttl-removal", "batch-1000"];
    for name in events {
        let folder = tempfile::tempdir().unwrap();
        let draft = folder.path().join("mine");
        let (event, draft) = (format!("events/{name}.json"), draft.to_str().unwrap());
        let made = usagectl(&["schema", "infer", &event, "--out", draft]);
        assert!(made.status.success(), "{name}: {}", text(&made.stderr));
        let explained = usagectl(&["explain", "--json", "--pipeline-dir", draft, &event]);
        assert!(explained.status.success(), "{name}: {}", text(&explained.stdout));
        let plan: Value = serde_json::from_slice(&explained.stdout).unwrap();
        assert_eq!((&plan["tally"]["skipped"], &plan["rejected"]), (&Value::from(0), &Value::Null), "{name}");
        // Athena accepts it too.
        let glue = usagectl(&["schema", "glue", "--pipeline-dir", draft]);
        assert!(glue.status.success() && text(&glue.stdout).contains("AvroSerDe"), "{name}: {}", text(&glue.stderr));
        let again = usagectl(&["schema", "infer", &event, "--out", draft]);
        assert!(
            !again.status.success() && text(&again.stderr).contains("must not exist yet"),
            "{}",
            text(&again.stderr)
        );
    }
}

#[test]
fn a_draft_can_be_made_from_a_scan() {
    let folder = tempfile::tempdir().unwrap();
    let scan = folder.path().join("scan.json");
    std::fs::write(&scan, r#"{"Items":[{"id":{"S":"USER#1"},"age":{"N":"7"}}],"Count":1}"#).unwrap();
    let drafted = usagectl(&["schema", "infer", scan.to_str().unwrap(), "--key", "id"]);
    let drafted = text(&drafted.stdout);
    assert!(drafted.contains(r#"match = { id = "USER#{id}" }"#) && drafted.contains(r#""name": "age""#), "{drafted}");
}

#[test]
fn an_unsafe_change_fails_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.avsc"), folder.path().join("new.avsc"));
    let schema = |fields: &str| {
        format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"id","type":"string","source":"record_id"}}{fields}]}}"#
        )
    };
    std::fs::write(&old, schema("")).unwrap();
    std::fs::write(&new, schema(r#",{"name":"n","type":"int"},{"name":"m","type":"int","default":0}"#)).unwrap();
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let checked = usagectl(&["schema", "check", old, new]);
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked.stdout);
    assert!(said.contains("unsafe  n: added: old rows have no value for it; give it a default"), "{said}");
    assert!(said.contains("safe    m: added"), "{said}");
    let same = usagectl(&["schema", "check", "--json", new, new]);
    assert_eq!((same.status.code(), text(&same.stdout)), (Some(0), ""));
    let gone = usagectl(&["schema", "check", "schemas", "schemas/orders"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stdout).contains("the schema was removed"), "{}", text(&gone.stdout));
}
