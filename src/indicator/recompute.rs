//! The recomputation of targets. The version of a target is read before its items, and the result is written only if that
//! version is still there; otherwise everything is read again. So whoever writes last has read the items after the write
//! before it, and the last change of an item is followed by a recomputation that has seen it.
//!
//! A result that equals what is stored is written, too, under a new version. It is a fence: a recomputation that read older
//! items and the same version can no longer write. A target that is deleted stays deleted, because the write requires
//! that it exists. Nothing can fence a target that doesn't exist: a late write may create one that has been deleted, with older
//! values. The record of that insertion therefore asks for it like any other.

use std::fmt;

use futures::stream::{self, StreamExt};

use super::attribute::from_item;
use super::contribution::{TargetKey, contribution};
use super::table::{Put, SourceTable, StoredTarget};
use super::values::{MAX_NAME_BYTES, Values};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::outline::WrittenItems;
use crate::pipeline::{Indicator, MissingTarget, Pipeline};
use crate::record::{Code, Item};

/// How often a target is computed again because someone else has written it meanwhile. Then its record is delivered again.
const MAX_CONFLICTS: usize = 20;

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Its values have changed.
    Changed,
    /// It had these values; only its version is new.
    Equal,
    /// It doesn't exist.
    Missing,
}

/// What recomputations did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// Targets whose values have changed.
    pub changed: usize,
    /// Targets that had these values.
    pub equal: usize,
    /// Targets that don't exist.
    pub missing: usize,
    /// How often a target was computed again because someone else had written it meanwhile.
    pub conflicts: usize,
}

impl Recomputed {
    fn count(&mut self, written: Written) {
        match written {
            Written::Changed => self.changed += 1,
            Written::Equal => self.equal += 1,
            Written::Missing => self.missing += 1,
        }
    }

    /// Adds what others did.
    pub fn add(&mut self, other: Recomputed) {
        self.changed += other.changed;
        self.equal += other.equal;
        self.missing += other.missing;
        self.conflicts += other.conflicts;
    }
}

/// Why a target wasn't written.
#[derive(Debug)]
pub struct Failure {
    /// The code for the records that asked.
    pub code: Code,
    /// What failed.
    pub error: Error,
}

