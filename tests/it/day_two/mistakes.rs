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

/// A port in use was reported without the option that chooses another.
#[test]
fn regression_a_port_in_use_is_reported_with_its_option() {
    let fixture = Fixture::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for (command, option) in [
        ("serve", "--dynamodb-port"),
        ("serve", "--s3-port"),
        ("serve", "--cloudwatch-port"),
        ("serve", "--kinesis-port"),
        ("serve", "--eventbridge-port"),
        ("local", "--control-port"),
        ("traces", "--port"),
    ] {
        let run = fixture.run(&[command, option, &port]);
        let message = format!("port {port} is in use; choose another with {option}, or 0 for a free one\n");
        assert!(run.code == Some(1) && run.stderr.ends_with(&message), "{command} {option}: {run:?}");
    }
}

#[test]
fn regression_an_error_says_what_is_missing_and_not_more() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.0.path().join("mine")).unwrap();
    std::fs::write(fixture.0.path().join("mine/pipeline.toml"), "").unwrap();
    std::fs::write(fixture.0.path().join("cut.json"), r#"{"Records": [{"#).unwrap();
    let nowhere = "error: no deployment specified: use --stack NAME, or --local for the embedded services";
    let is_a_file = "error: PIPELINE_DIR (--pipeline-dir): mine/pipeline.toml is a file; pass the folder that contains";
    for (arguments, message) in [
        (&["ledger", "show", "2026-11-21"][..], nowhere),
        (&["alerts"], nowhere),
        (&["snapshots", "--pipeline-dir", "mine/pipeline.toml"], is_a_file),
        (&["explain", "cut.json"], "its JSON ends in the middle of a value, after 14 bytes"),
    ] {
        let run = fixture.run(arguments);
        assert!(run.stderr.contains(message), "{arguments:?}: {run:?}");
    }
    let refused = fixture.run(&["snapshots", "--dynamodb-endpoint", "http://127.0.0.1:1"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!refused.stderr.contains("has the function run yet?"), "{refused:?}");
    let mut unknown = fixture.command(&["usage", "top", "--stack", "mine"]);
    unknown.envs([("AWS_REGION", "eu-central-1"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    let unknown: Run = unknown.output().unwrap().into();
    let message = "error: describe the stack mine (cloudformation:DescribeStacks): no AWS credentials found; set \
                   AWS_PROFILE, or run `aws configure`\n";
    assert_eq!((unknown.code, &*unknown.stderr), (Some(1), message));
}
