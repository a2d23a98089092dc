//! `usagectl snapshots`: the usage table as a table, JSON lines or a chart.

use clap::Args;
use laptop::proof::rows::{Row, RowReader};
use serde_json::json;
use usage_aggregator::window::Window;

use crate::results::overlap;
use crate::results::snapshot_items::Counting;
use crate::results::sums::{self, Length, date};
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::table;
use crate::shell::workplace::{Uses, Workplace};

/// List usage snapshots
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
    /// Only windows that start on this day or later
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<String>,
    /// Only windows that start on this day or earlier
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<String>,
    /// Plot this measure over time, by hour unless --window is set
    #[arg(long, value_name = "MEASURE", conflicts_with = "json")]
    plot: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl snapshots --window month
  usagectl snapshots --entity 7 --from 2026-11-01 --to 2026-11-30 --json
  usagectl snapshots --plot amount --window day
  usagectl snapshots --pipeline alleycat";

impl Snapshots {
    /// Prints the snapshots that match the filters.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let counting = Counting::of(&Variables::new(options, &Sample::default()))?;
        let place = Workplace::open_existing(options, Uses::Tables).await?;
        let mut kept = Vec::new();
        let progress = console::spinner("snapshots read");
        let take = |row: Row| {
            progress.inc(1);
            match self.wants(&row) {
                true if options.json => progress.suspend(|| console::print(&json_row(&row)))?,
                true => kept.push(row),
                false => {}
            }
            Ok(())
        };
        counting.read(&place.clients.dynamodb, None, take).await?;
        progress.finish_and_clear();
        if !options.json {
            kept.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
            console::print(&self.text(&RowReader::new(&counting.snapshot), &kept)?)?;
            let measures = sums::measures(&kept);
            let plotted = |measure: &&str| self.plot.as_ref().is_none_or(|plotted| plotted == measure);
            overlap::note(&counting, &kept, &measures.into_iter().filter(plotted).collect(), options);
        }
        Ok(Done::Well)
    }

    fn wants(&self, row: &Row) -> bool {
        let is = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| row.variable(name) == wanted);
        let start = row.start();
        // A window that starts on the day `to` has that date as a prefix of its start.
        is(self.entity.as_deref(), "entity")
            && is(self.resource.as_deref(), "resource")
            && is(self.length(), "window")
            && self.from.as_deref().is_none_or(|from| start >= from)
            && self.to.as_deref().is_none_or(|to| start.get(..10).unwrap_or(start) <= to)
    }

    fn length(&self) -> Option<&'static str> {
        let window = self.window.map(Length::window);
        // Windows of several lengths in one chart would count everything several times.
        window.or_else(|| self.plot.as_ref().map(|_| Window::Hour)).map(Window::name)
    }

    fn text(&self, reader: &RowReader<'_>, rows: &[Row]) -> anyhow::Result<String> {
        if rows.is_empty() {
            return Ok("no snapshots found: remove a filter, or invoke an event first".to_owned());
        }
        match &self.plot {
            Some(measure) => {
                let measure = sums::measure(&sums::measures(rows), Some(measure), "--plot")?;
                Ok(sums::chart(rows, measure))
            }
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
    sums::with_restated_at(line, row.restated_at.as_deref()).to_string()
}

fn listing(reader: &RowReader<'_>, rows: &[Row]) -> String {
    let measures = sums::measures(rows);
    let variables: Vec<&str> = reader.group_variables().chain(["window"]).collect();
    let restated = sums::restated_at(rows).map(|_| sums::RESTATED_AT);
    let titles = variables.iter().copied().chain(["start"]).chain(measures.iter().copied()).chain(restated);
    let mut table = table::titled(titles);
    for row in rows {
        let texts = variables.iter().map(|name| table::text(row.variable(name))).chain([table::text(row.start())]);
        let number = |measure: &&str| table::number(row.measures.get(*measure).map_or("", String::as_str));
        let last = restated.map(|_| table::text(row.restated_at.as_deref().unwrap_or_default()));
        table.add_row(texts.chain(measures.iter().map(number)).chain(last));
    }
    format!("{table}\n{}", sums::totals(rows, &measures))
}
