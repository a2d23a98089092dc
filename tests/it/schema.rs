//! `usagectl schema` as a user runs it: drafts that the function accepts, and changes that fail with the reason.

use std::path::PathBuf;
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
        // The folder that it is in doesn't exist yet, either.
        let draft = folder.path().join("pipelines/mine");
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
fn a_draft_leaves_removals_out_if_the_stream_has_no_old_images() {
    let folder = tempfile::tempdir().unwrap();
    let (event, draft) = (folder.path().join("event.json"), folder.path().join("mine"));
    let record = |number: u8, name: &str, image: &str| {
        format!(
            r#"{{"eventID":"{number}","eventName":"{name}","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-central-1","dynamodb":{{"ApproximateCreationDateTime":1795824001,"Keys":{{"_key":{{"S":"a1_project"}}}}{image},"SequenceNumber":"4000000000000000000000{number}","SizeBytes":100,"StreamViewType":"NEW_IMAGE"}},"eventSourceARN":"arn:aws:dynamodb:eu-central-1:111122223333:table/things/stream/2026-11-01T08:00:00.000"}}"#
        )
    };
    let image =
        r#","NewImage":{"_key":{"S":"a1_project"},"size":{"N":"2316"},"profile":{"M":{"nickname":{"NULL":true}}}}"#;
    let records = [record(1, "INSERT", image), record(2, "REMOVE", "")].join(",");
    std::fs::write(&event, format!("\u{feff}{{\"Records\":[{records}]}}")).unwrap();
    let (event, draft) = (event.to_str().unwrap(), draft.to_str().unwrap());
    let made = usagectl(&["schema", "infer", event, "--out", draft]);
    let said = text(&made.stderr);
    assert!(made.status.success() && said.contains("the draft leaves REMOVE out"), "{said}");
    let pipeline = std::fs::read_to_string(std::path::Path::new(draft).join("pipeline.toml")).unwrap();
    assert!(pipeline.contains("sources = [\"things\"]") && pipeline.contains("kind = \"count\""), "{pipeline}");
    let explained = usagectl(&["explain", "--json", "--pipeline-dir", draft, event]);
    let plan: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!((&plan["tally"]["effective"], &plan["rejected"]), (&Value::from(1), &Value::Null), "{plan}");
}

#[test]
fn all_mistakes_of_a_schema_are_reported_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.avsc"), folder.path().join("bad.avsc"));
    std::fs::write(&good, r#"{"type":"record","name":"R","fields":[]}"#).unwrap();
    let fields = r#"{"name":"order-id","type":"string"},{"name":"2nd","type":"string"}"#;
    std::fs::write(&bad, format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    let checked = usagectl(&["schema", "check", good, bad]);
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked.stderr);
    assert!(said.contains(&format!("error: {bad}: order-id: ")) && said.contains(&format!("\n{bad}: 2nd: ")), "{said}");
}

