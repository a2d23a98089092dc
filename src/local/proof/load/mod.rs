//! Realistic load for tables and streams, and an independent record of it.
//!
//! A `profile` generates the changes; a `change` is what is written and what it means; `table` and `stream` write it
//! through the SDK; the `journal` records what was started and what is done. `reconcile` checks the function's results
//! against the journal.

mod aggregate;
mod alleycat;
mod api_usage;
mod bucket;
mod change;
mod findings;
mod instant;
mod journal;
mod orders;
mod own;
mod pace;
mod profile;
mod progress;
mod skew;
mod stream;
mod table;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use futures::future;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

pub use aggregate::aggregated;
pub use change::{Add, Attribute, CHANGE_ATTRIBUTE, Change, LoadItem, Meaning, Write};
pub use journal::{Begun, Entry, Head, Journal, Left, Unsure, read_entries, read_head};
pub use own::OwnTable;
pub use profile::{Load, Profile, ProfileName, Shape};
pub use progress::Written;

use super::FaultInjector;
use progress::Progress;
use stream::{MAX_RECORDS, StreamWriter};
use table::{Origin, TableWriter};

/// Changes that may wait for a writer, so that the profile isn't far ahead.
const WAITING_CHANGES: usize = 64;
/// The default number of entities in the load of your own table.
const OWN_ENTITIES: u32 = 100;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The kind of load.
    pub load: Load,
    /// Its entities and seed.
    pub shape: Shape,
    /// Changes per second; 0 for no limit.
    pub rate_per_second: u32,
    /// When to stop.
    pub amount: Amount,
    /// Writes in progress at once. Those of one item never overlap.
    pub concurrency: usize,
    /// How long to retry one write.
    pub patience: Duration,
    /// Messages per record of a Kinesis stream.
    pub aggregate: usize,
    /// Decides how many records are poison, which may change during the run; without it, the profile does.
    pub faults: Option<FaultInjector>,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// After this many records.
    Records(u64),
    /// After this time; with a rate, after as many records as fit into it.
    Duration(Duration),
}

/// Where to write.
#[derive(Debug, Clone)]
pub enum Target {
    /// A DynamoDB table.
    Table {
        /// The client to write with.
        client: aws_sdk_dynamodb::Client,
        /// The table's name.
        name: String,
    },
    /// A Kinesis stream.
    Stream {
        /// The client to write with.
        client: aws_sdk_kinesis::Client,
        /// The stream's name.
        name: String,
    },
}

impl Simulation {
    /// The default amount of a load: 100 changes per second for ten seconds, or a race of a thousand bikes that each send
    /// one message per second for five minutes.
    pub fn new(load: Load) -> Simulation {
        let entities = match &load {
            Load::Shipped(profile) => profile.entities(),
            Load::Own(_) => OWN_ENTITIES,
        };
        let (rate_per_second, seconds) = match load {
            Load::Shipped(ProfileName::Alleycat) => (entities, 300),
            Load::Shipped(_) | Load::Own(_) => (100, 10),
        };
        Simulation {
            load,
            shape: Shape { entities, skew: 0.0, seed: 1, poison_percent: 0.0 },
            rate_per_second,
            amount: Amount::Duration(Duration::from_secs(seconds)),
            concurrency: 16,
            patience: Duration::from_secs(60),
            aggregate: 1,
            faults: None,
        }
    }

    /// How many records it will write, if that is known in advance.
    pub fn records(&self) -> Option<u64> {
        match self.amount {
            Amount::Records(records) => Some(records),
            Amount::Duration(_) if self.rate_per_second == 0 => None,
            Amount::Duration(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                Some(millis.saturating_mul(u64::from(self.rate_per_second)) / 1_000)
            }
        }
    }

