//! What a batch comes to, from the event's bytes to the plan.

use super::*;
use crate::pipeline::shipped;

fn pipeline(name: &str) -> Pipeline {
    Pipeline::parse(&shipped(name).unwrap()).unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Records, groups, files, skipped and repeated records.
fn counts(plan: &Plan) -> [usize; 5] {
    [plan.records, plan.groups.len(), plan.files.len(), plan.tally.skipped, plan.tally.repeated]
}

#[test]
fn every_sample_event_is_planned_fully() {
    let cases = [
        ("insert", "orders", [1, 1, 1, 0, 0]),
        ("modify", "orders", [1, 1, 1, 0, 0]),
        ("remove", "orders", [1, 1, 1, 0, 0]),
        ("ttl-removal", "orders", [1, 1, 1, 0, 0]),
        // An order each at 23:58 and 23:59, then at 00:00 a cancelled one, at 00:02 a deleted and a new one; stock is skipped.
        ("mixed", "orders", [11, 5, 5, 1, 0]),
        ("batch-1000", "orders", [1_000, 351, 1, 0, 0]),
        ("kinesis-wrapped", "orders", [4, 2, 1, 0, 1]),
        ("kinesis-plain", "alleycat", [5, 3, 1, 0, 0]),
        ("demand", "demand", [4, 0, 2, 0, 0]),
        // A refill, an expired bucket and a snapshot of our own are skipped; the others are of three counters and two days.
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
fn the_poison_event_is_planned_up_to_its_third_record() {
    let bytes = sample("poison");
    let plan = planned_of(&bytes, &pipeline("orders"), &PlanContext::default());
    let rejection = plan.rejected.as_ref().unwrap().to_string();
    assert_eq!(rejection, "record 3400002759747896230535: invalid_value: NewImage.total: expected N, found S");
    assert_eq!(counts(&plan), [2, 2, 1, 0, 0]);
}

/// A record of table `orders` at 03:05:05 of 2026-11-21: its sequence number, its event and the rest of `dynamodb`.
fn record(sequence: usize, event: &str, rest: &str) -> String {
    format!(
        r#"{{"eventID":"e{sequence}","eventName":"{event}","eventSource":"aws:dynamodb","dynamodb":{{"ApproximateCreationDateTime":1.795230305E9,{rest},"SequenceNumber":"{sequence}","StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-02T08:15:27.416"}}"#
    )
}

/// The insertion of an order of `customer`.
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
fn a_poison_record_ends_the_prefix_and_leaves_no_trace() {
    let huge = "é".repeat(1_025);
    let poisons = [
        // Found in decoding, counting, the keys of snapshots, encoding, and each for a customer of its own.
        (order(9, "poison", r#""total":{"N":"SECRET"}"#), "invalid_number: NewImage.total: is not a decimal number"),
        (order(9, "poison", r#""total":{"S":"SECRET"}"#), "invalid_value: NewImage.total: expected N, found S"),
        (order(9, &huge, GOOD), "invalid_key: pk: would be a snapshot key of 2059 bytes; DynamoDB takes 1 to 2048"),
        (
            order(9, "poison", r#""total":{"N":"1"}"#),
            "missing_attribute: NewImage.status: expected string, found nothing",
        ),
        (order(9, "1", r#""total":{"N":"1"}"#), "missing_attribute: NewImage.status: expected string, found nothing"),
        (
            order(9, "poison", GOOD).replace("1.795230305E9", "1"),
            "invalid_time: ApproximateCreationDateTime: is no time from 2000 to 2099 in seconds, milliseconds or microseconds since 1970",
        ),
        // Its own day would need a file of its own.
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
            let plan = planned(&records, &PlanContext::default());
            assert_eq!(plan.rejected.as_ref().unwrap().to_string(), format!("record 9: {fault}"));
            let mut prefix = planned(&good[..position], &PlanContext::default());
            prefix.rejected.clone_from(&plan.rejected);
            assert_eq!(format!("{plan:?}"), format!("{prefix:?}"), "at {position}");
        }
    }
}

#[test]
fn a_record_that_comes_twice_in_a_batch_counts_once() {
    let (a, b) = (order(1, "7", GOOD), order(2, "7", GOOD));
    let plan = planned(&[a.clone(), b.clone(), a.clone(), a, b], &PlanContext::default());
    assert_eq!(counts(&plan), [5, 1, 1, 0, 3]);
    assert_eq!(plan.tally.effective, [0, 1]);
    assert_eq!(plan.groups[0].effects.iter().map(|effect| effect.record).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(plan.files.values().map(FileDraft::rows).sum::<usize>(), 2);
}

#[test]
fn a_record_older_than_the_horizon_is_not_counted_but_one_that_counts_nothing_passes() {
    let at = |text: &str| PlanContext { horizon: Timestamp::parse(text), ..PlanContext::default() };
    let line = record(
        3,
        "INSERT",
        r#""Keys":{"pk":{"S":"ORDER#1"},"sk":{"S":"LINE#1"}},"NewImage":{"pk":{"S":"ORDER#1"},"sk":{"S":"LINE#1"},"sku":{"S":"x"},"quantity":{"N":"1"},"price":{"N":"1"}}"#,
    );
    let records = [line, order(1, "7", GOOD)];
    assert_eq!(planned(&records, &at("2026-11-21T03:05:05Z")).rejected, None);
    let plan = planned(&records, &at("2026-11-21T03:05:06Z"));
    let expected = "record 1: too_old: ApproximateCreationDateTime: is older than the horizon, so its claims may have expired and it can't be proven new";
    assert_eq!(plan.rejected.as_ref().unwrap().to_string(), expected);
    assert_eq!(counts(&plan), [1, 0, 1, 0, 0]);
}

#[test]
fn changes_of_our_own_tables_are_skipped() {
    let claims = |name: &str| PlanContext { claims_table: Some(name.to_owned()), ..PlanContext::default() };
    assert_eq!(counts(&planned(&[order(1, "7", GOOD)], &claims("orders"))), [1, 0, 0, 1, 0]);
    assert_eq!(counts(&planned(&[order(1, "7", GOOD)], &claims("order"))), [1, 1, 1, 0, 0]);
}

/// Our own snapshots are left out by their keys, although the pipeline would count them; the rest of the table isn't.
#[test]
fn a_pipeline_that_takes_everything_never_feeds_on_its_own_snapshots() {
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
    for own in written {
        assert_eq!(counts(&planned_by(&pipeline, std::slice::from_ref(&own), &context)), [1, 0, 0, 1, 0], "{own}");
        assert_eq!(counts(&planned_by(&pipeline, &[own], &PlanContext::default())), [1, 1, 0, 0, 0]);
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
fn a_record_of_no_type_is_skipped_or_rejected_by_choice() {
    let stock = record(1, "INSERT", r#""Keys":{"pk":{"S":"STOCK#SECRET"}},"NewImage":{"pk":{"S":"STOCK#SECRET"}}"#);
    let mut orders = pipeline("orders");
    assert_eq!(counts(&planned_by(&orders, std::slice::from_ref(&stock), &PlanContext::default())), [1, 0, 0, 1, 0]);
    orders.unmatched = Unmatched::Reject;
    let rejection = planned_by(&orders, &[stock], &PlanContext::default()).rejected.unwrap().to_string();
    assert_eq!(rejection, "record 1: unmatched: Keys: no record type of the pipeline matches");
}

#[test]
fn an_item_that_stops_being_of_its_type_is_taken_back() {
    let text = "[snapshot]\npartition_key = { name = \"pk\", value = \"{entity}\" }\nsort_key = { name = \"sk\", value = \"{resource}#{window_key}\" }\n[[record]]\ntype = \"seat\"\nmatch = { pk = \"{who}\" }\nwhere = { taken = true }\nentity = \"{who}\"\nresource = \"seats\"\n[[record.measure]]\nname = \"seats\"\nkind = \"delta\"\n";
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    let seats = Pipeline::parse(&crate::pipeline::Folder { name: "seats".to_owned(), files }).unwrap();
    let image = |taken: bool| format!(r#"{{"pk":{{"S":"a"}},"taken":{{"BOOL":{taken}}}}}"#);
    let change = |sequence, old, new| {
        record(
            sequence,
            "MODIFY",
            &format!(r#""Keys":{{"pk":{{"S":"a"}}}},"NewImage":{},"OldImage":{}"#, image(new), image(old)),
        )
    };
    let records = [
        change(1, false, true),
        change(2, true, true),
        change(3, true, false),
        change(4, false, false),
        change(3, true, false),
    ];
    let plan = planned_by(&seats, &records, &PlanContext::default());
    let amounts: Vec<_> =
        plan.groups[0].effects.iter().map(|effect| (effect.record, effect.amounts[0].1.to_string())).collect();
    assert_eq!(amounts, [(0, "1".to_owned()), (2, "-1".to_owned())]);
    assert_eq!(counts(&plan), [5, 1, 0, 2, 1]);
}

#[test]
fn hostile_customers_are_counted_apart_or_rejected() {
    let customers = [".", "..", "%", "%2F", "\\n", "\\u0000", "\\u202ea", "a ", "=", "'"];
    let records: Vec<String> = customers.iter().enumerate().map(|(index, who)| order(index + 1, who, GOOD)).collect();
    let plan = planned(&records, &PlanContext::default());
    assert_eq!(plan.rejected, None);
    assert_eq!(plan.groups.len(), customers.len());
    // A separator that stands beside the capture ends it, so this is no customer's order.
    assert_eq!(counts(&planned(&[order(1, "a#b", GOOD)], &PlanContext::default())), [1, 0, 0, 1, 0]);
}
