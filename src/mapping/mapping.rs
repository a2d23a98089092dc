//! A mapping as a whole: it lists the stream's shards and runs each of them after its parents.
//!
//! `shard` polls one shard, `lane` delivers its records, and `failure` decides what follows an invocation.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::clock::Clock;
use crate::destination::{Destination, Document};
use crate::failure::DiscardedBatch;
use crate::function::Function;
use crate::meter::Meter;
use crate::settings::{Settings, StartingPosition};
use crate::shard::{REPORTED_FAILURES, ShardRun};
use crate::source::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord};
use crate::uuid::uuid;

/// How often the stream's shards are listed.
const LISTING_INTERVAL: Duration = Duration::from_secs(1);
/// How often a shard is read at most to find out whether it has unread records.
const UNREAD_READS: usize = 10;
/// How many records each of these reads returns at most. It is the limit of DynamoDB.
const UNREAD_PAGE_RECORDS: usize = 1_000;
/// The pause after one of them that failed.
const UNREAD_PAUSE: Duration = Duration::from_millis(100);

/// A mapping of one stream to one function.
pub struct Mapping {
    /// How the mapping polls, batches and retries.
    pub settings: Settings,
    /// The stream.
    pub source: Arc<dyn Source>,
    /// The function that is invoked.
    pub function: Arc<dyn Function>,
    /// The time, for the age of records and the documents of discarded batches.
    pub clock: Clock,
    /// Counts what the mapping does.
    pub meter: Arc<Meter>,
    /// Where discarded records go. Without a destination they are only logged.
    pub destination: Option<Destination>,
    uuid: String,
    checkpoints: Arc<Mutex<Checkpoints>>,
    random: Mutex<fastrand::Rng>,
}

/// Why a shard, or a part of it, stopped running without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The shard was read, and its records settled, to the end.
    ShardEnd,
    /// The shard no longer exists, and what was read of it was settled.
    ShardGone,
    /// The mapping was asked to stop.
    StopRequested,
}

impl Mapping {
    /// A mapping that continues from `checkpoints`. `seed` determines the request IDs.
    pub fn new(
        settings: Settings,
        source: Arc<dyn Source>,
        function: Arc<dyn Function>,
        clock: Clock,
        checkpoints: Arc<Mutex<Checkpoints>>,
        seed: u64,
    ) -> Mapping {
        let (meter, random) = (Arc::default(), Mutex::new(fastrand::Rng::with_seed(seed)));
        let uuid = checkpoints.lock().unwrap_or_else(PoisonError::into_inner).mapping_uuid().to_owned();
        Mapping { settings, source, function, clock, meter, destination: None, uuid, checkpoints, random }
    }

