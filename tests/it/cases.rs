//! Small inputs that once went wrong, modeled on public bug reports: `tests/cases`, each with the commands that a person would
//! run. The snapshots are what they print; the table in docs/pipelines.md says what each kind is about.

use std::process::Command;

/// Runs commands in the folder of the cases. Returns what a person reads, and the exit codes.
fn transcript(commands: &[&str]) -> String {
    let data = tempfile::tempdir().unwrap();
    let shown = data.path().to_str().unwrap().to_owned();
    let mut text = String::new();
    for command in commands {
        let mut run = Command::new(env!("CARGO_BIN_EXE_usagectl"));
        run.args(["--data", &shown]).args(command.split(' ').map(|word| word.replace("DATA", &shown)));
        let output = run.current_dir(crate::repository().join("tests/cases")).env_clear().output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let code = output.status.code().unwrap();
        // Durations differ.
        let out = out.split_inclusive('\n').filter(|line| !line.contains("Processing")).collect::<String>();
        text.push_str(&format!("$ usagectl {command}\n{out}{err}exit {code}\n\n").replace(&shown, "DATA"));
    }
    text.trim_end().to_owned()
}

/// The draft of an event takes every record of the event.
fn takes_its_own_records(case: &str) {
    let data = tempfile::tempdir().unwrap();
    let draft = data.path().join("draft");
    let usagectl = |arguments: &[&str]| {
        let root = crate::repository().join("tests/cases").join(case);
        Command::new(env!("CARGO_BIN_EXE_usagectl")).args(arguments).current_dir(root).env_clear().output().unwrap()
    };
    for event in std::fs::read_dir(crate::repository().join("tests/cases").join(case)).unwrap() {
        let event = event.unwrap().file_name().into_string().unwrap();
        let draft = draft.join(&event);
        let draft = draft.to_str().unwrap();
        std::fs::create_dir_all(data.path().join("draft")).unwrap();
        let made = usagectl(&["schema", "infer", &event, "--out", draft]);
        assert!(made.status.success(), "{case}/{event}: {made:?}");
        let explained = usagectl(&["explain", "--json", "--pipeline-dir", draft, &event]);
        let plan: serde_json::Value = serde_json::from_slice(&explained.stdout).unwrap();
        assert_eq!((explained.status.code(), &plan["rejected"]), (Some(0), &serde_json::Value::Null), "{case}/{event}");
        assert!(plan["tally"]["effective"].as_u64() > Some(0), "{case}/{event}: {plan:#}");
    }
}

#[test]
fn k01_encodings_that_never_resolve_are_unsafe_both_ways() {
    insta::assert_snapshot!(transcript(&[
        "schema check 06-check-forms/dec-bytes.avsc 06-check-forms/dec-fixed8.avsc",
        "schema check 06-check-forms/dec-fixed8.avsc 06-check-forms/dec-bytes.avsc",
        "schema check 06-check-forms/uuid-string.avsc 06-check-forms/uuid-fixed.avsc",
        "schema check 06-check-forms/uuid-fixed.avsc 06-check-forms/uuid-string.avsc",
    ]));
}

#[test]
fn k02_changes_of_meaning_are_judged_by_effective_values() {
    insta::assert_snapshot!(transcript(&[
        "schema check 06-check-forms/text.avsc 06-check-forms/text-as-json.avsc",
        "schema check 06-check-forms/ts-millis.avsc 06-check-forms/ts-millis-unit.avsc",
        "schema check 06-check-forms/text.avsc 06-check-forms/attr-explicit.avsc",
        "schema check 06-check-forms/case-old.avsc 06-check-forms/case-new.avsc",
        "schema check 06-check-forms/alias-old.avsc 06-check-forms/alias-new.avsc",
    ]));
}

#[test]
fn k03_types_that_athena_cannot_read_are_refused_or_written_as_it_needs_them() {
    let glue =
        ["07-fixed-decimal", "03-nested-case", "56-union-of-one", "39-empty-record", "40-once", "05-union-default"]
            .map(|case| format!("schema glue --pipeline-dir {case}/pipe"));
    let check = "schema check 05-union-default/old.avsc 05-union-default/pipe/thing.avsc".to_owned();
    let commands: Vec<&str> = glue.iter().chain([&check]).map(String::as_str).collect();
    insta::assert_snapshot!(transcript(&commands));
    let glue = transcript(&["schema glue --pipeline-dir 55-no-scale/pipe"]);
    assert!(glue.contains("decimal(20,0)") && glue.contains("\"scale\":0"), "{glue}");
}

