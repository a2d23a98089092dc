//! Simulates Lambda: runs the real handler for each invocation, in a separate sandbox, and injects hazards and faults.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use event_source_mapping::{Function, InvocationResult};
use laptop::emulators::{Call, Fault};
use tokio::time::Instant;
use usage_aggregator::decode;
use usage_aggregator::handler::{Handler, Invocation, Outcome};
use usage_aggregator::indicator::Recomputed;
use usage_aggregator::ledger::PAGES;
use usage_aggregator::outcome::{BatchOutcome, Response};
use usage_aggregator::time::Timestamp;

use super::bench::{Bench, Release, Variant};
use super::chaos::{Chaos, Hazard, Role};
use super::feed::Shards;
use super::ledger_stream::{LedgerStream, Observed};
use super::table::{SourceTable, Watched};
use super::trouble::{Trouble, name};
use super::upgrade::{self, Alias, Aliases};
use crate::model::alerts::alert;
use crate::model::history::History;
use crate::model::invariants::Books;
use crate::world::PageKey;

/// A function, as a mapping or a redrive invokes it. Clones, and both functions of a run, share their state.
#[derive(Clone)]
pub struct Lambda {
    inner: Arc<Inner>,
    role: Role,
}

struct Inner {
    bench: Arc<Bench>,
    chaos: Chaos,
    watch: Watch,
    sequences: HashMap<String, usize>,
    ledger_stream: Observed,
    table: Watched,
    books: Mutex<Books>,
    state: Mutex<State>,
}

/// The time of a run: the end of the history plus the time that has passed since.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    end: Timestamp,
    started: Instant,
}

impl Watch {
    pub fn started_at(end: Timestamp) -> Watch {
        Watch { end, started: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(self.end.micros() + elapsed).unwrap()
    }
}

/// What has happened so far.
#[derive(Default)]
pub struct State {
    /// How many invocations each function has had, and how many of them are running.
    invocations: [usize; 2],
    running: [usize; 2],
    is_calm: bool,
    is_fixed: bool,
    /// What serves both functions, if releases are upgraded.
    aliases: Option<Aliases>,
    /// Changes that a response acknowledged, even if the response was lost.
    pub acknowledged: BTreeSet<usize>,
    /// Notices that a response settled, even if the response was lost.
    pub settled: BTreeSet<usize>,
    /// The first invariant that was violated after a fold.
    pub violation: Option<String>,
    pub counts: Counts,
    pub trace: Vec<String>,
}

/// How often each kind of event happened.
pub type Counts = BTreeMap<(Role, &'static str), usize>;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The position of the first record that isn't durable or settled, if any.
    Answer(Option<usize>),
    Error(String),
    NotInvoked,
}

impl Lambda {
    /// The function that appends.
    pub fn new(bench: &Arc<Bench>, chaos: &Chaos, history: &Arc<History>, source: &Arc<Mutex<Shards>>) -> Lambda {
        let sequences = history.changes.iter().enumerate().map(|(index, change)| (change.sequence.clone(), index));
        let watch = Watch::started_at(Timestamp::from_seconds(history.now).unwrap());
        let ledger_stream = bench.start_stream(LedgerStream::new(watch, chaos.side(Role::Fold).shards));
        let table = |missing| {
            bench.start_table(|database| SourceTable::new(database, source, watch, &history.changes, missing))
        };
        let inner = Inner {
            table: chaos.indicator.map(table).unwrap_or_default(),
            bench: Arc::clone(bench),
            chaos: chaos.clone(),
            watch,
            sequences: sequences.collect(),
            ledger_stream,
            books: Mutex::new(Books::new(history)),
            state: Mutex::new(State { aliases: chaos.upgrade, ..State::default() }),
        };
        Lambda { inner: Arc::new(inner), role: Role::Append }
    }

    /// The function with this role.
    pub fn with(&self, role: Role) -> Lambda {
        Lambda { inner: Arc::clone(&self.inner), role }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap()
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.inner.books.lock().unwrap()
    }

    /// Reads the stream of the ledger.
    pub fn of_stream<T>(&self, read: impl FnOnce(&LedgerStream) -> T) -> T {
        read(self.inner.ledger_stream.lock().unwrap().as_ref().expect("the run has a stream"))
    }

    /// The source table, if the pipeline has an indicator.
    pub fn of_table<T>(&self, read: impl FnOnce(&mut SourceTable) -> T) -> Option<T> {
        self.inner.table.lock().unwrap().as_mut().map(read)
    }

    pub fn watch(&self) -> Watch {
        self.inner.watch
    }

    /// Stops all hazards and faults.
    pub fn calm_down(&self) {
        self.state().is_calm = true;
    }

    /// Deploys a release that can process every change.
    pub fn fix(&self) {
        self.state().is_fixed = true;
        self.books().is_fixed = true;
    }

    /// The release of invocation `number`. Folds run on both of two releases, which differ in the number of buckets.
    fn release(&self, number: usize) -> Release {
        match (self.role, self.state().is_fixed, self.inner.chaos.quarantines) {
            (Role::Fold, ..) if number.is_multiple_of(2) => Release::Failing,
            (Role::Fold, ..) => Release::Quarantining,
            (Role::Append, true, _) => Release::Fixed,
            (Role::Append, false, true) => Release::Quarantining,
            (Role::Append, false, false) => Release::Failing,
        }
    }

