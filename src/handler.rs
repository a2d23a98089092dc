//! One invocation: decode, plan, commit, report.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::archive::{AvroFile, Bucket};
use crate::clients::Clients;
use crate::config::Config;
use crate::decode::Event;
use crate::error::{Error, ErrorKind};
use crate::metrics::{BatchMetrics, MetricsSink};
use crate::outcome::{BatchOutcome, Stored};
use crate::pipeline::Pipeline;
use crate::plan::{OnRejection, Plan, PlanContext, Recent, plan_event, plan_event_without};
use crate::quarantine::{self, Document};
use crate::record::{Code, Fault};
use crate::time::{DAY_SECONDS, Timestamp};
use crate::usage::{Committed, UsageTables};
use report::{batch_metrics, log, milliseconds};

/// Lambda ends the init phase after 10 seconds. A handshake takes about 0.1 s, so waiting longer than this is
/// pointless.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The function, ready for invocations.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    usage: Option<UsageTables>,
    archive: Option<Bucket>,
    failures: Option<Bucket>,
    metrics: MetricsSink,
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

impl Handler {
    /// Creates a handler that uses these clients.
    pub fn new(config: Config, clients: Clients) -> Handler {
        let concurrency = config.concurrency.max(1);
        let usage = config.tables.as_ref().map(|tables| UsageTables {
            client: clients.dynamodb,
            usage_table: tables.usage.clone(),
            claims_table: tables.claims.clone(),
            pipeline: config.pipeline.name.clone(),
            // One day more than the horizon, so that clock skew can't make a claim expire too early.
            claim_seconds: (config.horizon_days + 1) * DAY_SECONDS,
            continues_after_refusal: config.quarantine.is_some(),
            concurrency,
            transactions: Arc::new(Semaphore::new(concurrency)),
        });
        let bucket = |name: &String| Bucket::new(clients.s3.clone(), name, concurrency);
        let archive = config.archive.as_ref().map(|archive| bucket(&archive.bucket));
        let failures = config.quarantine.as_ref().map(|quarantine| bucket(&quarantine.bucket));
        let metrics = MetricsSink::new(&config.metrics, clients.cloudwatch, &config.pipeline.name);
        Handler { config, usage, archive, failures, metrics, recent: Mutex::default() }
    }

    /// The pipeline that records go through.
    pub fn pipeline(&self) -> &Pipeline {
        &self.config.pipeline
    }

    /// Opens the connections that the first invocation needs, during the init phase, when Lambda gives the function a
    /// full CPU. If that fails, the invocation opens them itself and reports what is wrong.
    pub async fn connect(&self) {
        let tables = async { if let Some(usage) = &self.usage { usage.connect().await } else { Ok(()) } };
        let bucket = async { if let Some(bucket) = &self.archive { bucket.connect().await } else { Ok(()) } };
        let both = tokio::time::timeout(CONNECT_TIMEOUT, async { tokio::join!(tables, bucket) });
        match both.await {
            Ok((tables, bucket)) => {
                for error in [tables.err(), bucket.err()].into_iter().flatten() {
                    debug!(%error, "failed to connect during init; the first invocation will connect");
                }
            }
            Err(_) => debug!("no connection during init; the first invocation will connect"),
        }
    }

    /// Handles one event.
    ///
    /// # Errors
    /// If the event isn't a DynamoDB Streams or Kinesis event, or if someone must fix a setting, a permission or a
    /// table. Lambda then delivers the whole batch again.
    pub async fn handle(&self, event: &[u8], invocation: &Invocation) -> Result<BatchOutcome, Error> {
        let started = Instant::now();
        let outcome = self.process(event, invocation).await;
        let metrics = match &outcome {
            Ok(outcome) => batch_metrics(outcome, invocation.now, started),
            // The invocation failed as a whole, maybe before its records could be counted.
            Err(_) => BatchMetrics {
                processing_errors: 1,
                processing_duration_ms: milliseconds(started),
                ..BatchMetrics::default()
            },
        };
        log(&outcome, &metrics);
        if let Err(error) = self.metrics.send(&metrics, &invocation.request_id, invocation.now).await {
            warn!(%error, "failed to send metrics; the batch is not affected");
        }
        outcome
    }

