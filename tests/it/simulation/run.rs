//! One run: the real mappings deliver a history and the notices of its pages to the real handler while the steps of a chaos
//! take place. Then hazards and faults stop, discarded batches are redriven, and in the end everything must be stored and
//! counted exactly once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bench::Bench;
use super::chaos::{Chaos, Role, Step};
use super::feed::{Feed, SOURCE, Shards};
use super::lambda::{Counts, End, Lambda};
use super::side::Side;
use crate::model::alerts;
use crate::model::history::{History, event};
use crate::model::invariants::ensure;

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
    let history = Arc::new(history(chaos));
    let mut run = Run::new(bench, chaos, &history);
    let result = run.all().await;
    let mut state = run.append.lambda.state();
    Report { result: result.map(|()| std::mem::take(&mut state.counts)), trace: std::mem::take(&mut state.trace) }
}

/// The history of the seed, without the changes that were removed.
pub fn history(chaos: &Chaos) -> History {
    let History { changes, now } = History::random(chaos.seed, CHANGES);
    let remaining = changes.into_iter().enumerate().filter(|(index, _)| chaos.changes.contains(index));
    History { changes: remaining.map(|(_, change)| change).collect(), now }.timed(chaos.by_event_time)
}

struct Run {
    bench: Arc<Bench>,
    chaos: Chaos,
    history: Arc<History>,
    feed: Feed,
    append: Side,
    fold: Side,
    /// Hopeless changes that remain in the failure destination.
    left_out: BTreeSet<usize>,
    random: fastrand::Rng,
}

impl Run {
    fn new(bench: &Arc<Bench>, chaos: &Chaos, history: &Arc<History>) -> Run {
        let lambda = Lambda::new(bench, chaos, history);
        let source = Arc::new(Mutex::new(Shards::new(SOURCE, chaos.side(Role::Append).shards)));
        let ledger = lambda.of_stream(|stream| Arc::clone(&stream.shards));
        Run {
            bench: Arc::clone(bench),
            chaos: chaos.clone(),
            history: Arc::clone(history),
            feed: Feed::new(history.changes.clone()),
            append: Side::start(lambda.clone(), Role::Append, chaos, source),
            fold: Side::start(lambda.with(Role::Fold), Role::Fold, chaos, ledger),
            left_out: BTreeSet::new(),
            random: fastrand::Rng::with_seed(chaos.seed),
        }
    }

    async fn all(&mut self) -> Result<(), String> {
        for (role, step, pause) in self.chaos.steps.clone() {
            self.step(role, step).await?;
            tokio::time::sleep(pause).await;
            self.check()?;
        }
        self.settle().await?;
        self.check_everything_is_stored()?;
        self.fix_and_redrive().await
    }

    async fn step(&mut self, role: Role, step: Step) -> Result<(), String> {
        let count = match (step, role) {
            (Step::Write(changes), _) => {
                self.write(changes);
                Some("writes")
            }
            (Step::Redrive, _) => {
                self.redrive(role).await?;
                Some("redrives")
            }
            (step, Role::Append) => self.append.step(step, &mut self.random).await?,
            (step, Role::Fold) => self.fold.step(step, &mut self.random).await?,
        };
        if let Some(count) = count {
            self.append.lambda.with(role).note(count, format!("{step:?}"));
        }
        Ok(())
    }

    fn write(&mut self, changes: usize) {
        self.feed.write(&self.append.shards.lock().unwrap(), changes);
    }

    /// Delivers everything without hazards and faults, redrives discarded batches, and waits for late requests and zombies.
    async fn settle(&mut self) -> Result<(), String> {
        self.write(usize::MAX);
        self.append.lambda.calm_down();
        self.append.lambda.note("calms", "hazards and faults stop".to_owned());
        self.append.calm_down().await?;
        self.fold.calm_down().await?;
        self.append.finish().await?;
        self.redrive(Role::Append).await?;
        tokio::time::sleep(AFTERMATH).await;
        self.check()?;
        self.wait_for_notices().await
    }

