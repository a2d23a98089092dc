//! `usagectl compact`: compacts units of the archive as the function usage-compact does, and shows what that saves.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::config::ArchivePlace;
use usage_aggregator::error::Error;
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::END_SECOND;
use usage_compact::{Archive, Compacted, Compactor, Effect, RawUnit, RecordType, Timing, UnitKey, raw_units};

use crate::shell::console::{self, Done, UsageError};
use crate::shell::numbers::whole;
use crate::shell::options::Options;
use crate::shell::table;
use crate::stack::{Access, Where};

/// The memory for the rows of one Parquet file, and for the ids of those of its unit that are compacted already.
const MEMORY_BYTES: usize = 4_000_000_000;

/// Compact the Avro files of past hours into Parquet files, each record once
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Compact {
    /// Compact only this partition date
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    date: Option<String>,
    /// Compact only this record type
    #[arg(long = "type", value_name = "TYPE")]
    record_type: Option<String>,
    /// Read everything and show the result, but write and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Compact every unit at once, even those that haven't ended, with effect from now on
    #[arg(long, conflicts_with = "stack")]
    now: bool,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl compact --local --now
  usagectl compact --stack usage-aggregator --dry-run
  usagectl compact --stack usage-aggregator --type order --date 2026-11-28

The deployed function usage-compact does the same every 15 minutes, so this command is needed only
to see what it would do, to compact units sooner, or where that function isn't deployed. Any number
of them can run at the same time, and each can be stopped at any time.

A unit, usually an hour, is compacted when it has ended and no file of it has arrived for 10
minutes, or 3 hours after its end. Its Parquet file takes effect half an hour later, and its Avro
files are deleted a day after that. Rows that arrive later become one more Parquet file. If a unit
fails, the others are still compacted; with --dry-run, every file that can't be read is listed.

Needs s3:ListBucket, s3:GetObject, s3:PutObject, and s3:DeleteObject on the archive; with --stack,
also cloudformation:DescribeStacks and lambda:GetFunctionConfiguration, and kms:Decrypt on the
function's key if it has one.

Exit codes:
  0  Nothing failed
  1  A unit failed
  2  The command line or the pipeline is invalid";

impl Compact {
    /// Compacts the units that are due, and prints a table.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let deployment = self.place.open(options).await?;
        let config = deployment.variables(options, Access::Write).await?.with_metrics_sink("none").config()?;
        let Some(place) = &config.archive else {
            return Err(UsageError(format!("pipeline {} archives nothing", config.pipeline.name)).into());
        };
        let compactor = self.compactor(deployment.clients().s3, place)?;
        let types = self.record_types(&config.pipeline)?;
        let mut work: Vec<(&Type<'_>, RawUnit)> = Vec::new();
        for of in &types {
            let units = raw_units(&compactor.archive, of.name, self.date.as_deref()).await?;
            work.extend(units.into_iter().map(|unit| (of, unit)));
        }
        let files: u64 = work.iter().map(|(_, unit)| unit.files).sum();
        let progress = console::progress(usize::try_from(files).unwrap_or(usize::MAX));
        let mut totals: BTreeMap<&str, Totals> = types.iter().map(|of| (of.name, Totals::default())).collect();
        for (of, unit) in work {
            progress.set_message(unit.key.to_string());
            let compacted = compactor.compact(&of.compacted, &unit.key, &|| progress.inc(1)).await;
            let Some(totals) = totals.get_mut(of.name) else { continue };
            match compacted {
                Ok(compacted) => totals.add(&compacted),
                // The other units don't depend on it.
                Err(error) => totals.failed.extend(self.failures(&compactor, of, &unit.key, &error).await),
            }
        }
        progress.finish_and_clear();
        self.print(&totals, options)?;
        Ok(if totals.values().all(|totals| totals.failed.is_empty()) { Done::Well } else { Done::WithFailures })
    }

    /// What failed in a unit. Compaction ends at the first file that it can't read; a dry run names all of them.
    async fn failures(&self, compactor: &Compactor, of: &Type<'_>, unit: &UnitKey, error: &Error) -> Vec<Failure> {
        let unreadable = match self.dry_run {
            true => compactor.unreadable(of.schema, unit).await.unwrap_or_default(),
            false => Vec::new(),
        };
        let errors = if unreadable.is_empty() { vec![error.to_string()] } else { unreadable };
        errors.into_iter().map(|error| Failure { unit: unit.to_string(), error }).collect()
    }

    fn compactor(&self, client: aws_sdk_s3::Client, place: &ArchivePlace) -> anyhow::Result<Compactor> {
        // A clock that fails later gives files that never take effect.
        event_source_mapping::now()?;
        let clock = || event_source_mapping::now().map_or(END_SECOND, |now| now.seconds());
        Ok(Compactor {
            archive: Archive { client, bucket: place.bucket.clone(), prefix: place.prefix.clone() },
            clock: Arc::new(clock),
            timing: if self.now { Timing::Now } else { Timing::Settled },
            effect: if self.dry_run { Effect::DryRun } else { Effect::Commit },
            memory_bytes: MEMORY_BYTES,
        })
    }

    fn record_types<'p>(&self, pipeline: &'p Pipeline) -> Result<Vec<Type<'p>>, UsageError> {
        let mut types = Vec::new();
        let mut mistakes = Vec::new();
        for (name, schema) in pipeline.schemas() {
            if self.record_type.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            match RecordType::new(schema) {
                Ok(compacted) => types.push(Type { name, schema, compacted }),
                Err(of_type) => mistakes.extend(of_type.into_iter().map(|mistake| format!("{name}: {mistake}"))),
            }
        }
        if !mistakes.is_empty() {
            return Err(UsageError(mistakes.join("\n")));
        }
        if types.is_empty() {
            let names: Vec<&str> = pipeline.schemas().map(|(name, _)| name).collect();
            let wanted = self.record_type.as_deref().unwrap_or_default();
            return Err(UsageError(format!("unknown record type `{wanted}`; expected one of {}", names.join(", "))));
        }
        Ok(types)
    }

    fn print(&self, totals: &BTreeMap<&str, Totals>, options: &Options) -> anyhow::Result<()> {
        if options.json {
            return totals.iter().try_for_each(|(name, totals)| console::print(&totals.json(name)));
        }
        let mut table =
            table::titled(["type", "Avro files", "bytes", "rows", "distinct rows", "Parquet files", "bytes"]);
        for (name, totals) in totals {
            let numbers = [totals.raw_rows, totals.rows, totals.files].map(whole);
            let [raw_rows, rows, files] = &numbers;
            table.add_row([
                table::text(name),
                table::number(&whole(totals.raw_files)),
                table::number(&whole(totals.raw_bytes)),
                table::number(raw_rows),
                table::number(rows),
                table::number(files),
                table::number(&whole(totals.bytes)),
            ]);
        }
        console::print(&table.to_string())?;
        let sum = |part: fn(&Totals) -> u64| totals.values().map(part).sum::<u64>();
        let (waiting, deleted) = (sum(|totals| totals.waiting), sum(|totals| totals.deleted));
        if waiting > 0 {
            let files = console::counted(usize::try_from(waiting).unwrap_or(usize::MAX), "Avro file");
            console::note(&format!("{files} not compacted yet: more may arrive for their units"));
        }
        if deleted > 0 {
            let verb = if self.dry_run { "would be deleted" } else { "deleted" };
            let files = console::counted(usize::try_from(deleted).unwrap_or(usize::MAX), "Avro file");
            console::note(&format!("{files} {verb}: their rows have been in Parquet files for a day"));
        }
        for Failure { unit, error } in totals.values().flat_map(|totals| &totals.failed) {
            console::note(&format!("error: {unit}: {error}"));
        }
        if self.dry_run {
            console::note("dry run: nothing was written or deleted");
        }
        Ok(())
    }
}