impl Failure {
    /// A failure that no retry can fix.
    fn poison(code: Code, message: String) -> Failure {
        Failure { code, error: Error::poison(message) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match error.kind {
            ErrorKind::Poison => Code::Refused,
            ErrorKind::Transient | ErrorKind::Config => Code::NotDurable,
        };
        Failure { code, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

/// Recomputes targets of a pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Recomputer<'t> {
    /// The pipeline.
    pub pipeline: &'t Pipeline,
    /// The table that has the items and the targets.
    pub table: SourceTable<'t>,
    /// How many targets are recomputed at the same time.
    pub concurrency: usize,
}

impl Recomputer<'_> {
    /// Recomputes targets, each by the name of its table, the index of its indicator, and its key. The results are in the order of
    /// the targets.
    pub async fn all(&self, targets: &[(&str, usize, &TargetKey)]) -> Vec<(Result<Written, Failure>, Recomputed)> {
        let one = |(name, number, key): &(&str, usize, &TargetKey)| {
            let (name, number, key) = ((*name).to_owned(), *number, (*key).clone());
            async move {
                let mut recomputed = Recomputed::default();
                let recomputer = Recomputer { table: SourceTable { name: &name, ..self.table }, ..*self };
                let written = match self.pipeline.indicators.get(number) {
                    Some(indicator) => recomputer.target(indicator, &key, &mut recomputed).await,
                    None => Ok(Written::Missing),
                };
                (written, recomputed)
            }
        };
        // Futures are collected before they are streamed because a closure over borrows isn't Send for every lifetime.
        let all: Vec<_> = targets.iter().map(one).collect();
        stream::iter(all).buffered(self.concurrency.max(1)).collect().await
    }

    /// Recomputes a target until no one else writes it meanwhile.
    ///
    /// # Errors
    /// If the table can't be read or written before the deadline, or if the query finds too many items.
    pub async fn target(
        &self,
        indicator: &Indicator,
        key: &TargetKey,
        recomputed: &mut Recomputed,
    ) -> Result<Written, Failure> {
        let mut backoff = Backoff::until(self.table.deadline);
        for _ in 0..=MAX_CONFLICTS {
            // The version must be read before the items. The other way around, what others wrote in between would be lost.
            let stored = self.table.target(indicator, key).await?;
            if !stored.exists && indicator.missing_target == MissingTarget::Skip {
                recomputed.count(Written::Missing);
                return Ok(Written::Missing);
            }
            let values = self.values(indicator, key).await?;
            if let Some(written) = self.write(indicator, key, &stored, &values).await? {
                recomputed.count(written);
                return Ok(written);
            }
            recomputed.conflicts += 1;
            backoff.count();
            if !backoff.pause().await {
                break;
            }
        }
        let message = format!(
            "write the indicator \"{}\" into {}: others write the same target all the time",
            indicator.name, self.table.name
        );
        Err(backoff.give_up(Error::transient(message)).into())
    }

    /// Writes the values, unless the target has changed since it was read.
    async fn write(
        &self,
        indicator: &Indicator,
        key: &TargetKey,
        stored: &StoredTarget,
        values: &Item<'_>,
    ) -> Result<Option<Written>, Failure> {
        let token = format!("{:016x}", fastrand::u64(..));
        let put = self.table.put(indicator, key, stored, values, &token).await?;
        Ok(match put {
            Put::Refused => None,
            Put::Done if stored.has(values) => Some(Written::Equal),
            Put::Done => Some(Written::Changed),
        })
    }

    /// The values of a target, computed from its items as they are now.
    ///
    /// # Errors
    /// As for [`Recomputer::target`].
    pub async fn values(&self, indicator: &Indicator, key: &TargetKey) -> Result<Item<'static>, Failure> {
        let text = |name: &str| key.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        let variables = indicator.target_variables(text).unwrap_or_default();
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        let mut values = Values::new(indicator);
        let (mut found, mut start) = (0, None);
        loop {
            let page = self.table.items(indicator, &variables, start).await?;
            found += page.items.len();
            if found > indicator.max_items {
                let (name, most) = (&indicator.name, indicator.max_items);
                let message = format!(
                    "compute the indicator \"{name}\": its query finds more than max_items = {most} items; raise it, or narrow \
                     the query"
                );
                return Err(Failure::poison(Code::TooManyItems, message));
            }
            for item in page.items {
                self.add(&mut values, indicator, key, &from_item(item))?;
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        match values.too_long_name() {
            None => Ok(values.entries()),
            Some((name, bytes)) => {
                let message = format!(
                    "compute the indicator \"{}\": \"{name}\" would have an entry with a name of {bytes} bytes; DynamoDB \
                     allows at most {MAX_NAME_BYTES}",
                    indicator.name
                );
                Err(Failure::poison(Code::InvalidValue, message))
            }
        }
    }

    /// Adds what an item gives, if it gives it to this target.
    fn add(
        &self,
        values: &mut Values<'_>,
        indicator: &Indicator,
        key: &TargetKey,
        item: &Item<'_>,
    ) -> Result<(), Failure> {
        let written = WrittenItems::of(item);
        // An item that doesn't name its target counts for none; its own record is quarantined for that.
        let given = contribution(self.pipeline, indicator, written.outline()).ok().flatten();
        let Some(given) = given.filter(|given| given.target == *key) else { return Ok(()) };
        values.add(given).map_err(|name| {
            let message = format!(
                "compute the indicator \"{}\": the sum \"{name}\" would need more than 38 digits",
                indicator.name
            );
            Failure::poison(Code::InvalidNumber, message)
        })
    }
}
