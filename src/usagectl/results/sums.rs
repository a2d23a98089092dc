//! What several snapshots give together, by window length and over time, and the options that select snapshots. Sums are added
//! up exactly, and of extremes the extreme is taken; other measures can't be derived from those of several snapshots.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use laptop::proof::rows::Row;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::pipeline::Aggregate;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::shell::console::{self, UsageError};
use crate::shell::plot::{self, Bar};

/// A window length on the command line.
#[expect(missing_docs, reason = "clap prints the docs of variants as help, and the names say it all")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Length {
    Hour,
    Day,
    Week,
    Month,
    Total,
}

impl Length {
    /// The window of this length.
    pub fn window(self) -> Window {
        match self {
            Length::Hour => Window::Hour,
            Length::Day => Window::Day,
            Length::Week => Window::Week,
            Length::Month => Window::Month,
            Length::Total => Window::Total,
        }
    }
}

/// Parses a day on the command line.
///
/// # Errors
/// With the expected form.
pub fn date(text: &str) -> Result<String, String> {
    let date = Timestamp::parse(text).filter(|_| text.len() == 10);
    date.map(|_| text.to_owned()).ok_or_else(|| "expected a day like 2026-11-21, from 2000 to 2099".to_owned())
}

/// The measures that at least one row has.
pub fn measures<'r>(rows: impl IntoIterator<Item = &'r Row>) -> BTreeSet<&'r str> {
    rows.into_iter().flat_map(|row| row.measures.keys()).map(String::as_str).collect()
}

/// The measure requested with `option`, or the first by name.
///
/// # Errors
/// If no row has it.
pub fn measure<'m>(known: &BTreeSet<&'m str>, requested: Option<&str>, option: &str) -> Result<&'m str, UsageError> {
    let found = match requested {
        None => known.first(),
        Some(name) => known.get(name),
    };
    let names = || known.iter().copied().collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| {
        UsageError(format!(
            "{option}: unknown measure `{}`; expected one of {}",
            requested.unwrap_or_default(),
            names()
        ))
    })
}

/// What several snapshots give together for a measure.
enum Together {
    Number(Decimal),
    /// The text of the only snapshot.
    Text(String),
    /// A sum of more than 38 digits.
    TooLarge,
    /// It can't be derived from several snapshots.
    Unknown,
}

fn together<'r>(rows: impl IntoIterator<Item = &'r Row>, measure: &str) -> Together {
    let rows: Vec<&Row> = rows.into_iter().filter(|row| row.measures.contains_key(measure)).collect();
    let aggregate = rows.first().map_or(Aggregate::Sum, |row| row.aggregate(measure));
    let numbers: Option<Vec<Decimal>> = rows.iter().map(|row| row.number(measure)).collect();
    match (aggregate, rows.as_slice(), numbers) {
        (Aggregate::Sum, _, Some(numbers)) => {
            let sum = numbers.into_iter().try_fold(Decimal::default(), Decimal::checked_add);
            sum.map_or(Together::TooLarge, Together::Number)
        }
        (Aggregate::Max, _, Some(numbers)) => numbers.into_iter().max().map_or(Together::Unknown, Together::Number),
        (Aggregate::Min, _, Some(numbers)) => numbers.into_iter().min().map_or(Together::Unknown, Together::Number),
        (_, [_], Some(numbers)) => numbers.first().copied().map_or(Together::Unknown, Together::Number),
        (_, [row], None) => row.measures.get(measure).cloned().map_or(Together::Unknown, Together::Text),
        (Aggregate::Sum, _, None) => Together::TooLarge,
        _ => Together::Unknown,
    }
}

/// What snapshots give together for a measure: the exact sum, the extreme, or the value of the only one. `None` if that isn't a
/// number, can't be derived, or needs more than 38 digits.
pub fn sum<'r>(rows: impl IntoIterator<Item = &'r Row>, measure: &str) -> Option<Decimal> {
    match together(rows, measure) {
        Together::Number(number) => Some(number),
        Together::Text(_) | Together::TooLarge | Together::Unknown => None,
    }
}

/// What snapshots give together for a measure, as text.
pub fn sum_text<'r>(rows: impl IntoIterator<Item = &'r Row>, measure: &str) -> String {
    match together(rows, measure) {
        Together::Number(number) => number.to_string(),
        Together::Text(text) => text,
        Together::TooLarge => "too large".to_owned(),
        Together::Unknown => "n/a".to_owned(),
    }
}

/// The name of the column that says when a closed window changed.
pub const RESTATED_AT: &str = "restated_at";

/// When the last of these snapshots changed after its window was closed, if one did.
pub fn restated_at<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Option<&'r str> {
    rows.into_iter().filter_map(|row| row.restated_at.as_deref()).max_by_key(|at| Timestamp::parse(at))
}

/// A JSON object that also says when a closed window changed, if it did.
pub fn with_restated_at(mut line: serde_json::Value, at: Option<&str>) -> serde_json::Value {
    if let (Some(fields), Some(at)) = (line.as_object_mut(), at) {
        fields.insert(RESTATED_AT.to_owned(), at.into());
    }
    line
}

