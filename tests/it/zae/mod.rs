//! The pipeline `zae-limiter` as a replacement for zae-limiter's own aggregator. The real client uses its table in the
//! embedded DynamoDB, the mapping and the function process the table's stream, and the client must read what was
//! consumed.

mod limiter;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use apache_avro::types::Value as Avro;
use serde_json::Value;

use laptop::proof::FaultProfile;
use limiter::{Cell, Limiter, Usage};

/// Every kind of fault of both mappings, far more often than in production, but with enough successes to reach the end of the stream.
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
    let (is_over, reads_done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let run = async {
        limiter.run(FAULTS.parse().unwrap(), &limiter.filters()).await;
        is_over.store(true, Ordering::Relaxed);
    };
    // Meanwhile, no read fails or shows anything but limits that were used.
    let reads = async {
        while !is_over.load(Ordering::Relaxed) {
            let read = limiter.read_meanwhile().await;
            let known = limiter.whole_truth();
            let unknown = read.by_entity.keys().chain(read.by_resource.keys()).find(|cell| !known.contains_key(cell));
            assert_eq!(unknown, None);
            reads_done.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::join!(run, reads);
    assert!(reads_done.into_inner() > 0);

    // When all notices are settled, every number is exact.
    assert_same(&limiter.exact().await, &limiter.truth());
    let read = limiter.read();
    assert_same(&read.by_entity, &limiter.whole_truth());
    assert_same(&read.by_resource, &limiter.whole_truth());
    assert_same(&read.events, &limiter.events_of_the_stream());
    each_update_sets_a_counter_with_its_fraction(&limiter.updates());
    assert_eq!(limiter.archived_audit().await, limiter.expired_audit());
}

/// The attributes of a snapshot that don't count anything.
const DESCRIPTION: [&str; 10] =
    ["entity_id", "resource", "window", "window_start", "GSI2PK", "GSI2SK", "GSI4PK", "GSI4SK", "ttl", "usage_version"];

/// Every update writes whole counters together with their fractions, so that a reader never sees one without the other.
/// It sets each counter, and sets or removes its fraction.
fn each_update_sets_a_counter_with_its_fraction(updates: &[Value]) {
    let mut fractions = 0;
    for update in updates {
        let expression = update["UpdateExpression"].as_str().unwrap();
        let (sets, removes) = expression.split_once(" REMOVE ").unwrap_or((expression, ""));
        assert!(sets.starts_with("SET ") && !expression.contains("ADD "), "{update}");
        let names = |clause: &str| -> BTreeSet<String> {
            let named = update["ExpressionAttributeNames"].as_object().unwrap().iter();
            let used = clause.split([' ', ',']).collect::<BTreeSet<_>>();
            named
                .filter(|(name, _)| used.contains(name.as_str()))
                .map(|(_, name)| name.as_str().unwrap().to_owned())
                .collect()
        };
        let (set, removed) = (names(sets), names(removes));
        let is_fraction = |name: &&String| name.ends_with("#fraction");
        for counter in set.iter().filter(|name| !is_fraction(name) && !DESCRIPTION.contains(&name.as_str())) {
            let fraction = format!("{counter}#fraction");
            assert!(set.contains(&fraction) != removed.contains(&fraction), "{counter} in {update}");
        }
        for fraction in set.union(&removed) {
            let is_alone = fraction.strip_suffix("#fraction").is_some_and(|counter| !set.contains(counter));
            assert!(!is_alone, "{fraction} in {update}");
        }
        fractions += set.iter().filter(is_fraction).count();
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
