//! Every window in a time zone, from the pipeline to the tools.

use serde_json::{Value, json};

use crate::fixture::{Fixture, two_orders};

/// A copy of the orders pipeline that counts all windows in Berlin's time.
fn berlin(fixture: &Fixture) {
    let (from, to) = (crate::repository().join("schemas/orders"), fixture.0.path().join("berlin"));
    std::fs::create_dir(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let windows = "windows = [\"hour\", \"day\", \"week\", \"month\", \"total\"]\ntime_zone = \"Europe/Berlin\"";
        let text = text.replace("windows = [\"hour\", \"day\", \"month\"]", windows);
        std::fs::write(to.join(file.file_name()), text).unwrap();
    }
}

#[test]
fn all_windows_of_a_time_zone_agree_with_the_archive() {
    const PIPELINE: [&str; 2] = ["--pipeline-dir", "berlin"];
    let fixture = Fixture::new();
    berlin(&fixture);
    fixture.write("event.json", &two_orders());
    let run = |arguments: &[&str]| {
        let run = fixture.run(&[arguments, &PIPELINE].concat());
        assert_eq!(run.code, Some(0), "{arguments:?} {run:?}");
        run.stdout
    };
    run(&["invoke", "event.json"]);
    let rows: Vec<Value> =
        run(&["snapshots", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut starts: Vec<[&str; 2]> =
        rows.iter().map(|row| ["window", "window_start"].map(|name| row[name].as_str().unwrap())).collect();
    starts.sort_unstable();
    let expected = [
        ["day", "2026-09-17T00:00:00+02:00"],
        ["hour", "2026-09-17T15:00:00+02:00"],
        ["month", "2026-09-01T00:00:00+02:00"],
        ["total", "2000-01-01T01:00:00+01:00"],
        ["week", "2026-09-14T00:00:00+02:00"],
    ];
    assert_eq!(starts, expected);
    let report: Value = serde_json::from_str(&run(&["reconcile", "--archive", "--json"])).unwrap();
    assert_eq!((&report["agrees"], &report["counted"]["counters"]), (&json!(true), &json!(15)), "{report}");
    // Three measures of the window, and of those in it.
    for (window, counters) in [("2026-09-17T15+02:00", 3), ("2026-09-17", 6), ("2026-W38", 9), ("2026-09", 9)] {
        let proof: Value = serde_json::from_str(&run(&["prove", window, "--local", "--json"])).unwrap();
        let found = &proof["archive"]["report"]["counted"]["counters"];
        assert_eq!((&proof["agrees"], found), (&json!(true), &json!(counters)), "{window}: {proof:#}");
    }
    for window in ["2026-09-17T15+02:00", "2026-09-17", "2026-W38", "2026-09", "total"] {
        let shown = run(&["ledger", "show", window, "--local"]);
        assert!(shown.starts_with(&format!("state {window}: version 1, stands for 1 state, 1 group")), "{shown}");
    }
    assert!(run(&["usage", "list", "--window", "week", "--local"]).contains("2026-09-14T00:00:00+02:00"));
    assert!(run(&["usage", "top", "--window", "total", "--local"]).contains("total"));
    let refused = fixture.run(&[&["ledger", "sweep", "2026-09-17T15", "--local"], &PIPELINE[..]].concat());
    assert!(refused.stderr.contains("its offset in Europe/Berlin"), "{refused:?}");
}
