//! `usagectl usage`: what the snapshots say. `top` has the heaviest entities of a window, `list` a measure over time, `show`
//! one entity's day by the hour.

mod list;
mod show;
mod top;

use clap::{Args, Subcommand};
use laptop::proof::rows::{Row, RowReader};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::results::snapshot_items::Counting;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::stack::Where;

/// Ask the usage snapshots: the heaviest entities, a series, one entity's day
#[derive(Debug, Args)]
pub struct Usage {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    Top(Box<top::Top>),
    List(Box<list::List>),
    Show(Box<show::Show>),
}

impl Usage {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.question {
            Question::Top(top) => top.run(options).await,
            Question::List(list) => list.run(options).await,
            Question::Show(show) => show.run(options).await,
        }
    }
}

/// What a table without a fitting snapshot is answered with.
const NOTHING: &str = "no snapshots; take away a filter, or look at `usagectl snapshots`";

/// The rows that `wants` picks, in order of entity, resource and start. With an entity only its partition is read, where
/// the pipeline's keys tell which that is.
async fn read(
    place: &Where,
    options: &Options,
    entity: Option<&str>,
    wants: impl Fn(&Row) -> bool,
) -> anyhow::Result<Vec<Row>> {
    let deployment = place.open(options).await?;
    let counting = Counting::of(&deployment.variables(options).await)?;
    let partition = entity.and_then(|entity| RowReader::new(&counting.snapshot).partition_of(&[("entity", entity)]));
    if entity.is_some() && partition.is_none() {
        console::note("note: the pipeline's partition key isn't that of an entity alone; reading the whole table");
    }
    let mut rows = Vec::new();
    let progress = console::spinner("snapshots read");
    let take = |row: Row| {
        progress.inc(1);
        if wants(&row) {
            rows.push(row);
        }
        Ok(())
    };
    counting.read(&deployment.clients().dynamodb, partition, take).await?;
    progress.finish_and_clear();
    let order = |row: &Row| [row.variable("entity"), row.variable("resource"), row.start()].map(str::to_owned);
    rows.sort_by_cached_key(order);
    Ok(rows)
}

/// Whether a row is of a resource, if one was asked for, and of windows of a length.
fn fits(row: &Row, resource: Option<&str>, window: Window) -> bool {
    row.variable("window") == window.name() && resource.is_none_or(|wanted| row.variable("resource") == wanted)
}

/// Leaves the rows whose start begins with `at`; with nothing asked, with the newest start's first `length` characters.
/// Says which that is.
fn keep_at(rows: &mut Vec<Row>, at: Option<&str>, length: usize) -> Option<String> {
    let newest = rows.iter().map(Row::start).max()?;
    let kept = at.unwrap_or_else(|| newest.get(..length).unwrap_or(newest)).to_owned();
    rows.retain(|row| row.start().starts_with(&kept));
    Some(kept)
}

/// The characters of a start that tell a window of this length from others: `2026-11-21T03`, `2026-11-21`, `2026-11`.
fn start_length(window: Window) -> usize {
    match window {
        Window::Hour => 13,
        Window::Day => 10,
        Window::Month => 7,
    }
}

/// The start of a window on the command line: a month, day or hour.
fn start(text: &str) -> Result<String, String> {
    const FIRST: &str = "2000-01-01T00:00:00Z";
    let full = FIRST.get(text.len()..).map(|rest| format!("{text}{rest}"));
    let known = [7, 10, 13].contains(&text.len()) && full.is_some_and(|full| Timestamp::parse(&full).is_some());
    known.then(|| text.to_owned()).ok_or_else(|| "expected 2026-11, 2026-11-21 or 2026-11-21T03".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_named_by_its_start() {
        for right in ["2026-11", "2026-11-21", "2026-11-21T03"] {
            assert_eq!(start(right), Ok(right.to_owned()));
        }
        for wrong in ["", "2026", "2026-13", "2026-02-30", "2026-11-21T24", "2026-11-21T03:00:00Z", "today"] {
            assert!(start(wrong).is_err(), "{wrong}");
        }
    }
}
