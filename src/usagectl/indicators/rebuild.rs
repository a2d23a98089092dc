//! `usagectl indicators rebuild`: recomputes every target that differs from what its items give.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use usage_aggregator::indicator::{Failure, Recomputed, Written};

use super::budget::Budget;
use super::examine::{State, examine_all};
use super::folder::Folder;
use super::open::{Selection, Speed, Table};
use super::scan::{Scan, Size, TargetName};
use super::text;
use crate::shell::console::{self, Done, counted};
use crate::shell::numbers::whole;
use crate::shell::options::Options;
use crate::shell::table;
use crate::stack::Access;

/// Recompute all indicators of a table, for example after adding one to a table that exists
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rebuild {
    /// Show how many targets there are and what recomputing them would use, without writing anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    speed: Speed,
    #[command(flatten)]
    selection: Selection,
}

const EXAMPLES: &str = "\
Examples:
  usagectl indicators rebuild --local --dry-run
  usagectl indicators rebuild --stack usage-aggregator --dry-run
  usagectl indicators rebuild --stack usage-aggregator --share 10
  usagectl indicators rebuild --stack usage-aggregator --indicator group

Deploy the pipeline with the indicator first, so that changes from then on are followed, and rebuild
then. It is safe while the function runs, because both write in the same way: nothing older ever
replaces anything newer. Targets that already have what their items give are read but not written.

It is safe to stop this at any point and to run it again: it continues where it was, or starts over
if it was stopped more than a day ago. It uses a share of the capacity that the table has: what is
provisioned, the maximum of an on-demand table, or its warm throughput.

An indicator that reads what another one writes is recomputed after that one.

Needs dynamodb:DescribeTable, Scan, Query, GetItem and UpdateItem on the source table, and with
--stack lambda:GetFunctionConfiguration on the function, and kms:Decrypt on its key if it has one.

Exit codes:
  0  Every target has what its items give
  1  A target couldn't be computed or written, or something failed
  2  The command line is invalid, or the pipeline has no such indicator";

/// What a rebuild did.
#[derive(Debug, Default, Serialize)]
struct Totals {
    targets: usize,
    written: usize,
    equal: usize,
    missing: usize,
    failed: usize,
    /// Done by a run that was stopped.
    done_before: usize,
}

impl Rebuild {
    /// Runs the command.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let table = self.selection.open(options, Access::Write).await?;
        let budget = self.speed.budget(&table);
        let folder = if self.dry_run { None } else { Some(Folder::open(&options.data, &table)?) };
        let bar = console::spinner("items scanned");
        let scan = Scan { table: &table, budget: &budget, parallel: self.speed.parallel(), bar: &bar };
        let targets = scan.targets(folder.as_ref()).await?;
        bar.finish_and_clear();
        let mut targets: Vec<(TargetName, Size)> = targets.into_iter().collect();
        targets.sort_by_key(|((index, _), _)| table.depth(*index));
        let Some(folder) = folder else { return preview(&table, &targets, options) };
        let totals = self.rebuild(&table, &targets, &budget, &folder).await?;
        folder.delete()?;
        report(&table, &totals, options)
    }

    async fn rebuild(
        &self,
        table: &Table,
        targets: &[(TargetName, Size)],
        budget: &Budget,
        folder: &Folder,
    ) -> anyhow::Result<Totals> {
        let parallel = self.speed.parallel();
        let mut done = folder.done()?.min(targets.len());
        let mut totals = Totals { targets: targets.len(), done_before: done, ..Totals::default() };
        let bar = console::progress(targets.len());
        bar.set_message("targets recomputed");
        bar.set_position(u64::try_from(done)?);
        let remaining = targets.get(done..).unwrap_or_default();
        let depths = remaining.chunk_by(|((one, _), _), ((other, _), _)| table.depth(*one) == table.depth(*other));
        for chunk in depths.flat_map(|targets| targets.chunks(parallel * 4)) {
            for (name, state) in examine_all(table, chunk, budget, parallel).await {
                let written = match state {
                    Ok(State::Equal) => Ok(Written::Equal),
                    Ok(State::Missing) => Ok(Written::Missing),
                    Ok(State::Differs(_)) => recompute(table, &name, budget).await,
                    Err(failure) => Err(failure),
                };
                match written {
                    Ok(Written::Changed) => totals.written += 1,
                    Ok(Written::Equal) => totals.equal += 1,
                    Ok(Written::Missing) => totals.missing += 1,
                    Err(failure) => {
                        totals.failed += 1;
                        let indicator = table.pipeline.indicators.get(name.0).map_or("", |indicator| &indicator.name);
                        let message = format!("error: {indicator} of {}: {failure}", text::key(&name.1));
                        bar.suspend(|| console::note(&message));
                    }
                }
            }
            done += chunk.len();
            // If this run is stopped, the next one tries what failed again; a target that is repeated does no harm.
            if totals.failed == 0 {
                folder.set_done(done)?;
            }
            bar.set_position(u64::try_from(done)?);
        }
        bar.finish_and_clear();
        Ok(totals)
    }
}

