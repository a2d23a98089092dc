//! A local event source mapping: polls a stream's shards and invokes the function as Lambda does, with its batching,
//! retries, bisecting, checkpoints and failure destination.
//!
//! This file runs the shards, parents before children. `shard` polls, `lane` delivers, `failure` decides.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

mod checkpoint;
pub mod conformance;
mod destination;
mod failure;
mod files;
mod filter;
mod function;
mod lane;
mod meter;
mod remote_function;
mod settings;
mod shard;
mod source;
pub mod sources;
mod tracker;
mod uuid;

pub use checkpoint::{Checkpoint, Checkpoints};
pub use destination::{BatchInfo, CONTENT_TYPE, Destination, Document, RequestContext, ResponseContext, Sent};
pub use failure::{Batch, Condition, Discard, Next, Response, Unreadable, Verdict, event_of, lowest_failure, verdict};
pub use files::write_whole;
pub use filter::{FilterError, Filters};
pub use function::{Answer, Function};
pub use meter::{Counts, Meter};
pub use remote_function::RemoteFunction;
pub use settings::{MAXIMUM_PAYLOAD_BYTES, Settings, StartingPosition};
pub use source::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
pub use uuid::uuid;

use shard::ShardRun;
use stream_types::Timestamp;

/// How often the stream's shards are listed.
const LISTING_INTERVAL: Duration = Duration::from_secs(1);

/// What the time is: the system's, or a simulation's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// The system's.
    ///
    /// # Errors
    /// When it says a year outside 2000 to 2099.
    pub fn system() -> anyhow::Result<Clock> {
        let now = || Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
        let started = now().context("tell the time: the clock says a year outside 2000 to 2099")?;
        // A clock that leaves the century while this runs is taken to stand still.
        Ok(Clock::new(move || now().unwrap_or(started)))
    }

    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// One mapping of a stream to a function.
pub struct Mapping {
    pub settings: Settings,
    pub source: Arc<dyn Source>,
    pub function: Arc<dyn Function>,
    pub clock: Clock,
    pub meter: Arc<Meter>,
    /// Where records go that are given up; without one they are only counted.
    pub destination: Option<Destination>,
    uuid: String,
    checkpoints: Arc<Mutex<Checkpoints>>,
    random: Mutex<fastrand::Rng>,
}

/// Why something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    ShardEnd,
    Asked,
}

impl Mapping {
    /// A mapping that goes on from `checkpoints`. `seed` is that of the request ids.
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

    /// Runs until `stop` says true; what is being invoked then ends in order. Dropping the future is a crash instead:
    /// what was not settled is delivered again by the next run.
    ///
    /// # Errors
    /// When progress can't be written down.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut running = BTreeSet::new();
        let mut shards = JoinSet::new();
        while !*stop.borrow() {
            match self.source.shards().await {
                Ok(listed) => {
                    for shard in self.ready(&listed, &running)? {
                        let Some(position) = self.position_of(&shard) else { continue };
                        running.insert(shard.clone());
                        let run = ShardRun::new(Arc::clone(&self), shard.clone(), stop.clone());
                        shards.spawn(async move { (shard, run.run(position).await) });
                    }
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "failed to list the shards; trying again"),
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

    /// The shards whose turn it is: neither running nor finished, and all parents that are still listed finished.
    fn ready(&self, listed: &[Shard], running: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
        let mut checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever is there when the mapping is made starts where the settings say; what comes later, at its beginning.
        let first = checkpoints.is_empty();
        for shard in listed.iter().filter(|shard| first || checkpoints.of(&shard.id).is_none()).collect::<Vec<_>>() {
            let start = match self.settings.starting_position {
                StartingPosition::Latest if first => Checkpoint::Latest,
                StartingPosition::AtTimestamp(time) if first => Checkpoint::AtTimestamp(time.micros()),
                _ => Checkpoint::TrimHorizon,
            };
            checkpoints.set(&shard.id, start)?;
        }
        let pending =
            |parent: &String| listed.iter().any(|shard| shard.id == *parent) && !checkpoints.is_finished(parent);
        let ready = listed.iter().filter(|shard| {
            !running.contains(&shard.id) && !checkpoints.is_finished(&shard.id) && !shard.parents.iter().any(pending)
        });
        Ok(ready.map(|shard| shard.id.clone()).collect())
    }

    fn position_of(&self, shard: &str) -> Option<Position> {
        let checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoints.of(shard).and_then(Checkpoint::position)
    }

    fn save(&self, shard: &str, checkpoint: Checkpoint) -> anyhow::Result<()> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).set(shard, checkpoint)
    }

    /// A UUID.
    fn request_id(&self) -> String {
        uuid(self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..))
    }

    /// Whether there is a destination, which then has the records.
    async fn send_to_destination(&self, shard: &str, discard: &Discard) -> anyhow::Result<bool> {
        let Some(destination) = &self.destination else { return Ok(false) };
        let document = Document {
            kind: self.source.kind(),
            mapping_uuid: &self.uuid,
            function_arn: self.function.arn(),
            request_id: &discard.batch.request_id,
            condition: discard.condition,
            approximate_invoke_count: discard.batch.invocations,
            response: discard.response,
            shard_id: shard,
            stream_arn: self.source.arn(),
            records: &discard.batch.records,
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

#[cfg(test)]
mod tests;
