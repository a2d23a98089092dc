//! One invocation: decode, plan, commit, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tracing::{debug, error, info, warn};

use crate::archive::{AvroFile, Bucket};
use crate::clients::Clients;
use crate::config::Config;
use crate::decode::Event;
use crate::error::{Error, ErrorKind};
use crate::metrics::{BatchMetrics, MetricsSink};
use crate::outcome::{BatchOutcome, Stored};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, plan_event};
use crate::record;
use crate::time::{DAY_SECONDS, Timestamp};
use crate::usage::{Committed, UsageTables};

/// Lambda ends the init phase after 10 seconds. A handshake takes about 0.1 s, so waiting longer than this is
/// pointless.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The function, ready for invocations. It keeps no state between them.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    usage: Option<UsageTables>,
    bucket: Option<Bucket>,
    metrics: MetricsSink,
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
            concurrency,
            transactions: Arc::new(Semaphore::new(concurrency)),
        });
        let bucket = config.archive.as_ref().map(|archive| Bucket::new(clients.s3, &*archive.bucket, concurrency));
        let metrics = MetricsSink::new(&config.metrics, clients.cloudwatch, &config.pipeline.name);
        Handler { config, usage, bucket, metrics }
    }

    /// The pipeline that records go through.
    pub fn pipeline(&self) -> &Pipeline {
        &self.config.pipeline
    }

    /// Opens the connections that the first invocation needs, during the init phase, when Lambda gives the function a
    /// full CPU. If that fails, the invocation opens them itself and reports what is wrong.
    pub async fn connect(&self) {
        let tables = async { if let Some(usage) = &self.usage { usage.connect().await } else { Ok(()) } };
        let bucket = async { if let Some(bucket) = &self.bucket { bucket.connect().await } else { Ok(()) } };
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
        let (event, plan) = self.plan(event, invocation.now)?;
        // While DynamoDB works, files are sealed on the assumption that all records will be counted.
        let (counted, sealed) = tokio::join!(self.count(&plan, invocation), async { self.seal(&plan, plan.records) });
        let counted = counted?;
        let stored = self.store(&plan, sealed?, &counted, invocation).await?;
        Ok(BatchOutcome::new(&event, plan, counted, stored))
    }

    /// Reads `event` and plans its records, without writing anything.
    ///
    /// # Errors
    /// If the event isn't a DynamoDB Streams or Kinesis event.
    pub fn plan<'e>(&self, event: &'e [u8], now: Timestamp) -> Result<(Event<'e>, Plan), Error> {
        plan_event(event, &self.config.pipeline, &self.config.plan_context(now))
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

    /// Stores the files of the records before the first one that could not be counted. `sealed` holds the files of all
    /// records.
    async fn store(
        &self,
        plan: &Plan,
        sealed: Vec<AvroFile>,
        counted: &Committed,
        invocation: &Invocation,
    ) -> Result<Stored, Error> {
        let Some(bucket) = &self.bucket else { return Ok(Stored::default()) };
        let before = counted.failed.iter().map(|(record, _)| *record).min().unwrap_or(plan.records);
        let files = if before < plan.records { self.seal(plan, before)? } else { sealed };
        let mut stored = Stored::default();
        for (file, put) in files.iter().zip(bucket.put_all(&files, invocation.deadline).await) {
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

fn batch_metrics(outcome: &BatchOutcome, now: Timestamp, started: Instant) -> BatchMetrics {
    let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let events = |event: record::Event| outcome.tally.events.get(&event).copied().unwrap_or(0);
    let age = outcome.tally.oldest_created_at.map_or(0, |oldest| now.micros().saturating_sub(oldest.micros()).max(0));
    BatchMetrics {
        records_processed: whole(outcome.durable),
        processing_errors: whole(outcome.records - outcome.durable),
        processing_duration_ms: milliseconds(started),
        insert_count: whole(events(record::Event::Insert)),
        modify_count: whole(events(record::Event::Modify)),
        remove_count: whole(events(record::Event::Remove) + events(record::Event::Expire)),
        duplicates_skipped: whole(outcome.duplicates),
        snapshots_updated: whole(outcome.snapshots.len()),
        files_written: whole(outcome.files.iter().filter(|file| file.created).count()),
        processing_latency_ms: Duration::from_micros(age.unsigned_abs()).as_secs_f64() * 1000.0,
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Logs one line for the batch and one for each rejected record, never the contents of an item.
fn log(outcome: &Result<BatchOutcome, Error>, metrics: &BatchMetrics) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            return error!(%error, duration_ms = metrics.processing_duration_ms, "failed to process the batch");
        }
    };
    if outcome.tally.self_written > 0 {
        let remedy = "point the event source mapping at the source table's stream; if the source table is USAGE_TABLE itself, add a filter";
        warn!(records = outcome.tally.self_written, remedy, "ignored records of items that this function wrote");
    }
    for record::Rejection { sequence, fault } in &outcome.rejected {
        let (code, field, reason) = (fault.code.name(), &fault.field, &fault.message);
        warn!(%sequence, code, %field, %reason, "record rejected");
    }
    for file in &outcome.files {
        debug!(key = %file.key, rows = file.rows, bytes = file.bytes, created = file.created, "file stored");
    }
    info!(
        records = outcome.records,
        durable = outcome.durable,
        inserts = metrics.insert_count,
        modifies = metrics.modify_count,
        removes = metrics.remove_count,
        applied = outcome.applied,
        duplicates = outcome.duplicates,
        skipped = outcome.skipped,
        rejected = outcome.rejected.len(),
        snapshots = outcome.snapshots.len(),
        files = metrics.files_written,
        bytes = outcome.files.iter().filter(|file| file.created).map(|file| file.bytes).sum::<usize>(),
        duration_ms = metrics.processing_duration_ms,
        oldest_age_ms = metrics.processing_latency_ms,
        first_sequence_number = outcome.first_sequence_number,
        last_sequence_number = outcome.last_sequence_number,
        "batch done"
    );
}
