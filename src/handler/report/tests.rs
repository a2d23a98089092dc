//! What is counted, and what isn't.

use std::collections::BTreeMap;

use super::*;
use crate::error::Error;
use crate::fold::{Folded, LEDGER_BEHIND, Notice, Swept};
use crate::ledger::PageRef;

fn value(metrics: &Metrics, name: &str) -> Option<f64> {
    metrics.data().iter().find(|datum| datum.name == name).map(|datum| datum.value)
}

#[test]
fn snapshots_ahead_of_the_ledger_are_counted_although_other_notices_were_folded() {
    let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let folded =
        Folded { settled: 1, error: Some(Error::config(format!("publish: {LEDGER_BEHIND}"))), ..Folded::default() };
    let outcome = FoldOutcome { notices: 2, folded, ..FoldOutcome::default() };
    let metrics = fold_metrics(&outcome, now, Instant::now());
    assert_eq!((value(&metrics, "LedgerBehind"), value(&metrics, "FoldErrors")), (Some(1.0), Some(1.0)));
    let outcome = FoldOutcome { folded: Folded { error: None, ..outcome.folded }, ..outcome };
    assert_eq!(value(&fold_metrics(&outcome, now, Instant::now()), "LedgerBehind"), None);
}

#[test]
fn a_proof_reports_zero_and_one_that_failed_reports_nothing() {
    let proven = Proven { windows: 2, ..Proven::default() };
    let metrics = proof_metrics(&Ok(ProofOutcome { proven, ..ProofOutcome::default() }));
    assert_eq!((value(&metrics, "ProofWindows"), value(&metrics, "ProofDifferences")), (Some(2.0), Some(0.0)));
    assert!(proof_metrics(&Err(Error::transient("no time"))).data().is_empty());
}

#[test]
fn a_sweep_counts_what_its_fold_counts() {
    let key = vec![("pk".to_owned(), "a".to_owned())];
    let item = SnapshotItem { key, attributes: Vec::new(), expires_at: None };
    let refused = BTreeMap::from([(item, "Item size has exceeded the maximum allowed size".to_owned())]);
    let swept = Swept { repaired: 2, refused, overflows: 3, conflicts: 4, ..Swept::default() };
    let metrics = sweep_metrics(&Ok(SweepOutcome { swept, ..SweepOutcome::default() }));
    let values = ["SweepRepaired", "Unpublished", "Overflow", "Conflicts"].map(|name| value(&metrics, name));
    assert_eq!(values, [2.0, 1.0, 3.0, 4.0].map(Some));
    assert!(sweep_metrics(&Ok(SweepOutcome::default())).data().is_empty());
}

#[test]
fn regression_the_latency_of_a_batch_includes_its_own_duration() {
    let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let mut batch = BatchOutcome { records: 1, durable: 1, ..BatchOutcome::default() };
    batch.tally.oldest_created_at = Timestamp::from_seconds(now.seconds() - 5);
    let started = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
    let metrics = append_metrics(&batch, now, started);
    assert!(value(&metrics, "ProcessingLatency") >= Some(7_000.0), "{:?}", metrics.data());
}

#[test]
fn pages_that_a_stuck_batch_writes_again_are_not_counted() {
    let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let page = Notice { minute: crate::usage::Segment::containing(now), page: PageRef { bucket: 0, name: 1 } };
    let batch = |durable| BatchOutcome { records: 2, durable, pages: vec![page], ..BatchOutcome::default() };
    let pages = |durable| value(&append_metrics(&batch(durable), now, Instant::now()), "PagesWritten");
    assert_eq!((pages(1), pages(0)), (Some(1.0), Some(0.0)));
}

#[test]
fn a_batch_that_is_folded_at_once_counts_its_snapshots() {
    let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let metrics = |folded| append_metrics(&BatchOutcome { folded, ..BatchOutcome::default() }, now, Instant::now());
    let restated = metrics(Folded { snapshots: 3, restated: 2, ..Folded::default() });
    let values = |metrics: &Metrics| ["SnapshotsUpdated", "SnapshotsRestated"].map(|name| value(metrics, name));
    assert_eq!(values(&restated), [Some(3.0), Some(2.0)]);
    assert_eq!(values(&metrics(Folded::default())), [None, None], "otherwise, the fold function counts them");
}
