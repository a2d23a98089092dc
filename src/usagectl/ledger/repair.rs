//! `usagectl ledger sweep` and `usagectl ledger rebuild`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::fold::{Depth, Mode, Swept};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{Segment, SnapshotItem};

use super::from_archive::{self, Request};
use super::range::Range;
use super::{Open, open};
use crate::shell::console::{self, Done, UsageError, counted, plain};
use crate::shell::options::Options;
use crate::stack::{Access, Where};

/// Fold minutes whose notices were lost, and compare the snapshots of windows that end with them
#[derive(Debug, Args)]
#[command(after_help = SWEEP_EXAMPLES)]
pub(super) struct Sweep {
    #[command(flatten)]
    range: Range,
    /// Compare the snapshots of all windows that the minutes are in, such as after the usage table was lost
    #[arg(long)]
    windows: bool,
    #[command(flatten)]
    place: Where,
}

const SWEEP_EXAMPLES: &str = "\
Examples:
  usagectl ledger sweep 2026-11-28T08 --local
  usagectl ledger sweep 2026-11-28T08:00 2026-11-28T11:30 --stack usage-aggregator
  usagectl ledger sweep 2026-11 --windows --stack usage-aggregator";

/// Write the states of minutes and of the windows above them again, and then their snapshots; or the snapshots alone of a window
/// that the ledger no longer has
#[derive(Debug, Args)]
#[command(after_help = REBUILD_EXAMPLES)]
pub(super) struct Rebuild {
    #[command(flatten)]
    range: Range,
    /// Forget pages and states that no longer exist, which makes the numbers smaller; without it, they are an error. Names them
    /// and asks first
    #[arg(long)]
    forget: bool,
    /// Forget without asking
    #[arg(long, requires = "forget")]
    yes: bool,
    /// Write snapshots of a window whose pages and states have expired, as they follow from the archive
    #[arg(long, conflicts_with_all = ["forget", "to"])]
    from_archive: bool,
    /// With --from-archive: show what would be written, without writing anything
    #[arg(long, requires = "from_archive")]
    dry_run: bool,
    /// With --from-archive: who rebuilds [default: the caller's identity in the account; with --local, $USER]
    #[arg(long, value_name = "NAME", requires = "from_archive")]
    author: Option<String>,
    #[command(flatten)]
    place: Where,
}

const REBUILD_EXAMPLES: &str = "\
Examples:
  usagectl ledger rebuild 2026-11-28T08:57 --local
  usagectl ledger rebuild 2026-11-28T08 --stack usage-aggregator
  usagectl ledger rebuild 2026-11-28T08:57 --forget --stack usage-aggregator   # names what is gone
  usagectl ledger rebuild 2026-08-14 --from-archive --stack usage-aggregator --dry-run

With --from-archive, snapshots of the window and of the windows in it that differ from the
archive are written, each with the version that it has, and an audit entry says who wrote what.
A snapshot is left alone and named, with the reason, if the ledger still has what it was made
of, if rows of its items are missing, or if no other snapshot shows that the archive has all of
its rows: one of a larger window, such as the month, or all of the smaller ones. The exit code
is then 1.";

impl Sweep {
    /// Sweeps the minutes in order.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ledger = open(&self.place, options, Access::Write).await?;
        let minutes = self.range.minutes(ledger.snapshot.zone)?;
        let depth = match minutes.last() {
            Some(last) if self.windows => Depth::Ending { last: *last },
            _ => Depth::Minute,
        };
        let sweep = async |minute, now| ledger.folder.sweep(&ledger.snapshot, minute, depth, now, None).await;
        each(&minutes, options, "sweep", sweep).await
    }
}

impl Rebuild {
    /// Rebuilds the minutes in order.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ledger = open(&self.place, options, Access::Write).await?;
        if self.from_archive {
            let window = self.range.only(ledger.snapshot.zone)?;
            let request = Request { window, dry_run: self.dry_run, author: self.author.as_deref() };
            return from_archive::rebuild(&ledger, &request, options).await;
        }
        let mode = if self.forget { Mode::Forget } else { Mode::Rebuild };
        if self.forget && !self.may_forget(&ledger, options).await? {
            console::note("nothing was written");
            return Ok(Done::WithFailures);
        }
        let rebuild = async |minute, now| ledger.folder.rebuild(&ledger.snapshot, minute, mode, now, None).await;
        each(&self.range.minutes(ledger.snapshot.zone)?, options, "rebuild", rebuild).await
    }
}