/// Recomputes and writes a target as the function does.
async fn recompute(table: &Table, (index, key): &TargetName, budget: &Budget) -> Result<Written, Failure> {
    let Some(indicator) = table.pipeline.indicators.get(*index) else { return Ok(Written::Missing) };
    budget.write(1.0).await;
    table.recomputer().target(indicator, key, &mut Recomputed::default()).await
}

/// What there is to do, by indicator.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Preview {
    targets: u64,
    items: u64,
    largest_items: u64,
    /// Targets with more items than `max_items`.
    too_large: u64,
    /// At least: without items that the query finds but that don't count.
    read_units: u64,
    /// At most, if all of them differ.
    write_units: u64,
}

fn preview(table: &Table, targets: &[(TargetName, Size)], options: &Options) -> anyhow::Result<Done> {
    let mut previews: BTreeMap<usize, Preview> =
        table.indicators().map(|(index, _)| (index, Preview::default())).collect();
    for ((index, _), size) in targets {
        let preview = previews.entry(*index).or_default();
        let most = table
            .pipeline
            .indicators
            .get(*index)
            .map_or(u64::MAX, |indicator| u64::try_from(indicator.max_items).unwrap_or(u64::MAX));
        preview.targets += 1;
        preview.items += size.items;
        preview.largest_items = preview.largest_items.max(size.items);
        preview.too_large += u64::from(size.items > most);
        preview.read_units += size.read_units();
        preview.write_units += 1;
    }
    let named =
        previews.iter().filter_map(|(index, preview)| Some((&table.pipeline.indicators.get(*index)?.name, preview)));
    if options.json {
        for (name, preview) in named {
            let mut line = json!({ "table": table.name, "dry_run": true, "indicator": name });
            if let (Some(line), serde_json::Value::Object(counts)) = (line.as_object_mut(), json!(preview)) {
                line.extend(counts);
            }
            console::print(&line.to_string())?;
        }
        return Ok(Done::Well);
    }
    let mut listing =
        table::titled(["indicator", "targets", "items", "largest", "too large", "read units", "write units"]);
    for (name, preview) in named {
        let Preview { targets, items, largest_items, too_large, read_units, write_units } = *preview;
        let numbers = [targets, items, largest_items, too_large, read_units, write_units];
        listing.add_row(std::iter::once(table::text(name)).chain(numbers.map(|number| table::number(&whole(number)))));
    }
    console::print(&format!(
        "{listing}\nNothing was written. Write units are for targets that differ, 1 per KB of the target."
    ))?;
    Ok(Done::Well)
}

fn report(table: &Table, totals: &Totals, options: &Options) -> anyhow::Result<Done> {
    let Totals { targets, written, equal, missing, failed, done_before } = totals;
    if options.json {
        let mut line = json!({ "table": table.name, "dry_run": false });
        if let (Some(line), serde_json::Value::Object(counts)) = (line.as_object_mut(), json!(totals)) {
            line.extend(counts);
        }
        console::print(&line.to_string())?;
    } else {
        let mut parts = vec![format!("{written} written"), format!("{equal} as recomputed before")];
        let others = [(missing, "deleted meanwhile"), (failed, "failed"), (done_before, "done by an earlier run")];
        parts
            .extend(others.into_iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("{count} {what}")));
        console::print(&format!("{}: {}: {}", table.name, counted(*targets, "target"), parts.join(", ")))?;
    }
    Ok(if totals.failed == 0 { Done::Well } else { Done::WithFailures })
}
