//! `usagectl usage show`: one entity's day, hour by hour.

use clap::Args;
use laptop::proof::rows::Row;
use serde_json::json;
use usage_aggregator::window::Window;

use super::top::nothing;
use super::{fits, keep_at, read, start_length};
use crate::results::overlap;
use crate::results::sums::{self, date};
use crate::shell::console::{self, Done};
use crate::shell::csv_text::{Formulas, csv_text};
use crate::shell::options::Options;
use crate::shell::table;
use crate::stack::Where;

/// Show one entity's day, hour by hour (queries its items only, if the pipeline's keys allow that)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Show {
    /// Entity, as the pipeline names it
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Day [default: the newest with snapshots]
    #[arg(long, value_name = "DATE", value_parser = date)]
    at: Option<String>,
    /// Only this resource
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Measure to plot [default: the first by name]
    #[arg(long, value_name = "MEASURE", requires = "plot")]
    measure: Option<String>,
    /// Plot a measure as bars
    #[arg(long, conflicts_with = "json")]
    plot: bool,
    /// Print CSV
    #[arg(long, conflicts_with_all = ["json", "plot"])]
    csv: bool,
    #[command(flatten)]
    formulas: Formulas,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl usage show 7 --local
  usagectl usage show 7 --stack usage-aggregator --at 2026-11-21 --plot --measure amount
  usagectl usage show 7 --local --csv > entity-7.csv
  usagectl usage show 7 --local --json";

impl Show {
    /// Prints the day.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let wants =
            |row: &Row| row.variable("entity") == self.entity && fits(row, self.resource.as_deref(), Window::Hour);
        let (counting, mut rows) = read(&self.place, options, Some(&self.entity), wants).await?;
        let kept = keep_at(&mut rows, self.at.as_deref(), start_length(Window::Day));
        let Some(day) = kept.filter(|_| !rows.is_empty()) else {
            return nothing(options, self.csv);
        };
        if self.csv {
            console::print(&csv(&rows, self.formulas)?)?;
            return Ok(Done::Well);
        }
        if options.json {
            console::print(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))?;
            return Ok(Done::Well);
        }
        let title = format!("{} on {day}", console::plain(&self.entity));
        let text = match self.plot {
            true => {
                let measure = sums::measure(&sums::measures(&rows), self.measure.as_deref(), "--measure")?;
                sums::chart(&rows, measure)
            }
            false => listing(&rows),
        };
        console::print(&format!("{title}\n{text}\n{}", sums(&rows)))?;
        overlap::note(&counting, &rows, &sums::measures(&rows), options);
        Ok(Done::Well)
    }
}

fn line(row: &Row) -> String {
    let (entity, resource) = (row.variable("entity"), row.variable("resource"));
    let line = json!({ "entity": entity, "resource": resource, "start": row.start(), "measures": row.measures });
    sums::with_restated_at(line, row.restated_at.as_deref()).to_string()
}

fn csv(rows: &[Row], formulas: Formulas) -> anyhow::Result<String> {
    let measures = sums::measures(rows);
    let restated = sums::restated_at(rows).map(|_| sums::RESTATED_AT);
    let titles = ["entity", "resource", "start"].into_iter().chain(measures.iter().copied()).chain(restated);
    let line = |row: &Row| {
        let numbers = measures.iter().map(|measure| row.measures.get(*measure).map_or("", String::as_str));
        let texts = [row.variable("entity"), row.variable("resource"), row.start()];
        let last = restated.map(|_| row.restated_at.as_deref().unwrap_or_default());
        texts.into_iter().chain(numbers).chain(last).map(str::to_owned).collect()
    };
    csv_text(&titles.collect::<Vec<_>>(), rows.iter().map(line), formulas)
}

fn listing(rows: &[Row]) -> String {
    let measures = sums::measures(rows);
    let restated = sums::restated_at(rows).map(|_| sums::RESTATED_AT);
    let mut table = table::titled(["start", "resource"].into_iter().chain(measures.iter().copied()).chain(restated));
    let mut ordered: Vec<&Row> = rows.iter().collect();
    ordered.sort_by_key(|row| row.start());
    for row in ordered {
        let texts = [table::text(row.start()), table::text(row.variable("resource"))];
        let number = |measure: &&str| table::number(row.measures.get(*measure).map_or("", String::as_str));
        let last = restated.map(|_| table::text(row.restated_at.as_deref().unwrap_or_default()));
        table.add_row(texts.into_iter().chain(measures.iter().map(number)).chain(last));
    }
    table.to_string()
}

fn sums(rows: &[Row]) -> String {
    let sum = |measure: &str| format!("{measure} {}", sums::sum_text(rows, measure));
    format!("day: {}", sums::measures(rows).into_iter().map(sum).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::usage::tests::restated_and_not;

    #[test]
    fn an_hour_says_when_it_was_restated() {
        let rows = restated_and_not();
        let lines: Vec<String> = rows.iter().map(line).collect();
        insta::assert_snapshot!(
            [listing(&rows), csv(&rows, Formulas::default()).unwrap(), lines.join("\n")].join("\n\n")
        );
    }
}
