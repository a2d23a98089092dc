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
mod hour;
mod keys;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::fold::Folder;
use usage_aggregator::ledger::is_expiring;
use usage_aggregator::pipeline::{Pipeline, adjusted_name};
use usage_aggregator::time::{HOUR_SECONDS, Timestamp};
use usage_aggregator::usage::Segment;

use crate::event::Hours;
use crate::steps::RowFields;
use crate::steps::provable;
use crate::store::Archive;
pub(crate) use files::Files;
pub(crate) use found::Proof;
pub use found::{ArchiveDifference, ArchiveWrong};
use heads::Heads;
use keys::Keys;

/// How many hours before the first one are read for the last row of each item.
const LOOK_BACK_HOURS: i64 = 24;

/// How long after a difference its hour is proven again. Pages are read before files are listed, so a record that arrives in between
/// would look as if it wasn't counted.
const PAUSE: Duration = Duration::from_secs(60);

/// Proves hours of a pipeline.
pub(crate) struct Prover<'p> {
    pub(crate) archive: &'p Archive,
    pub(crate) pipeline: &'p Pipeline,
    pub(crate) folder: &'p Folder,
    known: Known,
    keys: Keys,
    fields: BTreeMap<&'p str, RowFields>,
    /// Measures that the archive doesn't determine exactly.
    excluded: BTreeSet<String>,
    /// Whether counting any record needs the image before it.
    needs_old: bool,
    /// The memory for the rows of an hour, the same for the last rows of items, and the same for files.
    memory_bytes: usize,
}

/// What is known about when and from where records are counted.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The first second that is counted.
    pub count_from: Option<Timestamp>,
    /// From when on all records were counted as the pipeline counts now.
    pub certain_from: Timestamp,
    /// The stream that the function reads.
    pub stream_arn: Option<String>,
    /// The names of the keys of the table whose stream it is; `None` if they couldn't be read.
    pub key_names: Option<BTreeSet<String>>,
}

/// When a proof must end, and what time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub now: Timestamp,
    pub deadline: Option<Instant>,
}

impl Clocks {
    fn is_over(self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Why an hour wasn't proven that ended with an error.
    fn why(self, error: &Error) -> String {
        if self.is_over() { "no time was left".to_owned() } else { error.message.clone() }
    }
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
        known: Known,
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
        let keys = Keys::new(known.stream_arn.clone(), known.key_names.clone());
        Ok(Prover { archive, pipeline, folder, known, keys, fields, excluded, needs_old, memory_bytes })
    }

    /// Proves these hours until the deadline. An hour that differs is proven again before it is reported.
    ///
    /// # Errors
    /// If the ledger can't be read at all. Hours that fail are in the result.
    pub(crate) async fn prove(&self, hours: Hours, clocks: Clocks) -> Result<Proof, Error> {
        let cuts = self.folder.ledger.cuts(clocks.deadline).await?;
        let hours: Vec<i64> = hours.starts().collect();
        let mut proof = Proof::default();
        let mut differing = Vec::new();
        self.prove_each(&hours, &cuts, clocks, &mut proof, |from, hour, proof| match hour.difference_count {
            0 => proof.merge(hour),
            _ => differing.push(from),
        })
        .await;
        if differing.is_empty() {
            return Ok(proof);
        }
        let again = Instant::now() + PAUSE;
        if clocks.deadline.is_some_and(|deadline| deadline <= again) {
            let why = "it differs, and no time was left to prove it a second time";
            proof.left.extend(differing.into_iter().map(|from| (hour_name(from), why.to_owned())));
            return Ok(proof);
        }
        sleep_until(again).await;
        self.prove_each(&differing, &cuts, clocks, &mut proof, |_, hour, proof| proof.merge(hour)).await;
        Ok(proof)
    }

    /// Proves hours one after the other, and passes what it found in each to `each`. What can't be proven is in the result.
    async fn prove_each(
        &self,
        hours: &[i64],
        cuts: &[(String, Timestamp)],
        clocks: Clocks,
        proof: &mut Proof,
        mut each: impl FnMut(i64, Proof, &mut Proof),
    ) {
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return };
        let look_back = if self.needs_old { LOOK_BACK_HOURS * HOUR_SECONDS } else { 0 };
        let listed = (first - look_back, last + HOUR_SECONDS);
        let files = match Files::list(self.archive, self.pipeline, listed, clocks.deadline).await {
            Ok(files) => files,
            Err(error) => {
                hours.iter().for_each(|from| proof.left.push((hour_name(*from), clocks.why(&error))));
                proof.failed.extend((!clocks.is_over()).then_some(error));
                return;
            }
        };
        let mut heads = Heads::new(self.memory_bytes);
        let mut before = None;
        for from in hours.iter().copied() {
            if before.replace(from) != Some(from - HOUR_SECONDS) && self.needs_old {
                heads = Heads::new(self.memory_bytes);
                // What can't be read is unlinked then.
                proof.failed.extend(self.look_back(from, &files, &mut heads, clocks.deadline).await.err());
            }
            if let Some(why) = self.obstacle(from, cuts, clocks) {
                // Its rows are missing before the next hour's.
                heads = Heads::new(self.memory_bytes);
                proof.left.push((hour_name(from), why.to_owned()));
                continue;
            }
            match self.prove_hour(from, &files, &mut heads, clocks.deadline).await {
                Ok(hour) => each(from, hour, proof),
                Err(error) => {
                    heads = Heads::new(self.memory_bytes);
                    proof.left.push((hour_name(from), clocks.why(&error)));
                    proof.failed.extend((!clocks.is_over()).then_some(error));
                }
            }
        }
    }

    /// Why an hour can't be proven, if it can't.
    fn obstacle(&self, from: i64, cuts: &[(String, Timestamp)], clocks: Clocks) -> Option<&'static str> {
        let is_in_hour = |cut: &Timestamp| (from..from + HOUR_SECONDS).contains(&cut.seconds());
        if is_expiring(Segment::at(from), self.folder.ledger.keep_days, clocks.now) {
            Some("its pages may have expired")
        } else if cuts.iter().any(|(_, cut)| is_in_hour(cut)) {
            Some("a table was backfilled up to it, and what opened measures then may have no row")
        } else {
            clocks.is_over().then_some("no time was left")
        }
    }

    /// Remembers the last row of each item before this second. Half of the time is for the hours themselves.
    async fn look_back(
        &self,
        from: i64,
        files: &Files,
        heads: &mut Heads,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let enough = deadline.map(|deadline| started + deadline.saturating_duration_since(started) / 2);
        for hours in 1..=LOOK_BACK_HOURS {
            if heads.is_full() || enough.is_some_and(|enough| enough <= Instant::now()) {
                break;
            }
            let files = files.of_hour(from - hours * HOUR_SECONDS);
            let read = files::each_step(self, files, enough, |step| {
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
}

/// The name of the hour that begins at this second: `2026-11-28T08`.
pub(crate) fn hour_name(from: i64) -> String {
    let text = Timestamp::from_seconds(from).map(|at| at.to_string()).unwrap_or_default();
    text.get(.."2026-11-28T08".len()).unwrap_or_default().to_owned()
}
