//! Tests of planning, from the bytes of an event to the plan.

mod aggregated;
mod backfill;
mod entities;
mod phases;

use super::*;
use crate::pipeline::{Unmatched, shipped};

fn pipeline(name: &str) -> Pipeline {
    Pipeline::parse(&shipped(name).unwrap()).unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The numbers of records, groups, files, skipped records and repeated records.
fn counts(plan: &Plan) -> [usize; 5] {
    [plan.records, plan.groups.len(), plan.files.len(), plan.tally.skipped, plan.tally.repeated]
}

#[test]
fn every_sample_event_is_planned_completely() {
    let cases = [
        ("insert", "orders", [1, 1, 1, 0, 0]),
        ("modify", "orders", [1, 1, 1, 0, 0]),
        ("remove", "orders", [1, 1, 1, 0, 0]),
        ("ttl-removal", "orders", [1, 1, 1, 0, 0]),
        // One order at 23:58 and one at 23:59; a canceled one at 00:00; a deleted and a new one at 00:02. Stock is
        // skipped.
        ("mixed", "orders", [11, 5, 5, 1, 0]),
        ("batch-1000", "orders", [1_000, 351, 2, 0, 0]),
        ("kinesis-wrapped", "orders", [4, 2, 1, 0, 1]),
        ("kinesis-plain", "alleycat", [5, 3, 1, 0, 0]),
        // Three messages in one record, two of which are equal, and a plain message.
        ("kinesis-aggregated", "alleycat", [4, 2, 1, 0, 0]),
        ("demand", "demand", [4, 0, 2, 0, 0]),
        // Two tenants, their endpoints, and their plans, in several minutes; one request was made in the hour before.
        ("api-usage", "api-usage", [10, 20, 5, 0, 0]),
        // Two groups in four minutes. What the function wrote on a finding asks for its group.
        ("findings", "findings", [10, 5, 3, 0, 0]),
        // A refill, an expired bucket and a snapshot are skipped; the others belong to three counters and two days.
        ("zae-limiter", "zae-limiter", [9, 3, 2, 3, 0]),
    ];
    for (event, pipeline_name, expected) in cases {
        let bytes = sample(event);
        let plan = planned_of(&bytes, &pipeline(pipeline_name), &PlanContext::default());
        assert_eq!(plan.rejected, None, "{event}");
        assert_eq!(counts(&plan), expected, "{event}");
    }
}

#[test]
fn regression_an_event_that_no_record_type_processes_is_skipped_without_its_image() {
    let folder = |unmatched: &str| {
        let text = format!(
            "unmatched = \"{unmatched}\"\n[[record]]\ntype = \"job\"\nmatch = {{ kind = \"job\" }}\nevents = [\"INSERT\", \"MODIFY\"]\n"
        );
        let files = std::iter::once(("pipeline.toml".to_owned(), text)).collect();
        Pipeline::parse(&crate::pipeline::Folder { name: "jobs".to_owned(), files }).unwrap()
    };
    let removal = record(1, "REMOVE", r#""Keys":{"id":{"S":"job-1"}}"#).replace("NEW_AND_OLD_IMAGES", "NEW_IMAGE");
    let event = format!(r#"{{"Records":[{removal}]}}"#);
    let plan = planned_of(event.as_bytes(), &folder("skip"), &PlanContext::default());
    assert_eq!((counts(&plan), &plan.rejected), ([1, 0, 0, 1, 0], &None));
    // Whether the record matches a type, which it must, is unknown.
    let plan = planned_of(event.as_bytes(), &folder("reject"), &PlanContext::default());
    assert!(plan.rejected.is_some());
}

#[test]
fn a_record_without_its_image_is_skipped_if_no_record_type_that_it_may_be_processes_its_event() {
    let text = r#"
[[record]]
type = "job"
match = { id = "JOB#{job}", state = "done" }
events = ["INSERT", "MODIFY"]
[[record]]
type = "log"
match = { id = "LOG#{log}" }
[[record]]
type = "lost"
match = { id = "LOST#{lost}", state = "found" }
"#;
    let files = std::iter::once(("pipeline.toml".to_owned(), text.to_owned())).collect();
    let pipeline = Pipeline::parse(&crate::pipeline::Folder { name: "jobs".to_owned(), files }).unwrap();
    let planned = |id: &str| {
        let keys = format!(r#""Keys":{{"id":{{"S":"{id}"}}}}"#);
        let removal = record(1, "REMOVE", &keys).replace("NEW_AND_OLD_IMAGES", "NEW_IMAGE");
        planned_of(format!(r#"{{"Records":[{removal}]}}"#).as_bytes(), &pipeline, &PlanContext::default())
    };
    // It may be a job, whose removals are ignored, but neither of the others; and one that may be `lost` decides by its image.
    let plan = planned("JOB#1");
    assert_eq!((counts(&plan), &plan.rejected), ([1, 0, 0, 1, 0], &None));
    let rejected = planned("LOST#1").rejected.unwrap().to_string();
    assert!(rejected.contains("image_not_carried: StreamViewType: leaves out the image"), "{rejected}");
}

#[test]
fn the_poison_event_is_planned_up_to_its_third_record() {
    let bytes = sample("poison");
    let plan = planned_of(&bytes, &pipeline("orders"), &PlanContext::default());
    let rejection = plan.rejected.as_ref().unwrap().to_string();
    assert_eq!(rejection, "record 3400002759747896230535: invalid_value: NewImage.total: expected N, found S");
    assert_eq!(counts(&plan), [2, 2, 1, 0, 0]);
}

/// A record of table `orders` at 2026-11-21T03:05:05Z, with its sequence number, event and the rest of `dynamodb`.
fn record(sequence: usize, event: &str, rest: &str) -> String {
    format!(
        r#"{{"eventID":"e{sequence}","eventName":"{event}","eventSource":"aws:dynamodb","dynamodb":{{"ApproximateCreationDateTime":1.795230305E9,{rest},"SequenceNumber":"{sequence}","StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-02T08:15:27.416"}}"#
    )
}

/// The insertion of an order by `customer`.
fn order(sequence: usize, customer: &str, attributes: &str) -> String {
    let keys = format!(r#""pk":{{"S":"CUSTOMER#{customer}"}},"sk":{{"S":"ORDER#{sequence}"}}"#);
    record(sequence, "INSERT", &format!(r#""Keys":{{{keys}}},"NewImage":{{{keys},{attributes}}}"#))
}

const GOOD: &str = r#""status":{"S":"NEW"},"total":{"N":"2.5"}"#;

fn planned_of(event: &[u8], pipeline: &Pipeline, context: &PlanContext) -> Plan {
    plan_event(event, pipeline, context).unwrap().1
}

fn planned_by(pipeline: &Pipeline, records: &[String], context: &PlanContext) -> Plan {
    let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    planned_of(event.as_bytes(), pipeline, context)
}

fn planned(records: &[String], context: &PlanContext) -> Plan {
    planned_by(&pipeline("orders"), records, context)
}

#[test]
fn a_rejected_record_ends_the_plan_and_leaves_no_trace_but_its_targets() {
    let huge = "é".repeat(1_025);
    let poisons = [
        // Rejected by decoding, by counting, by the check of snapshot keys, and by encoding.
        (order(9, "poison", r#""total":{"N":"SECRET"}"#), "invalid_number: NewImage.total: is not a decimal number"),
        (order(9, "poison", r#""total":{"S":"SECRET"}"#), "invalid_value: NewImage.total: expected N, found S"),
        (order(9, &huge, GOOD), "invalid_key: pk: would have 2059 bytes as a snapshot key; DynamoDB allows 1 to 2048"),
        (
            order(9, "poison", r#""total":{"N":"1"}"#),
            "missing_attribute: NewImage.status: expected string, found nothing",
        ),
        (order(9, "1", r#""total":{"N":"1"}"#), "missing_attribute: NewImage.status: expected string, found nothing"),
        (
            order(9, "poison", GOOD).replace("1.795230305E9", "1"),
            "invalid_time: ApproximateCreationDateTime: is not a time from 2000 to 2099 in seconds, milliseconds or microseconds since 1970",
        ),
        // Would be the only row of another day's file.
        (
            order(9, "poison", r#""total":{"N":"1"}"#).replace("1.795230305E9", "1795430305"),
            "missing_attribute: NewImage.status: expected string, found nothing",
        ),
    ];
    let good: Vec<String> = (1..=4).map(|sequence| order(sequence, &(sequence % 2).to_string(), GOOD)).collect();
    for (poison, fault) in poisons {
        for position in 0..=good.len() {
            let mut records = good.clone();
            records.insert(position, poison.clone());
            let mut plan = planned(&records, &PlanContext::default());
            assert_eq!(plan.rejected.as_ref().unwrap().to_string(), format!("record 9: {fault}"));
            let mut prefix = planned(&good[..position], &PlanContext::default());
            prefix.rejected.clone_from(&plan.rejected);
            // The item has changed all the same, so that its target is recomputed.
            plan.targets.iter_mut().for_each(|target| target.records.retain(|(record, _)| *record < position));
            plan.targets.retain(|target| !target.records.is_empty());
            assert_eq!(format!("{plan:?}"), format!("{prefix:?}"), "at {position}");
        }
    }
}

#[test]
fn a_record_that_appears_twice_in_a_batch_counts_once() {
    let (a, b) = (order(1, "7", GOOD), order(2, "7", GOOD));
    let plan = planned(&[a.clone(), b.clone(), a.clone(), a, b], &PlanContext::default());
    assert_eq!(counts(&plan), [5, 1, 1, 0, 3]);
    assert_eq!(plan.tally.effective, [0, 1]);
    assert_eq!(plan.groups[0].effects.iter().map(|effect| effect.record).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(plan.files.values().map(FileDraft::rows).sum::<usize>(), 2);
}

#[test]
fn a_record_older_than_the_horizon_is_rejected_only_if_it_would_count() {
    let at = |text: &str| PlanContext { horizon: Timestamp::parse(text), ..PlanContext::default() };
    let line = record(
        3,
        "INSERT",
        r#""Keys":{"pk":{"S":"ORDER#1"},"sk":{"S":"LINE#1"}},"NewImage":{"pk":{"S":"ORDER#1"},"sk":{"S":"LINE#1"},"sku":{"S":"x"},"quantity":{"N":"1"},"price":{"N":"1"}}"#,
    );
    let records = [line, order(1, "7", GOOD)];
    assert_eq!(planned(&records, &at("2026-11-21T03:05:05Z")).rejected, None);
    let plan = planned(&records, &at("2026-11-21T03:05:06Z"));
    let expected = "record 1: too_old: ApproximateCreationDateTime: is older than the horizon, so its minute's pages may have expired and it can't be proven new";
    assert_eq!(plan.rejected.as_ref().unwrap().to_string(), expected);
    assert_eq!(counts(&plan), [1, 0, 1, 0, 0]);
}

#[test]
fn a_record_with_a_time_in_the_future_is_rejected_only_if_it_would_count() {
    let at = |text: &str| PlanContext { newest: Timestamp::parse(text), ..PlanContext::default() };
    let records = [order(1, "7", GOOD)];
    assert_eq!(planned(&records, &at("2026-11-21T03:05:05Z")).rejected, None);
    let plan = planned(&records, &at("2026-11-21T03:05:04Z"));
    let expected = "record 1: too_new: ApproximateCreationDateTime: is more than 5 minutes in the future; check the clock of the program that wrote it";
    assert_eq!(plan.rejected.as_ref().unwrap().to_string(), expected);
    assert_eq!(counts(&plan), [0, 0, 0, 0, 0]);
    let archived_only =
        PlanContext { count_from: Timestamp::parse("2026-11-22T00:00:00Z"), ..at("2026-11-21T03:05:04Z") };
    assert_eq!(counts(&planned(&records, &archived_only)), [1, 0, 1, 0, 0]);
}

#[test]
fn changes_of_the_ledger_table_are_skipped() {
    let ledger = |name: &str| PlanContext { ledger_table: Some(name.to_owned()), ..PlanContext::default() };
    assert_eq!(counts(&planned(&[order(1, "7", GOOD)], &ledger("orders"))), [1, 0, 0, 1, 0]);
    assert_eq!(counts(&planned(&[order(1, "7", GOOD)], &ledger("order"))), [1, 1, 1, 0, 0]);
}

#[test]
fn records_before_the_first_counted_minute_are_archived_only() {
    let first = Timestamp::parse("2026-11-21T03:05:06Z").unwrap();
    let context = PlanContext { count_from: Some(first), ..PlanContext::default() };
    assert_eq!(counts(&planned(&[order(1, "7", GOOD)], &context)), [1, 0, 1, 0, 0]);
    let context = PlanContext { count_from: Timestamp::from_seconds(first.seconds() - 1), ..context };
    assert_eq!(counts(&planned(&[order(1, "7", GOOD)], &context)), [1, 1, 1, 0, 0]);
}

#[test]
fn a_record_that_no_page_can_hold_is_rejected() {
    let text = "[snapshot]\npartition_key = { name = \"pk\", value = \"{entity}#{resource}#{window_key}\" }\n[[record]]\ntype = \"any\"\nmatch = { pk = \"{who}\" }\nentity = \"{who}\"\nresource = \"all\"\n[[record.measure]]\nname = \"{x}\"\nkind = \"delta\"\nattributes = \"m_{x}\"\n";
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    let pipeline = Pipeline::parse(&crate::pipeline::Folder { name: "any".to_owned(), files });
    let pipeline = pipeline.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let plan = |attributes: usize| {
        let keys = r#""pk":{"S":"a"}"#;
        let measures: String = (0..attributes).map(|number| format!(r#","m_{number:0>60}":{{"N":"1"}}"#)).collect();
        let record = record(1, "INSERT", &format!(r#""Keys":{{{keys}}},"NewImage":{{{keys}{measures}}}"#));
        planned_by(&pipeline, &[record], &PlanContext::default())
    };
    assert_eq!(plan(2_000).rejected, None);
    let rejection = plan(2_500).rejected.unwrap().to_string();
    assert!(rejection.contains("bytes of keys and measures to the ledger"), "{rejection}");
}

/// Snapshots are recognized by their keys and skipped, although the pipeline matches them. Other items of the table
/// count.
#[test]
fn a_pipeline_that_matches_everything_never_counts_its_own_snapshots() {
    let text = "[snapshot]\npartition_key = { name = \"pk\", value = \"{entity}\" }\nsort_key = { name = \"sk\", value = \"{resource}#{window_start}\", suffix = { day = \"#d\", month = \"#m\" } }\n[[record]]\ntype = \"any\"\nmatch = { pk = \"{who}\" }\nentity = \"{who}\"\nresource = \"all/of it\"\n[[record.measure]]\nname = \"changes\"\nkind = \"count\"\n";
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    let pipeline = Pipeline::parse(&crate::pipeline::Folder { name: "any".to_owned(), files }).unwrap();
    let context = PlanContext { usage_table: Some("orders".to_owned()), ..PlanContext::default() };
    let put = |sequence, keys: &str| record(sequence, "INSERT", &format!(r#""Keys":{{{keys}}},"NewImage":{{{keys}}}"#));
    let first = planned_by(&pipeline, &[put(1, r#""pk":{"S":"a"},"sk":{"S":"x"}"#)], &context);
    let totals = crate::usage::totals(
        pipeline.snapshot.as_ref().unwrap(),
        first.groups.iter().flat_map(|group| group.effects.iter().map(move |effect| (group, effect))),
    )
    .unwrap();
    let written: Vec<String> = totals
        .keys()
        .map(|(key, span)| {
            let item = crate::usage::SnapshotItem::new(pipeline.snapshot.as_ref().unwrap(), key, *span);
            let key = |(name, text): &(String, String)| format!(r#""{name}":{{"S":"{text}"}}"#);
            put(2, &item.key.iter().map(key).collect::<Vec<_>>().join(","))
        })
        .collect();
    assert_eq!(written.len(), 3);
    for snapshot in written {
        assert_eq!(
            counts(&planned_by(&pipeline, std::slice::from_ref(&snapshot), &context)),
            [1, 0, 0, 1, 0],
            "{snapshot}"
        );
        assert_eq!(counts(&planned_by(&pipeline, &[snapshot], &PlanContext::default())), [1, 1, 0, 0, 0]);
    }
    for other in [
        "all%2Fof it",
        "all/of it#2026-11-21T03:05:00Z",
        "all/of it#2026-11-21T03:00:00Z#x",
        "all/of it#2026-11-21T03:00:00Z#d",
    ] {
        let other = put(3, &format!(r#""pk":{{"S":"a"}},"sk":{{"S":"{other}"}}"#));
        assert_eq!(counts(&planned_by(&pipeline, std::slice::from_ref(&other), &context)), [1, 1, 0, 0, 0], "{other}");
    }
}

#[test]
fn a_record_that_matches_no_type_is_skipped_or_rejected_as_configured() {
    let stock = record(1, "INSERT", r#""Keys":{"pk":{"S":"STOCK#SECRET"}},"NewImage":{"pk":{"S":"STOCK#SECRET"}}"#);
    let mut orders = pipeline("orders");
    assert_eq!(counts(&planned_by(&orders, std::slice::from_ref(&stock), &PlanContext::default())), [1, 0, 0, 1, 0]);
    orders.unmatched = Unmatched::Reject;
    let rejection = planned_by(&orders, &[stock], &PlanContext::default()).rejected.unwrap().to_string();
    assert_eq!(rejection, "record 1: unmatched: Keys: match no record type of the pipeline");
}

/// Seats that are taken, and what happens to records of others.
fn seats(unmatched: &str) -> Pipeline {
    let text = "[snapshot]\npartition_key = { name = \"pk\", value = \"{entity}\" }\nsort_key = { name = \"sk\", value = \"{resource}#{window_key}\" }\n[[record]]\ntype = \"seat\"\nmatch = { pk = \"{who}\" }\nwhere = { taken = true }\nentity = \"{who}\"\nresource = \"seats\"\n[[record.measure]]\nname = \"seats\"\nkind = \"delta\"\n";
    let text = format!("unmatched = \"{unmatched}\"\n{text}");
    let files = [("pipeline.toml".to_owned(), text)].into();
    Pipeline::parse(&crate::pipeline::Folder { name: "seats".to_owned(), files }).unwrap()
}

/// The change of a seat that was taken, or wasn't, to one that is, or isn't.
fn seat(sequence: usize, old: bool, new: bool) -> String {
    let image = |taken: bool| format!(r#"{{"pk":{{"S":"a"}},"taken":{{"BOOL":{taken}}}}}"#);
    let images = format!(r#""Keys":{{"pk":{{"S":"a"}}}},"NewImage":{},"OldImage":{}"#, image(new), image(old));
    record(sequence, "MODIFY", &images)
}

/// The position of each record that counts, and its first amount.
fn amounts(plan: &Plan) -> Vec<(usize, String)> {
    let effects = plan.groups.iter().flat_map(|group| &group.effects);
    effects.map(|effect| (effect.record, effect.amounts[0].amount().unwrap().to_string())).collect()
}

#[test]
fn an_item_that_stops_matching_is_subtracted() {
    let records =
        [seat(1, false, true), seat(2, true, true), seat(3, true, false), seat(4, false, false), seat(3, true, false)];
    let plan = planned_by(&seats("skip"), &records, &PlanContext::default());
    assert_eq!(amounts(&plan), [(0, "1".to_owned()), (2, "-1".to_owned())]);
    assert_eq!(counts(&plan), [5, 1, 0, 2, 1]);
}

/// It was rejected, however often it was redriven, and its value stayed in the counter.
#[test]
fn regression_an_item_that_stops_matching_is_subtracted_although_unmatched_records_are_rejected() {
    let seats = seats("reject");
    let plan = planned_by(&seats, &[seat(1, false, true), seat(2, true, false)], &PlanContext::default());
    assert_eq!(plan.rejected, None);
    assert_eq!(amounts(&plan), [(0, "1".to_owned()), (1, "-1".to_owned())]);
    let neither = planned_by(&seats, &[seat(1, false, false)], &PlanContext::default());
    assert_eq!(neither.rejected.unwrap().fault.code, Code::Unmatched);
    // Whether the old image was counted is unknown.
    let unseen = seat(1, true, false).replace(r#","OldImage":{"pk":{"S":"a"},"taken":{"BOOL":true}}"#, "");
    let unseen = planned_by(&seats, &[unseen.replace("NEW_AND_OLD_IMAGES", "NEW_IMAGE")], &PlanContext::default());
    assert!(unseen.rejected.is_some());
}

#[test]
fn hostile_customer_names_get_separate_counters_or_are_rejected() {
    let customers = [".", "..", "%", "%2F", "\\n", "\\u0000", "\\u202ea", "a ", "=", "'"];
    let records: Vec<String> = customers.iter().enumerate().map(|(index, who)| order(index + 1, who, GOOD)).collect();
    let plan = planned(&records, &PlanContext::default());
    assert_eq!(plan.rejected, None);
    assert_eq!(plan.groups.len(), customers.len());
    // A capture can't contain a separator that is next to it, so this matches no record type.
    assert_eq!(counts(&planned(&[order(1, "a#b", GOOD)], &PlanContext::default())), [1, 0, 0, 1, 0]);
}

thread_local! {
    static PANICS_AT: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Panics at the records that a test chose.
pub(super) fn panic_if_asked(record: &OutlinedRecord<'_>) {
    let asked = PANICS_AT.with_borrow(|sequences| sequences.iter().any(|number| number == record.sequence.as_str()));
    assert!(!asked, "a test asks for a panic");
}

/// Awaits `work`, during which the records with these sequence numbers make the planner panic.
pub(crate) async fn panicking_at<T>(sequences: &[String], work: impl Future<Output = T>) -> T {
    PANICS_AT.set(sequences.to_vec());
    let done = work.await;
    PANICS_AT.set(Vec::new());
    done
}

fn quarantine() -> PlanContext {
    PlanContext {
        on_rejection: OnRejection::Quarantine { limit_percent: 50, recent: Recent::default() },
        ..PlanContext::default()
    }
}

/// One bad record of each kind at each position: the other records have the effects that they have without it.
#[test]
fn a_rejected_record_is_quarantined_and_the_others_are_planned() {
    let bad = [
        order(9, "bad", r#""status":{"S":"NEW"},"total":{"S":"x"}"#),
        order(9, "bad", r#""total":{"N":"1"}"#),
        order(9, "bad", GOOD).replace("1.795230305E9", "1"),
        order(9, "bad", r#""total":{"N":"1"}"#).replace("1.795230305E9", "1795430305"),
    ];
    let good: Vec<String> = (1..=4).map(|sequence| order(sequence, &(sequence % 2).to_string(), GOOD)).collect();
    let without = planned(&good, &quarantine());
    for bad in bad {
        for position in 0..=good.len() {
            let mut records = good.clone();
            records.insert(position, bad.clone());
            let plan = planned(&records, &quarantine());
            assert_eq!((plan.records, &plan.rejected), (5, &None));
            let [quarantined] = plan.quarantined.as_slice() else { panic!("{:?}", plan.quarantined) };
            assert_eq!((quarantined.record, quarantined.rejection.sequence.as_str()), (position, "9"));
            let amounts = |plan: &Plan| -> Vec<String> {
                plan.groups
                    .iter()
                    .map(|group| format!("{:?}", group.effects.iter().map(|e| &e.amounts).collect::<Vec<_>>()))
                    .collect()
            };
            assert_eq!(amounts(&plan), amounts(&without), "at {position}");
            assert_eq!(plan.files.keys().collect::<Vec<_>>(), without.files.keys().collect::<Vec<_>>());
            assert_eq!(plan.files.values().map(FileDraft::rows).sum::<usize>(), 4);
        }
    }
}

#[test]
fn a_panic_over_one_record_of_a_thousand_quarantines_that_one() {
    let bytes = sample("batch-1000");
    let orders = pipeline("orders");
    let (event, whole) = plan_event(&bytes, &orders, &quarantine()).unwrap();
    let sequence = event.records()[500].sequence.as_str().to_owned();
    let rows = |plan: &Plan| plan.files.values().map(FileDraft::rows).sum::<usize>();
    PANICS_AT.set(vec![sequence.clone()]);
    let plan = planned_of(&bytes, &orders, &quarantine());
    let ends = planned_of(&bytes, &orders, &PlanContext::default());
    PANICS_AT.set(Vec::new());
    assert_eq!((plan.records, rows(&plan)), (1_000, rows(&whole) - 1));
    assert_eq!((plan.quarantined.len(), plan.quarantined[0].record), (1, 500));
    assert_eq!(plan.quarantined[0].rejection.sequence.as_str(), sequence);
    assert_eq!(plan.quarantined[0].rejection.fault.code, Code::Panicked);
    assert_eq!(
        (ends.records, ends.rejected.unwrap().fault.code),
        (500, Code::Panicked),
        "without a quarantine it ends the plan"
    );
}

#[test]
fn a_batch_with_many_panics_is_rejected_as_a_whole() {
    let bytes = sample("batch-1000");
    let orders = pipeline("orders");
    let (event, _) = plan_event(&bytes, &orders, &quarantine()).unwrap();
    let sequences: Vec<String> = event.records().iter().map(|raw| raw.sequence.as_str().to_owned()).collect();
    PANICS_AT.set(sequences[..20].to_vec());
    assert_eq!(planned_of(&bytes, &orders, &quarantine()).quarantined.len(), 20);
    PANICS_AT.set(sequences[..21].to_vec());
    let plan = planned_of(&bytes, &orders, &quarantine());
    PANICS_AT.set(Vec::new());
    assert_eq!(counts(&plan), [0; 5]);
    let rejection = plan.rejected.unwrap();
    assert_eq!((rejection.sequence.as_str(), rejection.fault.code), (sequences[0].as_str(), Code::Panicked));
}

#[test]
fn a_batch_of_twenty_is_rejected_as_a_whole_if_more_than_half_is_bad() {
    let records = |good: usize, bad: usize| -> Vec<String> {
        let bad = (0..bad).map(|sequence| order(sequence + 1, "bad", r#""total":{"N":"1"}"#));
        bad.chain((0..good).map(|sequence| order(sequence + 100, "good", GOOD))).collect()
    };
    let planned = |good, bad| planned(&records(good, bad), &quarantine());
    assert_eq!((planned(10, 10).records, planned(10, 10).quarantined.len()), (20, 10));
    assert_eq!((planned(0, 19).records, planned(0, 19).quarantined.len()), (19, 19), "too few records to tell");
    let plan = planned(9, 11);
    assert_eq!((counts(&plan), plan.quarantined.len()), ([0; 5], 0));
    insta::assert_snapshot!(plan.rejected.unwrap());
    let context = PlanContext {
        on_rejection: OnRejection::Quarantine { limit_percent: 100, recent: Recent::default() },
        ..PlanContext::default()
    };
    assert_eq!(planned_by(&pipeline("orders"), &records(0, 20), &context).quarantined.len(), 20);
}

/// An aggregated Kinesis record may have so many messages that the function ran out of memory.
#[test]
fn a_batch_with_more_than_ten_thousand_bad_records_is_rejected_as_a_whole() {
    let context = PlanContext {
        on_rejection: OnRejection::Quarantine { limit_percent: 100, recent: Recent::default() },
        ..PlanContext::default()
    };
    let bad: Vec<String> = (0..10_001).map(|sequence| order(sequence + 1, "bad", r#""total":{"N":"1"}"#)).collect();
    let orders = pipeline("orders");
    assert_eq!(planned_by(&orders, &bad[1..], &context).quarantined.len(), 10_000);
    let plan = planned_by(&orders, &bad, &context);
    assert_eq!((counts(&plan), plan.quarantined.len()), ([0; 5], 0));
    let rejection = plan.rejected.unwrap().to_string();
    assert!(rejection.contains("more than 10000 of them are rejected; the first is "), "{rejection}");
}

/// Lambda splits a batch that fails, so a part of it is judged together with the records before it.
#[test]
fn a_small_batch_is_judged_together_with_the_records_before_it() {
    let records: Vec<String> = (0..5)
        .map(|sequence| order(sequence + 1, "bad", r#""total":{"N":"1"}"#))
        .chain([order(9, "1", GOOD)])
        .collect();
    let quarantined_after = |rejected: usize, good: usize| {
        let mut recent = Recent::default();
        (0..rejected).for_each(|_| recent.add(true));
        (0..good).for_each(|_| recent.add(false));
        let context = PlanContext {
            on_rejection: OnRejection::Quarantine { limit_percent: 50, recent },
            ..PlanContext::default()
        };
        planned(&records, &context).quarantined.len()
    };
    assert_eq!(quarantined_after(5, 9), 5, "10 of 20");
    assert_eq!(quarantined_after(6, 8), 0, "11 of 20");
    assert_eq!(quarantined_after(20, 9), 5, "the last 14 records count");
    assert_eq!(quarantined_after(6, 0), 5, "too few records to tell");
}

/// Redrive deletes a document once its record is durable, so it must not be quarantined again.
#[test]
fn an_event_can_ask_to_fail_on_rejection() {
    let records = [order(1, "1", GOOD), order(2, "bad", r#""total":{"N":"1"}"#), order(3, "1", GOOD)].join(",");
    for event in [
        format!(r#"{{"rejectedRecords":"fail","Records":[{records}]}}"#),
        format!(r#"{{"Records":[{records}],"rejectedRecords":"fail"}}"#),
    ] {
        let plan = planned_of(event.as_bytes(), &pipeline("orders"), &quarantine());
        assert_eq!((plan.records, plan.quarantined.len()), (1, 0));
        assert_eq!(plan.rejected.unwrap().sequence.as_str(), "2");
    }
    let event = format!(r#"{{"rejectedRecords":"ignore","Records":[{records}]}}"#);
    let error = plan_event(event.as_bytes(), &pipeline("orders"), &quarantine()).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "read the event: its `rejectedRecords` isn't \"fail\"");
}