impl Rebuild {
    /// Names what is missing, and asks whether to forget it.
    async fn may_forget(&self, ledger: &Open, options: &Options) -> anyhow::Result<bool> {
        let mut missing = BTreeSet::new();
        for minute in self.range.minutes(ledger.snapshot.zone)? {
            let reading = || format!("look for what {} lacks", minute.text());
            missing.extend(ledger.folder.missing(&ledger.snapshot, minute, None).await.with_context(reading)?);
        }
        for what in &missing {
            console::note(&format!("missing: {what}"));
        }
        if missing.is_empty() || self.yes {
            return Ok(true);
        }
        let what = counted(missing.len(), "page or state").replace("page or states", "pages or states");
        if options.json || !std::io::stdin().is_terminal() {
            return Err(UsageError(format!("{what} would be forgotten; add --yes to forget them")).into());
        }
        console::ask(&format!("Forget {what}? What only they count is subtracted from the numbers."))
    }
}

/// What repairing minutes did.
#[derive(Default)]
struct Repaired {
    totals: Swept,
    /// The minutes that couldn't be repaired, and why.
    failed: BTreeMap<Segment, Error>,
    /// The minutes that were left out, because those before them failed one after the other.
    left_out: usize,
}

/// So many minutes in a row fail only if something is wrong with all of them, such as a permission.
const HOPELESS: usize = 20;

/// Repairs each minute, with a progress bar.
async fn repair_all(
    minutes: &[Segment],
    repair: impl AsyncFn(Segment, Timestamp) -> Result<Swept, Error>,
) -> anyhow::Result<Repaired> {
    let bar = console::progress(minutes.len());
    let mut done = Repaired::default();
    let mut in_a_row = 0;
    for (number, minute) in minutes.iter().enumerate() {
        match repair(*minute, event_source_mapping::now()?).await {
            Ok(swept) => {
                done.totals.add(swept);
                in_a_row = 0;
            }
            Err(error) => {
                in_a_row += usize::from(error.kind == ErrorKind::Config);
                done.failed.insert(*minute, error);
            }
        }
        bar.inc(1);
        if in_a_row == HOPELESS {
            done.left_out = minutes.len() - number - 1;
            break;
        }
    }
    // The windows of a minute may have lacked parts of other minutes that were repaired later, if the ledger was restored.
    for minute in done.failed.keys().copied().collect::<Vec<_>>() {
        match repair(minute, event_source_mapping::now()?).await {
            Ok(swept) => {
                done.totals.add(swept);
                done.failed.remove(&minute);
            }
            Err(error) => drop(done.failed.insert(minute, error)),
        }
    }
    bar.finish_and_clear();
    Ok(done)
}

/// Repairs each minute, and prints the totals.
async fn each(
    minutes: &[Segment],
    options: &Options,
    doing: &str,
    repair: impl AsyncFn(Segment, Timestamp) -> Result<Swept, Error>,
) -> anyhow::Result<Done> {
    let Repaired { totals, failed, left_out } = repair_all(minutes, repair).await?;
    let Swept { pages, repaired, refused, too_old, .. } = totals;
    let listed: Vec<String> = refused.iter().map(|(item, reason)| refused_text(item, reason)).collect();
    let too_old: Vec<String> = too_old.into_iter().map(Segment::text).collect();
    let failed: Vec<(String, String)> =
        failed.into_iter().map(|(minute, error)| (minute.text(), plain(&error.to_string()))).collect();
    console::print(&match options.json {
        true => {
            let failed = failed.iter().map(|(minute, error)| json!({ "minute": minute, "error": error }));
            json!({
                "minutes": minutes.len() - left_out, "pages": pages, "repaired": repaired, "refused": listed, "too_old": too_old,
                "failed": failed.collect::<Vec<_>>(), "left_out": left_out,
            })
            .to_string()
        }
        false => format!(
            "{} with {}: {} repaired",
            counted(minutes.len() - left_out, "minute"),
            counted(pages, "page"),
            counted(repaired, "snapshot")
        ),
    })?;
    if !options.json {
        listed.iter().for_each(|refused| console::note(&format!("DynamoDB refuses the snapshot {refused}")));
        too_old.iter().for_each(|minute| console::note(&too_old_text(minute)));
        failed.iter().for_each(|(minute, error)| console::note(&format!("{doing} {minute}: {error}")));
        if left_out > 0 {
            let rest = counted(left_out, "minute");
            console::note(&format!(
                "{rest} left out, because {HOPELESS} in a row failed; fix what they name, and run it again"
            ));
        }
    }
    let is_well = listed.is_empty() && too_old.is_empty() && failed.is_empty();
    Ok(if is_well { Done::Well } else { Done::WithFailures })
}

/// That the pages of a minute are too old to be folded.
fn too_old_text(minute: &str) -> String {
    let day = minute.get(..10).unwrap_or(minute);
    format!(
        "{minute} has pages that no state lists, and is too old to be folded: states that they are summed up into may have \
         expired; `usagectl prove {day}` shows whether they are counted"
    )
}

/// The key of a snapshot that DynamoDB refuses, and why.
pub(crate) fn refused_text(item: &SnapshotItem, reason: &str) -> String {
    let key: Vec<String> = item.key.iter().map(|(name, text)| format!("{name}={text}")).collect();
    plain(&format!("{}: {reason}", key.join(" ")))
}
