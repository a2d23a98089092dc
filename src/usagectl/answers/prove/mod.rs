//! `usagectl prove`: counters = ledger = archive, cell by cell, and record by record between ledger and archive. It writes only with
//! `--repair`, and then only what follows from the ledger.

mod cells;
mod repair;
mod show;

use std::collections::BTreeSet;

use clap::Args;
use laptop::proof::reconcile::{self, Gaps, Period, Report, Site, Unprovable};
use usage_aggregator::ledger::{Aggregate, Level, WindowKey};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Zone;

use crate::answers::audit;
use crate::ledger::{Open, open, window};
use crate::results::snapshot_items::Counting;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::stack::{Access, Where};
use cells::{Cell, Cells, NOT_KNOWN};
pub(super) use repair::Repair;

/// Prove that snapshots, ledger and archive say the same, and that the stream lost no change
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Prove {
    /// Month, week, day or hour in the pipeline's time zone: 2026-11, 2026-W48, 2026-11-28 or 2026-11-28T08
    #[arg(value_name = "WINDOW", required_unless_present = "history")]
    window: Option<String>,
    /// Write snapshots that differ from the ledger again, and leave an audit entry
    #[arg(long)]
    repair: bool,
    /// Who repairs [default: the caller's identity in the account; with --local, $USER]
    #[arg(long, value_name = "NAME", requires = "repair")]
    author: Option<String>,
    /// With --repair: show what would be written, without writing anything
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// List what earlier repairs wrote, who ran them, and what was there before
    #[arg(long, conflicts_with_all = ["window", "repair"])]
    history: bool,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl prove 2026-11-28 --stack usage-aggregator
  usagectl prove 2026-11-28T08 --local --json
  usagectl prove 2026-11-28 --stack usage-aggregator --repair --dry-run
  usagectl prove 2026-11-28 --stack usage-aggregator --repair
  usagectl prove --history --stack usage-aggregator

Compares, for every counter of the window and of the windows in it: the snapshot with the state
of the ledger, the state with the sum of the records in its pages, and both with the archive.
Compares each record of the pages with the archive, too: a change of an item must begin with
the value with which the change before it ended. Where it doesn't, the stream lost a change in
between.

Choose a window that has ended, and whose last records are folded. Everything is held in
memory, so choose a day or an hour for large tables. Needs dynamodb:Query on the ledger,
dynamodb:Scan on the usage table, and s3:ListBucket and s3:GetObject on the archive; --repair
also needs dynamodb:UpdateItem on the usage table, dynamodb:PutItem on the ledger, and
lambda:GetFunctionConfiguration on the function, and kms:Decrypt on its key if it has one.

Exit codes:
  0  Everything agrees, or was repaired
  1  Something differs or couldn't be repaired, or something failed
  2  The command line is invalid";

/// A counter that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    cell: Cell,
    /// What the snapshot says; `None` if there is none.
    snapshot: Option<String>,
    /// What the state of the ledger says.
    state: Option<String>,
    /// What the pages add up to; `None` if they aren't compared, or have nothing.
    pages: Option<String>,
}

/// What was compared.
#[derive(Debug)]
struct Proof {
    window: WindowKey,
    cells: Cells,
    /// Counters whose snapshot isn't what the ledger says.
    wrong_snapshots: Vec<Difference>,
    /// Counters whose state isn't what the pages add up to.
    wrong_states: Vec<Difference>,
    /// Counters whose value isn't known, so that it isn't compared.
    not_known: Vec<Difference>,
    archive: Archive,
}

/// How the counters compare.
#[derive(Debug, Default)]
struct Differences {
    wrong_snapshots: Vec<Difference>,
    wrong_states: Vec<Difference>,
    not_known: Vec<Difference>,
}

/// How the archive compares.
#[derive(Debug)]
enum Archive {
    /// It was compared.
    Compared(Box<Report>, Gaps),
    /// It can't be, for these reasons.
    NotComparable(Vec<String>),
}

impl Prove {
    /// Prints the proof.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let access = if self.repair { Access::Write } else { Access::Read };
        let ledger = open(&self.place, options, access).await?;
        let Some(given) = &self.window else { return history(&ledger, options).await };
        let window = snapshot_window("WINDOW", given, ledger.snapshot.zone)?;
        let now = event_source_mapping::now()?;
        let proof = prove(&ledger, window, now).await?;
        console::print(&if options.json { proof.json()? } else { proof.text() })?;
        if self.repair && !proof.wrong_snapshots.is_empty() {
            let request = Repair { author: self.author.as_deref(), dry_run: self.dry_run };
            let repaired = repair::repair(&ledger, window, &proof.wrong_snapshots, &request, now).await?;
            console::print(&repaired.text(options))?;
            return Ok(if repaired.is_complete() && proof.agrees_otherwise() {
                Done::Well
            } else {
                Done::WithFailures
            });
        }
        Ok(if proof.agrees() { Done::Well } else { Done::WithFailures })
    }
}

/// Parses a window of snapshots on the command line, in the time zone of the pipeline.
///
/// # Errors
/// If it isn't one, or has too much to be compared.
pub(super) fn snapshot_window(option: &str, text: &str, zone: Zone) -> Result<WindowKey, UsageError> {
    let window = window(text, zone)?;
    let refused = match window.level {
        Level::Minute => "a minute has no snapshots; choose an hour, a day, a week or a month",
        Level::Piece => "what one hour says about another has no snapshots; choose an hour",
        Level::Total => "the total has every record; choose a month",
        _ => return Ok(window),
    };
    Err(UsageError(format!("{option}: {refused}")))
}