#[test]
fn a_file_of_a_pipeline_that_cannot_be_read_is_named_and_one_in_utf_16_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, dir) = (|name: &str| folder.path().join(name), folder.path().to_str().unwrap());
    let pipeline = "[[record]]\ntype = \"job\"\nmatch = { id = \"{id}\" }\n[record.archive]\nschema = \"job.avsc\"\n";
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(pipeline.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    std::fs::write(path("pipeline.toml"), utf16).unwrap();
    let schema = r#"{"type":"record","name":"Job","fields":[{"name":"id","type":"string","source":"record_id"}]}"#;
    std::fs::write(path("job.avsc"), schema).unwrap();
    let made = usagectl(&["schema", "glue", "--pipeline-dir", dir]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    std::fs::write(path("job.avsc"), [0x1f, 0x8b, 0x08]).unwrap();
    for command in
        [&["schema", "glue", "--pipeline-dir", dir][..], &["explain", "--pipeline-dir", dir, "events/insert.json"]]
    {
        let refused = usagectl(command);
        let said = text(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains("job.avsc: it is not a text file; save it as UTF-8"),
            "{said}"
        );
    }
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

#[test]
fn a_schema_is_compared_with_that_of_an_archived_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let invoked = usagectl(&["--data", data.to_str().unwrap(), "invoke", "--fresh", "events/insert.json"]);
    assert!(invoked.status.success(), "{}", text(&invoked.stderr));
    let rows = data.join("s3/archive/data-pipeline/avro/order");
    let date = std::fs::read_dir(rows).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(date).unwrap().next().unwrap().unwrap().path();
    let same = usagectl(&["schema", "check", file.to_str().unwrap(), "schemas/orders/order.avsc"]);
    assert_eq!((same.status.code(), text(&same.stdout)), (Some(0), ""), "{}", text(&same.stderr));
    let other = usagectl(&["schema", "check", file.to_str().unwrap(), "schemas/orders/customer.avsc"]);
    assert_eq!(other.status.code(), Some(1));
}

/// A copy of `schemas/orders`.
fn copy_of_orders(to: PathBuf) -> PathBuf {
    std::fs::create_dir(&to).unwrap();
    for file in std::fs::read_dir(crate::repository().join("schemas/orders")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

#[test]
fn a_pipeline_that_counts_differently_needs_a_higher_generation() {
    let folder = tempfile::tempdir().unwrap();
    let new = copy_of_orders(folder.path().join("orders"));
    let shown = new.to_str().unwrap();
    let same = usagectl(&["pipeline", "check", "schemas/orders", shown]);
    assert_eq!((same.status.code(), text(&same.stdout)), (Some(0), ""), "{}", text(&same.stderr));
    let pipeline = std::fs::read_to_string(new.join("pipeline.toml")).unwrap();
    let added = "[[record.measure]]\nname = \"created\"\nkind = \"count\"\nevents = [\"INSERT\"]\n\n[record.archive]";
    let pipeline = pipeline.replacen("[record.archive]", added, 1);
    std::fs::write(new.join("pipeline.toml"), &pipeline).unwrap();
    let checked = usagectl(&["pipeline", "check", "--json", "schemas/orders", shown]);
    assert_eq!(checked.status.code(), Some(1));
    let findings: Vec<Value> = text(&checked.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let parts: Vec<_> = findings.iter().map(|finding| (&finding["verdict"], &finding["part"])).collect();
    let [unsafe_, safe] = ["unsafe", "safe"].map(Value::from);
    let [generation, measure] = ["generation", "record type order, measure created"].map(Value::from);
    assert_eq!(parts, [(&unsafe_, &generation), (&safe, &measure)]);
    std::fs::write(new.join("pipeline.toml"), format!("generation = 2\n{pipeline}")).unwrap();
    let risen = usagectl(&["pipeline", "check", "schemas/orders", shown]);
    assert_eq!(risen.status.code(), Some(0), "{}", text(&risen.stdout));
    let gone = usagectl(&["pipeline", "check", "schemas", shown]);
    assert!(gone.status.code() == Some(1) && text(&gone.stdout).contains("the pipeline was removed"));
}

/// An earlier version may have accepted it, and nobody could compare the pipeline that replaces it.
#[test]
fn regression_a_pipeline_in_use_that_this_version_refuses_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let old = copy_of_orders(folder.path().join("orders"));
    let pipeline = std::fs::read_to_string(old.join("pipeline.toml")).unwrap();
    let useless = pipeline.replacen("[record.archive]", "[record.archive]\npartition_date_unit = \"seconds\"", 1);
    std::fs::write(old.join("pipeline.toml"), useless).unwrap();
    let old = old.to_str().unwrap();
    let checked = usagectl(&["pipeline", "check", old, "schemas/orders"]);
    let (stdout, stderr) = (text(&checked.stdout), text(&checked.stderr));
    assert_eq!((checked.status.code(), stdout), (Some(0), ""), "{stderr}");
    assert!(
        stderr.contains("refuses the pipeline in use") && stderr.contains("leave `partition_date_unit` out"),
        "{stderr}"
    );
    let new = usagectl(&["pipeline", "check", "schemas/orders", old]);
    assert_eq!(new.status.code(), Some(2), "{}", text(&new.stdout));
}