#[test]
fn k04_names_that_yaml_would_misread_are_quoted() {
    let glue = transcript(&["schema glue --pipeline-dir 04-yaml-names/pipe"]);
    for name in ["no", "on", "yes", "off", "null", "y", "n", "true"] {
        assert!(glue.contains(&format!("Name: '{name}'")), "{name}: {glue}");
    }
}

#[test]
fn k05_a_draft_takes_the_records_that_it_was_made_of() {
    ["02-nested-null", "42-crypto", "51-underscore-key"].into_iter().for_each(takes_its_own_records);
}

#[test]
fn k06_a_draft_asks_or_says_what_it_took() {
    insta::assert_snapshot!(transcript(&[
        "schema infer 22-keys/scan.json",
        "schema infer 22-keys/scan.json --key deviceId,ts",
        "schema infer 22-keys/scan.json --key deviceId --key ts --out DATA/again",
        "schema infer 36-capital-keys/scan.json",
        "schema infer 37-codes/scan.json",
        "schema infer 45-half/event.json",
        "schema infer 45-half/none.json",
        "schema infer 15-get-records/dynamodbstreams.json",
        "schema infer 13-exports/full.json",
        "schema infer 13-exports/get-item.json",
        "schema infer 13-exports/empty-scan.json",
    ]));
}

#[test]
fn k07_null_is_absence_for_counters() {
    let explained = transcript(&[
        "explain --pipeline-dir 16-null-amount/pipe 16-null-amount/event.json",
        "explain --pipeline-dir 16-null-amount/pipe 16-null-amount/event-absent.json",
    ]);
    insta::assert_snapshot!(explained);
}

#[test]
fn k08_a_record_whose_every_outcome_is_a_skip_is_skipped() {
    insta::assert_snapshot!(transcript(&[
        "explain --pipeline-dir 09-new-image-remove/pipe 09-new-image-remove/event.json"
    ]));
}

#[test]
fn k09_settings_that_cannot_do_what_they_say_are_mistakes_or_work() {
    insta::assert_snapshot!(transcript(&[
        "explain --pipeline-dir 29-list-path/pipe 29-list-path/event.json",
        "explain --pipeline-dir 50-transfer/pipe 50-transfer/event.json",
        "explain --pipeline-dir 50-transfer/pipe-match 50-transfer/event.json",
        "explain --pipeline-dir 50-transfer/pipe-all 50-transfer/event.json",
    ]));
    let glue = transcript(&["schema glue --pipeline-dir 44-future/pipe"]);
    assert!(glue.contains("NOW+5YEARS"), "{glue}");
}

#[test]
fn k10_explain_and_invoke_agree() {
    insta::assert_snapshot!(transcript(&[
        "explain --pipeline-dir 58-explain-overflow/pipe 58-explain-overflow/event.json",
        "invoke --pipeline-dir 58-explain-overflow/pipe 58-explain-overflow/event.json",
    ]));
}

#[test]
fn k11_files_in_other_encodings_are_read_or_named_with_a_remedy() {
    let glue =
        transcript(&["schema glue --pipeline-dir 12-windows/pipe-bom-avsc", "schema glue --pipeline-dir 24-enum/pipe"]);
    assert_eq!(glue.matches("exit 0").count(), 2, "{glue}");
    insta::assert_snapshot!(transcript(&[
        "explain --pipeline-dir 12-windows/pipe-crlf 12-windows/event-utf16le.json",
        "explain --pipeline-dir 12-windows/pipe-crlf 12-windows/event.json.gz",
        "schema infer 12-windows/scan-bom.json",
        "schema check 24-enum/two-names.avsc 24-enum/pipe/job.avsc",
        "schema check 24-enum/pipe/job.avsc 24-enum/two-names.avsc",
        "schema check 12-windows/event.json.gz 24-enum/pipe/job.avsc",
        "schema check 06-check-forms/missing.avsc 24-enum/pipe/job.avsc",
    ]));
}

#[test]
fn k12_limits_are_documented_or_handled() {
    insta::assert_snapshot!(transcript(&[
        "explain --pipeline-dir 31-global/pipe 31-global/ttl-at-replica.json",
        "explain --pipeline-dir 18-times/pipe-tod 18-times/tod-a.json",
    ]));
}

#[test]
fn k13_a_failure_document_is_read_as_the_event_in_it() {
    insta::assert_snapshot!(transcript(&[
        "explain --pipeline-dir 31-global/pipe 52-failure-doc/s3.json",
        "invoke --pipeline-dir 31-global/pipe 52-failure-doc/s3.json",
    ]));
}
