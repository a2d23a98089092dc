//! One run: the real mapping delivers a history to the real handler while the steps of a chaos take place. Then hazards
//! and faults stop, discarded batches are redriven, and in the end everything must be stored exactly once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_source_mapping::{Checkpoints, Clock, Destination, Mapping, Settings};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use usage_aggregator::decode;

use super::bench::Bench;
use super::chaos::{Chaos, Progress, Step};
use super::feed::{ARN, Feed};
use super::lambda::{Counts, End, Lambda};
use crate::model::history::{History, event};
use crate::model::invariants::{Ledger, ensure};

/// The number of changes of one history: few, so that there can be many histories.
pub const CHANGES: std::ops::Range<usize> = 2..10;
/// Longer than any zombie runs and any late request takes.
const AFTERMATH: Duration = Duration::from_secs(120);
/// How often a redrive delivers the same batch before it leaves it for the next redrive.
const REDRIVE_ATTEMPTS: usize = 3;

/// The result of a run.
pub struct Report {
    pub result: Result<Counts, String>,
    pub trace: Vec<String>,
}

/// Runs `chaos` on an empty bench.
pub async fn run(bench: &Arc<Bench>, chaos: &Chaos) -> Report {
    let history = history(chaos);
    let mut run = Run::new(bench, chaos, &history);
    let result = run.all().await;
    let mut state = run.lambda.state();
    Report { result: result.map(|()| std::mem::take(&mut state.counts)), trace: std::mem::take(&mut state.trace) }
}

/// The history of the seed, without the changes that were removed.
pub fn history(chaos: &Chaos) -> History {
    let History { changes, now } = History::random(chaos.seed, CHANGES);
    let remaining = changes.into_iter().enumerate().filter(|(index, _)| chaos.changes.contains(index));
    History { changes: remaining.map(|(_, change)| change).collect(), now }
}

struct Run<'h> {
    bench: Arc<Bench>,
    chaos: Chaos,
    history: &'h History,
    settings: Settings,
    lambda: Lambda,
    feed: Feed,
    checkpoints: Arc<Mutex<Checkpoints>>,
    mapping: Option<Running>,
    rival: Option<Running>,
    destination: (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>),
    /// Batches that were discarded and not yet redriven.
    discarded: Vec<Vec<usize>>,
    /// Hopeless changes that remain in the failure destination.
    left_out: BTreeSet<usize>,
    ledger: Ledger<'h>,
    random: fastrand::Rng,
}

