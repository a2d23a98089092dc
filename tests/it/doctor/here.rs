//! `usagectl doctor` on the embedded services.

use serde_json::Value;

use crate::fixture::Fixture;
use crate::local::Background;

#[test]
fn the_embedded_services_have_what_they_have() {
    let fixture = Fixture::new();
    let nothing = fixture.run(&["doctor", "--local"]);
    assert_eq!((nothing.code, &*nothing.stdout), (Some(1), ""), "{nothing:?}");
    assert!(nothing.stderr.contains("there is no data folder"), "{nothing:?}");

    let mut local = Background::start(&fixture, &[]);
    let written = fixture.run(&["simulate", "orders", "--records", "40", "--rate", "0"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    local.wait_for(|line| line["function"]["RecordsProcessed"].as_f64() >= Some(40.0));
    let folded = |line: &Value| line["function"]["NoticesFolded"].as_f64().unwrap_or_default();
    local.wait_for(|line| folded(line) > 0.0 && Some(folded(line)) >= line["function"]["PagesWritten"].as_f64());
    let running = fixture.run(&["doctor", "--local"]);
    local.stop();
    assert_eq!((running.code, &*running.stderr), (Some(0), ""), "{running:?}");
    assert_shown("running", &running.stdout);
    let run = fixture.run(&["doctor", "--local"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
    assert_shown("stopped", &run.stdout);
    let diagnosis = fixture.run(&["doctor", "missing-snapshots", "--local", "--json"]);
    let last: Value = serde_json::from_str(diagnosis.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((diagnosis.code, &last["runbook"]), (Some(0), &Value::from("missing-snapshots")), "{diagnosis:?}");
}

/// Issue 14: the doctor looked at the pipeline's first source, whatever the run read.
#[test]
fn regression_the_source_is_the_one_that_the_run_reads() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &["--source", "elsewhere"]);
    let run = fixture.run(&["doctor", "missing-snapshots", "--local"]);
    local.stop();
    assert!(run.stdout.contains("stream-on           the stream of the table elsewhere is on"), "{run:?}");
}

fn assert_shown(name: &str, text: &str) {
    let filters = vec![
        (r"\b(\d+ (s|min|h) ?)+ (old|ago)", "[age]"),
        (r"age in this run is [\d.]+ s, [\d.]+%", "age in this run is [age]"),
        (r"of \d+ invocations", "of [n] invocations"),
        // The writes of indicators, one per batch, are records as well.
        (
            r"4\d records were polled in this run, 0 filtered out, 4\d delivered",
            "[n] records were polled in this run, 0 filtered out, [n] delivered",
        ),
        (r"pages written in this run: \d+; notices folded: \d+", "pages written in this run: [n]; notices folded: [n]"),
        (r"the oldest notice in this run was [^;]*? when", "the oldest notice in this run was [age] when"),
        (r"\d+ records per batch, \d+ batches", "[n] records per batch, [n] batches"),
        (r"the fullest minute in this run has \d+ pages", "the fullest minute in this run has [n] pages"),
    ];
    insta::with_settings!({ filters => filters }, { insta::assert_snapshot!(name, super::unwrapped(text)) });
}
