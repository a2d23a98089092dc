//! One run: the real mappings deliver a history and the notices of its pages to the real handler while the steps of a chaos
//! take place. Then hazards and faults stop, discarded batches are redriven, and in the end everything must be stored and
//! counted exactly once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use super::bench::Bench;
use super::chaos::{Chaos, Role, Step};
use super::feed::{Feed, SOURCE, Shards};
use super::lambda::{Counts, End, Lambda};
use super::side::Side;
use super::table::{SourceTable, Touch};
use crate::model::alerts;
use crate::model::history::{Change, History, Timing, event};
use crate::model::invariants::ensure;

/// The number of changes of one history: few, so that there can be many histories.
pub const CHANGES: std::ops::Range<usize> = 2..10;
/// Longer than any zombie runs and any late request takes.
const AFTERMATH: Duration = Duration::from_secs(120);
/// How often a redrive delivers the same batch before it leaves it for the next redrive.
const REDRIVE_ATTEMPTS: usize = 3;
/// How often everything may be delivered until the function writes nothing more: the last changes, the function's own writes, and
/// what was redriven meanwhile.
const SILENT_ROUNDS: usize = 5;

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
    let timing = match (chaos.by_event_time, chaos.upgrade) {
        (true, _) => Timing::Placed,
        (false, Some(_)) => Timing::Generation,
        (false, None) => Timing::Change,
    };
    let remaining = changes.into_iter().enumerate().filter(|(index, _)| chaos.changes.contains(index));
    History { changes: remaining.map(|(_, change)| change).collect(), now }
        .timed(timing)
        .spaced(chaos.indicator.is_some())
}

struct Run {
    bench: Arc<Bench>,
    chaos: Chaos,
    history: Arc<History>,
    feed: Feed,
    append: Side,
    fold: Side,
    /// The application, which touches the targets of an indicator.
    application: Option<JoinHandle<()>>,
    /// Hopeless changes that remain in the failure destination.
    left_out: BTreeSet<usize>,
    random: fastrand::Rng,
}

