//! `usagectl usage`: queries on the snapshots. `top` ranks the entities of a window, `list` sums all entities over time, `show`
//! breaks one entity's day down by hour.

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
use crate::stack::{Access, Where};

/// Query usage: top entities, a time series, or one entity's day
#[derive(Debug, Args)]
pub struct Usage {
    #[command(subcommand)]
    query: Query,
}

#[derive(Debug, Subcommand)]
enum Query {
    Top(Box<top::Top>),
    List(Box<list::List>),
    Show(Box<show::Show>),
}

impl Usage {
    /// Runs the query.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.query {
            Query::Top(top) => top.run(options).await,
            Query::List(list) => list.run(options).await,
            Query::Show(show) => show.run(options).await,
        }
    }
}

/// Printed if no snapshot matches.
const NOTHING: &str = "no snapshots found: remove a filter, or list all with `usagectl snapshots`";

/// The rows that `wants` selects, ordered by entity, resource and start. For one entity, only its partition is read if the
/// pipeline's keys allow that. Also returns what the pipeline counts.
async fn read(
    place: &Where,
    options: &Options,
    entity: Option<&str>,
    wants: impl Fn(&Row) -> bool,
) -> anyhow::Result<(Counting, Vec<Row>)> {
    let deployment = place.open(options).await?;
    let counting = Counting::of(&deployment.variables(options, Access::Read).await?)?;
    let partition = entity.and_then(|entity| RowReader::new(&counting.snapshot).partition_of(&[("entity", entity)]));
    if entity.is_some() && partition.is_none() {
        console::note("note: the pipeline's partition key isn't the entity alone; reading the whole table");
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
    Ok((counting, rows))
}

/// Whether a row has this window length, and this resource if one is requested.
fn fits(row: &Row, resource: Option<&str>, window: Window) -> bool {
    row.variable("window") == window.name() && resource.is_none_or(|wanted| row.variable("resource") == wanted)
}

/// Keeps the rows whose start begins with `at`, or with the first `length` characters of the newest start. Returns that prefix.
fn keep_at(rows: &mut Vec<Row>, at: Option<&str>, length: usize) -> Option<String> {
    let newest = rows.iter().map(Row::start).max()?;
    let kept = at.unwrap_or_else(|| newest.get(..length).unwrap_or(newest)).to_owned();
    rows.retain(|row| row.start().starts_with(&kept));
    Some(kept)
}

/// How many characters of a start identify a window of this length: `2026-11-21T03`, `2026-11-21`, `2026-11`. There is one
/// total.
pub(in crate::results) fn start_length(window: Window) -> usize {
    match window {
        Window::Hour => 13,
        Window::Day | Window::Week => 10,
        Window::Month => 7,
        Window::Total => 0,
    }
}

/// Parses the start of a window on the command line: a month, day or hour.
pub(in crate::results) fn start(text: &str) -> Result<String, String> {
    const FIRST: &str = "2000-01-01T00:00:00Z";
    let full = FIRST.get(text.len()..).map(|rest| format!("{text}{rest}"));
    let known = [7, 10, 13].contains(&text.len()) && full.is_some_and(|full| Timestamp::parse(&full).is_some());
    known.then(|| text.to_owned()).ok_or_else(|| "expected 2026-11, 2026-11-21 or 2026-11-21T03".to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two hours of two entities. One of them was restated, and some of its usage is an adjustment.
    pub(super) fn restated_and_not() -> Vec<Row> {
        let row = |entity: &str, start: &str, measures: &[(&str, &str)], restated_at: Option<&str>| {
            let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
            let variables = [("entity", entity), ("resource", "orders"), ("window", "hour"), ("window_start", start)];
            Row {
                variables: variables.map(owned).into(),
                measures: measures.iter().copied().map(owned).collect(),
                restated_at: restated_at.map(str::to_owned),
                ..Row::default()
            }
        };
        let at = Some("2026-11-22T07:30:00Z");
        vec![
            row("7", "2026-11-21T03:00:00Z", &[("amount", "130")], None),
            row("7", "2026-11-21T04:00:00Z", &[("amount", "12.5"), ("amount_adjusted", "2.5")], at),
            row("8", "2026-11-21T04:00:00Z", &[("amount", "7")], None),
        ]
    }

    #[test]
    fn a_window_is_selected_by_its_start() {
        for right in ["2026-11", "2026-11-21", "2026-11-21T03"] {
            assert_eq!(start(right), Ok(right.to_owned()));
        }
        for wrong in ["", "2026", "2026-13", "2026-02-30", "2026-11-21T24", "2026-11-21T03:00:00Z", "today"] {
            assert!(start(wrong).is_err(), "{wrong}");
        }
    }
}
