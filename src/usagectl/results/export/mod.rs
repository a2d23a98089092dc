//! `usagectl export`: the usage of windows as rows for an invoice. `gather` reads them from the snapshots, `corrections` from
//! the ledger, `sorter` puts them in order, and `format` and `output` write them. `target` sends them to a billing system.

mod corrections;
mod format;
mod gather;
mod known;
mod output;
mod period;
mod row;
mod sorter;
mod target;
pub(super) use row::second_of;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use target::fuzzing;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use laptop::proof::rows::RowReader;
use serde_json::json;
use usage_aggregator::handler::folder;
use usage_aggregator::ledger::LedgerTable;

use crate::results::snapshot_items::Counting;
use crate::results::sums::Length;
use crate::results::usage::start;
use crate::shell::console::{self, Done, UsageError, counted};
use crate::shell::csv_text::Formulas;
use crate::shell::durations::{duration, span};
use crate::shell::options::Options;
use crate::stack::{Access, Where};
use format::Format;
use gather::Selection;
use known::Measures;
use output::Output;
use period::Period;
use row::{Head, Status};
use sorter::{MOST_ROWS, Sorted, Sorter};
use target::SendOptions;

/// Export usage for an invoice: as a file, or to OpenMeter, Stripe or Lago
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// Window length
    #[arg(long, default_value = "month")]
    window: Length,
    /// First window, or what all windows begin with: 2026-10, 2026-10-21 or 2026-10-21T03 [default: all windows]
    #[arg(long, value_name = "START", value_parser = start)]
    start: Option<String>,
    /// Last window [default: the last that begins with --start]
    #[arg(long, value_name = "END", value_parser = start, requires = "start")]
    end: Option<String>,
    /// Only this entity
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    /// Only this resource
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Only this measure (repeat for several)
    #[arg(long, value_name = "MEASURE")]
    measure: Vec<String>,
    /// Only closed windows, which normally don't change
    #[arg(long)]
    closed: bool,
    /// A window is closed this long after its end [default: `closing` of the pipeline, or 26h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grace: Option<Duration>,
    /// Also list the corrections that are part of the values, each with author and reason (scans the ledger)
    #[arg(long, conflicts_with = "to")]
    corrections: bool,
    /// Format [default: csv, or jsonl with --json]
    #[arg(long, conflicts_with = "to")]
    format: Option<Format>,
    /// In CSV, put an apostrophe (') before texts that a spreadsheet would run as a formula
    #[arg(long, conflicts_with = "to")]
    escape_formulas: bool,
    /// Write to this file, which appears when it is complete [default: standard output]
    #[arg(short, long, value_name = "FILE", conflicts_with = "to")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    send: SendOptions,
}

const EXAMPLES: &str = "\
Examples:
  usagectl export --stack usage-aggregator --start 2026-10 --output october.csv
  usagectl export --local --window day --start 2026-10 --entity 7
  usagectl export --local --escape-formulas --output for-excel.csv
  usagectl export --local --format parquet --output usage.parquet
  usagectl export --stack usage-aggregator --start 2026-10 --corrections --json
  usagectl export --stack usage-aggregator --window day --start 2026-10 --to stripe --dry-run
  usagectl export --stack usage-aggregator --window hour --start 2026-10-21 --to openmeter
  usagectl export --stack usage-aggregator --window day --start 2026-10 \\
    --to lago --customers subscriptions.csv

A row is the exact value of a measure of an entity and resource in a window. Rows are sorted by
window, entity, resource and measure. A value includes its corrections.

Names are exactly those in the table, so that programs find the same entities. A spreadsheet may run
a name that begins with =, +, - or @ as a formula; --escape-formulas prevents it.

API keys are read from OPENMETER_API_KEY, STRIPE_API_KEY and LAGO_API_KEY. Only closed windows are
sent. Events have deterministic identifiers, so the command can be run again at any time. See
docs/billing.md for how to set up the meters.

Exit codes:
  0  Everything was exported or sent
  1  Something failed, or an event was refused
  2  The command line is invalid";

/// One hour more than the last scheduled sweep of a minute, which runs 25 hours after it.
const USUAL_GRACE: Duration = Duration::from_secs(26 * 3_600);

/// What is exported.
struct Gathered {
    head: Head,
    rows: Sorted,
    /// How many of the windows have snapshots that may have expired.
    expired_windows: usize,
}

impl Gathered {
    /// Says that usage may be missing.
    fn note_expired(&self) {
        if self.expired_windows > 0 {
            let windows = counted(self.expired_windows, self.head.window.name());
            console::note(&format!(
                "note: snapshots of {windows} may have expired (`time_to_live`), so usage may be missing: use a longer --window, or a later \
                 --start"
            ));
        }
    }
}