/// A record type to compact.
struct Type<'p> {
    name: &'p str,
    schema: &'p RecordSchema,
    compacted: RecordType<'p>,
}

/// What failed in a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Failure {
    unit: String,
    error: String,
}

/// What compaction did to one record type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Totals {
    raw_files: u64,
    raw_bytes: u64,
    raw_rows: u64,
    rows: u64,
    files: u64,
    bytes: u64,
    deleted: u64,
    waiting: u64,
    failed: Vec<Failure>,
}

impl Totals {
    fn add(&mut self, compacted: &Compacted) {
        for file in &compacted.files {
            self.raw_files += file.raw_files;
            self.raw_bytes += file.raw_bytes;
            self.raw_rows += file.raw_rows;
            self.rows += file.rows;
            self.files += 1;
            self.bytes += file.bytes;
        }
        self.deleted += u64::try_from(compacted.deleted.len()).unwrap_or(u64::MAX);
        self.waiting += compacted.waiting;
    }

    fn json(&self, name: &str) -> String {
        json!({
            "type": name,
            "avro_files": self.raw_files, "avro_bytes": self.raw_bytes, "rows": self.raw_rows, "distinct_rows": self.rows,
            "parquet_files": self.files, "parquet_bytes": self.bytes,
            "deleted_avro_files": self.deleted, "waiting_avro_files": self.waiting,
            "failed": self.failed,
        })
        .to_string()
    }
}

fn date(text: &str) -> Result<String, String> {
    let is_date = text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
    if is_date { Ok(text.to_owned()) } else { Err("expected a date such as 2026-11-28".to_owned()) }
}
