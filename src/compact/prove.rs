//! The proof of past hours: what the ledger counted for each record, compared with what follows from the record's row in the archive
//! and the row of its item before it. So counters are proven from the archive, because the fold function's own proof compares the
//! ledger with the counters; and a change that the stream lost is found, because the change after it began with a value that no
//! row has. Reads only.
//!
//! The hours are proven one after the other, each in as many passes as its rows need memory. Between them, `heads` remembers the last
//! row of each item. Rows before the first hour are read for it, newest first, as far as time allows; a change whose row before isn't
//! among them is counted as unlinked.

mod counted;
mod files;
mod found;
mod heads;
mod replay;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::fold::Folder;
use usage_aggregator::ledger::is_expiring;
use usage_aggregator::pipeline::{Pipeline, adjusted_name};
use usage_aggregator::time::{HOUR_SECONDS, Timestamp};
use usage_aggregator::usage::Segment;

use crate::event::Hours;
use crate::steps::provable;
use crate::steps::{RowFields, Step};
use crate::store::Archive;
use counted::Counted;
pub(crate) use files::hour_bytes;
pub(crate) use found::Proof;
pub use found::{ArchiveDifference, ArchiveWrong};
use heads::Heads;

/// How many hours before the first one are read for the last row of each item.
const LOOK_BACK_HOURS: i64 = 24;
/// In the most passes, each has so few items that one of them must be too large.
const MAX_PASSES: u64 = 4_096;

/// Proves hours of a pipeline.
pub(crate) struct Prover<'p> {
    pub(crate) archive: &'p Archive,
    pub(crate) pipeline: &'p Pipeline,
    pub(crate) folder: &'p Folder,
    /// The first second that is counted.
    count_from: Option<Timestamp>,
    fields: BTreeMap<&'p str, RowFields>,
    /// Measures that the archive doesn't determine exactly.
    excluded: BTreeSet<String>,
    /// Whether counting any record needs the image before it.
    needs_old: bool,
    /// The memory for the rows of an hour, and the same for the last rows of items.
    memory_bytes: usize,
}

