//! Switching from zae-limiter's own aggregator to ours and back, as docs/zae-limiter.md describes: at each midnight, the
//! filters of both mappings divide the changes, so that every window is counted by one of the two only.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use event_source_mapping::{Filters, StreamKind};
use serde_json::{Value, json};

use super::assert_same;
use super::limiter::{Limiter, source_record};

/// Faults of both mappings and the function. Restarts and twins are in the test of faults.
const FAULTS: &str = "redeliver=10,crash=1,lose=4,throttle=3,conflict=4,503=2,refuse=5";
/// Midnight before our day.
const OURS: &str = "2026-11-21";
/// Midnight after our day.
const BACK: &str = "2026-11-22";

#[tokio::test(flavor = "multi_thread")]
async fn switching_over_and_back_counts_each_window_once() {
    let theirs = their_patterns();
    // Their aggregator counts the day before, but its last invocation is late.
    let mut limiter = Limiter::start("switch", "switch their", "2026-11-21T00:00").await;
    let before = switched(&theirs, &["before", OURS]);
    let counted = limiter.passing(&before).len();
    let late = counted - 20;
    limiter.feed_theirs(&limiter.passing(&before)[..late]);

    // Then ours counts a day, while their mapping still reads.
    limiter.use_again("switch our").await;
    assert_eq!(limiter.passing(&before).len(), counted, "their aggregator gets changes from our day");
    limiter.run(FAULTS.parse().unwrap(), &switched(&limiter.filters(), &["from", OURS])).await;

    limiter.feed_theirs(&limiter.passing(&before)[late..]);

    // Ours ignores earlier changes, but archives the audit events that expired before, which nobody else does.
    assert_eq!(limiter.archived_audit().await, limiter.expired_audit());

    // After that, theirs counts again, and our mapping, which starts from the beginning here, still reads.
    limiter.use_again("switch back").await;
    limiter.run(FAULTS.parse().unwrap(), &switched(&limiter.filters(), &["before", BACK])).await;
    let after = switched(&theirs, &["from", BACK, "--refilled"]);
    limiter.feed_theirs(&limiter.passing(&after));

    // A change to a bucket that wasn't refilled since midnight isn't counted: their aggregator would add it to our day.
    limiter.forget("2026-11-22T00");
    assert_exact(&limiter).await;
    assert_eq!(sweep_our_day(&limiter).await, 0);

    // Without that condition, it counts the change into our last hour and, because it has one key for midnight's hour and
    // for the day, into our first. The sweeps after the switch find both.
    let all = switched(&theirs, &["from", BACK]);
    let passing: BTreeSet<String> = limiter.passing(&after).iter().map(ToString::to_string).collect();
    let added: Vec<&Value> =
        limiter.passing(&all).into_iter().filter(|record| !passing.contains(&record.to_string())).collect();
    assert_eq!(added.len(), 1, "{added:?}");
    limiter.feed_theirs(&added);
    let (read, truth) = (limiter.read().by_entity, limiter.whole_truth());
    let wrong = read.iter().filter(|(cell, tokens)| truth.get(cell) != Some(tokens));
    let wrong: Vec<_> =
        wrong.map(|(cell, tokens)| (cell.start.as_str(), cell.window.as_str(), tokens.as_str())).collect();
    assert_eq!(wrong, [("2026-11-21T00:00:00Z", "hourly", "200"), ("2026-11-21T23:00:00Z", "hourly", "200")]);
    assert_eq!(sweep_our_day(&limiter).await, 2);
    assert_exact(&limiter).await;
}

/// The client reads what was used, and exactly the windows of our day were written by our function.
async fn assert_exact(limiter: &Limiter) {
    let read = limiter.read();
    assert_same(&read.by_entity, &limiter.whole_truth());
    assert_same(&read.by_resource, &limiter.whole_truth());
    let mut windows = BTreeSet::new();
    for item in limiter.snapshots().await {
        let [window, start] = ["window", "window_start"].map(|name| item[name].as_s().unwrap().clone());
        let is_ours = item.contains_key("usage_version");
        assert_eq!(is_ours, start.starts_with(OURS), "{item:?}");
        windows.insert((window, start, is_ours));
    }
    let shown: Vec<_> = windows
        .iter()
        .map(|(window, start, is_ours)| format!("{window} {start} {}", if *is_ours { "ours" } else { "theirs" }))
        .collect();
    insta::assert_snapshot!("windows", shown.join("\n"));
}

/// Sweeps the last minute of each hour of our day that was used. Returns how many snapshots were wrong.
async fn sweep_our_day(limiter: &Limiter) -> usize {
    let mut wrong = 0;
    for hour in ["00", "05", "23"] {
        wrong += limiter.sweep(&format!("{OURS}T{hour}:59:00Z")).await;
    }
    wrong
}

