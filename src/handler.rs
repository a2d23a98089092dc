//! One invocation. What the event is from decides what happens: records of a source are appended to the ledger and to the
//! archive, notices of the ledger's stream are folded, and the schedules sweep and prove.

mod alerts;
mod append;
mod fold;
mod prove;
mod report;
mod schedule;
mod spans;
mod sweep;
mod too_old;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tracing::{Instrument, debug, warn};

use crate::alerts::AlertSink;
use crate::archive::Bucket;
use crate::clients::Clients;
use crate::config::Config;
use crate::decode::Event;
use crate::error::Error;
use crate::fold::{Folder, Limits, MAX_STATE_BYTES, UsageTable};
use crate::ledger::LedgerTable;
use crate::metrics::{Metrics, MetricsSink};
use crate::outcome::{BatchOutcome, FoldOutcome, ProofOutcome, Response, SweepOutcome};
use crate::pipeline::Pipeline;
use crate::plan::{OnRejection, Plan, PlanContext, Recent, plan_event, plan_event_in_phases};
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

/// Lambda ends the init phase after 10 seconds. A handshake takes about 0.1 s, so waiting longer than this is
/// pointless.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The function, ready for invocations.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    folder: Option<Folder>,
    archive: Option<Bucket>,
    failures: Option<Bucket>,
    alerts: AlertSink,
    metrics: MetricsSink,
    /// The client for the source table, if the pipeline has indicators.
    source: Option<aws_sdk_dynamodb::Client>,
    /// What exports the spans of an invocation.
    telemetry: Option<Arc<Telemetry>>,
    /// The only state that outlives an invocation. What is written depends on it only if most records are rejected.
    recent: Mutex<Recent>,
}

/// The context of one invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The request id that Lambda assigned.
    pub request_id: String,
    /// The current time. Only the horizon and the metrics use it; what is written doesn't depend on it.
    pub now: Timestamp,
    /// When writing must stop, so that there is still time to respond.
    pub deadline: Option<tokio::time::Instant>,
}

/// What an invocation did.
#[derive(Debug)]
pub enum Outcome {
    /// It appended a batch of records.
    Appended(BatchOutcome),
    /// It folded notices.
    Folded(FoldOutcome),
    /// It swept a minute.
    Swept(SweepOutcome),
    /// It proved an hour.
    Proven(ProofOutcome),
}

impl Outcome {
    /// The response: the first record that failed, if any.
    pub fn response(&self) -> Response {
        match self {
            Outcome::Appended(outcome) => outcome.response(),
            Outcome::Folded(outcome) => outcome.response(),
            Outcome::Swept(_) | Outcome::Proven(_) => Response::default(),
        }
    }
}

impl Handler {
    /// Creates a handler that uses these clients.
    pub fn new(config: Config, clients: Clients) -> Handler {
        Handler::with_telemetry(config, clients, None)
    }

    /// Creates a handler that uses these clients, and reports to `telemetry`.
    pub fn with_telemetry(config: Config, clients: Clients, telemetry: Option<Arc<Telemetry>>) -> Handler {
        let clients = match &telemetry {
            Some(telemetry) => clients.observed_by(&telemetry.interceptor()),
            None => clients,
        };
        let concurrency = config.concurrency.max(1);
        let folder = folder(&config, &clients.dynamodb);
        let bucket = |name: &String| Bucket::new(clients.s3.clone(), name, concurrency);
        let archive = config.archive.as_ref().map(|archive| bucket(&archive.bucket));
        let failures = config.failure_bucket.as_ref().map(bucket);
        let alerts = AlertSink::new(&config.alerts, &clients);
        let metrics = MetricsSink::new(&config.metrics, clients.cloudwatch, &config.pipeline.name, telemetry.as_ref());
        let source = (!config.pipeline.indicators.is_empty()).then(|| clients.dynamodb.clone());
        Handler { config, folder, archive, failures, alerts, metrics, source, telemetry, recent: Mutex::default() }
    }

    /// The pipeline that records go through.
    pub fn pipeline(&self) -> &Pipeline {
        &self.config.pipeline
    }

    /// Opens the connections that the first invocation needs, during the init phase, when Lambda gives the function a
    /// full CPU. If that fails, the invocation opens them itself and reports what is wrong.
    pub async fn connect(&self) {
        let ledger = async { if let Some(folder) = &self.folder { folder.ledger.connect().await } else { Ok(()) } };
        let bucket = async { if let Some(bucket) = &self.archive { bucket.connect().await } else { Ok(()) } };
        let both = tokio::time::timeout(CONNECT_TIMEOUT, async { tokio::join!(ledger, bucket) });
        match both.await {
            Ok((ledger, bucket)) => {
                for error in [ledger.err(), bucket.err()].into_iter().flatten() {
                    debug!(%error, "failed to connect during init; the first invocation will connect");
                }
            }
            Err(_) => debug!("no connection during init; the first invocation will connect"),
        }
    }

    /// Handles one event.
    ///
    /// # Errors
    /// If the event is neither of a source, nor of the ledger, nor of a schedule, or if someone must fix a setting, a permission or a table.
    /// Lambda then delivers the whole batch again.
    pub async fn handle(&self, event: &[u8], invocation: &Invocation) -> Result<Outcome, Error> {
        // On the heap and of one type, because the futures of the branches are large and deeply nested.
        let dispatched = self.dispatch(event, invocation).boxed();
        let Some(telemetry) = &self.telemetry else { return dispatched.await };
        let handled = AssertUnwindSafe(dispatched).catch_unwind().await;
        let mut lost = Metrics::default();
        lost.count_unless_zero("TelemetryDropped", telemetry.flush().await);
        self.send(&lost, invocation).await;
        handled.unwrap_or_else(|panic| resume_unwind(panic))
    }

