//! `usagectl indicators check`: compares what every target has with what its items give.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::Instant;

use super::examine::{Examined, State, examine_all};
use super::open::{Selection, Speed, Table};
use super::scan::{Scan, Size, TargetName};
use super::text;
use crate::shell::console::{self, Done, counted};
use crate::shell::durations::duration;
use crate::shell::options::Options;
use crate::stack::Access;

/// How long to wait before targets that differ are compared again.
const PAUSE: Duration = Duration::from_millis(500);
/// Targets that are listed. The others are only counted.
const LISTED: usize = 50;

/// Compare all stored indicators with what the items of the table give
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Compare targets that differ again for up to this long, because their changes may still be on their way
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
    #[command(flatten)]
    speed: Speed,
    #[command(flatten)]
    selection: Selection,
}

const EXAMPLES: &str = "\
Examples:
  usagectl indicators check --local
  usagectl indicators check --stack usage-aggregator --wait 1m
  usagectl indicators check --stack usage-aggregator --indicator group --json | jq .target

Scans the table for targets, and computes each as the function does. It writes nothing. Run it by a
schedule to be told about drift, for example after someone has written to the map of an indicator.
`usagectl indicators rebuild` corrects what it finds.

Needs dynamodb:DescribeTable, Scan, Query and GetItem on the source table.

Exit codes:
  0  Every target has what its items give
  1  A target differs or can't be computed, or something failed
  2  The command line is invalid, or the pipeline has no such indicator";

impl Check {
    /// Runs the command.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let table = self.selection.open(options, Access::Read).await?;
        let (budget, parallel) = (self.speed.budget(&table), self.speed.parallel());
        let bar = console::spinner("items scanned");
        let targets = Scan { table: &table, budget: &budget, parallel, bar: &bar }.targets(None).await?;
        bar.finish_and_clear();
        let targets: Vec<(TargetName, Size)> = targets.into_iter().collect();
        let bar = console::progress(targets.len());
        bar.set_message("targets compared");
        let mut remaining = Vec::new();
        for chunk in targets.chunks(parallel * 4) {
            let examined = examine_all(&table, chunk, &budget, parallel).await;
            remaining.extend(examined.into_iter().filter(is_wrong));
            bar.inc(u64::try_from(chunk.len())?);
        }
        bar.finish_and_clear();
        let end = Instant::now() + self.wait;
        while !remaining.is_empty() && Instant::now() + PAUSE <= end {
            tokio::time::sleep(PAUSE).await;
            let again: Vec<(TargetName, Size)> =
                remaining.iter().map(|(name, _)| (name.clone(), Size::default())).collect();
            remaining = examine_all(&table, &again, &budget, parallel).await.into_iter().filter(is_wrong).collect();
        }
        report(&table, targets.len(), &remaining, options)
    }
}

fn is_wrong((_, state): &Examined) -> bool {
    !matches!(state, Ok(State::Equal | State::Missing))
}

fn report(table: &Table, targets: usize, wrong: &[Examined], options: &Options) -> anyhow::Result<Done> {
    let named = |index: usize| table.pipeline.indicators.get(index);
    let drifts = || {
        wrong.iter().filter_map(|((index, key), state)| match state {
            Ok(State::Differs(drift)) => Some((named(*index)?, key, drift)),
            _ => None,
        })
    };
    let failures =
        || wrong.iter().filter_map(|((index, key), state)| Some((named(*index)?, key, state.as_ref().err()?)));
    let (differing, failed) = (drifts().count(), failures().count());
    let equal = targets.saturating_sub(differing + failed);
    if options.json {
        for (indicator, key, drift) in drifts() {
            console::print(&text::drift_json(indicator, key, drift, false).to_string())?;
        }
        for (indicator, key, failure) in failures() {
            let error = failure.to_string();
            let line = json!({ "indicator": indicator.name, "target": text::key_json(key), "error": error });
            console::print(&line.to_string())?;
        }
        let summary = json!({ "table": table.name, "targets": targets, "as_recomputed": equal, "differing": differing, "failed": failed });
        console::print(&summary.to_string())?;
    } else {
        console::print(&format!("{}: {equal} of {} as recomputed", table.name, counted(targets, "target")))?;
        if differing > 0 {
            console::print(&text::drifts(drifts().take(LISTED), false))?;
            if differing > LISTED {
                console::print(&format!("… and {} more targets (--json lists all)", differing - LISTED))?;
            }
            console::note("to correct them: usagectl indicators rebuild, with the same options");
        }
        for (indicator, key, failure) in failures() {
            console::note(&format!("error: {} of {}: {failure}", indicator.name, text::key(key)));
        }
    }
    Ok(if wrong.is_empty() { Done::Well } else { Done::WithFailures })
}