    /// Runs until `stop` becomes true, and then waits for invocations in progress. Dropping the future acts like a
    /// crash: records that were not settled are delivered again by the next run.
    ///
    /// # Errors
    /// If a checkpoint can't be saved.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut running = BTreeSet::new();
        let mut shards = JoinSet::new();
        let mut failures = 0_u32;
        while !*stop.borrow() {
            match self.source.shards().await {
                Ok(listed) => {
                    failures = 0;
                    self.meter.set_listing_error(None);
                    for shard in self.ready(&listed, &running)? {
                        let Some(position) = self.position_of(&shard) else { continue };
                        running.insert(shard.clone());
                        let run = ShardRun::new(Arc::clone(&self), shard.clone(), stop.clone());
                        shards.spawn(async move { (shard, run.run(position).await) });
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "failed to list the shards; will retry");
                    failures = failures.saturating_add(1);
                    self.meter.add(|counts| counts.failed_reads += 1);
                    self.meter.set_listing_error((failures >= REPORTED_FAILURES).then_some(error));
                }
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                Some(ended) = shards.join_next() => {
                    let (shard, ended) = ended?;
                    ended?;
                    running.remove(&shard);
                }
                () = tokio::time::sleep(LISTING_INTERVAL) => {}
            }
        }
        while let Some(ended) = shards.join_next().await {
            ended?.1?;
        }
        Ok(())
    }

    /// Whether the stream has, or may have, records to deliver that no run has read. This is for a mapping that has stopped: what was
    /// written since its last read is not in [`Meter::progress`].
    pub async fn has_unread(&self) -> bool {
        if self.meter.progress().stream_gone {
            return true;
        }
        let Ok(shards) = self.source.shards().await else { return true };
        for shard in shards {
            let position = self.meter.read_to(&shard.id).or_else(|| match self.lock_checkpoints().of(&shard.id) {
                Some(checkpoint) => checkpoint.position(),
                // The shard is newer than the last listing.
                None => Some(Position::TrimHorizon),
            });
            if let Some(position) = position
                && self.has_unread_in(&shard.id, position).await
            {
                return true;
            }
        }
        false
    }

    async fn has_unread_in(&self, shard: &str, mut position: Position) -> bool {
        for _ in 0..UNREAD_READS {
            match self.source.read(shard, &position, UNREAD_PAGE_RECORDS).await {
                Ok(page) => {
                    let (filters, kind) = (&self.settings.filters, self.source.kind());
                    if page.records.iter().any(|record| filters.matches(kind, record)) {
                        return true;
                    }
                    if page.end != PageEnd::MoreAvailable {
                        return false;
                    }
                    position = page.next;
                }
                Err(ReadError::Expired | ReadError::Throttled) => {
                    tokio::time::sleep(UNREAD_PAUSE).await;
                }
                // A stream that is gone may have been replaced.
                Err(ReadError::Trimmed | ReadError::Gone | ReadError::Other(_)) => return true,
            }
        }
        true
    }

    /// The shards to start now: those that are neither running nor finished, and whose parents are finished or no longer
    /// listed.
    fn ready(&self, listed: &[Shard], running: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
        let mut checkpoints = self.lock_checkpoints();
        // Shards that exist when the mapping is created start where the settings say; later ones start at their beginning.
        let is_new_mapping = checkpoints.is_empty();
        let unknown = |checkpoints: &Checkpoints, shard: &&Shard| checkpoints.of(&shard.id).is_none();
        for shard in listed.iter().filter(|shard| is_new_mapping || unknown(&checkpoints, shard)).collect::<Vec<_>>() {
            let start = match self.settings.starting_position {
                StartingPosition::Latest if is_new_mapping => Checkpoint::Latest,
                StartingPosition::AtTimestamp(time) if is_new_mapping => Checkpoint::AtTimestamp(time.micros()),
                _ => Checkpoint::TrimHorizon,
            };
            checkpoints.set(&shard.id, start)?;
        }
        let is_pending =
            |parent: &String| listed.iter().any(|shard| shard.id == *parent) && !checkpoints.is_finished(parent);
        let idle = listed.iter().filter(|shard| !running.contains(&shard.id) && !checkpoints.is_finished(&shard.id));
        let (behind, ready): (Vec<_>, Vec<_>) = idle.partition(|shard| shard.parents.iter().any(is_pending));
        self.meter.set_behind_parents(behind.into_iter().map(|shard| shard.id.clone()));
        Ok(ready.into_iter().map(|shard| shard.id.clone()).collect())
    }

    fn position_of(&self, shard: &str) -> Option<Position> {
        self.lock_checkpoints().of(shard).and_then(Checkpoint::position)
    }

    pub(crate) fn save(&self, shard: &str, checkpoint: Checkpoint) -> anyhow::Result<()> {
        self.lock_checkpoints().set(shard, checkpoint)
    }

    /// Saves what LATEST stood for when it was read, so that a restart doesn't skip what has been written since. If the page is
    /// empty and the source doesn't say where it ended, LATEST remains.
    pub(crate) fn resolve_latest(&self, shard: &str, page: &Page) -> anyhow::Result<()> {
        let first = page.records.first().map(|first| Position::At(first.sequence.clone()));
        let start = first.unwrap_or_else(|| page.next.clone());
        let mut checkpoints = self.lock_checkpoints();
        checkpoints.set(shard, Checkpoint::from(&start))?;
        if start != Position::Latest {
            checkpoints.forget_earlier();
        }
        Ok(())
    }

    fn lock_checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The age of a record, in milliseconds.
    pub(crate) fn age_ms(&self, record: &SourceRecord) -> u64 {
        u64::try_from((self.clock.now().micros() - record.created_at.micros()) / 1_000).unwrap_or(0)
    }

    /// A new request ID, which is a UUID.
    pub(crate) fn request_id(&self) -> String {
        uuid(self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..))
    }

    /// Sends a batch to the destination; returns whether there is one.
    pub(crate) async fn send_to_destination(&self, shard: &str, discarded: &DiscardedBatch) -> anyhow::Result<bool> {
        let Some(destination) = &self.destination else { return Ok(false) };
        let document = Document {
            kind: self.source.kind(),
            mapping_uuid: &self.uuid,
            function_arn: self.function.arn(),
            request_id: &discarded.batch.request_id,
            condition: discarded.condition,
            approximate_invoke_count: discarded.batch.invocations,
            response: discarded.response,
            shard_id: shard,
            stream_arn: self.source.arn(),
            records: &discarded.batch.records,
            discarded_at: self.clock.now(),
        };
        destination.deliver(&document, &self.request_id()).await?;
        Ok(true)
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("settings", &self.settings).finish_non_exhaustive()
    }
}
