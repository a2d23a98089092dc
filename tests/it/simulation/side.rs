//! One of the two mappings, with its stream, its checkpoints, its failure destination, and a rival.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_source_mapping::{Checkpoints, Clock, Destination, Mapping, Settings, Source};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use usage_aggregator::decode;

use super::chaos::{Chaos, Progress, Role, Step};
use super::feed::Shards;
use super::lambda::Lambda;
use crate::model::invariants::ensure;

pub struct Side {
    /// The function that the mapping invokes.
    pub lambda: Lambda,
    pub shards: Arc<Mutex<Shards>>,
    /// Batches that were discarded and not yet redriven.
    pub discarded: Vec<Vec<usize>>,
    seed: u64,
    settings: Settings,
    checkpoints: Arc<Mutex<Checkpoints>>,
    mapping: Option<Running>,
    rival: Option<Running>,
    destination: (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>),
}

/// A running mapping.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Side {
    /// Starts the mapping.
    pub fn start(lambda: Lambda, role: Role, chaos: &Chaos, shards: Arc<Mutex<Shards>>) -> Side {
        let checkpoints = checkpoints(&shards);
        let mut side = Side {
            lambda,
            shards,
            discarded: Vec::new(),
            seed: chaos.seed ^ role as u64,
            settings: chaos.side(role).settings.clone(),
            checkpoints,
            mapping: None,
            rival: None,
            destination: mpsc::unbounded_channel(),
        };
        side.mapping = Some(side.run(&side.checkpoints));
        side
    }

    fn run(&self, checkpoints: &Arc<Mutex<Checkpoints>>) -> Running {
        let (watch, checkpoints) = (self.lambda.watch(), Arc::clone(checkpoints));
        let clock = Clock::new(move || watch.now());
        let (source, function) = (Arc::clone(&self.shards.lock().unwrap().stream), Arc::new(self.lambda.clone()));
        let mut mapping = Mapping::new(self.settings.clone(), source, function, clock, checkpoints, self.seed);
        mapping.destination = Some(Destination::Channel(self.destination.0.clone()));
        let (stop, stopped) = watch::channel(false);
        Running { stop, task: tokio::spawn(Arc::new(mapping).run(stopped)) }
    }

    /// Does a step of the mapping or its stream, and returns under which name it is counted, if it is possible now.
    pub async fn step(&mut self, step: Step, random: &mut fastrand::Rng) -> Result<Option<&'static str>, String> {
        Ok(Some(match step {
            Step::Split if self.shards.lock().unwrap().split(random) => "splits",
            Step::Merge if self.shards.lock().unwrap().merge(random) => "merges",
            Step::Update(batch_size, parallelization_factor) => {
                shut_down(self.mapping.take()).await?;
                self.settings = Settings { batch_size, parallelization_factor, ..self.settings.clone() };
                self.mapping = Some(self.run(&self.checkpoints));
                "updates"
            }
            Step::Crash(rewind) => {
                crash(self.mapping.take()).await?;
                self.checkpoints.lock().unwrap().rewind(rewind).unwrap();
                self.mapping = Some(self.run(&self.checkpoints));
                if rewind > 0 { "rewinds" } else { "mapping crashes" }
            }
            Step::Rival(progress) if self.rival.is_none() => {
                let checkpoints = match progress {
                    Progress::FromStart => checkpoints(&self.shards),
                    Progress::Shared => Arc::clone(&self.checkpoints),
                };
                self.rival = Some(self.run(&checkpoints));
                "rivals"
            }
            Step::RivalDies if self.rival.is_some() => {
                crash(self.rival.take()).await?;
                "rivals' deaths"
            }
            _ => return Ok(None),
        }))
    }

    /// Starts the mapping again without a rival, and so that it discards a batch at its first failure.
    pub async fn calm_down(&mut self) -> Result<(), String> {
        crash(self.rival.take()).await?;
        shut_down(self.mapping.take()).await?;
        self.settings = Settings { maximum_retry_attempts: Some(0), maximum_record_age: None, ..self.settings.clone() };
        self.mapping = Some(self.run(&self.checkpoints));
        Ok(())
    }

    /// Waits until the mapping has delivered everything in a stream that has ended, and stops it.
    pub async fn finish(&mut self) -> Result<(), String> {
        self.shards.lock().unwrap().end();
        let shards = self.shards.lock().unwrap().all.clone();
        self.deliver_all(&shards).await?;
        shut_down(self.mapping.take()).await
    }

    /// Waits until the mapping has delivered everything that has been written so far to a stream that goes on.
    pub async fn catch_up(&mut self) -> Result<(), String> {
        let closed = {
            let mut shards = self.shards.lock().unwrap();
            let closed = shards.all.clone();
            shards.rotate();
            closed
        };
        self.deliver_all(&closed).await
    }

    /// Waits until the mapping has delivered everything in these shards, which are closed.
    async fn deliver_all(&self, shards: &[String]) -> Result<(), String> {
        let until = tokio::time::Instant::now() + Duration::from_secs(3_600);
        let is_finished = |checkpoints: &Mutex<Checkpoints>| {
            let checkpoints = checkpoints.lock().unwrap();
            shards.iter().all(|shard| checkpoints.is_finished(shard))
        };
        while !is_finished(&self.checkpoints) {
            ensure(tokio::time::Instant::now() < until, || "the mapping makes no progress".to_owned())?;
            let is_running = self.mapping.as_ref().is_some_and(|mapping| !mapping.task.is_finished());
            ensure(is_running, || "the mapping stopped unexpectedly".to_owned())?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// The batches in the failure destination, and those that an earlier redrive left.
    pub fn take_discarded(&mut self) -> Vec<Vec<usize>> {
        while let Ok(event) = self.destination.1.try_recv() {
            let event = decode::Event::read(event.as_bytes()).unwrap();
            let records: Vec<usize> =
                event.records().iter().map(|record| self.lambda.number(record.sequence.as_str())).collect();
            self.lambda.note("given up", format!("{records:?} were discarded"));
            self.discarded.push(records);
        }
        std::mem::take(&mut self.discarded)
    }
}

fn checkpoints(shards: &Mutex<Shards>) -> Arc<Mutex<Checkpoints>> {
    let stream = Arc::clone(&shards.lock().unwrap().stream);
    Arc::new(Mutex::new(Checkpoints::in_memory(stream.arn(), "simulation")))
}

async fn shut_down(running: Option<Running>) -> Result<(), String> {
    let Some(Running { stop, task }) = running else { return Ok(()) };
    stop.send_replace(true);
    match task.await {
        Ok(ended) => ended.map_err(|error| format!("the mapping failed: {error:#}")),
        Err(error) => Err(format!("the mapping panicked: {error}")),
    }
}

/// Aborts a mapping at any point of its work.
async fn crash(running: Option<Running>) -> Result<(), String> {
    let Some(Running { task, .. }) = running else { return Ok(()) };
    task.abort();
    match task.await {
        Err(error) if error.is_panic() => Err(format!("the mapping panicked: {error}")),
        _ => Ok(()),
    }
}
