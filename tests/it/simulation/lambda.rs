//! Simulates Lambda: runs the real handler for each invocation, in a separate sandbox, and injects hazards and faults.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event_source_mapping::{Function, InvocationResult};
use laptop::emulators::{Call, Fault, FaultPlan, Service};
use tokio::time::Instant;
use usage_aggregator::decode;
use usage_aggregator::handler::Invocation;
use usage_aggregator::time::Timestamp;

use super::bench::{Bench, Release};
use super::chaos::{Chaos, Hazard};
use crate::model::history::History;

/// The function, as a mapping or a redrive invokes it. Clones share their state.
#[derive(Clone)]
pub struct Lambda(Arc<Inner>);

struct Inner {
    bench: Arc<Bench>,
    chaos: Chaos,
    now: Timestamp,
    started: Instant,
    sequences: HashMap<String, usize>,
    state: Mutex<State>,
}

/// What has happened so far.
#[derive(Default)]
pub struct State {
    invocations: usize,
    running: usize,
    is_calm: bool,
    is_fixed: bool,
    /// Changes that a response acknowledged, even if the response was lost.
    pub acknowledged: BTreeSet<usize>,
    pub counts: Counts,
    pub trace: Vec<String>,
}

/// How often each kind of event happened.
pub type Counts = BTreeMap<&'static str, usize>;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The position of the first record that isn't durable, if any.
    Answer(Option<usize>),
    Error(String),
    NotInvoked,
}

/// What happens to one invocation.
struct Trouble {
    hazard: Option<Hazard>,
    plan: FaultPlan,
    deadline: Option<Duration>,
    gives_up_after: Duration,
}

impl Lambda {
    pub fn new(bench: &Arc<Bench>, chaos: &Chaos, history: &History) -> Lambda {
        let sequences = history.changes.iter().enumerate().map(|(index, change)| (change.sequence.clone(), index));
        Lambda(Arc::new(Inner {
            bench: Arc::clone(bench),
            chaos: chaos.clone(),
            now: Timestamp::from_seconds(history.now).unwrap(),
            started: Instant::now(),
            sequences: sequences.collect(),
            state: Mutex::default(),
        }))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Stops all hazards and faults.
    pub fn calm_down(&self) {
        self.state().is_calm = true;
    }

    /// Deploys a release that can process every change.
    pub fn fix(&self) {
        self.state().is_fixed = true;
    }

    fn release(&self) -> Release {
        match (self.state().is_fixed, self.0.chaos.quarantines) {
            (true, _) => Release::Fixed,
            (false, true) => Release::Quarantining,
            (false, false) => Release::Failing,
        }
    }

    /// Adds a line to the trace and increments a count.
    pub fn note(&self, count: &'static str, line: String) {
        let time = self.0.started.elapsed().as_secs_f64();
        let mut state = self.state();
        *state.counts.entry(count).or_default() += 1;
        state.trace.push(format!("{time:9.3} {line}"));
    }

    /// The current time: the end of the history plus the time that has passed since.
    pub fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.0.started.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(self.0.now.micros() + elapsed).unwrap()
    }