/// A running mapping.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl<'h> Run<'h> {
    fn new(bench: &Arc<Bench>, chaos: &Chaos, history: &'h History) -> Run<'h> {
        Run {
            bench: Arc::clone(bench),
            chaos: chaos.clone(),
            history,
            settings: chaos.settings.clone(),
            lambda: Lambda::new(bench, chaos, history),
            feed: Feed::new(chaos.shards, history.changes.clone()),
            checkpoints: checkpoints(),
            mapping: None,
            rival: None,
            destination: mpsc::unbounded_channel(),
            discarded: Vec::new(),
            left_out: BTreeSet::new(),
            ledger: Ledger::new(history),
            random: fastrand::Rng::with_seed(chaos.seed),
        }
    }

    async fn all(&mut self) -> Result<(), String> {
        self.mapping = Some(self.start(&self.checkpoints));
        for (step, pause) in self.chaos.steps.clone() {
            self.step(step).await?;
            tokio::time::sleep(pause).await;
            self.check()?;
        }
        self.settle().await?;
        // Wait for late requests and zombies.
        tokio::time::sleep(AFTERMATH).await;
        self.check()?;
        self.check_everything_is_stored()?;
        self.fix_and_redrive().await
    }

    fn start(&self, checkpoints: &Arc<Mutex<Checkpoints>>) -> Running {
        let (lambda, checkpoints) = (self.lambda.clone(), Arc::clone(checkpoints));
        let clock = Clock::new(move || lambda.now());
        let (source, function) = (Arc::clone(&self.feed.stream), Arc::new(self.lambda.clone()));
        let mut mapping = Mapping::new(self.settings.clone(), source, function, clock, checkpoints, self.chaos.seed);
        mapping.destination = Some(Destination::Channel(self.destination.0.clone()));
        let (stop, stopped) = watch::channel(false);
        Running { stop, task: tokio::spawn(Arc::new(mapping).run(stopped)) }
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        let count = match step {
            Step::Write(changes) => {
                self.feed.write(changes);
                "writes"
            }
            Step::Split if self.feed.split(&mut self.random) => "splits",
            Step::Merge if self.feed.merge(&mut self.random) => "merges",
            Step::Update(batch_size, parallelization_factor) => {
                shut_down(self.mapping.take()).await?;
                self.settings = Settings { batch_size, parallelization_factor, ..self.settings.clone() };
                self.mapping = Some(self.start(&self.checkpoints));
                "updates"
            }
            Step::Crash(rewind) => {
                crash(self.mapping.take()).await?;
                self.checkpoints.lock().unwrap().rewind(rewind).unwrap();
                self.mapping = Some(self.start(&self.checkpoints));
                if rewind > 0 { "rewinds" } else { "mapping crashes" }
            }
            Step::Rival(progress) if self.rival.is_none() => {
                let checkpoints = match progress {
                    Progress::FromStart => checkpoints(),
                    Progress::Shared => Arc::clone(&self.checkpoints),
                };
                self.rival = Some(self.start(&checkpoints));
                "rivals"
            }
            Step::RivalDies if self.rival.is_some() => {
                crash(self.rival.take()).await?;
                "rivals' deaths"
            }
            Step::Redrive => {
                self.redrive().await?;
                "redrives"
            }
            Step::Split | Step::Merge | Step::Rival(_) | Step::RivalDies => return Ok(()),
        };
        self.lambda.note(count, format!("{step:?}"));
        Ok(())
    }

    /// Delivers everything without hazards and faults, and redrives discarded batches.
    async fn settle(&mut self) -> Result<(), String> {
        crash(self.rival.take()).await?;
        shut_down(self.mapping.take()).await?;
        self.feed.finish();
        self.lambda.calm_down();
        self.lambda.note("calms", "hazards and faults stop".to_owned());
        self.settings = Settings { maximum_retry_attempts: Some(0), maximum_record_age: None, ..self.settings.clone() };
        let mapping = self.start(&self.checkpoints);
        let finished = |checkpoints: &Mutex<Checkpoints>| {
            let checkpoints = checkpoints.lock().unwrap();
            self.feed.shards.iter().all(|shard| checkpoints.is_finished(shard))
        };
        let until = tokio::time::Instant::now() + Duration::from_secs(3_600);
        while !finished(&self.checkpoints) {
            ensure(tokio::time::Instant::now() < until, || "the mapping makes no progress".to_owned())?;
            ensure(!mapping.task.is_finished(), || "the mapping stopped unexpectedly".to_owned())?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        shut_down(Some(mapping)).await?;
        self.redrive().await
    }

    /// Redrives discarded batches, oldest or newest first.
    async fn redrive(&mut self) -> Result<(), String> {
        while let Ok(event) = self.destination.1.try_recv() {
            let event = decode::Event::read(event.as_bytes()).unwrap();
            let index = |sequence: &str| self.history.changes.iter().position(|change| change.sequence == sequence);
            let records = event.records().iter().map(|record| index(record.sequence.as_str()).unwrap());
            let records: Vec<usize> = records.collect();
            self.lambda.note("given up", format!("{records:?} were discarded"));
            self.discarded.push(records);
        }
        let mut batches = std::mem::take(&mut self.discarded);
        if self.random.bool() {
            batches.reverse();
        }
        self.redrive_documents().await?;
        for batch in batches {
            let left = self.redrive_batch(batch).await?;
            self.discarded.extend((!left.is_empty()).then_some(left));
        }
        Ok(())
    }

    /// Delivers quarantined records again, before anything is fixed: each is rejected, and stays where it is.
    async fn redrive_documents(&self) -> Result<(), String> {
        for payload in self.payloads() {
            let end = self.lambda.deliver(payload.as_bytes()).await;
            ensure(end != End::Answer(None), || format!("a quarantined record is reported as durable: {payload}"))?;
            self.lambda.note("documents kept", payload);
        }
        Ok(())
    }

    /// The event in each document, with which redrive asks the function to report rejected records.
    fn payloads(&self) -> Vec<String> {
        let payload = |body: &Arc<[u8]>| {
            let document: serde_json::Value = serde_json::from_slice(body).unwrap();
            document["payload"].as_str().unwrap().replacen('{', r#"{"rejectedRecords":"fail","#, 1)
        };
        self.bench.stored().documents.values().map(payload).collect()
    }

    /// Delivers a batch again, leaving out hopeless records. Returns the records that could not be delivered.
    async fn redrive_batch(&mut self, mut batch: Vec<usize>) -> Result<Vec<usize>, String> {
        for _ in 0..REDRIVE_ATTEMPTS {
            loop {
                if batch.is_empty() {
                    return Ok(batch);
                }
                let changes = batch.iter().map(|index| &self.history.changes[*index]);
                match self.lambda.deliver(&event(changes)).await {
                    End::Answer(None) => return Ok(Vec::new()),
                    End::Answer(Some(failed)) => batch.drain(..failed),
                    End::Error(_) | End::NotInvoked => break,
                };
                // Where records are quarantined, only a fault can make one fail.
                if self.chaos.quarantines || !self.is_hopeless(batch[0]) {
                    break;
                }
                let hopeless = batch.remove(0);
                self.left_out.insert(hopeless);
                self.lambda.note("left out", format!("{hopeless} is hopeless"));
            }
        }
        Ok(batch)
    }

    fn is_hopeless(&self, index: usize) -> bool {
        self.history.is_hopeless(&self.history.changes[index])
    }

    fn check(&mut self) -> Result<(), String> {
        let acknowledged = self.lambda.state().acknowledged.clone();
        self.ledger.check(&self.bench.stored(), &acknowledged)
    }

    /// Every change that can be processed is counted and archived, and every other change is in exactly one place: in a
    /// document if it is quarantined, otherwise in the failure destination. None is lost in between.
    fn check_everything_is_stored(&self) -> Result<(), String> {
        ensure(self.discarded.is_empty(), || format!("a redrive without faults failed: {:?}", self.discarded))?;
        let all: BTreeSet<usize> = (0..self.history.changes.len()).collect();
        let (hopeless, hopeful): (BTreeSet<usize>, BTreeSet<usize>) =
            all.iter().partition(|index| self.is_hopeless(**index));
        let (quarantined, failed, acknowledged) = match self.chaos.quarantines {
            true => (hopeless, BTreeSet::new(), all),
            false => (BTreeSet::new(), hopeless, hopeful.clone()),
        };
        for (found, expected, what) in [
            (&self.lambda.state().acknowledged, &acknowledged, "acknowledged"),
            (&self.ledger.claimed, &hopeful, "counted"),
            (&self.ledger.archived, &hopeful, "archived"),
            (&self.ledger.quarantined, &quarantined, "quarantined"),
            (&self.left_out, &failed, "left in the failure destination"),
        ] {
            ensure(found == expected, || format!("{what} in the end: {found:?}, expected {expected:?}"))?;
        }
        Ok(())
    }

    /// Deploys a release that can process every change, and redrives what was rejected. Then everything is exact.
    async fn fix_and_redrive(&mut self) -> Result<(), String> {
        self.lambda.fix();
        self.ledger.is_fixed = true;
        let left_out = self.left_out.iter().map(|index| event([&self.history.changes[*index]]));
        for event in self.payloads().into_iter().map(String::into_bytes).chain(left_out) {
            let end = self.lambda.deliver(&event).await;
            ensure(end == End::Answer(None), || format!("redriven after the fix, but not durable: {end:?}"))?;
        }
        self.bench.delete_documents();
        self.ledger.redriven();
        self.check()?;
        let all: BTreeSet<usize> = (0..self.history.changes.len()).collect();
        for (found, what) in [(&self.ledger.claimed, "counted"), (&self.ledger.archived, "archived")] {
            ensure(*found == all, || format!("{what} after the fix: {found:?}, expected {all:?}"))?;
        }
        Ok(())
    }
}

fn checkpoints() -> Arc<Mutex<Checkpoints>> {
    Arc::new(Mutex::new(Checkpoints::in_memory(ARN, "simulation")))
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
