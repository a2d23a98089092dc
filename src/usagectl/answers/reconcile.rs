//! `usagectl reconcile`: checks that every record was counted once and archived, against the ledgers of simulations or against
//! the archive. With `--stack`, see `deployed`.

mod deployed;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use laptop::proof::load::read_head;
use laptop::proof::reconcile::{self, Destination, Report, Site, Truth, Unprovable};
use tokio::time::Instant;
use usage_aggregator::config::Config;

use crate::shell::console::{self, Done, UsageError};
use crate::shell::durations::duration;
use crate::shell::options::{Endpoint, Options};
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::unsettled::{Origin, Unsettled};
use crate::shell::waiting::Waiting;
use crate::shell::workplace::{Uses, Workplace};
use lines::{error_line, line, shown};

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
    /// Failure destination of the mapping, or none; repeat it for quarantined records in another bucket [default: the bucket `failures`, if S3 is on this machine]
    #[arg(long, value_name = "s3://BUCKET/PREFIX", value_parser = destination)]
    failures: Vec<Option<Destination>>,
    /// Check the counters of one window of this CloudFormation stack against its archive
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ledger", "archive", "failures"])]
    stack: Option<String>,
    /// With --stack: the month, week, day, or hour to check, in the pipeline's time zone: 2026-11, 2026-W47, 2026-11-21, or
    /// 2026-11-21T08 [default: yesterday]
    #[arg(long, value_name = "WINDOW", requires = "stack")]
    at: Option<String>,
    /// With --stack: if counters differ, rewrite the snapshots that differ from the ledger, record an audit entry, and compare again
    #[arg(long, requires = "stack")]
    repair: bool,
    /// With --repair: who repairs [default: the caller's identity in the account]
    #[arg(long, value_name = "NAME", requires = "repair")]
    author: Option<String>,
    /// With --repair: show what would be written, without writing anything
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// Keep comparing for up to this long until everything agrees
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
}

/// How long to wait at least for a run that folds. Its batching window is usually 1 s.
const FOLD_PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  usagectl reconcile --wait 30s
  usagectl reconcile --ledger load.jsonl --failures s3://failures/
  usagectl reconcile --archive --pipeline orders --json
  usagectl reconcile --stack usage-aggregator --at 2026-11-21
  usagectl reconcile --stack usage-aggregator --at 2026-11-21 --repair --dry-run

With a running `usagectl local`, the pages of the ledger are folded first. Records that wait, for
example behind one that blocks its shard, are reported as waiting and not as differences.

If counters of a stack differ, --repair rewrites the snapshots that differ from the ledger, records
an audit entry with each value before and after (`usagectl prove --history` lists them), and
compares again. Any remaining difference is between ledger and archive; `usagectl prove`
explains.

With --stack, the archive is read up to the end of the window, each row once, and the counters of
the window are derived from it. Choose a window that has ended, and whose last records have arrived.
An item that is older than the stack has no insertion in the archive: it is named, and the counters
of its group aren't checked. Needs cloudformation:DescribeStacks, lambda:GetFunctionConfiguration,
kms:Decrypt on the function's key if it has one, dynamodb:Scan on the usage table, dynamodb:Query on
the ledger (for corrections), and s3:ListBucket and s3:GetObject on the archive; --repair also needs
dynamodb:UpdateItem on the usage table and dynamodb:PutItem on the ledger.

Exit codes:
  0  Every record was counted once and archived
  1  A difference was found, records still wait, or something failed
  2  The archive isn't exact enough to check everything, or the command line is invalid";

