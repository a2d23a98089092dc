//! `usagectl usage top`: ranks the entities of a window.

use std::collections::BTreeMap;

use clap::Args;
use laptop::proof::rows::Row;
use serde_json::json;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::pipeline::{Aggregate, adjusted_name};
use usage_aggregator::window::Window;

use super::{NOTHING, fits, keep_at, read, start, start_length};
use crate::results::export::second_of;
use crate::results::overlap;
use crate::results::sums::{self, Length};
use crate::shell::console::{self, Done, UsageError};
use crate::shell::csv_text::{Formulas, csv_text};
use crate::shell::numbers::percent;
use crate::shell::options::Options;
use crate::shell::plot::{self, Bar};
use crate::stack::Where;

/// Rank entities by usage in a window (reads the whole table)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Top {
    /// Measure to rank by [default: the first by name]
    #[arg(long, value_name = "MEASURE")]
    measure: Option<String>,
    /// Window length
    #[arg(long, default_value = "day")]
    window: Length,
    /// Start of the window, for example 2026-11-21 [default: the newest with snapshots]
    #[arg(long, value_name = "START", value_parser = start_or_instant)]
    at: Option<String>,
    /// Only this resource
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Show at most N entities
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Print CSV
    #[arg(long, conflicts_with_all = ["json"])]
    csv: bool,
    #[command(flatten)]
    formulas: Formulas,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl usage top --stack usage-aggregator --measure amount --window month
  usagectl usage top --local --at 2026-11-21 --limit 3
  usagectl usage top --local --limit 100 --csv > top.csv
  usagectl usage top --stack limiter --resource gpt-4 --measure tpm --json";

impl Top {
    /// Prints the ranking.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let window = self.window.window();
        let wants = |row: &Row| fits(row, self.resource.as_deref(), window);
        let (counting, mut rows) = read(&self.place, options, None, wants).await?;
        let kept = keep_at(&mut rows, self.at.as_deref(), start_length(window));
        let Some(mut at) = kept.filter(|_| !rows.is_empty()) else {
            return nothing(options, self.csv);
        };
        if window == Window::Hour && at.len() == start_length(window) {
            keep_one_hour(&mut rows, &mut at, self.at.is_some())?;
        }
        let measure = sums::measure(&sums::measures(&rows), self.measure.as_deref(), "--measure")?;
        let ranking = Ranking::new(&rows, measure)?;
        let title = format!("{measure} by entity, {} {at}", window.name());
        console::print(&if self.csv {
            ranking.csv(self.limit, (measure, window.name(), &at), self.formulas)?
        } else if options.json {
            ranking.json(self.limit, measure, window.name(), &at)
        } else {
            ranking.text(self.limit, &title)
        })?;
        overlap::note(&counting, &rows, &[measure].into(), options);
        Ok(Done::Well)
    }
}

/// Parses `--at`: a month, day, or hour, or the whole start of a window.
fn start_or_instant(text: &str) -> Result<String, String> {
    second_of(text).map_or_else(|| start(text), |_| Ok(text.to_owned()))
}

/// Where clocks go back, an hour comes twice, and only the offset tells the two apart. Keeps the later one, and makes `at` its
/// start.
///
/// # Errors
/// If someone asked for this hour without the offset.
fn keep_one_hour(rows: &mut Vec<Row>, at: &mut String, is_requested: bool) -> Result<(), UsageError> {
    let starts: BTreeMap<i64, String> =
        rows.iter().filter_map(|row| Some((second_of(row.start())?, row.start().to_owned()))).collect();
    match (starts.first_key_value(), starts.last_key_value()) {
        (Some((first, one)), Some((last, other))) if first < last => {
            if is_requested {
                return Err(UsageError(format!("--at: {at} comes twice; choose {one} or {other}")));
            }
            rows.retain(|row| second_of(row.start()) == Some(*last));
            other.clone_into(at);
        }
        _ => {}
    }
    Ok(())
}

/// The name of the column with the adjustments.
const ADJUSTED: &str = "adjusted";

/// Reports that no snapshot matches, on stderr where stdout is for a program.
pub(super) fn nothing(options: &Options, csv: bool) -> anyhow::Result<Done> {
    match (options.json, csv) {
        (true, _) => {}
        (false, true) => console::note(NOTHING),
        (false, false) => console::print(NOTHING)?,
    }
    Ok(Done::Well)
}

/// Entities and their sums, largest first.
struct Ranking<'r> {
    sums: Vec<Ranked<'r>>,
    total: f64,
}

/// An entity and its sum.
struct Ranked<'r> {
    entity: &'r str,
    sum: Decimal,
    /// How much of the sum is due to records that were late for their own windows, if the pipeline counts that.
    adjusted: Option<Decimal>,
    /// When a closed window of the entity changed last, if one did.
    restated_at: Option<&'r str>,
}

