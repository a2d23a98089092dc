//! Keeps a mapping running while faults are injected: the mapping dies and restarts from an older checkpoint, a second
//! one runs beside it, shards split and merge, reads fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::fault_injector::FaultInjector;
use super::fault_profile::FaultProfile;
use event_source_mapping::sources::{ReadFaults, ShardedStream};
use event_source_mapping::{Checkpoints, Mapping};

/// How often the fault profile is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The most recent checkpoint changes that a restart forgets, at most.
const MAX_LAG: usize = 20;
/// The most shards that are open at once.
const MAX_SHARDS: u64 = 4;

/// Creates a mapping that continues from these checkpoints.
type Make = Box<dyn Fn(Arc<Mutex<Checkpoints>>) -> Mapping + Send + Sync>;

/// A mapping and the faults that are injected into it.
pub struct Supervisor {
    /// Which faults occur.
    pub faults: FaultInjector,
    /// The stream whose shards can change.
    pub stream: Option<Arc<ShardedStream>>,
    make: Make,
    checkpoints: Arc<Mutex<Checkpoints>>,
    seed: u64,
}

impl Supervisor {
    /// Supervises the mapping that `make` creates.
    pub fn new(
        checkpoints: Checkpoints,
        faults: FaultInjector,
        stream: Option<Arc<ShardedStream>>,
        seed: u64,
        make: impl Fn(Arc<Mutex<Checkpoints>>) -> Mapping + Send + Sync + 'static,
    ) -> Supervisor {
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        Supervisor { faults, stream, make: Box::new(make), checkpoints, seed }
    }

    /// Runs until `stop` becomes true.
    ///
    /// # Errors
    /// When checkpoints can't be saved.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let twin = self.twin(stop.clone());
        let shards = self.change_shards(stop.clone());
        futures::try_join!(self.keep_enabled(stop), twin, shards)?;
        Ok(())
    }

    /// Whether the stream has, or may have, records that the mapping, which has stopped, hasn't read.
    pub async fn has_unread(&self) -> bool {
        (self.make)(Arc::clone(&self.checkpoints)).has_unread().await
    }

    /// Runs the mapping whenever it isn't disabled.
    async fn keep_enabled(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        // All mappings that are made report to the same one.
        let meter = (self.make)(Arc::clone(&self.checkpoints)).meter;
        loop {
            // What a mapping that is gone reported is gone as well, and the stream may have any number of records.
            meter.set_disabled(self.faults.profile().disable);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = self.until(|profile| !profile.disable) => meter.set_disabled(false),
            }
            self.keep_running(&self.checkpoints, self.seed, stop.clone(), |profile| !profile.disable).await?;
            if self.faults.profile().disable {
                self.faults.count("disable");
            }
        }
    }

    /// Runs the mapping, and runs it again after each restart, while it is `wanted`.
    async fn keep_running(
        &self,
        checkpoints: &Arc<Mutex<Checkpoints>>,
        seed: u64,
        stop: watch::Receiver<bool>,
        wanted: impl Fn(&FaultProfile) -> bool,
    ) -> anyhow::Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        let locked = || checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            locked().forget_earlier();
            let started = Instant::now();
            // Only after some progress: on a slow machine, restarts alone would keep the mapping where it is.
            let is_due = |restart| started.elapsed() >= restart && locked().undoable() > 1;
            let ends = |profile: &FaultProfile| !wanted(profile) || profile.restart.is_some_and(is_due);
            tokio::select! {
                // A restart drops it in the middle of whatever it does, as when a poller dies.
                ended = Arc::new((self.make)(Arc::clone(checkpoints))).run(stop.clone()) => return ended,
                () = self.until(ends) => {}
            }
            if !wanted(&self.faults.profile()) {
                return Ok(());
            }
            // At most half of the progress is lost, for the same reason.
            let mut checkpoints = locked();
            let lag = random.usize(0..=MAX_LAG).min(checkpoints.undoable() / 2);
            checkpoints.rewind(lag)?;
            self.faults.count("restart");
        }
    }

    /// Runs a second mapping from where the first one is, while the profile asks for it. Its checkpoints aren't saved.
    async fn twin(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = self.until(has_twin) => {}
            }
            let copy = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).copy_in_memory();
            let copy = Arc::new(Mutex::new(copy));
            self.faults.count("twins");
            self.keep_running(&copy, self.seed ^ 1, stop.clone(), has_twin).await?;
        }
    }

    async fn change_shards(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let mut random = fastrand::Rng::with_seed(self.seed ^ 2);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            let FaultProfile { iterator, split, .. } = self.faults.profile();
            let percent = percent(iterator);
            stream.set_read_faults(ReadFaults { expired_percent: percent, throttled_percent: percent });
            if split.is_some_and(|split| last.elapsed() >= split) {
                last = Instant::now();
                match stream.reshard(random.u64(1..=MAX_SHARDS)).await {
                    Ok(_) => self.faults.count("split"),
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), "failed to change the shards; will retry");
                    }
                }
            }
        }
    }

    /// Waits until the profile is as `wanted`.
    async fn until(&self, wanted: impl Fn(&FaultProfile) -> bool) {
        self.faults.until(wanted, CHECK_INTERVAL).await;
    }
}

fn has_twin(profile: &FaultProfile) -> bool {
    profile.twins && !profile.disable
}

/// A whole percentage below 50, so that some reads succeed although both kinds of failure have it.
fn percent(percent: f64) -> u8 {
    (0..=49).rev().find(|whole| f64::from(*whole) <= percent).unwrap_or(0)
}