    /// Lets the function's alias divide invocations in this way, from the next one on.
    pub fn shift(&self, alias: Alias) {
        if let Some(aliases) = &mut self.state().aliases {
            aliases[self.role as usize] = alias;
        }
    }

    /// The pipeline of invocation `number`.
    fn variant(&self, number: usize) -> Variant {
        let chaos = &self.inner.chaos;
        let alias = self.state().aliases.map(|aliases| aliases[self.role as usize]);
        match (chaos.indicator, alias) {
            (Some(missing), _) => Variant::Indicator(missing),
            (None, Some(alias)) => {
                let generation = alias.generation(chaos.seed, self.role, number);
                let served = upgrade::GENERATIONS.iter().position(|known| *known == generation).unwrap();
                self.count(upgrade::SERVED[served], 1);
                Variant::Generation(generation)
            }
            (None, None) if chaos.by_event_time => Variant::ByEventTime,
            (None, None) => Variant::Plain,
        }
    }

    /// Adds a line to the trace and increments a count.
    pub fn note(&self, count: &'static str, line: String) {
        let time = self.inner.watch.started.elapsed().as_secs_f64();
        self.count(count, 1);
        let mut state = self.state();
        state.trace.push(format!("{time:9.3} {:?} {line}", self.role));
    }

    fn count(&self, kind: &'static str, number: usize) {
        if number > 0 {
            *self.state().counts.entry((self.role, kind)).or_default() += number;
        }
    }

    /// Invokes the function once with `event`.
    pub async fn deliver(&self, event: &[u8]) -> End {
        let records = self.records_of(event);
        let (number, is_calm) = {
            let mut state = self.state();
            state.invocations[self.role as usize] += 1;
            (state.invocations[self.role as usize], state.is_calm)
        };
        let trouble = Trouble::of(&self.inner.chaos, self.role, number, is_calm);
        match trouble.hazard {
            Some(Hazard::Throttled) => {
                self.note("throttled", format!("#{number} {records:?} throttled"));
                return End::NotInvoked;
            }
            Some(Hazard::DiesAtOnce) => {
                self.note("died", format!("#{number} {records:?} died at once"));
                return End::Error("exited".to_owned());
            }
            _ => {}
        }
        let (hazard, gives_up_after) = (trouble.hazard, trouble.gives_up_after);
        let lambda = self.clone();
        let event = event.to_vec();
        // Spawned, so that it continues when the mapping ends or Lambda gives up on it.
        let invocation = tokio::spawn(async move { lambda.run(number, &records, &event, trouble).await });
        match hazard {
            Some(Hazard::TimesOut) => match tokio::time::timeout(gives_up_after, invocation).await {
                Ok(end) => end.unwrap(),
                Err(_) => {
                    self.note("zombies", format!("#{number} timed out, but continues"));
                    End::Error("timed out".to_owned())
                }
            },
            Some(Hazard::ResponseLost) => {
                let end = invocation.await.unwrap();
                self.note("invocation responses lost", format!("#{number} its response was lost: {end:?}"));
                End::Error("the response was lost".to_owned())
            }
            _ => invocation.await.unwrap(),
        }
    }

    async fn run(&self, number: usize, records: &[usize], event: &[u8], trouble: Trouble) -> End {
        let variant = self.variant(number);
        let lease = self.inner.bench.sandbox_of(self.release(number), variant);
        let (handler, http) = (&lease.sandbox.handler, &lease.sandbox.http);
        http.set_plan(trouble.plan);
        let deadline = trouble.deadline.map(|time| Instant::now() + time);
        let invocation = Invocation { request_id: String::new(), now: self.inner.watch.end, deadline };
        self.started_one();
        let response = tokio::select! {
            biased;
            () = http.crashed() => None,
            response = self.handle(handler, event, &invocation) => Some(response),
        };
        self.state().running[self.role as usize] -= 1;
        let suffered = self.count_faults(&http.calls());
        let (count, end) = match response {
            None => ("crashed", End::Error("crashed".to_owned())),
            Some(Err(error)) => ("failed", End::Error(error)),
            Some(Ok(response)) => {
                let failed =
                    response.batch_item_failures.first().and_then(|failure| failure.item_identifier.as_deref());
                let failed = failed.map(|sequence| {
                    let index = self.number(sequence);
                    records
                        .iter()
                        .position(|record| *record == index)
                        .expect("the response names a record of the batch")
                });
                self.acknowledge(&records[..failed.unwrap_or(records.len())]);
                (if failed.is_some() { "partial" } else { "succeeded" }, End::Answer(failed))
            }
        };
        self.note(count, format!("#{number} {records:?} {suffered:?} -> {end:?}"));
        end
    }

