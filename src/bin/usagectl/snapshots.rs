//! `usagectl snapshots`: what the usage table holds, as a table, JSON lines or a chart.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Window;

use crate::choice::{Sample, Variables};
use crate::console::{self, Done, UsageError};
use crate::options::Options;
use crate::plot::{self, Bar};
use crate::table;
use crate::workplace::{Uses, Workplace};
use usage_aggregator::local::rows::{Row, RowReader};

/// List the usage snapshots
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Snapshots {
    /// Only this entity
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    /// Only this resource
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Only windows of this length
    #[arg(long)]
    window: Option<Length>,
    /// Only windows that start on this day (UTC) or later
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<String>,
    /// Only windows that start on this day (UTC) or earlier
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<String>,
    /// Draw this measure over the windows' starts; of hours unless --window says otherwise
    #[arg(long, value_name = "MEASURE", conflicts_with = "json")]
    plot: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Length {
    Hour,
    Day,
    Month,
}

const EXAMPLES: &str = "\
Examples:
  usagectl snapshots --window month
  usagectl snapshots --entity 7 --from 2026-11-01 --to 2026-11-30 --json
  usagectl snapshots --plot amount --window day
  usagectl snapshots --pipeline alleycat";

/// The width of a chart where nothing says how wide the terminal is.
const DEFAULT_WIDTH: u16 = 80;

impl Snapshots {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let config = Variables::new(options, &Sample::default()).with_metrics_sink("none").config()?;
        let counts = config.tables.zip(config.pipeline.snapshot);
        let Some((tables, snapshot)) = counts else {
            let name = config.pipeline.name;
            return Err(UsageError(format!("pipeline {name} counts nothing; choose another with --pipeline")).into());
        };
        let place = Workplace::open_existing(options, Uses::Tables).await?;
        let reader = RowReader::new(&snapshot);
        let mut kept = Vec::new();
        let progress = console::spinner("snapshots read");
        let mut pages = place.clients.dynamodb.scan().table_name(&tables.usage).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let doing =
                || format!("scan the usage table {} (dynamodb:Scan); has anything been invoked yet?", tables.usage);
            let Some(row) = reader.read(&item.with_context(doing)?) else { continue };
            progress.inc(1);
            match self.wants(&row) {
                true if options.json => progress.suspend(|| console::print(&json_row(&row)))?,
                true => kept.push(row),
                false => {}
            }
        }
        progress.finish_and_clear();
        if !options.json {
            kept.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
            console::print(&self.text(&reader, &kept)?)?;
        }
        Ok(Done::Well)
    }

    fn wants(&self, row: &Row) -> bool {
        let is = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| row.variable(name) == wanted);
        let start = row.start();
        // A window that starts within the day `to` has that date as the beginning of its start.
        is(self.entity.as_deref(), "entity")
            && is(self.resource.as_deref(), "resource")
            && is(self.length(), "window")
            && self.from.as_deref().is_none_or(|from| start >= from)
            && self.to.as_deref().is_none_or(|to| start.get(..10).unwrap_or(start) <= to)
    }

    fn length(&self) -> Option<&'static str> {
        let window = self.window.map(|length| match length {
            Length::Hour => Window::Hour,
            Length::Day => Window::Day,
            Length::Month => Window::Month,
        });
        // Windows of several lengths in one chart would show everything several times.
        window.or_else(|| self.plot.as_ref().map(|_| Window::Hour)).map(Window::name)
    }

    fn text(&self, reader: &RowReader<'_>, rows: &[Row]) -> anyhow::Result<String> {
        if rows.is_empty() {
            return Ok("no snapshots; take away a filter, or invoke an event first".to_owned());
        }
        match &self.plot {
            Some(measure) => chart(rows, measure),
            None => Ok(listing(reader, rows)),
        }
    }
}

fn order(row: &Row) -> (&str, &str, usize, &str) {
    let length = Window::ALL.iter().position(|window| window.name() == row.variable("window"));
    (row.variable("entity"), row.variable("resource"), length.unwrap_or(Window::ALL.len()), row.start())
}

fn json_row(row: &Row) -> String {
    let mut line = json!(row.variables);
    if let Some(fields) = line.as_object_mut() {
        fields.insert("measures".to_owned(), json!(row.measures));
    }
    line.to_string()
}

fn listing(reader: &RowReader<'_>, rows: &[Row]) -> String {
    let measures: BTreeSet<&str> = rows.iter().flat_map(|row| row.measures.keys()).map(String::as_str).collect();
    let variables: Vec<&str> = reader.group_variables().chain(["window"]).collect();
    let mut table = table::titled(variables.iter().copied().chain(["start"]).chain(measures.iter().copied()));
    for row in rows {
        let texts = variables.iter().map(|name| table::text(row.variable(name))).chain([table::text(row.start())]);
        let number = |measure: &&str| table::number(row.measures.get(*measure).map_or("", String::as_str));
        table.add_row(texts.chain(measures.iter().map(number)));
    }
    format!("{table}\n{}", totals(rows, &measures))
}

/// The sums by length of window: an hour's usage is also its day's.
fn totals(rows: &[Row], measures: &BTreeSet<&str>) -> String {
    let mut lines = vec![format!("total: {}", console::counted(rows.len(), "snapshot"))];
    for window in Window::ALL {
        let of_window = || rows.iter().filter(|row| row.variable("window") == window.name());
        let sums = measures
            .iter()
            .map(|measure| format!("{measure} {}", sum(of_window().map(|row| row.measures.get(*measure)))));
        if of_window().next().is_some() {
            lines.push(format!("  {:<6}{}", window.name(), sums.collect::<Vec<_>>().join(", ")));
        }
    }
    lines.join("\n")
}

fn chart(rows: &[Row], measure: &str) -> anyhow::Result<String> {
    let known: BTreeSet<&str> = rows.iter().flat_map(|row| row.measures.keys()).map(String::as_str).collect();
    if !known.contains(measure) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(UsageError(format!("--plot: no snapshot has a measure `{measure}`; there are {known}")).into());
    }
    let mut starts: BTreeMap<&str, Vec<Option<&String>>> = BTreeMap::new();
    for row in rows {
        starts.entry(row.start()).or_default().push(row.measures.get(measure));
    }
    let bar = |(start, numbers): (&str, Vec<Option<&String>>)| {
        let number = Decimal::parse(&sum(numbers.into_iter())).unwrap_or_default();
        Bar { label: console::plain(start), number }
    };
    let bars: Vec<Bar> = starts.into_iter().map(bar).collect();
    let window = rows.first().map_or("", |row| row.variable("window"));
    let width = table::titled([]).width().unwrap_or(DEFAULT_WIDTH);
    Ok(format!("{measure} by {window}\n{}", plot::chart(&bars, usize::from(width))))
}

/// An exact sum, or a word where it would need more than 38 digits.
fn sum<'n>(numbers: impl Iterator<Item = Option<&'n String>>) -> String {
    let parsed = numbers.flatten().map(|number| Decimal::parse(number));
    let sum = parsed.into_iter().try_fold(Decimal::default(), |sum, number| sum.checked_add(number?));
    sum.map_or_else(|_| "too large".to_owned(), |sum| sum.to_string())
}

fn date(text: &str) -> Result<String, String> {
    let date = Timestamp::parse(text).filter(|_| text.len() == 10);
    date.map(|_| text.to_owned()).ok_or_else(|| "expected a day such as 2026-11-21, from 2000 to 2099".to_owned())
}