    /// Invokes the function once with `event`.
    pub async fn deliver(&self, event: &[u8]) -> End {
        let records = self.records_of(event);
        let number = {
            let mut state = self.state();
            state.invocations += 1;
            state.invocations
        };
        let Trouble { hazard, plan, deadline, gives_up_after } = self.trouble(number);
        match hazard {
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
        let lambda = self.clone();
        let event = event.to_vec();
        // Spawned, so that it continues when the mapping ends or Lambda gives up on it.
        let invocation = tokio::spawn(async move { lambda.run(number, &records, &event, plan, deadline).await });
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

    async fn run(
        &self,
        number: usize,
        records: &[usize],
        event: &[u8],
        plan: FaultPlan,
        deadline: Option<Duration>,
    ) -> End {
        let lease = self.0.bench.sandbox(self.release());
        let (handler, http) = (&lease.sandbox.handler, &lease.sandbox.http);
        http.set_plan(plan);
        let deadline = deadline.map(|time| Instant::now() + time);
        let invocation = Invocation { request_id: String::new(), now: self.0.now, deadline };
        self.started_one();
        let outcome = tokio::select! {
            biased;
            () = http.crashed() => None,
            outcome = handler.handle(event, &invocation) => Some(outcome),
        };
        self.state().running -= 1;
        let suffered = self.count_faults(&http.calls());
        let (count, end) = match outcome {
            None => ("crashed", End::Error("crashed".to_owned())),
            Some(Err(error)) => ("failed", End::Error(error.to_string())),
            Some(Ok(outcome)) => {
                let response = outcome.response();
                let failed =
                    response.batch_item_failures.first().and_then(|failure| failure.item_identifier.as_deref());
                let failed = failed.map(|sequence| {
                    let index = self.0.sequences[sequence];
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

    /// Counts the faults of `calls` and describes them.
    fn count_faults(&self, calls: &[(Call, Fault)]) -> Vec<String> {
        let mut described = Vec::new();
        for (call, fault) in calls {
            let Some(count) = name(*fault) else { continue };
            *self.state().counts.entry(count).or_default() += 1;
            described.push(format!("{fault:?} at {}", call.operation));
        }
        described
    }

    fn started_one(&self) {
        let mut state = self.state();
        state.running += 1;
        if state.running > 1 {
            *state.counts.entry("at the same time").or_default() += 1;
        }
    }

    fn acknowledge(&self, records: &[usize]) {
        let mut state = self.state();
        for record in records {
            if !state.acknowledged.insert(*record) {
                *state.counts.entry("acknowledged again").or_default() += 1;
            }
        }
    }

    fn records_of(&self, event: &[u8]) -> Vec<usize> {
        let event = decode::Event::read(event).unwrap();
        event.records().iter().map(|raw| self.0.sequences[raw.sequence.as_str()]).collect()
    }

    /// What happens to invocation `number`. Each has its own random numbers, so that a simplified run changes little.
    fn trouble(&self, number: usize) -> Trouble {
        let chaos = &self.0.chaos;
        let mut random = fastrand::Rng::with_seed(chaos.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number as u64);
        if self.state().is_calm || number > chaos.troubled_invocations {
            return Trouble {
                hazard: None,
                plan: plan(random, 10, 0, Vec::new(), None),
                deadline: None,
                gives_up_after: Duration::ZERO,
            };
        }
        let hazard = random.choice(&chaos.hazards).copied().filter(|_| random.u8(0..100) < chaos.hazard_percent);
        let deadline = match (hazard, random.u8(0..4)) {
            (Some(Hazard::Hurried | Hazard::DynamoDbDown | Hazard::S3Down), _) => Some(random.u64(1..120)),
            (Some(Hazard::TimesOut), _) | (_, 0) => None,
            _ => Some(random.u64(300..20_000)),
        };
        let down = match hazard {
            Some(Hazard::DynamoDbDown) => Some(Service::DynamoDb),
            Some(Hazard::S3Down) => Some(Service::S3),
            _ => None,
        };
        let gives_up_after = Duration::from_millis(random.u64(1..3_000));
        let slowest_ms = if hazard == Some(Hazard::TimesOut) { 5_000 } else { 40 };
        let plan = plan(random, slowest_ms, chaos.fault_percent, chaos.faults.clone(), down);
        Trouble { hazard, plan, deadline: deadline.map(Duration::from_millis), gives_up_after }
    }
}

/// Calls take up to `slowest_ms`, `percent` of them have one of `faults`, and all calls of the service that is `down`
/// fail.
fn plan(
    mut random: fastrand::Rng,
    slowest_ms: u64,
    percent: u8,
    faults: Vec<Fault>,
    down: Option<Service>,
) -> FaultPlan {
    FaultPlan::new(move |call| {
        let (roll, choice) = (random.u8(0..100), random.choice(&faults).copied());
        let delay = Fault::Delay(Duration::from_millis(random.u64(0..slowest_ms)));
        match choice {
            _ if down == Some(call.service) => Fault::Status503,
            Some(fault) if roll < percent => fault,
            _ => delay,
        }
    })
}

/// The name under which a fault is counted. A delay isn't counted.
fn name(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::None | Fault::Delay(_) => None,
        Fault::LoseRequest => Some("requests lost"),
        Fault::LoseResponse => Some("responses lost"),
        Fault::Status503 => Some("503s"),
        Fault::Throttle => Some("calls throttled"),
        Fault::TransactionConflict => Some("conflicts"),
        Fault::ArriveLate(_) => Some("requests late"),
        Fault::CrashBefore => Some("crashes before a call"),
        Fault::CrashAfter => Some("crashes after a call"),
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
            End::Answer(Some(failed)) if self.0.chaos.settings.report_batch_item_failures => {
                let index = self.records_of(event)[failed];
                let sequence = self.0.sequences.iter().find(|(_, other)| **other == index).unwrap().0;
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
