//! What the function in this process rejected. Lambda's response names only the first record that failed; the reasons are in
//! the function's log, which nobody reads while a run is watched.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_source_mapping::{RejectionReason, SequenceNumber};
use serde::{Deserialize, Serialize};
use usage_aggregator::outcome::BatchOutcome;
use usage_aggregator::record::Rejection;

/// The most reasons that are kept: far more than there are lanes, each of which waits for one record.
const REASONS: usize = 1_000;
/// How many of the last quarantined records are kept.
const LAST_QUARANTINED: usize = 10;

/// The rejected records of a function.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    reasons: VecDeque<Rejection>,
    /// Hashes of the sequence numbers of quarantined records, so that a record that is delivered again counts once: 8 bytes
    /// for each, which is little because a batch with many of them fails as a whole.
    quarantined: HashSet<u64>,
    /// The last of them, oldest first.
    last_quarantined: VecDeque<QuarantinedRecord>,
}

/// The quarantined records of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRecords {
    /// How many distinct records were quarantined.
    pub records: usize,
    /// The last of them.
    pub last: Option<QuarantinedRecord>,
}

/// A quarantined record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRecord {
    /// Its sequence number.
    pub sequence_number: String,
    /// Why it was rejected.
    #[serde(flatten)]
    pub reason: RejectionReason,
}

impl Rejections {
    /// Notes what an invocation rejected, whether or not its response arrives.
    pub(super) fn note(&self, outcome: &BatchOutcome) {
        if outcome.rejected.is_empty() && outcome.quarantined.is_empty() {
            return;
        }
        let mut state = self.lock();
        if let Some(rejection) = outcome.rejected.first() {
            state.reasons.retain(|known| known.sequence != rejection.sequence);
            state.reasons.push_back(rejection.clone());
            if state.reasons.len() > REASONS {
                state.reasons.pop_front();
            }
        }
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        for rejection in &outcome.quarantined {
            if !state.quarantined.insert(hasher.hash_one(&rejection.sequence)) {
                continue;
            }
            let sequence_number = rejection.sequence.as_str().to_owned();
            state.last_quarantined.push_back(QuarantinedRecord { sequence_number, reason: reason(rejection) });
            if state.last_quarantined.len() > LAST_QUARANTINED {
                state.last_quarantined.pop_front();
            }
        }
    }

    /// Why a record was rejected, if it was named in a response.
    pub fn reason(&self, sequence: &SequenceNumber<'_>) -> Option<RejectionReason> {
        let state = self.lock();
        state.reasons.iter().rev().find(|known| known.sequence == *sequence).map(reason)
    }

    /// The quarantined records so far.
    pub fn quarantined(&self) -> QuarantinedRecords {
        let state = self.lock();
        QuarantinedRecords { records: state.quarantined.len(), last: state.last_quarantined.back().cloned() }
    }

    /// The last records that were quarantined, newest first.
    pub fn last_quarantined(&self) -> Vec<QuarantinedRecord> {
        self.lock().last_quarantined.iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason(rejection: &Rejection) -> RejectionReason {
    let fault = &rejection.fault;
    RejectionReason { code: fault.code.name().to_owned(), field: fault.field.clone(), reason: fault.message.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::record::{Code, Fault};

    fn rejection(sequence: &str) -> Rejection {
        let sequence = SequenceNumber::parse(sequence.to_owned()).unwrap();
        Rejection {
            route: None,
            sequence,
            user_record: None,
            fault: Fault::new(Code::MissingAttribute, "NewImage.total", "is missing"),
        }
    }

    #[test]
    fn the_reason_of_the_record_that_the_response_names_is_known() {
        let rejections = Rejections::default();
        let rejected = vec![rejection("7"), rejection("9")];
        rejections.note(&BatchOutcome { rejected, ..BatchOutcome::default() });
        let of = |text: &'static str| rejections.reason(&SequenceNumber::parse(text).unwrap());
        assert_eq!(of("7").map(|reason| reason.code), Some("missing_attribute".to_owned()));
        assert_eq!(of("9"), None);
    }

    #[test]
    fn a_quarantined_record_that_is_delivered_again_counts_once() {
        let rejections = Rejections::default();
        for sequences in [&["7", "8"][..], &["8", "9"]] {
            let quarantined = sequences.iter().map(|sequence| rejection(sequence)).collect();
            rejections.note(&BatchOutcome { quarantined, ..BatchOutcome::default() });
        }
        let seen = rejections.quarantined();
        assert_eq!((seen.records, seen.last.unwrap().sequence_number), (3, "9".to_owned()));
        let last: Vec<String> =
            rejections.last_quarantined().into_iter().map(|record| record.sequence_number).collect();
        assert_eq!(last, ["9", "8", "7"]);
    }

    #[test]
    fn only_the_latest_reasons_are_kept() {
        let rejections = Rejections::default();
        for number in 0..2 * REASONS {
            let rejected = vec![rejection(&number.to_string())];
            rejections.note(&BatchOutcome { rejected, ..BatchOutcome::default() });
        }
        assert_eq!(rejections.lock().reasons.len(), REASONS);
    }
}
