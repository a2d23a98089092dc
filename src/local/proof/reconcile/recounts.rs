//! Recounts measures that aren't sums from the rows of the archive. Their values pass through the temporary SQLite file, like
//! sums, and become expected texts in the end. They are computed by the function's own code for values, so this proves that
//! each snapshot has the right records, each once, and not how a value follows from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use rusqlite::{OptionalExtension, params};

use super::Site;
use super::expected_totals::{Counter, ExpectedTotals};
use usage_aggregator::fold::Recount;
use usage_aggregator::pipeline::{Aggregate, Snapshot};
use usage_aggregator::usage::Addition;
use usage_compact::steps::provable::Gaps;

/// Values that are kept in memory before they are added to the file. The largest have a few kilobytes.
const PENDING_VALUES: usize = 5_000;

/// 40: the most digits of a sequence number of DynamoDB. Those of Kinesis have more.
const DYNAMODB_DIGITS: usize = 40;

/// The values of measures that are recounted.
#[derive(Debug, Default)]
pub(super) struct Recounts {
    /// The measures that are recounted.
    aggregates: BTreeMap<String, Aggregate>,
    pending: HashMap<Counter, Recount>,
    /// First and latest values of Kinesis records. Of equal times, the order isn't in the archive.
    unordered: BTreeSet<String>,
}

impl Recounts {
    /// Recounts what an archive with these gaps determines. Nothing without an archive.
    pub(super) fn new(site: &Site<'_>, gaps: &Gaps) -> Recounts {
        let is_possible = site.archive.is_some() && gaps.fatal.is_empty();
        let kinds = site.pipeline.snapshot.iter().filter(|_| is_possible).flat_map(|snapshot| &snapshot.kinds);
        let known = kinds.filter(|(name, kind)| is_recounted(kind.aggregate) && !gaps.measures.contains_key(*name));
        let aggregates = known.map(|(name, kind)| (name.clone(), kind.aggregate)).collect();
        Recounts { aggregates, ..Recounts::default() }
    }

    /// Whether nothing is recounted.
    pub(super) fn is_empty(&self) -> bool {
        self.aggregates.is_empty()
    }

    /// The measures that are recounted.
    pub(super) fn names(&self) -> Vec<String> {
        self.aggregates.keys().cloned().collect()
    }

    /// Whether a measure is recounted.
    pub(super) fn has(&self, measure: &str) -> bool {
        self.aggregates.contains_key(measure)
    }

    /// Adds what a record with this sequence number says. One that was taken back only names the measure.
    pub(super) fn say(
        &mut self,
        totals: &ExpectedTotals,
        counter: Counter,
        addition: &Addition,
        sequence: &str,
        counts: bool,
    ) -> anyhow::Result<()> {
        let Some(aggregate) = self.aggregates.get(&*addition.measure).copied() else { return Ok(()) };
        if matches!(aggregate, Aggregate::First | Aggregate::Latest) && sequence.len() > DYNAMODB_DIGITS {
            self.unordered.insert(addition.measure.to_string());
            return Ok(());
        }
        let value = self.pending.entry(counter).or_insert_with(|| Recount::new(aggregate));
        if counts {
            value.insert(&addition.cell);
        }
        if self.pending.len() >= PENDING_VALUES { self.settle(totals) } else { Ok(()) }
    }

    /// Adds pending values to the file.
    fn settle(&mut self, totals: &ExpectedTotals) -> anyhow::Result<()> {
        let connection = totals.connection();
        let mut read = connection.prepare_cached(
            "SELECT value FROM recounts WHERE grp = ?1 AND window = ?2 AND start = ?3 AND measure = ?4",
        )?;
        let mut write = connection.prepare_cached("INSERT OR REPLACE INTO recounts VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (Counter { group, window, start, measure }, mut value) in self.pending.drain() {
            let before: Option<Vec<u8>> =
                read.query_row(params![group, window, start, measure], |row| row.get(0)).optional()?;
            if let (Some(before), Some(aggregate)) = (before, self.aggregates.get(&measure)) {
                value.merge(&Recount::read(*aggregate, &before).context("read a value")?);
            }
            write.execute(params![group, window, start, measure, value.bytes()])?;
        }
        Ok(())
    }

    /// The value of a measure that was recounted.
    pub(super) fn value(
        totals: &ExpectedTotals,
        [group, window, start, measure]: [&str; 4],
        aggregate: Aggregate,
    ) -> anyhow::Result<Option<Recount>> {
        let sql = "SELECT value FROM recounts WHERE grp = ?1 AND window = ?2 AND start = ?3 AND measure = ?4";
        let mut read = totals.connection().prepare_cached(sql)?;
        let bytes: Option<Vec<u8>> =
            read.query_row(params![group, window, start, measure], |row| row.get(0)).optional()?;
        bytes.map(|bytes| Recount::read(aggregate, &bytes).context("read a value")).transpose()
    }

    /// Expects the attributes that the values have. Returns the measures that can't be recounted after all; nothing is
    /// expected of them.
    pub(super) fn finish(mut self, snapshot: &Snapshot, totals: &ExpectedTotals) -> anyhow::Result<Vec<String>> {
        self.settle(totals)?;
        let connection = totals.connection();
        let mut rows = connection.prepare("SELECT grp, window, start, measure, value FROM recounts")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (group, window, start, measure): (String, String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let Some(aggregate) = self.aggregates.get(&measure).filter(|_| !self.unordered.contains(&measure)) else {
                continue;
            };
            let value = Recount::read(*aggregate, &row.get::<_, Vec<u8>>(4)?).context("read a value")?;
            let key = [group.as_str(), &window, &start];
            for (attribute, text) in value.attributes(&measure, snapshot.quantiles(&measure)) {
                totals.expect_text(key, &attribute, text.as_deref())?;
            }
        }
        Ok(self.unordered.into_iter().collect())
    }
}

/// Whether a value of this kind follows from the records of a window alone.
fn is_recounted(aggregate: Aggregate) -> bool {
    use Aggregate::{Distinct, First, Latest, Max, Min, Quantile};
    matches!(aggregate, Max | Min | First | Latest | Distinct { .. } | Quantile)
}