/// Each change of a bucket passes the filters of one mapping at most, and which one depends on the second of its creation.
#[test]
fn filters_divide_the_changes_at_midnight() {
    let theirs = their_patterns();
    let ours: Vec<Value> = serde_json::from_str(super::limiter::FILTERS).unwrap();
    let ours: Vec<String> = ours.iter().map(Value::to_string).collect();
    let mappings = [
        ("theirs before", switched(&theirs, &["before", OURS])),
        ("ours from", switched(&ours, &["from", OURS])),
        ("ours before", switched(&switched(&ours, &["from", OURS]), &["before", BACK])),
        ("theirs from", switched(&switched(&theirs, &["before", OURS]), &["from", BACK, "--refilled"])),
    ];
    let again = ("theirs again", switched(&mappings[3].1, &["before", "2026-12-01"]));
    let filters =
        mappings.into_iter().chain([again]).map(|(name, patterns)| (name, Filters::parse(&patterns).unwrap()));
    let filters: Vec<(&str, Filters)> = filters.collect();
    let [over, back] = [1_795_219_200_i64, 1_795_305_600];
    // Event, sort key, second of creation, millisecond of the last refill, and the mappings that get the record.
    let cases = [
        ("MODIFY", "#STATE", over - 1, (over - 1) * 1000, "theirs before, ours before"),
        ("MODIFY", "#STATE", over, (over - 1) * 1000, "ours from, ours before"),
        ("MODIFY", "#STATE", over, over * 1000, "ours from, ours before"),
        ("INSERT", "#STATE", over - 1, (over - 1) * 1000, "ours before"),
        ("INSERT", "#STATE", over, over * 1000, "ours from, ours before"),
        ("MODIFY", "#BUCKET#gpt", over, over * 1000, "ours from, ours before"),
        ("MODIFY", "#STATE", back - 1, (back - 1) * 1000, "ours from, ours before"),
        ("MODIFY", "#STATE", back, back * 1000, "ours from, theirs from, theirs again"),
        ("MODIFY", "#STATE", back + 1, back * 1000 + 999, "ours from, theirs from, theirs again"),
        ("MODIFY", "#STATE", back + 40_000_000, (back + 40_000_000) * 1000, "ours from, theirs from"),
        ("MODIFY", "#STATE", back, back * 1000 - 1, "ours from"),
        ("MODIFY", "#STATE", back, over * 1000, "ours from"),
        ("INSERT", "#STATE", back, back * 1000, "ours from"),
        ("REMOVE", "#STATE", over - 1, over * 1000, ""),
        ("REMOVE", "#AUDIT#01", over - 1, 0, "ours from, ours before"),
        ("REMOVE", "#AUDIT#01", over, 0, "ours from, ours before"),
        ("REMOVE", "#AUDIT#01", back, 0, "ours from"),
        ("MODIFY", "#USAGE#gpt#2026-11-21T00:00:00Z", over, 0, ""),
    ];
    for (event, sort_key, created, refilled, expected) in cases {
        let image = json!({ "SK": { "S": sort_key }, "rf": { "N": refilled.to_string() } });
        let record = json!({
            "eventName": event,
            "dynamodb": {
                "ApproximateCreationDateTime": created as f64,
                "SequenceNumber": "1",
                "Keys": { "SK": { "S": sort_key } },
                "NewImage": if event == "REMOVE" { Value::Null } else { image.clone() },
                "OldImage": image,
            }
        });
        let record = source_record(&record);
        let passed = filters.iter().filter(|(_, filters)| filters.matches(StreamKind::DynamoDb, &record));
        let passed: Vec<&str> = passed.map(|(name, _)| *name).collect();
        assert_eq!(passed.join(", "), expected, "{event} {sort_key} {} {refilled}", created - over);
    }
}

#[test]
fn every_command_of_the_document_exists() {
    let mut python = python();
    let output = python.args(["tests/commands.py", "docs/zae-limiter.md"]).stderr(Stdio::piped()).output().unwrap();
    let (wrong, count) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && wrong.is_empty(), "{wrong}{count}");
    assert!(!count.starts_with("0 "), "no commands were found");
}

/// The example in the document is what the script prints.
#[test]
fn the_documented_pattern_is_what_the_script_makes() {
    let document = std::fs::read_to_string(crate::repository().join("docs/zae-limiter.md")).unwrap();
    let pattern = &switched(&their_patterns(), &["before", "2026-12-01"])[0];
    assert!(document.contains(pattern), "{pattern}");
}

/// The patterns of zae-limiter's own event source mapping.
fn their_patterns() -> Vec<String> {
    let mut python = python();
    python.args(["tests/zae/client.py", "filters"]).env("ENDPOINT", "").env("TABLE", "");
    patterns(&output(python, "").expect("zae-limiter's template"))
}

/// The patterns that schemas/zae-limiter/switch.py makes of these.
fn switched(before: &[String], arguments: &[&str]) -> Vec<String> {
    let filters: Vec<Value> = before.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
    let mut python = python();
    python.arg("schemas/zae-limiter/switch.py").args(arguments);
    patterns(&output(python, &json!({ "Filters": filters }).to_string()).expect("filter criteria"))
}

fn patterns(criteria: &Value) -> Vec<String> {
    let filters = criteria["Filters"].as_array().unwrap().iter();
    filters.map(|filter| filter["Pattern"].as_str().unwrap().to_owned()).collect()
}

fn python() -> Command {
    let mut command = Command::new(crate::readers::venv().join("python"));
    command.current_dir(crate::repository()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn output(mut command: Command, input: &str) -> serde_json::Result<Value> {
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    serde_json::from_slice(&process.wait_with_output().unwrap().stdout)
}