    async fn dispatch(&self, event: &[u8], invocation: &Invocation) -> Result<Outcome, Error> {
        let request_id = &invocation.request_id;
        match &self.folder {
            // On the heap, because an invocation needs memory for one of these, not for all of them.
            Some(folder) if fold::is_of_ledger(event, &folder.ledger.name) => {
                let span = spans::delivery(event, request_id);
                Box::pin(self.fold(event, invocation)).instrument(span).await.map(Outcome::Folded)
            }
            Some(_) if sweep::is_sweep(event) => {
                Box::pin(self.sweep(event, invocation)).instrument(spans::timer(invocation)).await.map(Outcome::Swept)
            }
            Some(_) if prove::is_proof(event) => {
                Box::pin(self.prove(event, invocation)).instrument(spans::timer(invocation)).await.map(Outcome::Proven)
            }
            _ => {
                let span = spans::delivery(event, request_id);
                Box::pin(self.append(event, invocation)).instrument(span).await.map(Outcome::Appended)
            }
        }
    }

    /// Appends the records of an event of a source to the ledger and to the archive.
    ///
    /// # Errors
    /// If the event isn't a DynamoDB Streams or Kinesis event, or if someone must fix something first.
    pub async fn append(&self, event: &[u8], invocation: &Invocation) -> Result<BatchOutcome, Error> {
        let started = Instant::now();
        let outcome = self.append_batch(event, invocation).await;
        let metrics = match &outcome {
            Ok(outcome) => report::append_metrics(outcome, invocation.now, started),
            Err(_) => report::failure_metrics(started),
        };
        report::log_append(&outcome, invocation.now, started);
        spans::record_append(&outcome, invocation.now);
        self.send(&metrics, invocation).await;
        outcome
    }

    /// Folds the notices of an event of the ledger's stream.
    ///
    /// # Errors
    /// If someone must fix something first.
    pub async fn fold(&self, event: &[u8], invocation: &Invocation) -> Result<FoldOutcome, Error> {
        let started = Instant::now();
        let outcome = self.fold_notices(event, invocation).await;
        let metrics = match &outcome {
            Ok(outcome) => report::fold_metrics(outcome, invocation.now, started),
            Err(error) => report::fold_failure_metrics(error, started),
        };
        report::log_fold(&outcome, started);
        spans::record_fold(&outcome, invocation.now);
        self.send(&metrics, invocation).await;
        outcome
    }

    /// Sweeps the minute that an event of the schedule names.
    ///
    /// # Errors
    /// Transient if the deadline passed or something is missing, config if someone must fix something first. Lambda
    /// invokes the function again.
    pub async fn sweep(&self, event: &[u8], invocation: &Invocation) -> Result<SweepOutcome, Error> {
        let started = Instant::now();
        let outcome = self.sweep_minute(event, invocation).await;
        let metrics = report::sweep_metrics(&outcome);
        report::log_sweep(&outcome, started);
        spans::record_schedule(&outcome);
        self.send(&metrics, invocation).await;
        outcome
    }

    /// Proves the hour that an event of the schedule names.
    ///
    /// # Errors
    /// As [`Handler::sweep`].
    pub async fn prove(&self, event: &[u8], invocation: &Invocation) -> Result<ProofOutcome, Error> {
        let started = Instant::now();
        let outcome = self.prove_hour(event, invocation).await;
        let metrics = report::proof_metrics(&outcome);
        report::log_proof(&outcome, started);
        spans::record_schedule(&outcome);
        self.send(&metrics, invocation).await;
        outcome
    }

    async fn send(&self, metrics: &Metrics, invocation: &Invocation) {
        if let Err(error) = self.metrics.send(metrics, &invocation.request_id, invocation.now).await {
            warn!(%error, "failed to send metrics; the batch is not affected");
        }
    }

    /// Reads `event` and plans its records, without writing anything.
    ///
    /// # Errors
    /// If the event isn't a DynamoDB Streams or Kinesis event.
    pub fn plan<'e>(&self, event: &'e [u8], now: Timestamp) -> Result<(Event<'e>, Plan), Error> {
        let context = self.plan_context(now);
        let Some(mut phases) = self.telemetry.as_deref().and_then(Telemetry::phases) else {
            return plan_event(event, self.pipeline(), &context);
        };
        let planned = plan_event_in_phases(event, self.pipeline(), &context, || phases.switch());
        phases.finish(["decode", "plan"]);
        planned
    }

    fn plan_context(&self, now: Timestamp) -> PlanContext {
        let mut context = self.config.plan_context(now);
        if let OnRejection::Quarantine { recent, .. } = &mut context.on_rejection {
            recent.clone_from(&self.recent());
        }
        context
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger and usage tables of a pipeline that counts.
pub fn folder(config: &Config, client: &aws_sdk_dynamodb::Client) -> Option<Folder> {
    config.tables.as_ref().zip(config.pipeline.snapshot.as_ref()).map(|(tables, snapshot)| Folder {
        ledger: LedgerTable {
            client: client.clone(),
            name: tables.ledger.clone(),
            pipeline: config.pipeline.name.clone(),
            buckets: tables.buckets,
            id_bytes: tables.id_bytes,
            keep_days: tables.keep_days,
            late_days: config.pipeline.late_days(),
            windows: snapshot.windows.clone(),
            zone: snapshot.zone,
        },
        usage: UsageTable { client: client.clone(), name: tables.usage.clone() },
        limits: Limits::default(),
        epoch: tables.epoch,
        horizon_days: config.horizon_days,
        max_state_bytes: MAX_STATE_BYTES,
        concurrency: config.concurrency.max(1),
    })
}

#[cfg(test)]
mod tests;
