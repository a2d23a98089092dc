//! What is acknowledged, and which record the response names.

use super::*;

/// An event of records 10, 20 and 30, none of which is decoded here.
const EVENT: &[u8] = br#"{"Records":[
    {"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"10"}},
    {"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"20"}},
    {"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"30"}}]}"#;

fn outcome(stored: Stored) -> BatchOutcome {
    let event = Event::read(EVENT).unwrap();
    BatchOutcome::new(&event, Plan { records: 3, ..Plan::default() }, stored)
}

fn named(outcome: &BatchOutcome) -> Option<String> {
    outcome.response().batch_item_failures.first()?.item_identifier.clone()
}

#[test]
fn a_batch_without_failures_names_no_record() {
    let outcome = outcome(Stored::default());
    assert_eq!((outcome.durable, named(&outcome)), (3, None));
    assert_eq!(outcome.first_sequence_number.as_deref(), Some("10"));
    assert_eq!(outcome.last_sequence_number.as_deref(), Some("30"));
}

#[test]
fn the_first_failure_of_all_sinks_ends_what_is_durable() {
    let failed = vec![
        Failed::new(2, "ledger", &Error::transient("put a page".to_owned())),
        Failed::new(1, "archive", &Error::transient("put a file".to_owned())),
    ];
    let outcome = outcome(Stored { failed, ..Stored::default() });
    assert_eq!((outcome.durable, named(&outcome).as_deref()), (1, Some("20")));
    assert_eq!(outcome.rejected[0].to_string(), "record 20: not_durable: archive: failed to put a file");
}

#[test]
fn a_fold_names_the_first_notice_that_is_not_settled() {
    let outcome = FoldOutcome { failed: Some("20".to_owned()), ..FoldOutcome::default() };
    assert_eq!(outcome.response().batch_item_failures[0].item_identifier.as_deref(), Some("20"));
    assert!(FoldOutcome::default().response().batch_item_failures.is_empty());
}
