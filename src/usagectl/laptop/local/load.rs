//! Load in a local run: writes records, waits until all are processed, and checks the result against the ledger.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use clap::Args;
use event_source_mapping::{Blocked, Counts, FailureCause, Timestamp};
use laptop::emulators::sdk_config;
use laptop::proof::FaultInjector;
use laptop::proof::load::{Amount, Load, ProfileName, Simulation, Target, Written};
use laptop::proof::reconcile::{self, Destination, Report, Truth};
use serde_json::json;
use tokio::time::Instant;

use super::StreamChoice;
use super::control::Control;
use super::run::LocalRun;
use crate::laptop::simulate::Profile;
use crate::laptop::simulate::own::own_table;
use crate::results::differences;
use crate::shell::console;
use crate::shell::durations::duration;
use crate::shell::options::Options;

/// How long the mapping may make no progress after the load ends.
const NO_PROGRESS_LIMIT: Duration = Duration::from_secs(60);

/// How often progress is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The load to write during the run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadOptions {
    /// Write this load, then check that every record was counted exactly once
    #[arg(long, value_name = "PROFILE", value_enum)]
    simulate: Option<Profile>,
    /// Event with sample items of your table, for the load `own` [default: sample.json in the pipeline's folder]
    #[arg(long, value_name = "EVENT.json", requires = "simulate")]
    sample: Option<PathBuf>,
    /// Number of records to write
    #[arg(long, value_name = "N", requires = "simulate", conflicts_with = "duration")]
    records: Option<u64>,
    /// How long to write, for example 10s or 5m
    #[arg(long, value_name = "DURATION", requires = "simulate", value_parser = duration)]
    duration: Option<Duration>,
    /// Records per second; 0 for no limit
    #[arg(long, value_name = "N", requires = "simulate")]
    rate: Option<u32>,
    /// Number of customers, rate-limited entities or racers
    #[arg(long, value_name = "N", requires = "simulate")]
    entities: Option<u32>,
    /// Seed for the load
    #[arg(long, value_name = "N", requires = "simulate")]
    seed: Option<u64>,
    /// Messages per Kinesis record, aggregated as by the Kinesis Producer Library
    #[arg(long, value_name = "N", requires = "simulate", value_parser = clap::value_parser!(u16).range(1..=500))]
    aggregate: Option<u16>,
    /// Keep running after the load, until Ctrl-C
    #[arg(long, requires = "simulate")]
    forever: bool,
}

impl LoadOptions {
    /// Writes the load and returns the comparison with its ledger. Without load, this never returns.
    pub(super) async fn run(&self, run: &LocalRun, options: &Options, control: &Control) -> anyhow::Result<Report> {
        let Some(profile) = self.simulate else { return std::future::pending().await };
        let load = self.load(profile, run).await?;
        let ledger = options.ledgers().join(format!("{}.jsonl", load.name()));
        let simulation = self.simulation(load, &control.faults);
        let clients = &run.place.clients;
        let name = run.source_name.clone();
        let target = match (run.kind, run.place.services()) {
            (StreamChoice::Kinesis, Some(services)) => {
                Target::Stream { client: services.kinesis_client(&sdk_config(None)), name }
            }
            _ => Target::Table { client: clients.dynamodb.clone(), name },
        };
        let status = || control.status.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = |written: &Written| {
            let mut status = status();
            (status.written, status.written_to_stream) = (Some(written.records), written.stream_records);
        };
        let written = simulation.run(&target, &ledger, &watch, std::future::pending()).await?;
        wait_until_settled(run, written.stream_records).await;
        if !run.mapping.waiting().is_some() {
            // The mapping has read to the end. A record that it never saw, for example one from before LATEST, doesn't wait.
            status().written_to_stream = 0;
        }
        let report = self.prove(run, ledger).await?;
        if self.forever {
            let name = &run.site.handler.pipeline().name;
            let text = || {
                let outside = differences::outside(&report);
                [differences::text(name, &report)].into_iter().chain(outside).collect::<Vec<_>>().join("\n")
            };
            console::print(&if options.json { json!({ "reconcile": report }).to_string() } else { text() })?;
            return std::future::pending().await;
        }
        Ok(report)
    }

    /// The load, if one is written.
    pub(super) fn profile(&self) -> Option<Profile> {
        self.simulate
    }

    /// Whether the load has records that can be poison.
    pub(super) fn has_poison(&self) -> bool {
        self.simulate.and_then(Profile::shipped).is_some_and(ProfileName::has_poison)
    }

    async fn load(&self, profile: Profile, run: &LocalRun) -> anyhow::Result<Load> {
        if let Some(profile) = profile.shipped() {
            return Ok(Load::Shipped(profile));
        }
        let (client, name) = (&run.place.clients.dynamodb, Some(run.source_name.as_str()));
        Ok(Load::Own(own_table(&run.variables, self.sample.as_deref(), client, name).await?))
    }

    fn simulation(&self, load: Load, faults: &FaultInjector) -> Simulation {
        let mut simulation = Simulation::new(load);
        simulation.rate_per_second = self.rate.unwrap_or(simulation.rate_per_second);
        simulation.shape.entities = self.entities.unwrap_or(simulation.shape.entities);
        simulation.shape.seed = self.seed.unwrap_or(simulation.shape.seed);
        simulation.aggregate = self.aggregate.map_or(1, usize::from);
        simulation.faults = Some(faults.clone());
        let records = self.records.map(Amount::Records);
        simulation.amount = records.or(self.duration.map(Amount::Duration)).unwrap_or(simulation.amount);
        simulation
    }