    async fn process(&self, event: &[u8], invocation: &Invocation) -> Result<BatchOutcome, Error> {
        let (batch, mut plan) = self.plan(event, invocation.now)?;
        // While DynamoDB works, files are sealed on the assumption that all records will be counted.
        let (counted, sealed, not_quarantined) = tokio::join!(
            self.count(&plan, invocation),
            async { self.seal(&plan, plan.records) },
            self.quarantine(&batch, &plan, invocation),
        );
        let (mut counted, mut sealed, mut not_quarantined) = (counted?, sealed?, not_quarantined?);
        if self.failures.is_some() && !batch.fails_on_rejection() {
            let refused = take_refused(&mut counted);
            if !refused.is_empty() {
                plan = plan_event_without(event, self.pipeline(), &self.plan_context(invocation.now), refused)?.1;
                sealed = self.seal(&plan, plan.records)?;
                not_quarantined = self.quarantine(&batch, &plan, invocation).await?;
            }
        }
        let stored = self.store(&plan, sealed, &counted, invocation).await?;
        let quarantined: BTreeSet<usize> = plan.quarantined.iter().map(|quarantined| quarantined.record).collect();
        let outcome = BatchOutcome::new(&batch, plan, counted, stored, not_quarantined);
        let mut recent = self.recent();
        (0..outcome.durable).for_each(|record| recent.add(quarantined.contains(&record)));
        Ok(outcome)
    }

    /// Reads `event` and plans its records, without writing anything.
    ///
    /// # Errors
    /// If the event isn't a DynamoDB Streams or Kinesis event.
    pub fn plan<'e>(&self, event: &'e [u8], now: Timestamp) -> Result<(Event<'e>, Plan), Error> {
        plan_event(event, self.pipeline(), &self.plan_context(now))
    }

    fn plan_context(&self, now: Timestamp) -> PlanContext {
        let mut context = self.config.plan_context(now);
        if let OnRejection::Quarantine { recent, .. } = &mut context.on_rejection {
            *recent = *self.recent();
        }
        context
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn count(&self, plan: &Plan, invocation: &Invocation) -> Result<Committed, Error> {
        // A quarter of the time is reserved for the files: a counted record is acknowledged only once it is archived.
        let now = tokio::time::Instant::now();
        let deadline = invocation.deadline.map(|end| now + end.saturating_duration_since(now).mul_f64(0.75));
        match (&self.usage, &self.config.pipeline.snapshot) {
            (Some(usage), Some(snapshot)) => usage.commit(snapshot, &plan.groups, deadline).await,
            _ => Ok(Committed::default()),
        }
    }

    /// Puts a document for each rejected record of the plan. Returns the positions of those that could not be put.
    async fn quarantine(
        &self,
        batch: &Event<'_>,
        plan: &Plan,
        invocation: &Invocation,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let (Some(bucket), Some(quarantine)) = (&self.failures, &self.config.quarantine) else { return Ok(Vec::new()) };
        let documents = quarantine::documents(batch, plan, &self.config.pipeline.name, &quarantine.function);
        let objects: Vec<_> = documents.iter().map(Document::object).collect();
        let mut failed = Vec::new();
        for (document, put) in documents.iter().zip(bucket.put_all(&objects, invocation.deadline).await) {
            match put {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::Config => return Err(error),
                Err(error) => failed.push((document.record, error)),
            }
        }
        Ok(failed)
    }

    /// Stores the files of the records before the first one that could not be counted. `sealed` holds the files of all
    /// records.
    async fn store(
        &self,
        plan: &Plan,
        sealed: Vec<AvroFile>,
        counted: &Committed,
        invocation: &Invocation,
    ) -> Result<Stored, Error> {
        let Some(bucket) = &self.archive else { return Ok(Stored::default()) };
        let before = counted.failed.iter().map(|(record, _)| *record).min().unwrap_or(plan.records);
        let files = if before < plan.records { self.seal(plan, before)? } else { sealed };
        let mut stored = Stored::default();
        let objects: Vec<_> = files.iter().map(AvroFile::object).collect();
        for (file, put) in files.iter().zip(bucket.put_all(&objects, invocation.deadline).await) {
            match put {
                Ok(put) => stored.add(file, put),
                Err(error) if error.kind == ErrorKind::Config => return Err(error),
                Err(error) => stored.failed.push((file.first_record(), error)),
            }
        }
        Ok(stored)
    }

    /// Seals the files of the records before position `before`.
    fn seal(&self, plan: &Plan, before: usize) -> Result<Vec<AvroFile>, Error> {
        let Some(archive) = &self.config.archive else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for ((record_type, _), draft) in &plan.files {
            let schema = self.config.pipeline.schemas().find(|(name, _)| name == record_type);
            if let Some((_, schema)) = schema {
                files.extend(draft.seal(schema, archive.codec, &archive.prefix, before)?);
            }
        }
        Ok(files)
    }
}

/// Takes the records that DynamoDB refuses to count out of the failed ones, by position.
fn take_refused(counted: &mut Committed) -> BTreeMap<usize, Fault> {
    let (refused, failed) =
        std::mem::take(&mut counted.failed).into_iter().partition(|(_, error)| error.kind == ErrorKind::Poison);
    counted.failed = failed;
    let refused: Vec<(usize, Error)> = refused;
    refused
        .into_iter()
        .map(|(record, error)| (record, Fault::new(Code::Refused, "usage", format!("failed to {error}"))))
        .collect()
}

#[cfg(test)]
mod tests;
