//! Saved checkpoints: when they are continued, started over or refused.

use super::*;

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-21T00:00:00.000";

#[test]
fn a_checkpoint_file_of_an_unknown_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.json");
    // A later version may have other fields, too.
    for rest in [format!(r#""stream_arn":"{ARN}","mapping_uuid":"u","shards":{{}}"#), r#""streams":[]"#.to_owned()] {
        let text = format!(r#"{{"version":2,{rest}}}"#);
        std::fs::write(&file, &text).unwrap();
        let error = Checkpoints::open(&file, ARN, "x").unwrap_err().to_string();
        let advice = "has format version 2, but this program reads version 1: run a newer version of this program, or delete the file to start over";
        assert!(error.ends_with(advice), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the file is left alone");
    }
}

#[test]
fn saved_checkpoints_never_move_back_and_belong_to_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.json");
    let mut checkpoints = Checkpoints::open(&file, ARN, "first").unwrap();
    checkpoints.set("s", Checkpoint::After("9".to_owned())).unwrap();
    checkpoints.set("s", Checkpoint::After("10".to_owned())).unwrap();
    checkpoints.set("s", Checkpoint::After("9".to_owned())).unwrap();
    let again = Checkpoints::open(&file, ARN, "second").unwrap();
    assert_eq!(again.of("s"), Some(&Checkpoint::After("10".to_owned())), "never back");
    assert_eq!(again.mapping_uuid(), "first");
    assert!(Checkpoints::open(&file, "arn:another", "third").unwrap().is_empty());
    std::fs::write(&file, "{").unwrap();
    let refused = Checkpoints::open(&file, ARN, "x").unwrap_err();
    assert!(format!("{refused:#}").contains("delete it to start over"), "{refused:#}");
}
