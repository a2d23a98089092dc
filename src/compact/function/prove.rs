//! Proofs of the handler: the schedule sends a day, which is split into invocations by the size of its files; each proves its hours and
//! reports what it found.

use std::collections::BTreeSet;

use tokio::time::Instant;
use tracing::{info, warn};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{Config, ConfigMistakes};
use usage_aggregator::error::Error;
use usage_aggregator::fold::Folder;
use usage_aggregator::handler::folder;
use usage_aggregator::metrics::{Metrics, MetricsSink};
use usage_aggregator::time::{HOUR_SECONDS, Timestamp};

use super::{Answer, Function, all_well};
use crate::event::Hours;
use crate::prove::{ArchiveDifference, Clocks, Files, Known, Proof, Prover, hour_name};

/// The share of the function's memory that the files of the hours have which one invocation proves. With the default of 2 GB, it proves
/// 64 MB.
const PART_OF_MEMORY: usize = 32;

/// How long after a change of the pipeline some records are still counted by the earlier definition: the longest gradual deployment
/// takes 100 minutes (Linear10PercentEvery10Minutes), and the stack is updated for some minutes before it.
const SHIFT_SECONDS: i64 = 3 * HOUR_SECONDS;

/// The ledger, and where the results of proofs are sent.
pub(super) struct Ledger {
    folder: Folder,
    count_from: Option<Timestamp>,
    /// The stream that the pipeline's function reads.
    stream_arn: Option<String>,
    clients: Clients,
    metrics: MetricsSink,
}

impl Ledger {
    /// The ledger that the environment names, if it does and the pipeline counts.
    pub(super) fn read(
        value: &impl Fn(&str) -> Option<String>,
        clients: &Clients,
    ) -> Result<Option<Ledger>, ConfigMistakes> {
        if value("LEDGER_TABLE").is_none() {
            return Ok(None);
        }
        // This function exports no telemetry, so metrics that the others export are lines on stdout.
        let config = Config::read(|name: &str| match name {
            "METRICS_SINK" => value(name).map(|sink| if sink == "otlp" { "emf".to_owned() } else { sink }),
            _ => value(name),
        })?;
        let Some(folder) = folder(&config, &clients.dynamodb) else { return Ok(None) };
        let count_from = config.tables.as_ref().and_then(|tables| tables.count_from);
        let metrics = MetricsSink::new(&config.metrics, clients.cloudwatch.clone(), &config.pipeline.name, None);
        let stream_arn = value("SOURCE_ARN").filter(|arn| !arn.is_empty());
        Ok(Some(Ledger { folder, count_from, stream_arn, clients: clients.clone(), metrics }))
    }

    /// The names of the keys of the table whose stream the pipeline's function reads; `None` if it reads a Kinesis stream, or if the table
    /// can't be described. Without them, fewer differences are certain.
    async fn key_names(&self) -> Option<BTreeSet<String>> {
        let (_, table) = self.stream_arn.as_deref()?.split_once(":table/")?;
        let (table, _) = table.split_once("/stream/")?;
        let described = self.clients.dynamodb.describe_table().table_name(table).send().await;
        match described {
            Ok(described) => {
                let keys = described.table?.key_schema?;
                Some(keys.into_iter().map(|key| key.attribute_name).collect())
            }
            Err(error) => {
                let error = Error::from_sdk(&format!("describe {table} (dynamodb:DescribeTable)"), &error);
                warn!(%error, "the keys of the table are unknown; fewer differences are certain");
                None
            }
        }
    }
}

impl Function {
    /// Proves a day, or starts an invocation for each of its parts if it has many files.
    pub(super) async fn prove_day(&self, day: Hours, deadline: Option<Instant>) -> Result<Answer, Error> {
        let end = day.from + i64::from(day.count) * HOUR_SECONDS;
        let files = Files::list(&self.compactor.archive, &self.pipeline, (day.from, end), deadline).await?;
        let bytes = files.bytes();
        drop(files);
        let parts = match &self.name {
            Some(_) => {
                let of_part = u64::try_from(2 * self.compactor.memory_bytes / PART_OF_MEMORY).unwrap_or(u64::MAX);
                u32::try_from(bytes.div_ceil(of_part.max(1))).unwrap_or(u32::MAX)
            }
            None => 1,
        };
        let parts = day.split(parts);
        match &self.name {
            Some(name) if parts.len() > 1 => self.start_parts(name, &parts).await,
            _ => self.prove_hours(day, deadline).await,
        }
    }

