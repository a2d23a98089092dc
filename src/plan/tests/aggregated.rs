//! Plans of Kinesis records that the Kinesis Producer Library has aggregated. Their messages are counted one by one, and the
//! response names them together.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::decode::tests::aggregate::aggregated;
use crate::outcome::{BatchOutcome, Failed, Stored};

const GOOD: &str = r#"{"racerId":3,"competitionId":1,"distance":4.25,"speed":4.25,"status":"RIDING"}"#;
const BAD: &str = r#"{"racerId":3,"competitionId":1,"distance":"far","speed":4.25,"status":"RIDING"}"#;

/// A Kinesis record with this sequence number.
fn kinesis(sequence: usize, data: impl AsRef<[u8]>) -> String {
    let data = BASE64.encode(data);
    format!(
        r#"{{"kinesis":{{"partitionKey":"a","sequenceNumber":"{sequence}","data":"{data}","approximateArrivalTimestamp":1795199401.042}},"eventSource":"aws:kinesis","eventID":"shardId-000000000000:{sequence}","eventSourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/alleycat"}}"#
    )
}

/// The outcome of a batch whose plan is stored, and the ids of what is counted.
fn outcome(records: &[String], context: &PlanContext) -> (BatchOutcome, Vec<RecordId>) {
    let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let (batch, plan) = plan_event(event.as_bytes(), &pipeline("alleycat"), context).unwrap();
    let ids = plan.groups.iter().flat_map(|group| &group.effects).map(|effect| effect.id).collect();
    (BatchOutcome::new(&batch, plan, Stored::default()), ids)
}

fn failed(outcome: &BatchOutcome) -> Vec<String> {
    outcome.response().batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier).collect()
}

#[test]
fn equal_messages_of_one_record_count_twice_and_its_redelivery_counts_nothing() {
    let aggregate = kinesis(1, aggregated(&[GOOD, GOOD]));
    let (once, ids) = outcome(std::slice::from_ref(&aggregate), &PlanContext::default());
    assert_eq!((once.records, once.durable, once.repeated, ids.len()), (2, 2, 0, 2));
    let (twice, again) = outcome(&[aggregate.clone(), kinesis(2, GOOD), aggregate], &PlanContext::default());
    assert_eq!((twice.records, twice.durable, twice.repeated, again.len()), (5, 5, 2, 3));
    assert_eq!(&again[..2], ids);
}

#[test]
fn a_rejected_message_ends_the_plan_at_its_record() {
    let records = [kinesis(1, GOOD), kinesis(2, aggregated(&[GOOD, BAD, GOOD])), kinesis(3, GOOD)];
    let (outcome, ids) = outcome(&records, &PlanContext::default());
    // The message before the rejected one counts now and is delivered again, with the same id.
    assert_eq!((outcome.records, outcome.durable, ids.len()), (5, 2, 2));
    assert_eq!(failed(&outcome), ["2"]);
    let rejection = outcome.rejected[0].to_string();
    assert!(rejection.starts_with("record 2, user record 1: invalid_value: "), "{rejection}");
}

#[test]
fn a_rejected_message_is_quarantined_and_the_others_count() {
    let records = [kinesis(1, aggregated(&[GOOD, BAD, GOOD])), kinesis(2, GOOD)];
    let (outcome, ids) = outcome(&records, &quarantine());
    assert_eq!((outcome.records, outcome.durable, ids.len(), outcome.quarantined.len()), (4, 4, 3, 1));
    assert_eq!(outcome.quarantined[0].user_record, Some(1));
    assert!(failed(&outcome).is_empty());
}

#[test]
fn a_page_that_cannot_be_put_names_the_record_of_its_first_message() {
    let records = [kinesis(1, GOOD), kinesis(2, aggregated(&[GOOD, GOOD]))].join(",");
    let event = format!(r#"{{"Records":[{records}]}}"#);
    let (batch, plan) = plan_event(event.as_bytes(), &pipeline("alleycat"), &PlanContext::default()).unwrap();
    let failed_put = Failed::new(2, "ledger", &crate::error::Error::transient("put a page".to_owned()));
    let outcome = BatchOutcome::new(&batch, plan, Stored { failed: vec![failed_put], ..Stored::default() });
    assert_eq!((outcome.durable, failed(&outcome)), (2, vec!["2".to_owned()]));
}

#[test]
fn a_record_without_messages_has_no_effect() {
    let (outcome, ids) = outcome(&[kinesis(1, aggregated(&[""; 0])), kinesis(2, GOOD)], &PlanContext::default());
    assert_eq!((outcome.records, outcome.durable, ids.len()), (1, 1, 1));
}
