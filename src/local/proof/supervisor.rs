//! Keeps a mapping running through the mischief that befalls it: it dies and starts again from a checkpoint that lags,
//! a second one runs beside it, shards split and merge, reads fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::mischief::{Mischief, Mischievous};
use event_source_mapping::sources::{ReadFaults, ShardedStream};
use event_source_mapping::{Checkpoints, Mapping};

/// How often changed mischief is noticed.
const GLANCE: Duration = Duration::from_millis(100);
/// Changes of the checkpoints that a restart forgets, at most.
const LAG: usize = 20;
/// Shards of one generation, at most.
const SHARDS: u64 = 4;

/// Makes the mapping that goes on from these checkpoints.
type Make = Box<dyn Fn(Arc<Mutex<Checkpoints>>) -> Mapping + Send + Sync>;

/// A mapping and what may happen to it.
pub struct Supervisor {
    pub mischief: Mischievous,
    /// The stream whose shards can change.
    pub stream: Option<Arc<ShardedStream>>,
    make: Make,
    checkpoints: Arc<Mutex<Checkpoints>>,
    seed: u64,
}

impl Supervisor {
    /// A supervisor of the mapping that `make` makes.
    pub fn new(
        checkpoints: Checkpoints,
        mischief: Mischievous,
        stream: Option<Arc<ShardedStream>>,
        seed: u64,
        make: impl Fn(Arc<Mutex<Checkpoints>>) -> Mapping + Send + Sync + 'static,
    ) -> Supervisor {
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        Supervisor { mischief, stream, make: Box::new(make), checkpoints, seed }
    }

    /// Runs until `stop` says true.
    ///
    /// # Errors
    /// When progress can't be written down.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let twin = self.twin(stop.clone());
        let shards = self.change_shards(stop.clone());
        let mapping = self.keep_running(&self.checkpoints, self.seed, stop, |_| true);
        futures::try_join!(mapping, twin, shards)?;
        Ok(())
    }

    /// Runs the mapping, again after each restart, as long as it is `wanted`.
    async fn keep_running(
        &self,
        checkpoints: &Arc<Mutex<Checkpoints>>,
        seed: u64,
        stop: watch::Receiver<bool>,
        wanted: impl Fn(&Mischief) -> bool,
    ) -> anyhow::Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        loop {
            let started = Instant::now();
            let ends = |mischief: &Mischief| {
                !wanted(mischief) || mischief.restart.is_some_and(|restart| started.elapsed() >= restart)
            };
            tokio::select! {
                // Dropped in the middle of whatever it does, as a poller that dies is.
                ended = Arc::new((self.make)(Arc::clone(checkpoints))).run(stop.clone()) => return ended,
                () = self.until(ends) => {}
            }
            if !wanted(&self.mischief.now()) {
                return Ok(());
            }
            checkpoints.lock().unwrap_or_else(PoisonError::into_inner).rewind(random.usize(0..=LAG))?;
        }
    }

    /// A second mapping from where the first is, whenever there is to be one; it remembers nothing.
    async fn twin(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = self.until(|mischief| mischief.twins) => {}
            }
            let copy = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).copy_in_memory();
            let copy = Arc::new(Mutex::new(copy));
            self.keep_running(&copy, self.seed ^ 1, stop.clone(), |mischief| mischief.twins).await?;
        }
    }

    async fn change_shards(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let mut random = fastrand::Rng::with_seed(self.seed ^ 2);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(GLANCE) => {}
            }
            let Mischief { iterator, split, .. } = self.mischief.now();
            let percent = percent(iterator);
            stream.set_read_faults(ReadFaults { expired_percent: percent, throttled_percent: percent });
            if split.is_some_and(|split| last.elapsed() >= split) {
                last = Instant::now();
                if let Err(error) = stream.reshard(random.u64(1..=SHARDS)).await {
                    tracing::warn!(error = format!("{error:#}"), "failed to change the shards; trying again later");
                }
            }
        }
    }

    async fn until(&self, happens: impl Fn(&Mischief) -> bool) {
        while !happens(&self.mischief.now()) {
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// At most half, so that both kinds of trouble together leave some reads alone.
fn percent(percent: f64) -> u8 {
    (0..=49).rev().find(|whole| f64::from(*whole) <= percent).unwrap_or(0)
}
