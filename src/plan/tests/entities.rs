//! A batch of which too many records are rejected: whether it is rejected as a whole depends on how many entities they are of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::decode::tests::aggregate::aggregated;

const BAD: &str = r#""total":{"N":"1"}"#;

/// `count` orders, each by the customer that follows from its number.
fn orders(from: usize, count: usize, customer: impl Fn(usize) -> String, attributes: &str) -> Vec<String> {
    (from..from + count).map(|number| order(number, &customer(number), attributes)).collect()
}

fn bad(count: usize, customers: usize) -> Vec<String> {
    orders(1_000, count, |number| format!("bad-{}", number % customers), BAD)
}

fn good(count: usize, customers: usize) -> Vec<String> {
    orders(2_000, count, |number| format!("good-{}", number % customers), GOOD)
}

/// A good profile has a name.
const PROFILE: &str = r#","name":{"S":"a"}"#;

/// A profile of a customer, which is archived and not counted.
fn profile(sequence: usize, customer: &str, attributes: &str) -> String {
    let keys = format!(r#""pk":{{"S":"CUSTOMER#{customer}"}},"sk":{{"S":"PROFILE"}}"#);
    record(sequence, "INSERT", &format!(r#""Keys":{{{keys}}},"NewImage":{{{keys}{attributes}}}"#))
}

/// Profiles, each of another customer.
fn profiles(from: usize, count: usize, attributes: &str) -> Vec<String> {
    (from..from + count).map(|number| profile(number, &number.to_string(), attributes)).collect()
}

/// What a function that has handled these batches remembers.
fn after(batches: &[Vec<String>]) -> PlanContext {
    let mut recent = Recent::default();
    for records in batches {
        let context = after_memory(recent.clone());
        let plan = planned(records, &context);
        let quarantined = plan.quarantined.iter().map(|quarantined| quarantined.record).collect();
        recent.add_batch(plan.records, &quarantined, plan.evidence);
    }
    after_memory(recent)
}

fn after_memory(recent: Recent) -> PlanContext {
    PlanContext { on_rejection: OnRejection::Quarantine { limit_percent: 50, recent }, ..PlanContext::default() }
}

/// How many records are quarantined; `None` if the batch is rejected as a whole.
fn quarantined(records: &[Vec<String>], context: &PlanContext) -> Option<usize> {
    let plan = planned(&records.concat(), context);
    plan.rejected.is_none().then_some(plan.quarantined.len())
}

#[test]
fn a_batch_with_many_bad_records_of_few_entities_is_quarantined_and_one_with_those_of_many_is_not() {
    let cases = [
        // Records of one customer among two others.
        ((90, 1), (10, 2), Some(90)),
        ((90, 10), (10, 10), Some(90)),
        ((90, 11), (10, 10), None),
        ((90, 90), (10, 10), None),
        // Of two customers, neither is a minority.
        ((90, 1), (10, 1), None),
        ((90, 1), (0, 1), None),
        ((90, 3), (0, 1), None),
    ];
    for ((bad_records, attackers), (good_records, others), expected) in cases {
        let records = [bad(bad_records, attackers), good(good_records, others)];
        assert_eq!(quarantined(&records, &quarantine()), expected, "{attackers} among {others}");
    }
}

#[test]
fn an_entity_with_good_and_bad_records_has_bad_ones() {
    let both = |number: usize| format!("both-{}", number % 10);
    let records = [orders(1, 60, both, BAD), orders(100, 40, both, GOOD), good(10, 5)];
    assert_eq!(quarantined(&records, &quarantine()), None, "10 of 15");
}

#[test]
fn the_entities_of_earlier_batches_show_that_the_release_works() {
    let attack = || [bad(100, 1)];
    assert_eq!(quarantined(&attack(), &quarantine()), None, "nothing is known about others");
    assert_eq!(quarantined(&attack(), &after(&[good(1, 1)])), None, "one other doesn't make a minority");
    let others: Vec<Vec<String>> = (1..=2).map(|number| orders(number, 1, |number| number.to_string(), GOOD)).collect();
    assert_eq!(quarantined(&attack(), &after(&others)), Some(100));
    let long_before = [others, vec![bad(40, 1); 5]].concat();
    assert_eq!(quarantined(&attack(), &after(&long_before)), Some(100), "the attacker takes one place, not all");
    // A batch in which too many records were rejected has shown all of its entities.
    assert_eq!(quarantined(&attack(), &after(&[[bad(90, 1), good(10, 10)].concat()])), Some(100));
}

#[test]
fn a_release_that_rejects_everybody_is_broken_whatever_came_before() {
    let before = after(&[[bad(90, 1), good(10, 10)].concat(), good(500, 10)]);
    let everybody = |count| [orders(5_000, count, |number| format!("good-{}", number % 30), BAD)];
    assert_eq!(quarantined(&everybody(100), &before), None);
    // A small batch is judged with what came before: the last of them are remembered as rejected.
    let two = |from| orders(from, 19, move |number| format!("{from}-{}", number % 2), BAD);
    let broken: Vec<Vec<String>> = (0..20).map(|batch| two(6_000 + batch * 100)).collect();
    let rejected = (0..20).find(|count| quarantined(&broken[*count..=*count], &after(&broken[..*count])).is_none());
    assert_eq!(rejected, Some(1), "19 records are too few to tell");
}

#[test]
fn good_records_of_other_types_do_not_hide_one_that_is_broken() {
    let broken = bad(60, 6);
    assert_eq!(quarantined(&[profiles(1, 50, PROFILE)], &quarantine()), Some(0));
    assert_eq!(quarantined(&[broken.clone(), profiles(1, 50, PROFILE)], &quarantine()), None);
    let before: Vec<Vec<String>> = (1..=20).map(|number| profiles(number, 1, PROFILE)).collect();
    assert_eq!(quarantined(std::slice::from_ref(&broken), &after(&before)), None);
    assert_eq!(quarantined(&[broken, good(40, 40)], &quarantine()), Some(60));
}

#[test]
fn a_record_type_without_a_counter_has_the_entities_that_its_keys_name() {
    let of_one: Vec<String> = (1..=90).map(|number| profile(number, "bad", "")).collect();
    assert_eq!(quarantined(&[of_one, profiles(100, 10, PROFILE)], &quarantine()), Some(90));
    assert_eq!(quarantined(&[profiles(1, 90, ""), profiles(100, 10, PROFILE)], &quarantine()), None);
}

#[test]
fn a_rejected_record_without_an_entity_counts_as_one() {
    let text = shipped("orders").unwrap();
    let files =
        text.files.into_iter().map(|(name, text)| (name, text.replace("\"{customer}\"\n", "\"all\"\n"))).collect();
    let all = Pipeline::parse(&crate::pipeline::Folder { name: "orders".to_owned(), files }).unwrap();
    let records = [bad(60, 1), good(40, 20)].concat();
    assert!(planned_by(&all, &records, &quarantine()).rejected.is_some(), "who it is of is the same for all");
    assert_eq!(planned(&records, &quarantine()).quarantined.len(), 60);

    let unmatched = |count: usize| (1..=count).map(|number| record(number, "INSERT", UNMATCHED)).collect::<Vec<_>>();
    let strict = Pipeline { unmatched: Unmatched::Reject, ..pipeline("orders") };
    for (count, expected) in [(9, true), (12, false)] {
        let plan = planned_by(&strict, &[unmatched(count), bad(60, 1), good(10, 10)].concat(), &quarantine());
        assert_eq!(plan.rejected.is_none(), expected, "{count} of {}", count + 11);
    }
}

const UNMATCHED: &str = r#""Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"}}"#;

/// A tenant can choose a value that makes the whole message unreadable. Whose it is, the rest tells.
#[test]
fn the_entity_of_a_message_that_cannot_be_decoded_is_known() {
    let message =
        |racer: usize, distance: &str| format!(r#"{{"racerId":{racer},"competitionId":1,"distance":{distance}}}"#);
    let kinesis = |sequence: usize, data: &[u8]| {
        let data = BASE64.encode(data);
        format!(
            r#"{{"kinesis":{{"partitionKey":"a","sequenceNumber":"{sequence}","data":"{data}","approximateArrivalTimestamp":1795199401.042}},"eventSource":"aws:kinesis","eventID":"shardId-000000000000:{sequence}","eventSourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/alleycat"}}"#
        )
    };
    for unreadable in ["1e400", r#""\ud800""#, r#"{"a":{"b":1e400}}"#] {
        let bad: Vec<String> = (1..=30).map(|_| message(0, unreadable)).collect();
        let good: Vec<String> = (1..=10).map(|racer| message(racer, "1.5")).collect();
        let messages = [bad, good].concat();
        let single: Vec<String> =
            messages.iter().enumerate().map(|(number, message)| kinesis(number + 1, message.as_bytes())).collect();
        for records in [single, vec![kinesis(1, &aggregated(&messages))]] {
            let plan = planned_by(&pipeline("alleycat"), &records, &quarantine());
            assert_eq!((plan.records, plan.quarantined.len()), (40, 30), "{unreadable}");
            assert_ne!(plan.quarantined[0].rejection.fault.code, Code::InvalidValue, "{unreadable}");
        }
        let everybody: Vec<String> =
            (1..=30).map(|racer| kinesis(racer, message(racer, unreadable).as_bytes())).collect();
        assert!(planned_by(&pipeline("alleycat"), &everybody, &quarantine()).rejected.is_some());
    }
}

#[tokio::test]
async fn records_that_make_the_function_panic_have_entities() {
    let sequences: Vec<String> = (1_000..1_020).map(|number| number.to_string()).collect();
    let attack = [orders(1_000, 20, |_| "bad".to_owned(), GOOD), good(10, 5)];
    let found = panicking_at(&sequences, async { quarantined(&attack, &quarantine()) }).await;
    assert_eq!(found, Some(20));
}