/// Prints the audit entries.
async fn history(ledger: &Open, options: &Options) -> anyhow::Result<Done> {
    let mut entries = audit::entries(&ledger.folder.ledger, options.json).await?;
    if entries.is_empty() && !options.json {
        entries.push("no repairs found".to_owned());
    }
    if !entries.is_empty() {
        console::print(&entries.join("\n"))?;
    }
    Ok(Done::Well)
}

async fn prove(ledger: &Open, window: WindowKey, now: Timestamp) -> anyhow::Result<Proof> {
    let cells = read(ledger, window, now).await?;
    let archive = compare_archive(ledger, window, &cells, now).await?;
    let Differences { wrong_snapshots, wrong_states, not_known } = differences(&ledger.snapshot, &cells);
    Ok(Proof { window, cells, wrong_snapshots, wrong_states, not_known, archive })
}

/// Writes the snapshots of a window again that differ from the ledger, and prints what was written. Returns whether all were.
///
/// # Errors
/// If something can't be read or written.
pub(super) async fn repair_window(
    ledger: &Open,
    options: &Options,
    window: WindowKey,
    request: &Repair<'_>,
) -> anyhow::Result<bool> {
    let now = event_source_mapping::now()?;
    let cells = read(ledger, window, now).await?;
    let wrong = differences(&ledger.snapshot, &cells).wrong_snapshots;
    let repaired = repair::repair(ledger, window, &wrong, request, now).await?;
    console::print(&repaired.text(options))?;
    Ok(repaired.is_complete())
}

/// Reads what snapshots, states and pages say about a window.
async fn read(ledger: &Open, window: WindowKey, now: Timestamp) -> anyhow::Result<Cells> {
    let windows = cells::windows(ledger, window, now);
    let counting = Counting::of(&ledger.variables)?;
    let client = ledger.deployment.clients().dynamodb;
    // Snapshots first: they never have a later version than the state that is read after them.
    let snapshots = cells::read_snapshots(&counting, &client, &windows).await?;
    let mut cells = cells::read(ledger, window, &windows, now).await?;
    cells.snapshots = snapshots;
    let has_expired = |window: &WindowKey| window.span().is_some_and(|span| ledger.snapshot.has_expired(span, now));
    let counted = cells.states.keys().chain(cells.snapshots.keys()).map(|cell| cell.window);
    let expired: Vec<WindowKey> = counted.filter(has_expired).collect();
    cells.expired_windows.extend(expired);
    Ok(cells)
}

/// The counters whose snapshots aren't what the states say, and those whose states aren't what the pages add up to.
fn differences(snapshot: &Snapshot, cells: &Cells) -> Differences {
    let all: BTreeSet<&Cell> = cells.snapshots.keys().chain(cells.states.keys()).chain(cells.pages.keys()).collect();
    let mut found = Differences::default();
    for cell in all {
        let of = |values: &cells::Values| values.get(cell).cloned();
        let difference = Difference {
            cell: cell.clone(),
            snapshot: of(&cells.snapshots),
            state: of(&cells.states),
            pages: of(&cells.pages),
        };
        // A snapshot keeps the last value that the ledger knew.
        if [&difference.state, &difference.pages].iter().any(|value| value.as_deref() == Some(NOT_KNOWN)) {
            found.not_known.push(difference);
            continue;
        }
        if difference.snapshot != difference.state && !cells.expired_windows.contains(&cell.window) {
            found.wrong_snapshots.push(difference.clone());
        }
        // What isn't a sum doesn't add up.
        let adds_up = cells.added_up.contains(&cell.window) && snapshot.aggregate_of(&cell.measure) == Aggregate::Sum;
        if adds_up && difference.pages != difference.state {
            found.wrong_states.push(difference);
        }
    }
    found
}

async fn compare_archive(ledger: &Open, window: WindowKey, cells: &Cells, now: Timestamp) -> anyhow::Result<Archive> {
    let config = ledger.variables.config()?;
    let Some(archive) = &config.archive else {
        return Ok(Archive::NotComparable(vec![format!("pipeline {} archives nothing", config.pipeline.name)]));
    };
    // What the present measures make of their rows is something else.
    if cells.of_other_generations > 0 {
        let records = console::counted(cells.of_other_generations, "record");
        return Ok(Archive::NotComparable(vec![format!("another generation of the pipeline counted {records}")]));
    }
    let (clients, period) = (ledger.deployment.clients(), Period::new(window.text()));
    let site = Site {
        clients: &clients,
        pipeline: &config.pipeline,
        tables: config.tables.as_ref(),
        archive: Some(archive),
        unsettled: None,
        unfolded_pages: 0,
        period: Some(&period),
        now,
    };
    let progress = console::spinner("snapshots and files read");
    let compared = reconcile::prove(&site, &cells.records, &|| progress.inc(1)).await;
    progress.finish_and_clear();
    match compared {
        Ok((report, gaps)) => Ok(Archive::Compared(Box::new(report), gaps)),
        Err(error) => match error.downcast::<Unprovable>() {
            Ok(Unprovable(reasons)) => Ok(Archive::NotComparable(reasons)),
            Err(error) => Err(error),
        },
    }
}

impl Proof {
    /// Whether everything that can be compared agrees.
    fn agrees(&self) -> bool {
        self.wrong_snapshots.is_empty() && self.agrees_otherwise()
    }

    /// The same, apart from snapshots, from which the archive's counters are read, too.
    fn agrees_otherwise(&self) -> bool {
        let archive = match &self.archive {
            Archive::Compared(report, gaps) => {
                gaps.gap_count == 0 && (report.agrees() || !self.wrong_snapshots.is_empty())
            }
            Archive::NotComparable(_) => true,
        };
        archive && self.wrong_states.is_empty() && self.cells.unfolded.is_empty()
    }
}
