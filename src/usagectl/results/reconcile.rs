//! `usagectl reconcile`: checks that every record was counted once and archived, against the ledgers of simulations or against
//! the archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use laptop::proof::load::read_head;
use laptop::proof::reconcile::{Destination, Report, Site, Truth, Unprovable, reconcile_within};
use serde_json::{Value, json};
use usage_aggregator::config::Config;

use crate::results::differences;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::durations::duration;
use crate::shell::failure;
use crate::shell::options::{Endpoint, Options};
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::workplace::{Uses, Workplace};

/// Check snapshots, archive and failure destination against what was written
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Reconcile {
    /// Ledgers of simulations [default: those in the data folder, or else the archive]
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "archive")]
    ledger: Vec<PathBuf>,
    /// Check against the archive: read each row once and replay the history of each item
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "")]
    archive: Option<String>,
    /// Failure destination of the mapping [default: the bucket `failures`, if S3 is on this machine]
    #[arg(long, value_name = "s3://BUCKET/PREFIX", value_parser = destination)]
    failures: Option<Destination>,
    /// Keep comparing for up to this long until everything agrees
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
}

const EXAMPLES: &str = "\
Examples:
  usagectl reconcile --wait 30s
  usagectl reconcile --ledger load.jsonl --failures s3://failures/
  usagectl reconcile --archive --pipeline orders --json

Exit codes:
  0  Every record was counted once and archived
  1  A difference was found, or something failed
  2  The archive isn't exact enough to check everything, or the command line is invalid";

impl Reconcile {
    /// Compares and prints the result for each pipeline.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let comparisons = self.comparisons(options)?;
        let place = Workplace::open_existing(options, Uses::Everything).await?;
        let failures = match &self.failures {
            Some(destination) => Some(destination.clone()),
            // On another machine, a bucket of this name may belong to someone else.
            None if matches!(options.s3()?, Endpoint::Remote(_)) => None,
            None => Destination::usual(&place.clients).await?,
        };
        let progress = console::spinner("snapshots and files read");
        let mut done = Done::Well;
        let mut unprovable = Vec::new();
        for (config, truth) in comparisons {
            let name = &config.pipeline.name;
            let report = match self.compare(&config, &place, &truth, failures.as_ref(), &|| progress.inc(1)).await {
                Ok(report) => report,
                Err(error) if options.json => {
                    console::print(&error_line(name, &truth, &error))?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            let text = if options.json { line(name, &truth, &report)? } else { differences::text(name, &report) };
            progress.suspend(|| console::print(&text))?;
            if !report.agrees() {
                done = Done::WithFailures;
            }
            unprovable.extend(report.unprovable);
        }
        progress.finish_and_clear();
        match (done, unprovable.as_slice()) {
            (Done::Well, [_, ..]) => {
                let reasons = unprovable.join("; ");
                Err(UsageError(format!("the archive isn't exact enough to check everything: {reasons}")).into())
            }
            _ => Ok(done),
        }
    }

    async fn compare(
        &self,
        config: &Config,
        place: &Workplace,
        truth: &Truth,
        failures: Option<&Destination>,
        watch: &(dyn Fn() + Sync),
    ) -> anyhow::Result<Report> {
        let (tables, archive) = (config.tables.as_ref(), config.archive.as_ref());
        let site = Site { clients: &place.clients, pipeline: &config.pipeline, tables, archive };
        let report = reconcile_within(self.wait, &site, truth, failures, watch).await;
        report.map_err(|error| match error.downcast::<Unprovable>() {
            Ok(unprovable) => UsageError(unprovable.to_string()).into(),
            Err(error) => error,
        })
    }

    /// What to compare: the configuration of each pipeline, and what its results must match.
    fn comparisons(&self, options: &Options) -> anyhow::Result<Vec<(Config, Truth)>> {
        let ledgers = match (&self.archive, self.ledger.as_slice()) {
            (Some(_), _) => Vec::new(),
            (None, []) => found_ledgers(&options.ledgers())?,
            (None, given) => given.to_vec(),
        };
        if ledgers.is_empty() {
            if self.archive.is_none() {
                let folder = options.ledgers();
                console::note(&format!("note: no ledgers in {}; checking against the archive", folder.display()));
            }
            return Ok(vec![(self.config(&Variables::new(options, &Sample::default()))?, Truth::Archive)]);
        }
        let mut by_pipeline: BTreeMap<Variables, Vec<PathBuf>> = BTreeMap::new();
        for ledger in ledgers {
            let head = read_head(&ledger)?;
            by_pipeline.entry(Variables::of_source(options, &head.target)?).or_default().push(ledger);
        }
        let of_pipeline = |(variables, ledgers)| Ok((self.config(&variables)?, Truth::Ledgers(ledgers)));
        by_pipeline.into_iter().map(of_pipeline).collect()
    }

    fn config(&self, variables: &Variables) -> Result<Config, UsageError> {
        let mut config = variables.clone().with_metrics_sink("none").config()?;
        let prefix = self.archive.as_deref().map(|prefix| prefix.trim_end_matches('/')).filter(|text| !text.is_empty());
        if let (Some(place), Some(prefix)) = (&mut config.archive, prefix) {
            place.prefix = prefix.to_owned();
        }
        Ok(config)
    }
}

/// The ledgers in a folder, which may not exist.
fn found_ledgers(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", folder.display()))?,
    };
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.with_context(|| format!("list {}", folder.display()))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort_unstable();
    Ok(paths)
}

/// One line of `--json`.
fn line(pipeline: &str, truth: &Truth, report: &Report) -> anyhow::Result<String> {
    let mut line = json!({ "pipeline": pipeline, "truth": truth_json(truth), "agrees": report.agrees() });
    if let (Some(line), Value::Object(report)) = (line.as_object_mut(), serde_json::to_value(report)?) {
        line.extend(report);
    }
    Ok(line.to_string())
}

/// The line of a comparison that failed.
fn error_line(pipeline: &str, truth: &Truth, error: &anyhow::Error) -> String {
    let error = json!({ "message": failure::describe(error) });
    json!({ "pipeline": pipeline, "truth": truth_json(truth), "agrees": null, "error": error }).to_string()
}

fn truth_json(truth: &Truth) -> Value {
    match truth {
        Truth::Ledgers(paths) => json!(paths),
        Truth::Archive => json!("archive"),
    }
}

fn destination(text: &str) -> Result<Destination, String> {
    let rest = text.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("expected s3://bucket or s3://bucket/prefix".to_owned());
    }
    Ok(Destination { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}