impl Run {
    fn new(bench: &Arc<Bench>, chaos: &Chaos, history: &Arc<History>) -> Run {
        let source = Arc::new(Mutex::new(Shards::new(SOURCE, chaos.side(Role::Append).shards)));
        let lambda = Lambda::new(bench, chaos, history, &source);
        let ledger = lambda.of_stream(|stream| Arc::clone(&stream.shards));
        Run {
            bench: Arc::clone(bench),
            chaos: chaos.clone(),
            history: Arc::clone(history),
            feed: Feed::new(history.changes.clone()),
            append: Side::start(lambda.clone(), Role::Append, chaos, source),
            fold: Side::start(lambda.with(Role::Fold), Role::Fold, chaos, ledger),
            application: (!chaos.touches.is_empty()).then(|| tokio::spawn(touch(lambda, chaos.touches.clone()))),
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
            (Step::Shift(alias), _) => {
                self.append.lambda.with(role).shift(alias);
                Some("shifts")
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
        let lambda = &self.append.lambda;
        let take_place = |change: &Change| {
            let number = lambda.number(&change.sequence);
            lambda.of_table(|table| table.change(number, change));
        };
        self.feed.write(&self.append.shards.lock().unwrap(), changes, take_place);
    }

    /// Delivers everything without hazards and faults, redrives discarded batches, and waits for late requests and zombies.
    async fn settle(&mut self) -> Result<(), String> {
        self.write(usize::MAX);
        if let Some(application) = self.application.take() {
            application.await.map_err(|error| format!("the application failed: {error}"))?;
        }
        self.append.lambda.calm_down();
        self.append.lambda.note("calms", "hazards and faults stop".to_owned());
        self.append.calm_down().await?;
        self.fold.calm_down().await?;
        if self.chaos.indicator.is_some() {
            tokio::time::sleep(AFTERMATH).await;
            self.fall_silent().await?;
        } else {
            self.append.finish().await?;
            self.redrive(Role::Append).await?;
            tokio::time::sleep(AFTERMATH).await;
        }
        self.check()?;
        self.wait_for_notices().await
    }

    /// Delivers everything, and what the function writes to the source table thereupon, until it writes nothing more.
    async fn fall_silent(&mut self) -> Result<(), String> {
        let records = |lambda: &Lambda| lambda.of_table(|table| table.len()).unwrap_or_default();
        for _ in 0..SILENT_ROUNDS {
            let before = records(&self.append.lambda);
            self.append.catch_up().await?;
            // A redrive delivers documents again as well, whose records may ask for a target, so only where it has to.
            self.append.discarded = self.append.take_discarded();
            if !self.append.discarded.is_empty() {
                self.redrive(Role::Append).await?;
            }
            if records(&self.append.lambda) == before {
                return Ok(());
            }
        }
        Err("the function's own writes make it write again and again".to_owned())
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
        let sent = alerts::check(&stored.ledger, &self.bench.sent())?;
        // Folds of a release without alerts leave the thresholds that they cross to the next change of the counter.
        if self.chaos.upgrade.is_none() && self.chaos.by_event_time {
            sent.check_last(&self.append.lambda.books().expected())?;
        }
        let restated = stored.usage.iter().filter(|item| item.contains_key("restated_at")).count();
        let (moved, left) = self.append.lambda.books().moved();
        for (number, kind) in [
            (sent.fired, "alerts fired"),
            (sent.cleared, "alerts cleared"),
            (sent.again, "alerts sent again"),
            (restated, "restated"),
            (moved, "changes of several generations"),
            (left, "counters left"),
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
                match self.append.lambda.deliver(&self.event(&batch)).await {
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

    /// The event with these records of the source.
    fn event(&self, records: &[usize]) -> Vec<u8> {
        let record = |number: &usize| match self.history.changes.get(*number) {
            Some(change) => change.record(),
            None => self.append.lambda.of_table(|table| table.record(*number)).expect("a record of the table"),
        };
        serde_json::to_vec(&json!({ "Records": records.iter().map(record).collect::<Vec<_>>() })).unwrap()
    }

    fn is_hopeless(&self, index: usize) -> bool {
        self.history.changes.get(index).is_some_and(|change| self.history.is_hopeless(change))
    }

    fn check(&mut self) -> Result<(), String> {
        let (acknowledged, violation) = {
            let state = self.append.lambda.state();
            (state.acknowledged.clone(), state.violation.clone())
        };
        violation.map_or(Ok(()), Err)?;
        let stored = self.bench.stored();
        let check_table = |table: &mut SourceTable| table.check(&stored.objects, &acknowledged);
        self.append.lambda.of_table(check_table).unwrap_or(Ok(()))?;
        let of_history = acknowledged.into_iter().filter(|record| *record < self.history.changes.len()).collect();
        self.append.lambda.books().check(&stored, &of_history)
    }

    /// Every change that can be processed is counted and archived, and every other change is in exactly one place: in a
    /// document if it is quarantined, otherwise in the failure destination. None is lost in between.
    fn check_everything_is_stored(&self) -> Result<(), String> {
        let discarded = &self.append.discarded;
        ensure(discarded.is_empty(), || format!("a redrive without faults failed: {discarded:?}"))?;
        let all: BTreeSet<usize> = (0..self.history.changes.len()).collect();
        let (hopeless, hopeful): (BTreeSet<usize>, BTreeSet<usize>) =
            all.iter().partition(|index| self.is_hopeless(**index));
        let (quarantined, failed, mut acknowledged) = match self.chaos.quarantines {
            true => (hopeless, BTreeSet::new(), all),
            false => (BTreeSet::new(), hopeless, hopeful.clone()),
        };
        acknowledged.extend(self.history.changes.len()..self.append.lambda.of_table(|table| table.len()).unwrap_or(0));
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
        if self.chaos.indicator.is_some() {
            // All records are acknowledged now, so each indicator must be exact.
            self.fall_silent().await?;
            self.append.finish().await?;
            let all = (0..self.append.lambda.of_table(|table| table.len()).unwrap_or(0)).collect();
            let acknowledged = self.append.lambda.state().acknowledged.clone();
            ensure(acknowledged == all, || format!("acknowledged in the end: {acknowledged:?}, expected {all:?}"))?;
        }
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

/// What the application does.
async fn touch(lambda: Lambda, touches: Vec<Touch>) {
    for touch in touches {
        tokio::time::sleep(touch.after).await;
        if lambda.of_table(|table| table.touch(touch)) == Some(true) {
            lambda.note("targets touched", format!("{touch:?}"));
        }
    }
}