    /// Starts an invocation for each part of a day. Lambda invokes a function again that failed, and the hours of parts that were
    /// started before would count twice. So this fails only if none was started.
    async fn start_parts(&self, name: &str, parts: &[Hours]) -> Result<Answer, Error> {
        let (mut started, mut failed) = (0, Vec::new());
        for part in parts {
            let what = format!("the proof of {} hours from {} on", part.count, hour_name(part.from));
            match self.start(name, &what, part.event()).await {
                Ok(()) => started += 1,
                Err(error) => failed.push((part, error)),
            }
        }
        if started == 0 {
            return all_well(failed.into_iter().map(|(_, error)| error).collect()).map(|()| Answer::default());
        }
        for (part, error) in failed {
            for from in part.starts() {
                warn!(hour = hour_name(from), why = %error, "hour not proven");
            }
        }
        Ok(Answer { started, ..Answer::default() })
    }

    /// Proves hours, and reports what differs and what couldn't be proven.
    pub(super) async fn prove_hours(&self, hours: Hours, deadline: Option<Instant>) -> Result<Answer, Error> {
        let Some(ledger) = &self.ledger else {
            return Err(Error::config(
                "prove the archive: set LEDGER_TABLE and USAGE_TABLE to the tables of the pipeline",
            ));
        };
        let now = self.now()?;
        let since = ledger.folder.ledger.defined_since(&self.pipeline.definition(), now, deadline).await?;
        let certain_from = Timestamp::from_seconds(since.seconds() + SHIFT_SECONDS).unwrap_or(since);
        let known = Known {
            count_from: ledger.count_from,
            certain_from,
            stream_arn: ledger.stream_arn.clone(),
            key_names: ledger.key_names().await,
        };
        let compactor = &self.compactor;
        // A half of it for the rows of an hour, and the other for the last rows of items.
        let memory_bytes = compactor.memory_bytes / 2;
        let prover = Prover::new(&compactor.archive, &self.pipeline, &ledger.folder, known, memory_bytes);
        let proof = match prover {
            Ok(prover) => prover.prove(hours, Clocks { now, deadline }).await?,
            Err(reasons) => {
                let reasons = reasons.join("; ");
                warn!(reasons, "the archive doesn't determine what is counted");
                // There is nothing to compare, and the schedule runs.
                Proof { hours: usize::try_from(hours.count).unwrap_or_default(), ..Proof::default() }
            }
        };
        log(hours, &proof);
        let mut metrics = Metrics::default();
        // Whoever sends the event again after a failure must not count its hours twice.
        metrics.count("ArchiveHoursProven", if proof.failed.is_empty() { proof.hours } else { 0 });
        metrics.count("ArchiveDifferences", proof.difference_count);
        metrics.count("ArchiveUnlinked", proof.unlinked);
        if let Err(error) = ledger.metrics.send(&metrics, "", now).await {
            warn!(%error, "failed to send metrics; the proof is not affected");
        }
        let Proof { hours, difference_count: differences, unlinked, .. } = proof;
        let answer = Answer { hours, differences, unlinked, ..Answer::default() };
        all_well(proof.failed).map(|()| answer)
    }

    /// Keeps since when the pipeline counts what it counts now. Compaction runs more often than proofs, so it is soon known.
    pub(super) async fn keep_definition(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let definition = self.pipeline.definition();
        ledger.folder.ledger.defined_since(&definition, self.now()?, deadline).await.map(drop)
    }

    fn now(&self) -> Result<Timestamp, Error> {
        Timestamp::from_seconds((self.compactor.clock)()).ok_or_else(|| Error::config("read the clock"))
    }
}

fn log(hours: Hours, proof: &Proof) {
    for ArchiveDifference { hour, record_type, sequence, record_id, what } in &proof.differences {
        warn!(hour, record_type, sequence, record_id, what = what.text(), "archive differs");
    }
    for (why, records) in &proof.doubtful {
        warn!(records, why = why.text(), "difference not certain");
    }
    for (hour, why) in &proof.left {
        warn!(hour, why, "hour not proven");
    }
    info!(
        from = hour_name(hours.from),
        hours = proof.hours,
        not_proven = proof.left.len(),
        records = proof.records,
        unlinked = proof.unlinked,
        other_generation = proof.other_generation,
        differences = proof.difference_count,
        "archive proven"
    );
}
