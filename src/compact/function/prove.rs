//! Proofs of the handler: the schedule sends a day, which is split into invocations by the size of its files; each proves its hours and
//! reports what it found.

use tokio::time::Instant;
use tracing::{info, warn};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{Config, ConfigMistakes};
use usage_aggregator::error::Error;
use usage_aggregator::fold::Folder;
use usage_aggregator::handler::folder;
use usage_aggregator::metrics::{Metrics, MetricsSink};
use usage_aggregator::time::Timestamp;

use super::{Answer, Function, all_well};
use crate::event::Hours;
use crate::prove::{ArchiveDifference, Proof, Prover, hour_bytes, hour_name};

/// The share of the function's memory that the files of the hours have which one invocation proves. With the default of 2 GB, it proves
/// 64 MB.
const PART_OF_MEMORY: usize = 32;

/// The ledger, and where the results of proofs are sent.
pub(super) struct Ledger {
    folder: Folder,
    count_from: Option<Timestamp>,
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
        let config = Config::read(value)?;
        let Some(folder) = folder(&config, &clients.dynamodb) else { return Ok(None) };
        let count_from = config.tables.as_ref().and_then(|tables| tables.count_from);
        // This function exports no telemetry, so metrics that were to go there are lines on stdout.
        let metrics = MetricsSink::new(&config.metrics, clients.cloudwatch.clone(), &config.pipeline.name, None);
        Ok(Some(Ledger { folder, count_from, metrics }))
    }
}

impl Function {
    /// Proves the first hours of a day, and starts invocations for the others.
    pub(super) async fn prove_day(&self, day: Hours, deadline: Option<Instant>) -> Result<Answer, Error> {
        let mut bytes = 0;
        for from in day.starts() {
            bytes += hour_bytes(&self.compactor.archive, &self.pipeline, &hour_name(from)).await?;
        }
        let parts = match &self.name {
            Some(_) => {
                let of_part = u64::try_from(2 * self.compactor.memory_bytes / PART_OF_MEMORY).unwrap_or(u64::MAX);
                u32::try_from(bytes.div_ceil(of_part.max(1))).unwrap_or(u32::MAX)
            }
            None => 1,
        };
        let parts = day.split(parts);
        let (mut started, mut failed) = (0, Vec::new());
        if let Some(name) = &self.name {
            for part in parts.iter().skip(1) {
                let what = format!("the proof of {} hours from {} on", part.count, hour_name(part.from));
                match self.start(name, &what, part.event()).await {
                    Ok(()) => started += 1,
                    Err(error) => failed.push(error),
                }
            }
        }
        let mut answer = Answer::default();
        for part in parts.into_iter().take(1) {
            match self.prove_hours(part, deadline).await {
                Ok(proven) => answer = proven,
                Err(error) => failed.push(error),
            }
        }
        all_well(failed).map(|()| Answer { started, ..answer })
    }

    /// Proves hours, and reports what differs and what couldn't be proven.
    pub(super) async fn prove_hours(&self, hours: Hours, deadline: Option<Instant>) -> Result<Answer, Error> {
        let Some(ledger) = &self.ledger else {
            return Err(Error::config(
                "prove the archive: set LEDGER_TABLE and USAGE_TABLE to the tables of the pipeline",
            ));
        };
        let now = (self.compactor.clock)();
        let compactor = &self.compactor;
        // A half of it for the rows of an hour, and the other for the last rows of items.
        let memory_bytes = compactor.memory_bytes / 2;
        let prover = Prover::new(&compactor.archive, &self.pipeline, &ledger.folder, ledger.count_from, memory_bytes);
        let proof = match prover {
            Ok(prover) => prover.prove(hours, now, deadline).await?,
            Err(reasons) => {
                let reasons = reasons.join("; ");
                warn!(reasons, "the archive doesn't determine what is counted");
                // There is nothing to compare, and the schedule runs.
                Proof { hours: usize::try_from(hours.count).unwrap_or_default(), ..Proof::default() }
            }
        };
        log(hours, &proof);
        let mut metrics = Metrics::default();
        // Lambda sends the event again after a failure, and its hours must not be counted twice.
        metrics.count("ArchiveHoursProven", if proof.failed.is_empty() { proof.hours } else { 0 });
        metrics.count("ArchiveDifferences", proof.difference_count);
        metrics.count("ArchiveUnlinked", proof.unlinked);
        let at = Timestamp::from_seconds(now).ok_or_else(|| Error::config("read the clock"))?;
        if let Err(error) = ledger.metrics.send(&metrics, "", at).await {
            warn!(%error, "failed to send metrics; the proof is not affected");
        }
        let Proof { hours, difference_count: differences, unlinked, .. } = proof;
        let answer = Answer { hours, differences, unlinked, ..Answer::default() };
        all_well(proof.failed).map(|()| answer)
    }
}

fn log(hours: Hours, proof: &Proof) {
    for ArchiveDifference { hour, record_type, sequence, record_id, what } in &proof.differences {
        warn!(hour, record_type, sequence, record_id, what = what.text(), "archive differs");
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