    /// Compares until everything agrees, or until neither mapping makes progress: deliveries that fail are none.
    async fn prove(&self, run: &LocalRun, ledger: PathBuf) -> anyhow::Result<Report> {
        let site = reconcile::Site {
            clients: &run.place.clients,
            pipeline: run.site.handler.pipeline(),
            tables: run.site.tables.as_ref(),
            archive: run.site.archive.as_ref(),
            unsettled: None,
            unfolded_pages: 0,
            period: None,
            now: event_source_mapping::now()?,
        };
        let truth = Truth::Ledgers(vec![ledger]);
        let mut failures = Vec::new();
        for bucket in run.failure_buckets() {
            if reconcile::bucket_exists(&run.place.clients.s3, &bucket).await? {
                failures.push(Destination { bucket, prefix: String::new() });
            }
        }
        // A delivery that has started may take as long as the function's timeout.
        let patience = NO_PROGRESS_LIMIT + Duration::from_secs(run.mapping.running.timeout_seconds);
        let mappings = || [Some(&run.mapping), run.folding.as_ref()].into_iter().flatten();
        let progress = || mappings().map(|mapping| advance(&mapping.meter.counts())).sum::<u64>();
        let blocked = || mappings().flat_map(|mapping| mapping.waiting().blocked);
        loop {
            let before = progress();
            let report = reconcile::reconcile_within(patience, &site, &truth, &failures, &|| {}).await?;
            let now = run.clock.now();
            let moves = progress() != before || blocked().any(|blocked| is_discarded_within(&blocked, patience, now));
            if report.agrees() || !moves {
                return Ok(report);
            }
        }
    }
}

/// How far a mapping has come: a number that stands still while every delivery fails, also during a delivery.
fn advance(counts: &Counts) -> u64 {
    // Under faults, a delivery that succeeds may settle nothing, because the mapping dies before.
    counts.distinct_settled() + counts.successes
}

/// Whether a batch that keeps failing is discarded soon, after which the records behind it are delivered. A batch that the
/// function doesn't even receive uses up no attempts.
fn is_discarded_within(blocked: &Blocked, patience: Duration, now: Timestamp) -> bool {
    let patience_micros = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
    let is_soon = |until: Timestamp| until.micros().saturating_sub(now.micros()) <= patience_micros;
    !matches!(blocked.cause, FailureCause::NotInvoked(_)) && blocked.retried_until.is_some_and(is_soon)
}

/// Waits, for a limited time, until at least this many records have been read, and until all pages are folded and all alerts sent.
/// Comparing keeps this thread busy, which would make the mappings appear to lag.
async fn wait_until_settled(run: &LocalRun, records: u64) {
    let deadline = Instant::now() + NO_PROGRESS_LIMIT;
    let meter = &run.mapping.meter;
    let is_read = || meter.counts().polled_event_count >= records && !run.mapping.waiting().is_some();
    while !is_read() && Instant::now() < deadline {
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
    let Some(folding) = &run.folding else { return };
    // Folding puts alerts into the same stream, so it is read again after all that it had is settled.
    loop {
        let before = folding.meter.counts();
        let is_folded = || folding.meter.counts().polls >= before.polls + 2 && !folding.waiting().is_some();
        while !is_folded() && Instant::now() < deadline {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        if folding.meter.counts().distinct_processed == before.distinct_processed || Instant::now() >= deadline {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::waiting::tests::{blocked, now};

    /// Deliveries that failed used to keep a run from ending.
    #[test]
    fn only_deliveries_that_succeed_and_records_that_are_settled_are_progress() {
        let some = Counts { invocations: 9, successes: 2, distinct_processed: 5, ..Counts::default() };
        let before = Counts { errors: 3, not_invoked: 4, ..some };
        let unreachable =
            Counts { invocations: 19, not_invoked: 14, retries: 10, invoked_event_count: 10, ..before.clone() };
        let failing = Counts { invocations: 19, errors: 13, failed_invoke_event_count: 10, ..before.clone() };
        let in_flight = Counts { invocations: 10, ..before.clone() };
        assert_eq!([&unreachable, &failing, &in_flight].map(advance), [advance(&before); 3]);
        let succeeded = Counts { invocations: 10, successes: 3, ..before.clone() };
        let discarded = Counts { invocations: 10, errors: 4, distinct_discarded: 1, ..before.clone() };
        assert_eq!([&succeeded, &discarded].map(advance), [advance(&before) + 1; 2]);
    }

    #[test]
    fn only_a_batch_that_is_about_to_be_discarded_is_waited_for() {
        let until = blocked().retried_until.unwrap();
        let left = Duration::from_micros((until.micros() - now().micros()).unsigned_abs());
        let is_discarded = |blocked: &Blocked, patience| is_discarded_within(blocked, patience, now());
        assert!(is_discarded(&blocked(), left));
        assert!(!is_discarded(&blocked(), left - Duration::from_millis(1)));
        let unlimited = Blocked { retried_until: None, ..blocked() };
        let refused = Blocked { cause: FailureCause::NotInvoked("connection refused".to_owned()), ..blocked() };
        assert!(![unlimited, refused].iter().any(|blocked| is_discarded(blocked, Duration::MAX)));
    }
}
