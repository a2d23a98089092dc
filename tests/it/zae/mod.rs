//! The pipeline `zae-limiter` as a replacement for zae-limiter's own aggregator. The real client uses its table in the
//! embedded DynamoDB, the mapping and the function process the table's stream, and the client must read what was
//! consumed.

mod limiter;

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::types::Value as Avro;
use serde_json::Value;

use laptop::proof::FaultProfile;
use limiter::{Cell, Limiter, Usage};

/// Every kind of fault, far more often than in production, but with enough successes to reach the end of the stream.
const FAULTS: &str = "redeliver=10,crash=1,lose=4,throttle=3,conflict=4,503=2,refuse=5,restart=2s,twins";

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_reads_exactly_what_was_consumed() {
    let limiter = Limiter::used_by_the_client("exact").await;
    limiter.run(FaultProfile::default(), &limiter.filters()).await;
    let read = limiter.read();
    assert_same(&read.by_entity, &limiter.whole_truth());
    assert_same(&read.by_entity, &read.by_resource);
    assert_same(&limiter.exact().await, &limiter.truth());
    assert_same(&read.events, &limiter.events_of_the_stream());
    assert!(read.by_entity.keys().all(|cell| !cell.limit.contains("version")), "the client shows bookkeeping");
    each_update_sets_a_counter_with_its_fraction(&limiter.updates());
    // `get_usage_summary` must return the sum of the days.
    assert_eq!(read.summaries, limiter.whole_daily_totals());
    insta::assert_snapshot!(limiter.cli_listing());
    assert_eq!(limiter.archived_audit().await, limiter.expired_audit());

    // A second mapping without checkpoints delivers the same stream again: nothing changes.
    limiter.run(FaultProfile::default(), &limiter.filters()).await;
    assert_same(&limiter.exact().await, &limiter.truth());
    assert_same(&limiter.read().by_entity, &read.by_entity);
    assert_eq!(limiter.archived_audit().await, limiter.expired_audit());

    // For comparison, zae-limiter's own aggregator on the same records, delivered once in order and then twice.
    let theirs = [limiter.theirs("once", 1), limiter.theirs("twice", 2)];
    insta::assert_snapshot!(comparison(&limiter.whole_truth(), &theirs, &read.by_entity));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_change_nothing() {
    let limiter = Limiter::used_by_the_client("faults").await;
    limiter.run(FAULTS.parse().unwrap(), &limiter.filters()).await;
    assert_same(&limiter.exact().await, &limiter.truth());
    let read = limiter.read();
    assert_same(&read.by_entity, &limiter.whole_truth());
    assert_same(&read.by_resource, &limiter.whole_truth());
    assert_eq!(limiter.archived_audit().await, limiter.expired_audit());
}

/// The whole counter and its fraction come from one write, so that a reader never sees one without the other.
fn each_update_sets_a_counter_with_its_fraction(updates: &[Value]) {
    let mut fractions = 0;
    for update in updates {
        let expression = update["UpdateExpression"].as_str().unwrap();
        assert!(expression.starts_with("SET ") && !expression.contains("ADD "), "{update}");
        let names = update["ExpressionAttributeNames"].as_object().unwrap();
        let names: BTreeSet<&str> = names.values().map(|name| name.as_str().unwrap()).collect();
        for fraction in names.iter().filter_map(|name| name.strip_suffix("#fraction")) {
            assert!(names.contains(fraction), "{update}");
            fractions += 1;
        }
    }
    assert!(fractions > 0);
}

/// Without the filter of the mapping, every snapshot that the function writes comes back as a record.
#[tokio::test(flavor = "multi_thread")]
async fn the_function_does_not_count_its_own_writes() {
    let limiter = Limiter::used_by_the_client("loop").await;
    limiter.run(FaultProfile::default(), &[]).await;
    let written = limiter.stream_length();
    assert!(written > limiter.source_length(), "no snapshot came back");
    // Processing all records of its own writes adds nothing.
    limiter.append_to_the_end(&[]).await;
    assert_eq!(limiter.stream_length(), written);
    assert_same(&limiter.exact().await, &limiter.truth());
}

/// Compares cell by cell and shows the first that differ.
fn assert_same(found: &Usage, expected: &Usage) {
    let cells: BTreeSet<&Cell> = found.keys().chain(expected.keys()).collect();
    let differ = cells.iter().filter(|cell| found.get(cell) != expected.get(cell));
    let lines = differ.map(|cell| format!("{cell:?}: found {:?}, expected {:?}", found.get(cell), expected.get(cell)));
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "{} of {} differ\n{}", lines.len(), cells.len(), lines[..lines.len().min(9)].join("\n"));
}

/// Compares the true numbers, theirs and ours, by window: the tokens, the cells (one limit of one entity, resource and
/// window), and the cells that are wrong.
fn comparison(truth: &Usage, theirs: &[Usage; 2], ours: &Usage) -> String {
    let mut table = "window  | count        |    true | theirs, once | theirs, twice |    ours\n".to_owned();
    for window in ["hourly", "daily"] {
        let of_window = |usage: &Usage| -> BTreeMap<Cell, String> {
            usage.iter().filter(|(cell, _)| cell.window == window).map(|(cell, n)| (cell.clone(), n.clone())).collect()
        };
        let sum = |usage: &Usage| of_window(usage).values().map(|n| n.parse::<i64>().unwrap()).sum::<i64>();
        let wrong = |usage: &Usage| {
            let (a, b) = (of_window(truth), of_window(usage));
            let cells: BTreeSet<&Cell> = a.keys().chain(b.keys()).collect();
            cells.into_iter().filter(|cell| a.get(cell) != b.get(cell)).count()
        };
        let [once, twice] = theirs;
        let mut row = |name: &str, [truth, once, twice, ours]: [String; 4]| {
            table += &format!("{window:<7} | {name:<12} | {truth:>7} | {once:>12} | {twice:>13} | {ours:>7}\n");
        };
        row("tokens", [truth, once, twice, ours].map(|usage| sum(usage).to_string()));
        row("cells", [truth, once, twice, ours].map(|usage| of_window(usage).len().to_string()));
        row("cells wrong", [truth, once, twice, ours].map(|usage| wrong(usage).to_string()));
    }
    table
}

/// The partition and the event id of a row. Checks that its details are a JSON object.
fn audit_row(partition: &str, row: &BTreeMap<String, Avro>) -> (String, String) {
    let details: Value = serde_json::from_str(&crate::world::text(row, "details")).unwrap();
    assert!(details.is_object(), "{details}");
    assert_eq!(row["expired"], Avro::Boolean(false), "the client deleted them; they did not expire");
    (partition.to_owned(), crate::world::text(row, "event_id"))
}

/// The attribute in a snapshot that counts the tokens of `limit`. It differs if another attribute already has that
/// name.
fn counter_name(limit: &str) -> String {
    const RESERVED: [&str; 9] =
        ["ttl", "window", "resource", "window_start", "total_events", "entity_id", "GSI2PK", "GSI4SK", "PK"];
    if RESERVED.contains(&limit) { format!("{limit}#limit") } else { limit.to_owned() }
}