    /// Writes the load to `target` and records it in the ledger at `ledger`, after finishing what earlier runs had
    /// started there. `watch` is called after each change. Once `stop` is ready, no new write starts. Dropping the future
    /// instead is as safe as any other end of the process.
    ///
    /// # Errors
    /// When the target isn't what the profile needs, or a write kept failing for the whole retry time. Another run then
    /// finishes what the ledger has.
    pub async fn run(
        &self,
        target: &Target,
        ledger: &Path,
        watch: &(dyn Fn(&Written) + Sync),
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<Written> {
        target.check(self).await?;
        let head = Head::new(self.load.name(), target.name());
        let mut profile = Profile::new(&self.load, &self.shape);
        let (journal, left) = Journal::open(ledger, &head, |write| profile.resume(write))?;
        profile.reseed(self.shape.seed, left.next_number);
        let progress = Progress::new(journal, watch);
        self.finish(target, left.unfinished, &progress).await?;

        let lanes: Vec<_> = (0..self.concurrency.max(1)).map(|_| channel(WAITING_CHANGES)).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = lanes.into_iter().unzip();
        let writers =
            future::try_join_all(receivers.into_iter().map(|changes| self.write_all(target, changes, &progress)));
        let generator = self.generate(profile, left.next_number, senders, stop);
        future::try_join(writers, generator).await?;
        Ok(progress.written())
    }

    /// Finishes what an earlier run had started.
    async fn finish(&self, target: &Target, unfinished: Vec<Begun>, progress: &Progress<'_>) -> anyhow::Result<()> {
        for begun in unfinished {
            let unsure = match target {
                Target::Table { client, name } => {
                    let writer = TableWriter { client, table: name, patience: self.patience };
                    writer.write(&begun.write, Origin::Begun, progress).await?;
                    None
                }
                // It is unknown whether the message was sent.
                Target::Stream { .. } => Some(Unsure::Arrival),
            };
            progress.count_finished();
            progress.done(begun.change, begun.meaning, begun.sent_at, unsure)?;
        }
        Ok(())
    }

    /// Sends changes to the writers at the rate. Those of one item always go to the same writer, in order.
    async fn generate(
        &self,
        mut profile: Profile,
        first: u64,
        lanes: Vec<Sender<Change>>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut stop = std::pin::pin!(stop);
        let records = self.records();
        let end = match (records, self.amount) {
            (None, Amount::Duration(duration)) => Some(start + duration),
            _ => None,
        };
        for index in 0_u64.. {
            if records.is_some_and(|records| index >= records) || end.is_some_and(|end| Instant::now() >= end) {
                return Ok(());
            }
            let number = first.saturating_add(index);
            let sent = async {
                tokio::time::sleep_until(start + pace::due(index, self.rate_per_second)).await;
                if let Some(faults) = &self.faults {
                    profile.set_poison_percent(faults.profile().poison);
                }
                let change = profile.next(number, event_source_mapping::now()?)?;
                if let Some(faults) = self.faults.as_ref().filter(|_| change.meaning.poison) {
                    faults.count("poison");
                }
                // A writer that failed accepts none, and reports its own error.
                anyhow::Ok(match lane(&change, &lanes) {
                    Some(lane) => lane.send(change).await.is_ok(),
                    None => false,
                })
            };
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                accepted = sent => if !accepted? { return Ok(()) },
            }
        }
        Ok(())
    }

    async fn write_all(
        &self,
        target: &Target,
        mut changes: Receiver<Change>,
        progress: &Progress<'_>,
    ) -> anyhow::Result<()> {
        while let Some(change) = changes.recv().await {
            match target {
                Target::Table { client, name } => {
                    let writer = TableWriter { client, table: name, patience: self.patience };
                    progress.wait_until_quiet().await?;
                    let sent_at = progress.begin(&change)?;
                    writer.write(&change.write, Origin::New, progress).await?;
                    progress.count_stream_records(1);
                    progress.done(change.number, change.meaning, sent_at, None)?;
                }
                Target::Stream { client, name } => {
                    let mut batch = vec![change];
                    while batch.len() < MAX_RECORDS
                        && let Ok(change) = changes.try_recv()
                    {
                        batch.push(change);
                    }
                    let (patience, aggregate) = (self.patience, self.aggregate.max(1));
                    let writer = StreamWriter { client, stream: name, aggregate, patience };
                    writer.write(batch, progress).await?;
                }
            }
        }
        Ok(())
    }
}

impl Target {
    /// The table's or stream's name.
    pub fn name(&self) -> &str {
        match self {
            Target::Table { name, .. } | Target::Stream { name, .. } => name,
        }
    }

    async fn check(&self, simulation: &Simulation) -> anyhow::Result<()> {
        match (self, simulation.load.table(self.name())) {
            (Target::Table { client, name }, Some(spec)) => {
                TableWriter { client, table: name, patience: simulation.patience }.check(&spec).await
            }
            (Target::Stream { .. }, None) => Ok(()),
            (Target::Table { .. }, None) => anyhow::bail!("write messages to a table: choose a stream instead"),
            (Target::Stream { .. }, Some(_)) => anyhow::bail!("write items to a stream: choose a table instead"),
        }
    }
}

fn lane<'l>(change: &Change, lanes: &'l [Sender<Change>]) -> Option<&'l Sender<Change>> {
    let mut hasher = DefaultHasher::new();
    change.meaning.key.hash(&mut hasher);
    let count = u64::try_from(lanes.len()).ok()?;
    lanes.get(usize::try_from(hasher.finish().checked_rem(count)?).ok()?)
}

#[cfg(test)]
mod tests;
