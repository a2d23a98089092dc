//! `usagectl usage list`: the usage of all entities together, window by window.

use std::collections::BTreeSet;

use clap::Args;
use laptop::proof::rows::Row;
use serde_json::json;

use super::top::nothing;
use super::{fits, read};
use crate::results::overlap;
use crate::results::sums::{self, Length, date};
use crate::shell::console::{self, Done};
use crate::shell::csv_text::{Formulas, csv_text};
use crate::shell::options::Options;
use crate::shell::table;
use crate::stack::Where;

/// Sum the usage of all entities per window (reads the whole table)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct List {
    /// Window length
    #[arg(long, default_value = "day")]
    window: Length,
    /// Only this resource
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Only windows that start on this day or later
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<String>,
    /// Only windows that start on this day or earlier
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<String>,
    /// Only this measure [default: all, or with --plot the first by name]
    #[arg(long, value_name = "MEASURE")]
    measure: Option<String>,
    /// Plot the measure as bars
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
  usagectl usage list --stack usage-aggregator --window month
  usagectl usage list --local --measure amount --from 2026-11-01 --plot
  usagectl usage list --local --window month --csv > months.csv
  usagectl usage list --local --resource orders --window hour --json";

impl List {
    /// Prints the sums.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let (counting, rows) = read(&self.place, options, None, |row| self.wants(row)).await?;
        if rows.is_empty() {
            return nothing(options, self.csv);
        }
        let known = sums::measures(&rows);
        let requested = match (&self.measure, self.plot) {
            (None, false) => known.clone(),
            (measure, _) => BTreeSet::from([sums::measure(&known, measure.as_deref(), "--measure")?]),
        };
        console::print(&match requested.first().filter(|_| self.plot) {
            Some(measure) => sums::chart(&rows, measure),
            None if self.csv => csv(&rows, &requested, self.window.window().name(), self.formulas)?,
            None if options.json => lines(&rows, &requested, self.window.window().name()),
            None => listing(&rows, &requested),
        })?;
        overlap::note(&counting, &rows, &requested, options);
        Ok(Done::Well)
    }

    fn wants(&self, row: &Row) -> bool {
        let day = row.start().get(..10).unwrap_or_default();
        fits(row, self.resource.as_deref(), self.window.window())
            && self.from.as_deref().is_none_or(|from| day >= from)
            && self.to.as_deref().is_none_or(|to| day <= to)
    }
}

/// The number of different entities.
fn entities(rows: &[&Row]) -> usize {
    rows.iter().map(|row| row.variable("entity")).collect::<BTreeSet<_>>().len()
}

fn listing(rows: &[Row], measures: &BTreeSet<&str>) -> String {
    let restated = sums::restated_at(rows).map(|_| sums::RESTATED_AT);
    let titles = ["start", "entities"].into_iter().chain(measures.iter().copied()).chain(restated);
    let mut table = table::titled(titles);
    for (start, of_start) in sums::grouped(rows, Row::start) {
        let sums = measures.iter().map(|measure| table::number(&sums::sum_text(of_start.iter().copied(), measure)));
        let first = [table::text(start), table::number(&entities(&of_start).to_string())];
        let last = restated.map(|_| table::text(sums::restated_at(of_start.iter().copied()).unwrap_or_default()));
        table.add_row(first.into_iter().chain(sums).chain(last));
    }
    format!("{table}\n{}", sums::totals(rows, measures))
}

fn csv(rows: &[Row], measures: &BTreeSet<&str>, window: &str, formulas: Formulas) -> anyhow::Result<String> {
    let restated = sums::restated_at(rows).map(|_| sums::RESTATED_AT);
    let titles = ["window", "start", "entities"].into_iter().chain(measures.iter().copied()).chain(restated);
    let line = |(start, of_start): (&str, Vec<&Row>)| {
        let sums = measures.iter().map(|measure| sums::sum_text(of_start.iter().copied(), measure));
        let first = [window.to_owned(), start.to_owned(), entities(&of_start).to_string()];
        let last = restated.map(|_| sums::restated_at(of_start.iter().copied()).unwrap_or_default().to_owned());
        first.into_iter().chain(sums).chain(last).collect()
    };
    csv_text(&titles.collect::<Vec<_>>(), sums::grouped(rows, Row::start).into_iter().map(line), formulas)
}

fn lines(rows: &[Row], measures: &BTreeSet<&str>, window: &str) -> String {
    let line = |(start, of_start): (&str, Vec<&Row>)| {
        let sum = |measure: &&str| ((*measure).to_owned(), sums::sum_text(of_start.iter().copied(), measure));
        let sums: std::collections::BTreeMap<String, String> = measures.iter().map(sum).collect();
        let line = json!({ "window": window, "start": start, "entities": entities(&of_start), "measures": sums });
        sums::with_restated_at(line, sums::restated_at(of_start)).to_string()
    };
    sums::grouped(rows, Row::start).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::usage::tests::restated_and_not;

    #[test]
    fn a_window_says_when_the_last_of_its_snapshots_was_restated() {
        let rows = restated_and_not();
        let measures = sums::measures(&rows);
        let shown = [
            listing(&rows, &measures),
            csv(&rows, &measures, "hour", Formulas::default()).unwrap(),
            lines(&rows, &measures, "hour"),
        ];
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