impl<'p> Prover<'p> {
    /// A prover of a pipeline that counts.
    ///
    /// # Errors
    /// The reasons why the archive doesn't determine what was counted.
    pub(crate) fn new(
        archive: &'p Archive,
        pipeline: &'p Pipeline,
        folder: &'p Folder,
        count_from: Option<Timestamp>,
        memory_bytes: usize,
    ) -> Result<Prover<'p>, Vec<String>> {
        let fields = pipeline.schemas().map(|(name, schema)| Ok((name, RowFields::new(schema)?)));
        let fields: BTreeMap<&str, RowFields> =
            fields.collect::<anyhow::Result<_>>().map_err(|error| vec![error.to_string()])?;
        let gaps = provable::gaps(pipeline, &fields);
        if !gaps.fatal.is_empty() {
            return Err(gaps.fatal);
        }
        let names = gaps.measures.into_keys();
        let excluded = names.flat_map(|name| [adjusted_name(&name), name]).collect();
        let needs_old = pipeline.routes.iter().any(provable::has_differences);
        Ok(Prover { archive, pipeline, folder, count_from, fields, excluded, needs_old, memory_bytes })
    }

    /// Proves these hours until the deadline.
    ///
    /// # Errors
    /// If the ledger can't be read at all. Hours that fail are in the result.
    pub(crate) async fn prove(&self, hours: Hours, now: i64, deadline: Option<Instant>) -> Result<Proof, Error> {
        let cuts = self.folder.ledger.cuts(deadline).await?;
        let mut proof = Proof::default();
        let mut heads = Heads::new(self.memory_bytes);
        if self.needs_old {
            // What can't be read is unlinked then.
            proof.failed.extend(self.look_back(hours.from, &mut heads, deadline).await.err());
        }
        for from in hours.starts() {
            let name = hour_name(from);
            let is_in_hour = |cut: &Timestamp| (from..from + HOUR_SECONDS).contains(&cut.seconds());
            let now = Timestamp::from_seconds(now).ok_or_else(|| Error::config("read the clock"))?;
            let obstacle = if is_expiring(Segment::at(from), self.folder.ledger.keep_days, now) {
                Some("its pages may have expired")
            } else if cuts.iter().any(|(_, cut)| is_in_hour(cut)) {
                Some("a table was backfilled up to it, and what opened measures then may have no row")
            } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                Some("no time was left")
            } else {
                None
            };
            if let Some(why) = obstacle {
                // Its rows are missing before the next hour's.
                heads = Heads::new(self.memory_bytes);
                proof.left.push((name, why.to_owned()));
                continue;
            }
            match self.prove_hour(from, &mut heads, deadline).await {
                Ok(hour) => proof.merge(hour),
                Err(error) => {
                    heads = Heads::new(self.memory_bytes);
                    let out_of_time = deadline.is_some_and(|deadline| deadline <= Instant::now());
                    let why = if out_of_time { "no time was left".to_owned() } else { error.message.clone() };
                    proof.left.push((name, why));
                    proof.failed.extend((!out_of_time).then_some(error));
                }
            }
        }
        Ok(proof)
    }

    /// Remembers the last row of each item before this second. Half of the time is for the hours themselves.
    async fn look_back(&self, from: i64, heads: &mut Heads, deadline: Option<Instant>) -> Result<(), Error> {
        let started = Instant::now();
        let enough = deadline.map(|deadline| started + deadline.saturating_duration_since(started) / 2);
        for hours in 1..=LOOK_BACK_HOURS {
            if heads.is_full() || enough.is_some_and(|enough| enough <= Instant::now()) {
                break;
            }
            let files = files::of_hour(self.archive, self.pipeline, &hour_name(from - hours * HOUR_SECONDS)).await?;
            let read = files::each_step(self, &files, enough, |step| {
                heads.put_if_later(&step);
                files::Next::Read
            });
            match read.await {
                Err(error) if error.kind == ErrorKind::Transient && enough.is_some_and(|at| at <= Instant::now()) => {
                    break;
                }
                read => read.map(drop)?,
            }
        }
        Ok(())
    }

    async fn prove_hour(&self, from: i64, heads: &mut Heads, deadline: Option<Instant>) -> Result<Proof, Error> {
        let mut counted = Counted::read(self, from, deadline).await?;
        let name = hour_name(from);
        let files = files::of_hour(self.archive, self.pipeline, &name).await?;
        let mut proof = Proof { hours: 1, ..Proof::default() };
        let mut passes = 1;
        let mut pass = 0;
        while pass < passes {
            let Some(steps) = self.steps(&files, (pass, passes), deadline).await? else {
                if passes == MAX_PASSES {
                    let megabytes = self.memory_bytes / 1_000_000;
                    return Err(Error::config(format!(
                        "prove {name}: the rows of an item take more than {megabytes} MB; raise the function's memory"
                    )));
                }
                // Each pass becomes two, which have the same items.
                (pass, passes) = (pass * 2, passes * 2);
                continue;
            };
            replay::replay(self, &name, steps, heads, &mut counted, &mut proof)?;
            pass += 1;
        }
        let (left, of_other) = counted.left();
        proof.other_generation += of_other;
        for id in left {
            proof.add(ArchiveDifference {
                hour: name.clone(),
                record_type: String::new(),
                sequence: String::new(),
                record_id: format!("{id:016x}"),
                what: ArchiveWrong::NotArchived,
            });
        }
        Ok(proof)
    }

    /// The steps of the items of one pass, each once, in the order of their items and sequence numbers; `None` if they don't fit into
    /// memory.
    async fn steps(
        &self,
        files: &[files::File],
        (pass, passes): (u64, u64),
        deadline: Option<Instant>,
    ) -> Result<Option<Vec<Step>>, Error> {
        let (mut steps, mut bytes) = (Vec::new(), 0);
        let read = files::each_step(self, files, deadline, |step| {
            if (heads::hash(&step) * passes) >> 32 != pass {
                return files::Next::Read;
            }
            bytes += heads::step_bytes(&step);
            steps.push(step);
            if bytes > self.memory_bytes { files::Next::Stop } else { files::Next::Read }
        });
        if read.await? == files::Next::Stop {
            return Ok(None);
        }
        steps.sort_unstable_by(|one, other| {
            (&one.record_type, &one.item, one.order(), &one.id).cmp(&(
                &other.record_type,
                &other.item,
                other.order(),
                &other.id,
            ))
        });
        steps.dedup_by(|one, other| one.id == other.id && one.item == other.item);
        Ok(Some(steps))
    }
}

/// The name of the hour that begins at this second: `2026-11-28T08`.
pub(crate) fn hour_name(from: i64) -> String {
    let text = Timestamp::from_seconds(from).map(|at| at.to_string()).unwrap_or_default();
    text.get(.."2026-11-28T08".len()).unwrap_or_default().to_owned()
}