impl Export {
    /// Writes or sends the rows.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let period = Period::new(self.window.window(), self.start.clone(), self.end.clone())?;
        let format = self.format(options)?;
        let now = event_source_mapping::now()?;
        let mut selection = Selection {
            period,
            entity: self.entity.clone(),
            resource: self.resource.clone(),
            measures: self.measure.clone(),
            only_closed: self.closed,
            grace: self.grace.unwrap_or(USUAL_GRACE),
            closed_with: None,
            now,
        };
        let sending = self.send.prepare(&self.place, selection.period.window)?;
        let access = if sending.is_some() { Access::Write } else { Access::Read };
        let gathered = self.gather(&mut selection, options, access).await?;
        gathered.note_expired();
        match sending {
            Some(sending) => sending.run(gathered, now, options).await,
            None => self.write(format, gathered, (selection.grace, options)),
        }
    }

    fn format(&self, options: &Options) -> Result<Format, UsageError> {
        let format = match (self.format, options.json && self.output.is_none()) {
            (Some(Format::Jsonl), _) | (None, true) => Format::Jsonl,
            (Some(_), true) => {
                return Err(UsageError("--json prints rows as JSON: remove --format, or add --output FILE".to_owned()));
            }
            (format, _) => format.unwrap_or(Format::Csv),
        };
        match self.escape_formulas && format != Format::Csv {
            true => Err(UsageError("--escape-formulas applies to CSV only: remove it, or set --format csv".to_owned())),
            false => Ok(format),
        }
    }

    /// The rows in their order, and what they share.
    async fn gather(&self, selection: &mut Selection, options: &Options, access: Access) -> anyhow::Result<Gathered> {
        let deployment = self.place.open(options).await?;
        let variables = deployment.variables(options, access).await?;
        let counting = Counting::of(&variables)?;
        known::check_window(&counting, selection.period.window)?;
        let config = variables.with_metrics_sink("none").config()?;
        let client = deployment.clients().dynamodb;
        let reader = RowReader::new(&counting.snapshot);
        let group = reader.group_variables().map(str::to_owned).collect();
        let zone = counting.snapshot.zone;
        if let (Some(closing), None) = (counting.snapshot.closing, self.grace) {
            selection.grace = Duration::from_secs(closing.grace_seconds.unsigned_abs());
            selection.closed_with = closing.window.map(|window| (window, zone));
        }
        let selection = &*selection;
        let head = Head { pipeline: config.pipeline.name.clone(), window: selection.period.window, zone, group };
        let entity = self.entity.as_deref();
        let partition = entity.and_then(|entity| reader.partition_of(&[("entity", entity)]));

        let mut sorter = Sorter::new(MOST_ROWS);
        let progress = console::spinner("snapshots read");
        let mut measures = Measures::new(&counting);
        let mut earliest: Option<String> = None;
        let take = |item: &_, row: _| {
            progress.inc(1);
            measures.add(&row);
            let rows = selection.rows(&head, item, &row);
            if !rows.is_empty() && earliest.as_deref().is_none_or(|earliest| row.start() < earliest) {
                earliest = Some(row.start().to_owned());
            }
            rows.into_iter().try_for_each(|row| sorter.push(row))
        };
        counting.read_items(&client, partition, take).await?;
        progress.finish_and_clear();
        measures.check(&selection.measures)?;
        if self.corrections
            && let Some(ledger) = folder(&config, &client).map(|folder| -> LedgerTable { folder.ledger })
        {
            let progress = console::spinner("corrections read");
            let take = |row| {
                progress.inc(1);
                sorter.push(row)
            };
            corrections::read(&ledger, &head, selection, take).await?;
            progress.finish_and_clear();
        }
        let expired_windows = selection.period.expired_windows(earliest.as_deref(), &counting.snapshot, selection.now);
        Ok(Gathered { head, rows: sorter.sorted()?, expired_windows })
    }

    fn write(
        &self,
        format: Format,
        Gathered { head, rows, expired_windows }: Gathered,
        (grace, options): (Duration, &Options),
    ) -> anyhow::Result<Done> {
        let formulas = Formulas { escape_formulas: self.escape_formulas };
        let mut output = Output::open(format, &head, self.output.as_deref(), formulas)?;
        let (mut closed, mut provisional, mut corrections) = (0, 0, 0);
        for row in rows {
            let row = row?;
            match (&row.correction, row.status) {
                (Some(_), _) => corrections += 1,
                (None, Status::Closed) => closed += 1,
                (None, Status::Provisional) => provisional += 1,
            }
            output.write(&row)?;
        }
        output.finish()?;
        if let Some(path) = &self.output {
            let written = json!({
                "file": path, "rows": closed + provisional + corrections, "closed": closed, "provisional": provisional,
                "corrections": corrections, "expired_windows": expired_windows,
            });
            console::print(&match options.json {
                true => written.to_string(),
                false => format!("{}: {}", path.display(), counted(closed + provisional + corrections, "row")),
            })?;
        }
        if closed + provisional == 0 {
            console::note("note: no usage found: remove a filter, or list all with `usagectl snapshots`");
        } else if provisional > 0 {
            let rows = counted(provisional, "row");
            let verb = if provisional == 1 { "is" } else { "are" };
            let closed = if grace.is_zero() { "at".to_owned() } else { format!("{} after", span(grace)) };
            console::note(&format!("note: {rows} {verb} provisional: a window is closed {closed} its end"));
        }
        Ok(Done::Well)
    }
}