/// The sums by window length, because the usage of an hour is also part of its day.
pub fn totals(rows: &[Row], measures: &BTreeSet<&str>) -> String {
    let mut lines = vec![format!("total: {}", console::counted(rows.len(), "snapshot"))];
    for window in Window::ALL {
        let of_window = || rows.iter().filter(|row| row.variable("window") == window.name());
        let sums = measures.iter().map(|measure| format!("{measure} {}", sum_text(of_window(), measure)));
        if of_window().next().is_some() {
            lines.push(format!("  {:<6}{}", window.name(), sums.collect::<Vec<_>>().join(", ")));
        }
    }
    lines.join("\n")
}

/// Groups the rows by a string they share, such as their start.
pub fn grouped<'r>(rows: &'r [Row], key: impl Fn(&'r Row) -> &'r str) -> BTreeMap<&'r str, Vec<&'r Row>> {
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

/// A bar chart of a measure over time. All rows must have the same window length.
pub fn chart(rows: &[Row], measure: &str) -> String {
    let bar = |(start, rows): (&str, Vec<&Row>)| {
        let number = sum(rows, measure).unwrap_or_default();
        Bar { label: console::plain(start), number }
    };
    let bars: Vec<Bar> = grouped(rows, Row::start).into_iter().map(bar).collect();
    let window = rows.first().map_or("", |row| row.variable("window"));
    format!("{measure} by {window}\n{}", plot::chart(&bars, plot::width()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(window: &str, start: &str, amount: &str) -> Row {
        let variables = [("window", window), ("window_start", start)];
        Row {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            measures: [("amount".to_owned(), amount.to_owned())].into(),
            ..Row::default()
        }
    }

    #[test]
    fn sums_are_exact_or_too_large() {
        let rows = [row("hour", "2026-11-20T13:00:00Z", "0.1"), row("hour", "2026-11-20T14:00:00Z", "0.2")];
        assert_eq!(sum_text(&rows, "amount"), "0.3");
        assert_eq!(sum_text(&rows, "orders"), "0", "a measure that no row has");
        let large = [row("hour", "", "99999999999999999999999999999999999999"), row("hour", "", "0.1")];
        assert_eq!(sum_text(&large, "amount"), "too large");
    }

    #[test]
    fn what_several_snapshots_give_together_depends_on_the_kind() {
        let together = |aggregate: Aggregate, amounts: &[&str]| {
            let of_kind = |amount: &&str| Row {
                aggregates: std::sync::Arc::new([("amount".to_owned(), aggregate)].into()),
                ..row("hour", "", amount)
            };
            sum_text(&amounts.iter().map(of_kind).collect::<Vec<_>>(), "amount")
        };
        assert_eq!(together(Aggregate::Max, &["-3", "10", "9"]), "10");
        assert_eq!(together(Aggregate::Min, &["-3", "10", "9"]), "-3");
        for aggregate in [Aggregate::First, Aggregate::Latest, Aggregate::Distinct { exact: 256 }, Aggregate::Quantile]
        {
            assert_eq!([together(aggregate, &["7"]), together(aggregate, &["7", "8"])], ["7", "n/a"]);
        }
        assert_eq!(together(Aggregate::Latest, &["OPEN"]), "OPEN");
    }

    #[test]
    fn regression_a_text_that_reads_like_a_number_is_shown_as_it_is() {
        for text in ["007", "1.10", "+49170123", "1e3"] {
            let aggregates = std::sync::Arc::new([("amount".to_owned(), Aggregate::First)].into());
            let row = Row { aggregates, texts: ["amount".to_owned()].into(), ..row("hour", "", text) };
            assert_eq!((sum_text([&row], "amount").as_str(), sum([&row], "amount")), (text, None));
        }
    }

    #[test]
    fn the_last_change_of_closed_windows_counts() {
        let restated = |at: &str| Row { restated_at: Some(at.to_owned()), ..row("hour", "", "1") };
        let rows = [row("hour", "", "1"), restated("2026-11-03T00:00:00.5Z"), restated("2026-11-03T00:00:00Z")];
        assert_eq!(restated_at(&rows), Some("2026-11-03T00:00:00.5Z"));
        assert_eq!(restated_at(&rows[..1]), None);
    }

    #[test]
    fn totals_are_kept_apart_by_window_length() {
        let rows = [row("hour", "", "1"), row("hour", "", "2"), row("day", "", "3")];
        assert_eq!(totals(&rows, &measures(&rows)), "total: 3 snapshots\n  hour  amount 3\n  day   amount 3");
    }

    #[test]
    fn an_unknown_measure_is_refused_with_the_known_ones() {
        let known = BTreeSet::from(["amount", "orders"]);
        assert_eq!(measure(&known, None, "--measure").unwrap(), "amount");
        assert_eq!(measure(&known, Some("orders"), "--measure").unwrap(), "orders");
        let refused = measure(&known, Some("price"), "--measure").unwrap_err().to_string();
        assert_eq!(refused, "--measure: unknown measure `price`; expected one of amount, orders");
    }

    #[test]
    fn a_day_is_a_date_without_a_time() {
        assert_eq!(date("2026-11-21"), Ok("2026-11-21".to_owned()));
        for wrong in ["2026-02-30", "2026-11-21T00:00:00Z", "1999-12-31", "today", ""] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }
}
