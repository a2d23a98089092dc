//! What the ledger counted for each record of an hour, as one number per record: a hash for each thing that it adds, added up. The
//! same number follows from a row. So an hour of a few million records fits into memory, whatever they count.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;
use usage_aggregator::error::Error;
use usage_aggregator::fold::{PageRecord, Pages, Standing};
use usage_aggregator::ledger::{Aggregate, PageKind};
use usage_aggregator::time::HOUR_SECONDS;
use usage_aggregator::usage::{CounterAdditions, CounterKey, Segment};

use super::Prover;

/// Minutes that are read at once. A minute of a large table has 100,000 records, and each is in memory with its texts until it is a
/// number.
const MINUTES: usize = 2;

/// What was counted for a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sum: u64,
    /// Whether another generation of the measures counted it.
    pub(super) is_of_other: bool,
}

/// The records of an hour that weren't compared yet, by the first 8 bytes of their ids.
pub(super) struct Counted(HashMap<u64, Mark>);

impl Counted {
    /// Reads the pages of an hour.
    pub(super) async fn read(prover: &Prover<'_>, from: i64, deadline: Option<Instant>) -> Result<Counted, Error> {
        let mut marks: HashMap<u64, Mark> = HashMap::new();
        let minutes = (from..from + HOUR_SECONDS).step_by(60).map(Segment::at);
        let reads: Vec<_> = minutes.map(|minute| prover.folder.records(minute, Pages::InUse, deadline)).collect();
        let mut reads = stream::iter(reads).buffered(MINUTES);
        while let Some(read) = reads.try_next().await? {
            for record in &read.records {
                if record.kind == PageKind::Usage && record.standing != Standing::Repeated {
                    let mark = marks.entry(record.id.short()).or_default();
                    mark.sum = mark.sum.wrapping_add(of_record(prover, record));
                    mark.is_of_other |= record.generation != prover.pipeline.generation;
                }
            }
        }
        Ok(Counted(marks))
    }

    /// What was counted for a record, if anything was. It isn't left then.
    pub(super) fn take(&mut self, id: u64) -> Option<Mark> {
        self.0.remove(&id)
    }

    /// The records that weren't taken, and how many of another generation weren't: that may have counted record types that this
    /// one doesn't.
    pub(super) fn left(self) -> (Vec<u64>, usize) {
        let (others, left): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|(_, mark)| mark.is_of_other);
        let mut ids: Vec<u64> = left.into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        (ids, others.len())
    }
}

fn of_record(prover: &Prover<'_>, record: &PageRecord) -> u64 {
    let amounts = record.amounts.iter().filter(|(_, amount)| !amount.is_zero());
    let amounts = amounts.map(|(measure, amount)| (measure, amount.to_string()));
    let values = record.values.iter().map(|(measure, value)| (measure, value.clone()));
    let texts = amounts.chain(values).filter(|(measure, _)| !prover.excluded.contains(*measure));
    texts.map(|(measure, text)| hash(&record.key, record.event_hour, measure, &text)).fold(0, u64::wrapping_add)
}

/// The number that the ledger must have for a record with these additions.
pub(super) fn of_additions(prover: &Prover<'_>, additions: &[CounterAdditions]) -> u64 {
    let mut sum = 0_u64;
    for CounterAdditions { key, event_hour, amounts } in additions {
        for addition in amounts {
            let is_zero =
                addition.aggregate == Aggregate::Sum && addition.amount().is_some_and(|amount| amount.is_zero());
            if !is_zero && !prover.excluded.contains(&*addition.measure) {
                sum = sum.wrapping_add(hash(key, *event_hour, &addition.measure, &addition.cell.to_string()));
            }
        }
    }
    sum
}

fn hash(key: &CounterKey, event_hour: Option<Segment>, measure: &str, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&key.0, event_hour.map(Segment::start), measure, text).hash(&mut hasher);
    hasher.finish()
}
