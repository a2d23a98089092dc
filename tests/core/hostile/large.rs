//! Hostile events as large as Lambda allows: each is planned in a process of its own, which measures the memory and the time.

use std::fmt::Write as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::plan::{OnRejection, PlanContext, Recent, plan_event};

use super::messages::sealed;
use super::{on_processor, sample, with};

/// 6 MB: the largest payload of an asynchronous or synchronous invocation.
const EVENT_BYTES: usize = 6 * 1024 * 1024;
/// 1 MiB: the largest record of a Kinesis stream by default.
const KINESIS_BYTES: usize = 1024 * 1024;
/// Says which event a process plans.
const VARIABLE: &str = "HOSTILE_EVENT";

/// What an event is full of, and the pipeline that reads it.
type Large = (&'static str, &'static str, fn() -> Vec<u8>);

const EVENTS: [Large; 18] = [
    ("one text", "orders", || orders(|room| format!(r#"{{"S":"{}"}}"#, "S".repeat(room)))),
    ("one text of escapes", "orders", || orders(|room| format!(r#"{{"S":"{}"}}"#, r"\u0053".repeat(room / 6)))),
    ("one number", "orders", || orders(|room| format!(r#"{{"N":"{}"}}"#, "9".repeat(room)))),
    ("one map with many attributes", "orders", || {
        orders(|room| format!(r#"{{"M":{{{}}}}}"#, list(room, |number| format!(r#""a{number}":{{"S":""}}"#))))
    }),
    ("one list of empty lists", "orders", || {
        orders(|room| format!(r#"{{"L":[{}]}}"#, list(room, |_| r#"{"L":[]}"#.to_owned())))
    }),
    ("one set of numbers", "orders", || {
        orders(|room| format!(r#"{{"NS":[{}]}}"#, list(room, |number| format!("\"{number}\""))))
    }),
    ("one value that is nested", "orders", || {
        orders(|room| format!("{}{}", "[".repeat(room / 2), "]".repeat(room / 2)))
    }),
    ("spaces", "orders", || orders(|room| format!(r#"{{"S":{}""}}"#, " ".repeat(room)))),
    ("empty records", "orders", || filled(|_| "{}".to_owned())),
    ("records that are good", "orders", || filled(|number| order(number, "7").to_string())),
    ("records that are rejected", "orders", || filled(|number| order(number, "seven").to_string())),
    ("one record again and again", "orders", || filled(|_| order(1, "7").to_string())),
    ("one message of Kinesis", "alleycat", || {
        filled_with(1, |room| kinesis(format!(r#"{{"a":"{}"}}"#, "S".repeat(room * 3 / 4 - 1_000)).as_bytes()))
    }),
    ("messages of Kinesis without fields", "alleycat", || filled(|_| kinesis(b"{}"))),
    ("aggregated empty messages", "alleycat", || filled_with(4, |_| kinesis(&aggregated(b"")))),
    ("aggregated good messages", "alleycat", || {
        filled_with(4, |_| kinesis(&aggregated(br#"{"racerId":3,"competitionId":1,"distance":1}"#)))
    }),
    ("captured names in both images", "zae-limiter", || {
        let attributes: fn(usize) -> String = |room| list(room, |number| format!(r#""b_{number:06}_tc":{{"N":"1"}}"#));
        modified("zae-limiter.json", "b_rpm_tc", [json!({ "N": "0" }), json!({ "N": "9" })], [attributes; 2])
    }),
    ("members of a set beside the function's own write", "findings", || {
        let version = |version: &str, previous: &str| json!({ "M": { "version": { "S": version }, "previous": { "S": previous } } });
        // Pairs of members change places, so that the texts differ.
        let images: [fn(usize) -> String; 2] = [|room| set(room, 0), |room| set(room, 1)];
        modified("findings.json", "indicators", [version("t1", "t0"), version("t2", "t1")], images)
    }),
];

/// A set whose members are numbers, each with these bits changed.
fn set(room: usize, changed: usize) -> String {
    let member = |pair: usize| format!(r#""{:07}","{:07}""#, (2 * pair) ^ changed, (2 * pair + 1) ^ changed);
    format!(r#""tags":{{"SS":[{}]}}"#, list(room, member))
}

/// An event of one change of an item, whose images have different values of an attribute, and as much more as there is room for.
fn modified(event: &str, name: &str, values: [Value; 2], more: [fn(usize) -> String; 2]) -> Vec<u8> {
    filled_with(1, |room| {
        let mut record = sample(event);
        let [old, new] = values.clone().map(|value| {
            let mut image = record["dynamodb"]["NewImage"].clone();
            image[name] = value;
            image
        });
        record["eventName"] = json!("MODIFY");
        (record["dynamodb"]["OldImage"], record["dynamodb"]["NewImage"]) = (old, new);
        for (image, mark) in [("OldImage", "MARK0"), ("NewImage", "MARK1")] {
            record["dynamodb"][image][mark] = json!(0);
        }
        let marked = record.to_string();
        let room = (room - marked.len()) / 2 - 100;
        marked.replace("\"MARK0\":0", &more[0](room)).replace("\"MARK1\":0", &more[1](room))
    })
}

/// An event of one order with this value in this much room.
fn orders(value: impl Fn(usize) -> String) -> Vec<u8> {
    filled_with(1, |room| {
        let marked =
            String::from_utf8(with(&sample("insert.json"), "/dynamodb/NewImage/other", json!("MARK"))).unwrap();
        marked.replace("\"MARK\"", &value(room - marked.len() - 100))
    })
}

/// As many members as there is room for, with commas between them.
fn list(room: usize, member: impl Fn(usize) -> String) -> String {
    let mut list = member(0);
    for number in 1.. {
        let next = member(number);
        if list.len() + next.len() >= room {
            break;
        }
        write!(list, ",{next}").unwrap();
    }
    list
}

/// An event with as many records as there is room for.
fn filled(record: impl Fn(usize) -> String) -> Vec<u8> {
    format!("{{\"Records\":[{}]}}", list(EVENT_BYTES - 20, record)).into_bytes()
}

/// An event with this many records, each of which gets its share of the room.
fn filled_with(records: usize, record: impl Fn(usize) -> String) -> Vec<u8> {
    let records: Vec<String> = (0..records).map(|_| record((EVENT_BYTES - 20) / records)).collect();
    format!("{{\"Records\":[{}]}}", records.join(",")).into_bytes()
}

fn order(number: usize, total: &str) -> Value {
    let mut record = sample("insert.json");
    record["eventID"] = json!(format!("{number:032x}"));
    record["dynamodb"]["SequenceNumber"] = json!(format!("8{number:020}"));
    record["dynamodb"]["NewImage"]["total"] = json!({ "N": total });
    record
}

fn kinesis(data: &[u8]) -> String {
    let mut record = sample("kinesis-plain.json");
    record["kinesis"]["data"] = json!(BASE64.encode(data));
    record.to_string()
}

/// The largest record of copies of a short message.
fn aggregated(message: &[u8]) -> Vec<u8> {
    let length = u8::try_from(message.len()).unwrap();
    let one = [&[26, length + 4, 8, 0, 26, length], message].concat();
    let count = (KINESIS_BYTES - 100) / one.len();
    sealed(&[b"\x0a\x01a", &*one.repeat(count)].concat())
}

/// The most memory that this process has had since it was last asked, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// Plans one event if a process is asked to, and does nothing otherwise.
#[test]
fn one_large_event() {
    let Ok(number) = std::env::var(VARIABLE) else { return };
    let (_, pipeline, event) = EVENTS[number.parse::<usize>().unwrap()];
    let (pipeline, event) = (Pipeline::parse(&shipped(pipeline).unwrap()).unwrap(), event());
    assert!(event.len() <= EVENT_BYTES && event.len() > EVENT_BYTES / 10 * 7, "{} bytes", event.len());
    let on_rejection = OnRejection::Quarantine { limit_percent: 50, recent: Recent::default() };
    peak_kib();
    let (before, start) = (peak_kib(), on_processor());
    let planned = plan_event(&event, &pipeline, &PlanContext { on_rejection, ..PlanContext::default() });
    let (millis, grown) = ((on_processor() - start).as_millis(), peak_kib() - before);
    let outcome = match &planned {
        Err(_) => "event refused".to_owned(),
        Ok((_, plan)) => match &plan.rejected {
            Some(rejected) => format!("batch rejected ({})", rejected.fault.code.name()),
            None => {
                let (effective, rejected) = (plan.tally.effective.len(), plan.quarantined.len());
                format!(
                    "records: {}, take effect: {effective}, rejected: {rejected}, repeated: {}",
                    plan.records, plan.tally.repeated
                )
            }
        },
    };
    println!("measured|{outcome}|{millis}|{}", grown.div_ceil(1_024));
}

/// Run with `--nocapture` to see the times and the memory.
#[test]
fn large_events_have_their_reviewed_outcomes_and_take_little_memory() {
    let mut table = "| 6 MB of | outcome |\n|---|---|\n".to_owned();
    for (number, (name, ..)) in EVENTS.iter().enumerate() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.args(["--exact", "hostile::large::one_large_event", "--nocapture"]);
        let output = command.env(VARIABLE, number.to_string()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let measured = printed.lines().find_map(|line| line.split_once("measured|"));
        let (_, measured) = measured.unwrap_or_else(|| panic!("{name}: {output:?}"));
        let [outcome, millis, mib] = measured.split('|').collect::<Vec<_>>()[..] else { panic!("{measured}") };
        writeln!(table, "| {name} | {outcome} |").unwrap();
        println!("| {name} | {outcome} | {millis} ms | {mib} MiB |");
        assert!(mib.parse::<u64>().unwrap() <= MAXIMUM_MIB, "{name}: {mib} MiB");
    }
    insta::assert_snapshot!(table);
}

/// Half of the memory that the function has by default (MemoryMegabytes).
const MAXIMUM_MIB: u64 = 128;