    /// Waits until every notice is settled, and checks that the snapshots are exact then.
    async fn wait_for_notices(&mut self) -> Result<(), String> {
        let until = tokio::time::Instant::now() + Duration::from_secs(3_600);
        loop {
            self.redrive(Role::Fold).await?;
            let notices = self.fold.lambda.of_stream(super::ledger_stream::LedgerStream::len);
            if self.fold.lambda.state().settled.len() == notices {
                break;
            }
            ensure(tokio::time::Instant::now() < until, || "some notices are never settled".to_owned())?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.check()?;
        let stored = self.bench.stored();
        self.append.lambda.books().check_exact(&stored)?;
        if !self.chaos.by_event_time {
            return Ok(());
        }
        let sent = alerts::check(&self.append.lambda.books().expected(), &stored.ledger, &self.bench.sent())?;
        let restated = stored.usage.iter().filter(|item| item.contains_key("restated_at")).count();
        for (number, kind) in [
            (sent.fired, "alerts fired"),
            (sent.cleared, "alerts cleared"),
            (sent.again, "alerts sent again"),
            (restated, "restated"),
        ] {
            if number > 0 {
                self.fold.lambda.note(kind, number.to_string());
            }
        }
        Ok(())
    }

    /// Redrives discarded batches, oldest or newest first.
    async fn redrive(&mut self, role: Role) -> Result<(), String> {
        let mut batches = match role {
            Role::Append => self.append.take_discarded(),
            Role::Fold => self.fold.take_discarded(),
        };
        if self.random.bool() {
            batches.reverse();
        }
        if role == Role::Fold {
            for batch in batches {
                let event = self.fold.lambda.of_stream(|stream| stream.event(&batch));
                if self.fold.lambda.deliver(&event).await != End::Answer(None) {
                    self.fold.discarded.push(batch);
                }
            }
            return Ok(());
        }
        self.redrive_documents().await?;
        for batch in batches {
            let left = self.redrive_batch(batch).await?;
            self.append.discarded.extend((!left.is_empty()).then_some(left));
        }
        Ok(())
    }

    /// Delivers quarantined records again, before anything is fixed: each is rejected, and stays where it is.
    async fn redrive_documents(&self) -> Result<(), String> {
        let lambda = &self.append.lambda;
        for payload in self.payloads() {
            let end = lambda.deliver(payload.as_bytes()).await;
            ensure(end != End::Answer(None), || format!("a quarantined record is reported as durable: {payload}"))?;
            lambda.note("documents kept", payload);
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
                match self.append.lambda.deliver(&event(changes)).await {
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
                self.append.lambda.note("left out", format!("{hopeless} is hopeless"));
            }
        }
        Ok(batch)
    }

    fn is_hopeless(&self, index: usize) -> bool {
        self.history.is_hopeless(&self.history.changes[index])
    }

    fn check(&mut self) -> Result<(), String> {
        let (acknowledged, violation) = {
            let state = self.append.lambda.state();
            (state.acknowledged.clone(), state.violation.clone())
        };
        violation.map_or(Ok(()), Err)?;
        self.append.lambda.books().check(&self.bench.stored(), &acknowledged)
    }

    /// Every change that can be processed is counted and archived, and every other change is in exactly one place: in a
    /// document if it is quarantined, otherwise in the failure destination. None is lost in between.
    fn check_everything_is_stored(&self) -> Result<(), String> {
        let discarded = &self.append.discarded;
        ensure(discarded.is_empty(), || format!("a redrive without faults failed: {discarded:?}"))?;
        let all: BTreeSet<usize> = (0..self.history.changes.len()).collect();
        let (hopeless, hopeful): (BTreeSet<usize>, BTreeSet<usize>) =
            all.iter().partition(|index| self.is_hopeless(**index));
        let (quarantined, failed, acknowledged) = match self.chaos.quarantines {
            true => (hopeless, BTreeSet::new(), all),
            false => (BTreeSet::new(), hopeless, hopeful.clone()),
        };
        let books = self.append.lambda.books();
        for (found, expected, what) in [
            (&self.append.lambda.state().acknowledged, &acknowledged, "acknowledged"),
            (&books.appended, &hopeful, "appended"),
            (&books.archived, &hopeful, "archived"),
            (&books.quarantined, &quarantined, "quarantined"),
            (&self.left_out, &failed, "left in the failure destination"),
        ] {
            ensure(found == expected, || format!("{what} in the end: {found:?}, expected {expected:?}"))?;
        }
        Ok(())
    }

    /// Deploys a release that can process every change, and redrives what was rejected. Then everything is exact.
    async fn fix_and_redrive(&mut self) -> Result<(), String> {
        let lambda = &self.append.lambda;
        lambda.fix();
        let left_out = self.left_out.iter().map(|index| event([&self.history.changes[*index]]));
        for event in self.payloads().into_iter().map(String::into_bytes).chain(left_out) {
            let end = lambda.deliver(&event).await;
            ensure(end == End::Answer(None), || format!("redriven after the fix, but not durable: {end:?}"))?;
        }
        self.bench.delete_documents();
        lambda.books().redriven();
        // A fold may put an alert, so the stream ends when all notices are settled.
        self.wait_for_notices().await?;
        self.fold.finish().await?;
        let all: BTreeSet<usize> = (0..self.history.changes.len()).collect();
        let books = self.append.lambda.books();
        for (found, what) in [(&books.appended, "appended"), (&books.archived, "archived")] {
            ensure(*found == all, || format!("{what} after the fix: {found:?}, expected {all:?}"))?;
        }
        Ok(())
    }
}