impl Reconcile {
    /// Compares and prints the result for each pipeline.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        if let Some(stack) = &self.stack {
            return self.run_deployed(stack, options).await;
        }
        let comparisons = self.comparisons(options)?;
        // Before the data folder is locked.
        let origin = Origin::find(&options.data);
        let place = Workplace::open_existing(options, Uses::Everything).await?;
        let failures: Vec<Destination> = match self.failures.as_slice() {
            // On another machine, a bucket of this name may belong to someone else.
            [] if matches!(options.s3()?, Endpoint::Remote(_)) => Vec::new(),
            [] => Destination::usual(&place.clients).await?.into_iter().collect(),
            given => given.iter().flatten().cloned().collect(),
        };
        let progress = console::spinner("snapshots and files read");
        let mut done = Done::Well;
        let mut unprovable = Vec::new();
        for Comparison { config, truth, targets } in comparisons {
            let name = &config.pipeline.name;
            let scope = Scope { config: &config, truth: &truth, targets: &targets, origin: &origin };
            let compared = self.compare(&scope, &place, &failures, &|| progress.inc(1)).await;
            let (report, unsettled) = match compared {
                Ok(compared) => compared,
                Err(error) if options.json => {
                    console::print(&error_line(name, &truth, &error))?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            let text = if options.json {
                line(name, &truth, &report, unsettled.as_ref())?
            } else {
                shown(name, &truth, &report, unsettled.as_ref(), &origin)
            };
            progress.suspend(|| console::print(&text))?;
            if !report.agrees() {
                done = Done::WithFailures;
            }
            unprovable.extend(report.unprovable);
        }
        progress.finish_and_clear();
        conclude(done, &unprovable)
    }

    /// Compares until everything agrees, or for as long as `--wait` says. Also returns what waits.
    async fn compare(
        &self,
        scope: &Scope<'_>,
        place: &Workplace,
        failures: &[Destination],
        watch: &(dyn Fn() + Sync),
    ) -> anyhow::Result<(Report, Option<Unsettled>)> {
        let end = Instant::now() + self.wait;
        loop {
            scope.origin.until_folded(FOLD_PATIENCE.max(end - Instant::now())).await?;
            // First: what is settled after this can only be found in addition.
            let unsettled = scope.unsettled().await?;
            let site = Site {
                clients: &place.clients,
                pipeline: &scope.config.pipeline,
                tables: scope.config.tables.as_ref(),
                archive: scope.config.archive.as_ref(),
                unsettled: unsettled.as_ref().map(|unsettled| match &unsettled.waiting {
                    waiting if waiting.more_unread => reconcile::Unsettled::AtLeast(waiting.records),
                    waiting => reconcile::Unsettled::Exactly(waiting.records),
                }),
                unfolded_pages: unsettled.as_ref().map_or(0, |unsettled| unsettled.unfolded.at_least()),
                period: None,
                now: event_source_mapping::now()?,
            };
            let report = reconcile::reconcile(&site, scope.truth, failures, watch).await;
            let report = report.map_err(unprovable_is_usage)?;
            if report.agrees() || Instant::now() + reconcile::PAUSE > end {
                return Ok((report, unsettled));
            }
            tokio::time::sleep(reconcile::PAUSE).await;
        }
    }

    /// What to compare: the configuration of each pipeline, and what its results must match.
    fn comparisons(&self, options: &Options) -> anyhow::Result<Vec<Comparison>> {
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
            let config = self.config(&Variables::new(options, &Sample::default()))?;
            return Ok(vec![Comparison { config, truth: Truth::Archive, targets: BTreeSet::new() }]);
        }
        let mut by_pipeline: BTreeMap<Variables, (Vec<PathBuf>, BTreeSet<String>)> = BTreeMap::new();
        for ledger in ledgers {
            let head = read_head(&ledger)?;
            let (ledgers, targets) = by_pipeline.entry(Variables::of_source(options, &head.target)?).or_default();
            ledgers.push(ledger);
            targets.insert(head.target);
        }
        let of_pipeline = |(variables, (ledgers, targets))| {
            Ok(Comparison { config: self.config(&variables)?, truth: Truth::Ledgers(ledgers), targets })
        };
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

/// The end of a run: if nothing differs, but not everything could be checked, it is an error.
fn conclude(done: Done, unprovable: &[String]) -> anyhow::Result<Done> {
    match (done, unprovable) {
        (Done::Well, [_, ..]) => {
            let reasons = unprovable.join("; ");
            Err(UsageError(format!("the archive isn't exact enough to check everything: {reasons}")).into())
        }
        _ => Ok(done),
    }
}

fn unprovable_is_usage(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unprovable>() {
        Ok(unprovable) => UsageError(unprovable.to_string()).into(),
        Err(error) => error,
    }
}

/// What to compare.
struct Comparison {
    /// The configuration of a pipeline.
    config: Config,
    /// What its results must match.
    truth: Truth,
    /// The tables and streams that the truth is about.
    targets: BTreeSet<String>,
}

/// A comparison, and where to read what waits.
struct Scope<'c> {
    config: &'c Config,
    truth: &'c Truth,
    targets: &'c BTreeSet<String>,
    origin: &'c Origin,
}

impl Scope<'_> {
    /// What waits in the streams that are compared.
    async fn unsettled(&self) -> anyhow::Result<Option<Unsettled>> {
        let unsettled = self.origin.read().await?;
        if *self.truth == Truth::Archive {
            // What isn't in the archive isn't expected, but what is may not be folded yet.
            let unsettled = unsettled.filter(|unsettled| unsettled.unfolded.is_some());
            return Ok(unsettled.map(|unsettled| Unsettled { waiting: Waiting::default(), ..unsettled }));
        }
        Ok(unsettled.filter(|unsettled| self.targets.iter().any(|target| unsettled.is_of(target))))
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

fn destination(text: &str) -> Result<Option<Destination>, String> {
    if text == "none" {
        return Ok(None);
    }
    let rest = text.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("expected s3://bucket, s3://bucket/prefix, or none".to_owned());
    }
    Ok(Some(Destination { bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
}
