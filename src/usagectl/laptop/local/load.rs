//! Load within a local run: writes what a profile says, waits until all of it is processed, and holds the result
//! against the ledger.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use clap::Args;
use laptop::emulators::sdk_config;
use laptop::proof::FaultInjector;
use laptop::proof::load::{Amount, ProfileName, Simulation, Target, Written};
use laptop::proof::reconcile::{self, Destination, Report, Truth};
use tokio::time::Instant;

use super::StreamChoice;
use super::control::Control;
use super::stage::Stage;
use crate::laptop::simulate::Profile;
use crate::results::differences;
use crate::shell::console;
use crate::shell::options::Options;
use crate::shell::span::span;

/// How long the mapping may take for what is left when the load ends, without getting any further.
const PATIENCE: Duration = Duration::from_secs(60);

const GLANCE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// Write this load meanwhile, and prove in the end that it was counted once
    #[arg(long, value_name = "PROFILE", value_enum)]
    simulate: Option<Profile>,
    /// Records to write
    #[arg(long, value_name = "N", requires = "simulate", conflicts_with = "duration")]
    records: Option<u64>,
    /// How long to write, such as 10s or 5m
    #[arg(long, value_name = "TIME", requires = "simulate", value_parser = span)]
    duration: Option<Duration>,
    /// Records a second; 0 for as many as go
    #[arg(long, value_name = "N", requires = "simulate")]
    rate: Option<u32>,
    /// Customers, entities or racers
    #[arg(long, value_name = "N", requires = "simulate")]
    entities: Option<u32>,
    /// Seed of the load
    #[arg(long, value_name = "N", requires = "simulate")]
    seed: Option<u64>,
    /// Go on after the load, until Ctrl-C
    #[arg(long, requires = "simulate")]
    forever: bool,
}

impl LoadOptions {
    /// Writes the load, if there is any, and gives what came of it; without load it never ends.
    pub async fn run(&self, stage: &Stage, options: &Options, control: &Control) -> anyhow::Result<Report> {
        let Some(profile) = self.simulate.map(ProfileName::from) else { return std::future::pending().await };
        let simulation = self.simulation(profile, &control.faults);
        let clients = &stage.place.clients;
        let name = stage.source_name.clone();
        let target = match (stage.kind, stage.place.services()) {
            (StreamChoice::Kinesis, Some(services)) => {
                Target::Stream { client: services.kinesis_client(&sdk_config(None)), name }
            }
            _ => Target::Table { client: clients.dynamodb.clone(), name },
        };
        let ledger = options.ledgers().join(format!("{}.jsonl", profile.name()));
        let watch = |written: &Written| {
            control.status.lock().unwrap_or_else(PoisonError::into_inner).written = Some(written.records);
        };
        let written = simulation.run(&target, &ledger, &watch, std::future::pending()).await?;
        wait_until_read(stage, written.records).await;
        let report = self.prove(stage, ledger).await?;
        if self.forever {
            console::print(&differences::text(&stage.site.handler.pipeline.name, &report))?;
            return std::future::pending().await;
        }
        Ok(report)
    }

    /// Whether the load has records that can be poison.
    pub fn has_poison(&self) -> bool {
        self.simulate.map(ProfileName::from) == Some(ProfileName::Orders)
    }

    fn simulation(&self, profile: ProfileName, faults: &FaultInjector) -> Simulation {
        let mut simulation = Simulation::new(profile);
        simulation.rate_per_second = self.rate.unwrap_or(simulation.rate_per_second);
        simulation.shape.entities = self.entities.unwrap_or(simulation.shape.entities);
        simulation.shape.seed = self.seed.unwrap_or(simulation.shape.seed);
        simulation.faults = Some(faults.clone());
        let records = self.records.map(Amount::Records);
        simulation.amount = records.or(self.duration.map(Amount::Duration)).unwrap_or(simulation.amount);
        simulation
    }

    /// Compares until all agrees, or until the mapping gets no further.
    async fn prove(&self, stage: &Stage, ledger: PathBuf) -> anyhow::Result<Report> {
        let site = reconcile::Site {
            clients: &stage.place.clients,
            pipeline: &stage.site.handler.pipeline,
            tables: stage.site.tables.as_ref(),
            archive: stage.site.archive.as_ref(),
        };
        let truth = Truth::Ledgers(vec![ledger]);
        let failures = Destination::usual(&stage.place.clients).await?;
        loop {
            let before = stage.meter.counts().invoked_event_count;
            let report = reconcile::reconcile_within(PATIENCE, &site, &truth, failures.as_ref(), &|| {}).await?;
            if report.agrees() || stage.meter.counts().invoked_event_count == before {
                return Ok(report);
            }
        }
    }
}

/// Waits until as many records have been read as were written, though not for ever. Comparing keeps this thread busy, and
/// what waits for it meanwhile would look like a mapping that lags.
async fn wait_until_read(stage: &Stage, records: u64) {
    let patience = Instant::now() + PATIENCE;
    while stage.meter.counts().polled_event_count < records && Instant::now() < patience {
        tokio::time::sleep(GLANCE).await;
    }
    // What has been read last is on its way.
    tokio::time::sleep(GLANCE).await;
}
