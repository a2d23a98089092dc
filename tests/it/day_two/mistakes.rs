//! What the commands report when they are used wrongly, or there is no data.

use serde_json::Value;

use crate::fixture::{Fixture, Run, two_orders};

#[test]
fn errors_name_the_remedy() {
    let fixture = Fixture::new();
    let wrong = [
        &["cost"][..],
        &["tune"],
        &["usage", "top"],
        &["cost", "--assume", "batches=5"],
        &["cost", "--assume", "records=5"],
        &["cost", "--assume", "arch=mips"],
        &["cost", "--local", "--stack", "usage-aggregator"],
        &["tune", "--what-if", "rate=fast"],
        &["tune", "--what-if", "source=kafka"],
        &["tune", "--local", "--span", "yesterday"],
        &["usage", "top", "--local", "--at", "today"],
        &["usage", "top", "--local", "--pipeline", "demand"],
        &["usage", "show", "--local"],
        &["usage", "show", "7", "--local", "--measure", "amount"],
    ];
    let mut transcript = String::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    for arguments in wrong {
        let Run { code, stdout, stderr } = fixture.run(arguments);
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}: {stderr}");
        let first = stderr.lines().next().unwrap();
        transcript.push_str(&format!("{}\n  {first}\n", arguments.join(" ")));
    }
    for arguments in [&["cost", "--local"][..], &["tune", "--local"]] {
        let Run { code, stdout, stderr } = fixture.run(arguments);
        assert_eq!((code, &*stdout), (Some(1), ""), "{arguments:?}: {stderr}");
        transcript.push_str(&format!("{}\n  {stderr}", arguments.join(" ")));
    }
    let unknown = fixture.run(&["usage", "top", "--local", "--measure", "weight"]);
    assert_eq!(unknown.code, Some(2));
    transcript.push_str(&unknown.stderr);
    insta::assert_snapshot!("day_two_mistakes", transcript);
}

/// Issue 13, bug 13: with `--json` nothing was printed when a command failed.
#[test]
fn regression_errors_of_the_deployment_commands_are_json_objects_with_json() {
    let fixture = Fixture::new();
    for (arguments, code) in [
        (&["redrive"][..], 2),
        (&["redrive", "--local"], 1),
        (&["doctor"], 2),
        (&["doctor", "--local"], 1),
        (&["tune", "--what-if", "rate=fast"], 2),
        (&["tune", "--local"], 1),
        (&["cost", "--assume", "batches=5"], 2),
        (&["cost", "--assume", "batch=10", "--prices", "none.toml"], 1),
    ] {
        let run = fixture.run(&[arguments, &["--json"]].concat());
        let object: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        let error = object["error"].as_str().unwrap();
        assert_eq!((run.code, &*run.stderr), (Some(code), &*format!("error: {error}\n")), "{arguments:?}");
    }
}