impl<'r> Ranking<'r> {
    fn new(rows: &'r [Row], measure: &str) -> anyhow::Result<Ranking<'r>> {
        let measured = || rows.iter().filter(|row| row.measures.contains_key(measure));
        if measured().any(|row| row.aggregate(measure) != Aggregate::Sum && row.number(measure).is_none()) {
            return Err(
                UsageError(format!("--measure: `{measure}` has texts, which have no rank; choose another")).into()
            );
        }
        let entities = sums::grouped(rows, |row| row.variable("entity"));
        let adjusted_name = adjusted_name(measure);
        let ranked = |(entity, rows): (&'r str, Vec<&'r Row>)| {
            let rows = || rows.iter().copied();
            let is_adjusted = rows().any(|row| row.measures.contains_key(&adjusted_name));
            Some(Ranked {
                entity,
                sum: sums::sum(rows(), measure)?,
                adjusted: is_adjusted.then(|| sums::sum(rows(), &adjusted_name)).flatten(),
                restated_at: sums::restated_at(rows()),
            })
        };
        let is_single = |rows: &Vec<&Row>| rows.len() == 1;
        if let Some(row) = measured().next()
            && !matches!(row.aggregate(measure), Aggregate::Sum | Aggregate::Max | Aggregate::Min)
            && !entities.values().all(is_single)
        {
            let message =
                format!("--measure: `{measure}` of several resources can't be combined; choose one with --resource");
            return Err(UsageError(message).into());
        }
        let mut sums: Vec<Ranked<'_>> = entities.into_iter().filter_map(ranked).collect();
        sums.sort_by(|a, b| b.sum.to_f64().total_cmp(&a.sum.to_f64()).then_with(|| a.entity.cmp(b.entity)));
        let total = sums.iter().map(|ranked| ranked.sum.to_f64()).sum();
        Ok(Ranking { sums, total })
    }

    fn text(&self, limit: usize, title: &str) -> String {
        let shown = || self.sums.iter().take(limit);
        let width = shown().map(|ranked| ranked.entity.chars().count()).max().unwrap_or(0);
        let bar = |Ranked { entity, sum, .. }: &Ranked<'_>| {
            let share = percent(sum.to_f64(), self.total);
            Bar { label: format!("{:<width$}  {share:>5}%", console::plain(entity)), number: *sum }
        };
        let bars: Vec<Bar> = shown().map(bar).collect();
        let entities = if self.sums.len() == 1 { "entity" } else { "entities" };
        let chart = plot::chart(&bars, plot::width());
        let mut text = format!("{title}\n{chart}\n{} of {} {entities}", bars.len(), self.sums.len());
        for Ranked { entity, sum: _, adjusted, restated_at } in shown() {
            let entity = console::plain(entity);
            let adjusted = adjusted.map(|adjusted| format!("\n{entity}: {adjusted} of it in adjustments"));
            let restated = restated_at.map(|at| format!("\n{entity}: restated at {at}"));
            text.extend([adjusted, restated].into_iter().flatten());
        }
        text
    }

    fn share(&self, sum: Decimal) -> f64 {
        if self.total > 0.0 { sum.to_f64() / self.total } else { 0.0 }
    }

    fn csv(
        &self,
        limit: usize,
        (measure, window, at): (&str, &str, &str),
        formulas: Formulas,
    ) -> anyhow::Result<String> {
        let is_adjusted = self.sums.iter().any(|ranked| ranked.adjusted.is_some());
        let is_restated = self.sums.iter().any(|ranked| ranked.restated_at.is_some());
        let titles = ["entity", "measure", "sum", "share", "window", "at"].into_iter();
        let titles = titles.chain(is_adjusted.then_some(ADJUSTED)).chain(is_restated.then_some(sums::RESTATED_AT));
        let line = |Ranked { entity, sum, adjusted, restated_at }: &Ranked<'_>| {
            let (sum, share) = (sum.to_string(), self.share(*sum).to_string());
            let adjusted = is_adjusted.then(|| adjusted.map(|adjusted| adjusted.to_string()).unwrap_or_default());
            let restated_at = is_restated.then(|| restated_at.unwrap_or_default().to_owned());
            let first = [*entity, measure, &sum, &share, window, at].map(str::to_owned);
            first.into_iter().chain(adjusted).chain(restated_at).collect()
        };
        csv_text(&titles.collect::<Vec<_>>(), self.sums.iter().take(limit).map(line), formulas)
    }

    fn json(&self, limit: usize, measure: &str, window: &str, at: &str) -> String {
        let line = |Ranked { entity, sum, adjusted, restated_at }: &Ranked<'_>| {
            let share = self.share(*sum);
            let mut line = json!({ "entity": entity, "measure": measure, "sum": sum.to_string(), "share": share, "window": window, "at": at });
            if let (Some(fields), Some(adjusted)) = (line.as_object_mut(), adjusted) {
                fields.insert(ADJUSTED.to_owned(), adjusted.to_string().into());
            }
            sums::with_restated_at(line, *restated_at).to_string()
        };
        self.sums.iter().take(limit).map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::usage::tests::restated_and_not;

    #[test]
    fn an_hour_that_comes_twice_is_two_windows() {
        let row =
            |start: &str| Row { variables: [("window_start".to_owned(), start.to_owned())].into(), ..Row::default() };
        let starts = ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:00:00+02:00"];
        let (mut rows, mut at) = (starts.map(row).to_vec(), "2026-10-25T02".to_owned());
        let message = "--at: 2026-10-25T02 comes twice; choose 2026-10-25T02:00:00+02:00 or 2026-10-25T02:00:00+01:00";
        assert_eq!(keep_one_hour(&mut rows, &mut at, true).unwrap_err().to_string(), message);
        keep_one_hour(&mut rows, &mut at, false).unwrap();
        assert_eq!((rows.len(), &*at), (1, "2026-10-25T02:00:00+01:00"));
    }

    #[test]
    fn an_entity_says_when_it_was_restated_and_how_much_is_adjusted() {
        let rows = restated_and_not();
        let ranking = Ranking::new(&rows, "amount").unwrap();
        let at = "2026-11-21";
        let shown = [
            ranking.text(10, "amount by entity"),
            ranking.csv(10, ("amount", "hour", at), Formulas::default()).unwrap(),
            ranking.json(10, "amount", "hour", at),
        ];
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
