//! What is acknowledged, and which record the response names.

use super::*;

/// An event of records 10, 20 and 30, none of which is decoded here.
const EVENT: &[u8] = br#"{"Records":[
    {"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"10"}},
    {"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"20"}},
    {"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"30"}}]}"#;

fn outcome(counted: Committed, stored: Stored) -> BatchOutcome {
    let event = Event::read(EVENT).unwrap();
    let tally = Tally { effective: vec![0, 1, 2], ..Tally::default() };
    BatchOutcome::new(&event, Plan { records: 3, tally, ..Plan::default() }, counted, stored, Vec::new())
}

fn named(outcome: &BatchOutcome) -> Option<String> {
    outcome.response().batch_item_failures.first()?.item_identifier.clone()
}

#[test]
fn a_batch_without_failures_names_no_record() {
    let outcome = outcome(Committed { applied: [0, 1, 2].into(), ..Committed::default() }, Stored::default());
    assert_eq!((outcome.durable, outcome.applied, outcome.duplicates, named(&outcome)), (3, 3, 0, None));
    assert_eq!(outcome.first_sequence_number.as_deref(), Some("10"));
    assert_eq!(outcome.last_sequence_number.as_deref(), Some("30"));
}

#[test]
fn the_first_failure_of_both_sinks_ends_what_is_durable() {
    let counted = Committed {
        applied: [0, 1].into(),
        failed: vec![(2, Error::poison("count".to_owned()))],
        ..Committed::default()
    };
    let stored = Stored { failed: vec![(1, Error::transient("put".to_owned()))], ..Stored::default() };
    let outcome = outcome(counted, stored);
    assert_eq!((outcome.durable, named(&outcome).as_deref()), (1, Some("20")));
    assert_eq!(outcome.rejected[0].to_string(), "record 20: not_durable: archive: failed to put");
    // Record 20 is counted, but not acknowledged: its redelivery will be a duplicate.
    assert_eq!(outcome.applied, 2);
}

#[test]
fn what_an_earlier_delivery_counted_is_a_duplicate() {
    let counted = Committed { applied: [0].into(), duplicates: [1].into(), ..Committed::default() };
    let stored = Stored { created: [1, 2].into(), ..Stored::default() };
    let outcome = outcome(counted, stored);
    assert_eq!((outcome.applied, outcome.duplicates), (2, 1), "record 30 counts nothing, but its file is new");
}
