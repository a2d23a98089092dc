//! Events that a broken or hostile producer could make, by kind: what becomes of each, and that the records around it take effect as
//! if it weren't there. Nothing may panic, and no message may show a value of an item.
//!
//! `changes` has records of DynamoDB Streams, `events` whole events, `messages` records of Kinesis, and `large` events as large as Lambda
//! allows, with the time and the memory that they take.

mod changes;
mod events;
mod large;
mod messages;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::plan::{OnRejection, PlanContext, Recent, plan_event};
use usage_aggregator::record::Code;

/// A part of the values of hostile records.
const SECRET: &str = "SECRET";

/// Hostile events of one kind.
struct Kind {
    name: &'static str,
    /// The pipeline that reads them.
    pipeline: &'static str,
    /// Whether each event has a good record before and after the hostile one.
    is_surrounded: bool,
    events: Vec<Vec<u8>>,
}

impl Kind {
    /// Hostile records, each of them between two good ones.
    fn of_records(name: &'static str, pipeline: &'static str, records: impl IntoIterator<Item = Vec<u8>>) -> Kind {
        let [before, after] = good(pipeline);
        let around = |record: Vec<u8>| [b"{\"Records\":[", &*before, b",", &*record, b",", &*after, b"]}"].concat();
        Kind { name, pipeline, is_surrounded: true, events: records.into_iter().map(around).collect() }
    }
}

/// The first record of a sample event.
fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name);
    let event: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    event["Records"][0].clone()
}

/// Two records that take effect.
fn good(pipeline: &str) -> [Vec<u8>; 2] {
    let of = |number: u32| {
        let mut record = sample(if pipeline == "orders" { "insert.json" } else { "kinesis-plain.json" });
        record["eventID"] = json!(format!("{number:032x}"));
        if pipeline == "orders" {
            record["dynamodb"]["SequenceNumber"] = json!(format!("80000000000000000000{number}"));
            record["dynamodb"]["Keys"]["sk"] = json!({ "S": format!("ORDER#{number}") });
            record["dynamodb"]["NewImage"]["sk"] = json!({ "S": format!("ORDER#{number}") });
        } else {
            record["kinesis"]["sequenceNumber"] =
                json!(format!("4965700126387451209335671220884115620937745160231059456{number}"));
        }
        record.to_string().into_bytes()
    };
    [of(1), of(3)]
}

/// These records with each of these values at each of these places.
fn replaced(record: &Value, places: &[&str], values: &[Value]) -> Vec<Vec<u8>> {
    let each = places.iter().flat_map(|place| values.iter().map(move |value| (place, value)));
    each.map(|(place, value)| with(record, place, value.clone())).collect()
}

/// The record with another value at a place, a JSON pointer to something that it may not have yet.
fn with(record: &Value, place: &str, value: Value) -> Vec<u8> {
    let mut record = record.clone();
    let (parent, name) = place.rsplit_once('/').unwrap();
    record.pointer_mut(parent).unwrap()[name] = value;
    record.to_string().into_bytes()
}

/// The record without what is at each of these places.
fn without(record: &Value, places: &[&str]) -> Vec<Vec<u8>> {
    let without = |place: &&str| {
        let mut record = record.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        record.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        record.to_string().into_bytes()
    };
    places.iter().map(without).collect()
}

/// A value of each type of JSON.
fn values_of_all_types() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-7.5),
        json!(""),
        json!(SECRET),
        json!([SECRET]),
        json!({ "name": SECRET }),
        json!([]),
    ]
}

/// What becomes of an event, or of the hostile record in it.
fn outcome(kind: &Kind, pipeline: &Pipeline, event: &[u8]) -> String {
    let shown = || String::from_utf8_lossy(event).chars().take(3_000).collect::<String>();
    let safe = |message: String| assert!(!message.contains(SECRET), "{}: {message}", kind.name);
    let on_rejection = OnRejection::Quarantine { limit_percent: 100, recent: Recent::default() };
    let plan = match plan_event(event, pipeline, &PlanContext { on_rejection, ..PlanContext::default() }) {
        Ok((_, plan)) => plan,
        Err(error) => {
            safe(error.to_string());
            return "event refused".to_owned();
        }
    };
    if let Some(rejected) = &plan.rejected {
        safe(rejected.to_string());
        return format!("batch rejected ({})", rejected.fault.code.name());
    }
    let rejected = |position: usize| plan.quarantined.iter().find(|one| one.record == position);
    for one in &plan.quarantined {
        safe(one.rejection.to_string());
        assert_ne!(one.rejection.fault.code, Code::Panicked, "{}: {}", kind.name, shown());
    }
    if !kind.is_surrounded {
        return if plan.quarantined.is_empty() { "read" } else { "records rejected" }.to_owned();
    }
    if plan.records == 2 {
        return "no record".to_owned();
    }
    let last = plan.records - 1;
    assert!(plan.tally.effective.contains(&0) && plan.tally.effective.contains(&last), "{}: {}", kind.name, shown());
    match rejected(1) {
        Some(one) => format!("rejected ({})", one.rejection.fault.code.name()),
        None if plan.tally.effective.contains(&1) => "takes effect".to_owned(),
        None => "no effect".to_owned(),
    }
}

/// How long this thread has run on a processor, which other work on the machine doesn't change.
fn on_processor() -> Duration {
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(nanos.split_ascii_whitespace().next().unwrap().parse().unwrap())
}

/// The outcomes of all events of a kind, and how long the slowest took.
fn judge(kind: &Kind) -> (BTreeMap<String, usize>, Duration) {
    let pipeline = Pipeline::parse(&shipped(kind.pipeline).unwrap()).unwrap();
    let (mut outcomes, mut slowest) = (BTreeMap::new(), Duration::ZERO);
    for event in &kind.events {
        let start = on_processor();
        *outcomes.entry(outcome(kind, &pipeline, event)).or_default() += 1;
        slowest = slowest.max(on_processor() - start);
    }
    (outcomes, slowest)
}

/// Run with `--nocapture` to see the times, too.
#[test]
fn hostile_events_of_every_kind_have_their_reviewed_outcomes() {
    let kinds: Vec<Kind> = [changes::kinds(), events::kinds(), messages::kinds()].into_iter().flatten().collect();
    let mut table = "| kind | events | outcomes |\n|---|---|---|\n".to_owned();
    let mut events = 0;
    for kind in &kinds {
        let (outcomes, slowest) = judge(kind);
        let outcomes: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{outcome}: {count}")).collect();
        writeln!(table, "| {} | {} | {} |", kind.name, kind.events.len(), outcomes.join(", ")).unwrap();
        println!("| {} | slowest: {} ms |", kind.name, slowest.as_millis());
        events += kind.events.len();
    }
    assert!(events >= 300, "only {events} events");
    insta::assert_snapshot!(table);
}