    async fn handle(&self, handler: &Handler, event: &[u8], invocation: &Invocation) -> Result<Response, String> {
        match handler.handle(event, invocation).await {
            Ok(outcome) => {
                if let Outcome::Appended(outcome) = &outcome {
                    self.count_targets(outcome);
                }
                Ok(outcome.response())
            }
            Err(error) => {
                // Whatever happens, nobody has to fix a setting.
                self.violate(format!("{:?} failed: {error}", self.role));
                Err(error.to_string())
            }
        }
    }

    fn count_targets(&self, BatchOutcome { recomputed, tally, .. }: &BatchOutcome) {
        let Recomputed { changed, equal, missing, conflicts } = *recomputed;
        self.count("targets recomputed", changed + equal + missing);
        self.count("targets written", changed);
        self.count("targets unchanged", equal);
        self.count("targets missing", missing);
        self.count("target conflicts", conflicts);
        self.count("own writes", tally.indicator_writes);
    }

    /// Counts the faults of `calls` and describes them.
    fn count_faults(&self, calls: &[(Call, Fault)]) -> Vec<String> {
        let mut described = Vec::new();
        for (call, fault) in calls {
            let Some(count) = name(*fault) else { continue };
            *self.state().counts.entry((self.role, count)).or_default() += 1;
            described.push(format!("{fault:?} at {}", call.operation));
        }
        described
    }

    fn started_one(&self) {
        let mut state = self.state();
        state.running[self.role as usize] += 1;
        if state.running[self.role as usize] > 1 {
            *state.counts.entry((self.role, "at the same time")).or_default() += 1;
        }
    }

    fn acknowledge(&self, records: &[usize]) {
        {
            let mut state = self.state();
            for record in records {
                let done = match self.role {
                    Role::Append => &mut state.acknowledged,
                    Role::Fold => &mut state.settled,
                };
                if !done.insert(*record) {
                    *state.counts.entry((self.role, "acknowledged again")).or_default() += 1;
                }
            }
        }
        if self.role == Role::Append
            && let Err(message) = self.check_targets()
        {
            self.violate(message);
        }
        if self.role == Role::Fold {
            let settled: Vec<_> = self.of_stream(|stream| records.iter().map(|number| stream.page(*number)).collect());
            let (pages, alerts): (Vec<_>, Vec<_>) = settled.into_iter().partition(|(key, _)| key.starts_with(PAGES));
            if !alerts.is_empty() {
                self.check_sent(&alerts);
            }
            let mut books = self.books();
            books.settle(pages);
            if let Err(message) = books.check_counters(&self.inner.bench.stored()) {
                self.violate(message);
            }
        }
    }

    /// Each target is as the acknowledged records require.
    fn check_targets(&self) -> Result<(), String> {
        if self.inner.chaos.indicator.is_none() {
            return Ok(());
        }
        let acknowledged = self.state().acknowledged.clone();
        self.of_table(|table| table.check_targets(&acknowledged)).unwrap_or(Ok(()))
    }

    /// An alert that was settled was sent.
    fn check_sent(&self, alerts: &[PageKey]) {
        let sent: BTreeSet<String> = self.inner.bench.sent().iter().map(|detail| alert(detail).id).collect();
        let unsent = alerts.iter().find(|(key, name)| !sent.contains(&format!("{key}/{name}")));
        unsent.into_iter().for_each(|alert| self.violate(format!("settled, but not sent: {alert:?}")));
    }

    fn violate(&self, message: String) {
        self.state().violation.get_or_insert(message);
    }

    fn records_of(&self, event: &[u8]) -> Vec<usize> {
        let event = decode::Event::read(event).unwrap();
        event.records().iter().map(|raw| self.number(raw.sequence.as_str())).collect()
    }

    /// The number of the change or notice with this sequence number.
    pub fn number(&self, sequence: &str) -> usize {
        match self.role {
            Role::Append => match self.inner.sequences.get(sequence) {
                Some(number) => *number,
                None => self.of_table(|table| table.number(sequence)).expect("a record of the table"),
            },
            Role::Fold => self.of_stream(|stream| stream.number(sequence)),
        }
    }
}

#[async_trait::async_trait]
impl Function for Lambda {
    fn arn(&self) -> &str {
        "arn:aws:lambda:us-east-1:123456789012:function:usage-aggregator"
    }

    async fn invoke(&self, event: &[u8], _request_id: &str) -> InvocationResult {
        match self.deliver(event).await {
            End::NotInvoked => InvocationResult::NotInvoked("throttled".to_owned()),
            End::Error(message) => InvocationResult::FunctionError(message),
            End::Answer(Some(failed)) if self.inner.chaos.side(self.role).settings.report_batch_item_failures => {
                let event = decode::Event::read(event).unwrap();
                let sequence = event.records()[failed].sequence.as_str();
                let failures = serde_json::json!({ "batchItemFailures": [{ "itemIdentifier": sequence }] });
                InvocationResult::Returned(failures.to_string().into_bytes())
            }
            // Without ReportBatchItemFailures, the response isn't read, so a partial failure must fail the invocation.
            End::Answer(Some(failed)) => {
                InvocationResult::FunctionError(format!("record {failed} of the batch failed"))
            }
            End::Answer(None) => InvocationResult::Returned(br#"{"batchItemFailures":[]}"#.to_vec()),
        }
    }
}
