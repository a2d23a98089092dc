//! Snapshot rows for people: exact sums, by length of window and over time, and the options that pick rows.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use laptop::proof::rows::Row;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::shell::console::{self, UsageError};
use crate::shell::plot::{self, Bar};

/// A window's length, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Length {
    Hour,
    Day,
    Month,
}

impl Length {
    pub fn window(self) -> Window {
        match self {
            Length::Hour => Window::Hour,
            Length::Day => Window::Day,
            Length::Month => Window::Month,
        }
    }
}

/// A day on the command line.
pub fn date(text: &str) -> Result<String, String> {
    let date = Timestamp::parse(text).filter(|_| text.len() == 10);
    date.map(|_| text.to_owned()).ok_or_else(|| "expected a day such as 2026-11-21, from 2000 to 2099".to_owned())
}

/// The measures that any of the rows has.
pub fn measures<'r>(rows: impl IntoIterator<Item = &'r Row>) -> BTreeSet<&'r str> {
    rows.into_iter().flat_map(|row| row.measures.keys()).map(String::as_str).collect()
}

/// The measure that was asked for by `option`, or the first by name.
///
/// # Errors
/// When no row has it.
pub fn measure<'m>(known: &BTreeSet<&'m str>, asked: Option<&str>, option: &str) -> Result<&'m str, UsageError> {
    let found = match asked {
        None => known.first(),
        Some(asked) => known.get(asked),
    };
    let names = || known.iter().copied().collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| {
        UsageError(format!(
            "{option}: no snapshot has a measure `{}`; there are {}",
            asked.unwrap_or_default(),
            names()
        ))
    })
}

/// The exact sum of a measure, none where it would need more than 38 digits.
pub fn sum<'r>(rows: impl IntoIterator<Item = &'r Row>, measure: &str) -> Option<Decimal> {
    let numbers = rows.into_iter().filter_map(|row| row.measures.get(measure));
    let mut parsed = numbers.map(|number| Decimal::parse(number));
    parsed.try_fold(Decimal::default(), |sum, number| sum.checked_add(number?)).ok()
}

/// The same as a text, or a word.
pub fn sum_text<'r>(rows: impl IntoIterator<Item = &'r Row>, measure: &str) -> String {
    sum(rows, measure).map_or_else(|| "too large".to_owned(), |sum| sum.to_string())
}

/// The sums by length of window: an hour's usage is also its day's.
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

/// The rows by what they have in common, such as their start.
pub fn grouped<'r>(rows: &'r [Row], common: impl Fn(&'r Row) -> &'r str) -> BTreeMap<&'r str, Vec<&'r Row>> {
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(common(row)).or_default().push(row);
    }
    groups
}

/// A measure over the windows' starts as bars; all rows are of windows of one length.
pub fn chart(rows: &[Row], measure: &str) -> String {
    let bar = |(start, rows): (&str, Vec<&Row>)| {
        let number = sum(rows, measure).unwrap_or_default();
        Bar { label: console::plain(start), number }
    };
    let bars: Vec<Bar> = grouped(rows, Row::start).into_iter().map(bar).collect();
    let window = rows.first().map_or("", |row| row.variable("window"));
    format!("{measure} by {window}\n{}", plot::chart(&bars, plot::width()))
}
