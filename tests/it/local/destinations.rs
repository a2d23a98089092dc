//! Where the proof, the page, and its buttons look for failed batches and quarantined records.

use serde_json::{Value, json};

use super::Background;
use crate::fixture::Fixture;
use crate::page::Client;

const LOAD: [&str; 6] = ["local", "--simulate", "orders", "--rate", "0", "--records"];

/// Runs a load with poison; returns the exit code and the last line.
fn poisoned(fixture: &Fixture, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, Value) {
    let arguments = [&LOAD[..], &["60", "--faults", "poison=10", "--json"], arguments].concat();
    let output = fixture.command(&arguments).envs(variables.iter().copied()).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), serde_json::from_str(stdout.lines().last().unwrap_or_default()).unwrap())
}

/// The proof used to look only into the bucket `failures`, where it missed all of them.
#[test]
fn regression_poison_is_found_in_the_buckets_that_the_run_uses() {
    let other_bucket: (&[&str], &[(&str, &str)]) = (&[], &[("FAILURE_BUCKET", "rejected")]);
    let other_destination: (&[&str], &[(&str, &str)]) = (&["--on-failure", "s3://mine"], &[]);
    for (arguments, variables) in [other_bucket, other_destination] {
        let fixture = Fixture::new();
        // It creates the bucket `failures`.
        assert_eq!(fixture.run(&[&LOAD[..], &["5"]].concat()).code, Some(0));
        let (code, last) = poisoned(&fixture, arguments, variables);
        let poison = &last["reconcile"]["poison"];
        assert_eq!((code, &poison["found_records"]), (Some(0), &poison["records"]), "{last:#}");
        assert!(poison["records"].as_u64() > Some(0), "{last:#}");
    }
}

/// It was missing in an old bucket `failures`, which this run doesn't use.
#[test]
fn regression_poison_in_a_folder_is_not_checked() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run(&[&LOAD[..], &["5"]].concat()).code, Some(0));
    let fail = ["--rejected-records", "fail", "--on-failure", "discarded"];
    let quick = ["--retry-attempts", "1", "--maximum-backoff", "200"];
    let (code, last) = poisoned(&fixture, &[&fail[..], &quick].concat(), &[]);
    let proof = &last["reconcile"];
    assert_eq!((code, &proof["poison"]), (Some(0), &Value::Null), "{last:#}");
    assert!(proof["poison_records"].as_u64() > Some(0), "{last:#}");
}

/// Redrive said that nothing was left, while all quarantined records were in another bucket.
#[tokio::test]
async fn regression_the_page_and_its_buttons_look_into_both_buckets() {
    let fixture = Fixture::new();
    let local = Background::start_with(&fixture, &[], &[("FAILURE_BUCKET", "rejected")]);
    let written = fixture.run(&["simulate", "orders", "--records", "30", "--rate", "0", "--poison", "20"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    let page = Client::new(local.started["page"].as_str().unwrap().trim_end_matches('/'));
    let command = |view: &Value, name: &str| {
        let tasks = view["tasks"].as_array().unwrap().iter();
        tasks.filter(|task| task["name"] == json!(name)).map(|task| task["command"].to_string()).collect::<String>()
    };
    loop {
        let events = page.events(4).await;
        let view = &events.last().unwrap().1;
        if view["storage"]["failures"]["quarantined"].as_u64() > Some(0) {
            let reconcile = command(view, "reconcile");
            assert!(reconcile.ends_with("--failures s3://failures --failures s3://rejected\""), "{reconcile}");
            let redrive = command(view, "redrive");
            assert!(redrive.contains("--failure-bucket failures; usagectl "), "{redrive}");
            assert!(redrive.ends_with("redrive --local --failure-bucket rejected\""), "{redrive}");
            break;
        }
    }
    local.stop();
}
