//! The rows of an export, their order and their columns.

use serde::{Deserialize, Serialize};
use usage_aggregator::window::{Window, Zone};

/// Whether a window can still change in the usual course of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Its end and the grace have passed.
    Closed,
    /// It can still change.
    Provisional,
}

impl Status {
    /// The name in an export.
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Closed => "closed",
            Status::Provisional => "provisional",
        }
    }
}

/// A correction that is part of the usage of its window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Correction {
    /// The minute that it was booked at.
    pub at: String,
    /// Who corrected.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// The value of a measure of an entity and resource in a window, or a correction of it. Rows sort by window, entity,
/// resource and measure, with the corrections of a value behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct UsageRow {
    /// The first second of the window as RFC 3339 text.
    pub start: String,
    /// The values of the pipeline's group variables: entity, resource, and any others.
    pub group: Vec<String>,
    /// The measure.
    pub measure: String,
    /// What the correction is, if this is one; `None` sorts first.
    pub correction: Option<Box<Correction>>,
    /// An exact decimal number, or a text.
    pub value: String,
    /// The first second after the window as RFC 3339 text.
    pub end: String,
    /// Whether the window can still change.
    pub status: Status,
    /// The version of the state that the value is from.
    pub version: Option<u64>,
    /// When the values of the closed window changed last, if they did, as RFC 3339 text.
    pub restated_at: Option<String>,
}

impl UsageRow {
    /// The entity whose usage it is.
    pub(super) fn entity(&self) -> &str {
        self.group.first().map_or("", String::as_str)
    }

    fn kind(&self) -> &'static str {
        if self.correction.is_some() { "correction" } else { "usage" }
    }
}

/// The second of an RFC 3339 text, which may have the offset of a time zone.
pub(in crate::results) fn second_of(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// What all rows of an export share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The length of the windows.
    pub window: Window,
    /// The time zone of the windows.
    pub zone: Zone,
    /// The names of the pipeline's group variables: entity, resource, and any others.
    pub group: Vec<String>,
}

/// A cell of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'r> {
    /// A text that every row has.
    Text(&'r str),
    /// An instant as RFC 3339 text.
    Instant(&'r str),
    /// A text that only some rows have.
    Maybe(Option<&'r str>),
    /// A whole number that only some rows have.
    Whole(Option<u64>),
}

/// The columns that aren't the pipeline's, with the names of variables that would be called the same.
const COLUMNS: [(&str, &str); 10] = [
    ("pipeline", "group_pipeline"),
    ("measure", "group_measure"),
    ("kind", "group_kind"),
    ("value", "group_value"),
    ("status", "group_status"),
    ("version", "group_version"),
    ("corrected_at", "group_corrected_at"),
    ("author", "group_author"),
    ("reason", "group_reason"),
    ("restated_at", "group_restated_at"),
];

/// The name of the column, or of the field of an event, of a group variable.
pub(super) fn column(variable: &str) -> &str {
    COLUMNS.iter().find(|(own, _)| *own == variable).map_or(variable, |(_, other)| other)
}

impl Head {
    /// The columns of a row, or of any row if there is none.
    pub(super) fn cells<'r>(&'r self, row: Option<&'r UsageRow>) -> Vec<(&'r str, Cell<'r>)> {
        let text = |of: fn(&UsageRow) -> &str| Cell::Text(row.map_or("", of));
        let correction =
            |of: fn(&Correction) -> &str| Cell::Maybe(row.and_then(|row| row.correction.as_deref()).map(of));
        let instant = |of: fn(&UsageRow) -> &str| Cell::Instant(row.map_or("", of));
        let mut cells = vec![
            ("pipeline", Cell::Text(&self.pipeline)),
            ("window", Cell::Text(self.window.name())),
            ("window_start", instant(|row| &row.start)),
            ("window_end", instant(|row| &row.end)),
        ];
        let variable = |(place, name): (usize, &'r String)| {
            let value = row.and_then(|row| row.group.get(place)).map_or("", String::as_str);
            (column(name), Cell::Text(value))
        };
        cells.extend(self.group.iter().enumerate().map(variable));
        cells.extend([
            ("measure", text(|row| &row.measure)),
            ("kind", text(|row| row.kind())),
            ("value", text(|row| &row.value)),
            ("status", text(|row| row.status.name())),
            ("version", Cell::Whole(row.and_then(|row| row.version))),
            ("corrected_at", correction(|correction| &correction.at)),
            ("author", correction(|correction| &correction.author)),
            ("reason", correction(|correction| &correction.reason)),
            ("restated_at", Cell::Maybe(row.and_then(|row| row.restated_at.as_deref()))),
        ]);
        cells
    }

    /// The row for people: where its value is.
    pub(super) fn describe(&self, row: &UsageRow) -> String {
        let group: Vec<String> =
            self.group.iter().zip(&row.group).map(|(name, text)| format!("{name} {text}")).collect();
        let (window, start) = (self.window.name(), row.start.trim_end_matches(":00Z"));
        crate::shell::console::plain(&format!("{window} {start}, {}, {} {}", group.join(", "), row.measure, row.value))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The usage of an entity in October 2026.
    pub(in super::super) fn row(entity: &str, resource: &str, measure: &str, value: &str) -> UsageRow {
        UsageRow {
            start: "2026-10-01T00:00:00Z".to_owned(),
            group: vec![entity.to_owned(), resource.to_owned()],
            measure: measure.to_owned(),
            correction: None,
            value: value.to_owned(),
            end: "2026-11-01T00:00:00Z".to_owned(),
            status: Status::Closed,
            version: Some(7),
            restated_at: None,
        }
    }

    /// The head of an export of months.
    pub(in super::super) fn head() -> Head {
        let group = ["entity", "resource"].map(str::to_owned).to_vec();
        Head { pipeline: "orders".to_owned(), window: Window::Month, zone: Zone::UTC, group }
    }

    #[test]
    fn rows_sort_by_window_entity_resource_and_measure_and_corrections_follow_their_value() {
        let at = |text: &str| {
            Some(Box::new(Correction { at: text.to_owned(), author: String::new(), reason: String::new() }))
        };
        let corrected = |text: &str| UsageRow { correction: at(text), ..row("7", "api", "tokens", "-1") };
        let later = UsageRow { start: "2026-11-01T00:00:00Z".to_owned(), ..row("1", "api", "tokens", "1") };
        let sorted = [
            row("6", "web", "tokens", "5"),
            row("7", "api", "requests", "5"),
            row("7", "api", "tokens", "5"),
            corrected("2026-10-02T00:00"),
            corrected("2026-10-03T00:00"),
            row("7", "web", "tokens", "5"),
            later,
        ];
        assert!(sorted.is_sorted());
    }

    #[test]
    fn an_instant_may_have_an_offset() {
        assert_eq!(second_of("2026-11-01T01:00:00+01:00"), second_of("2026-11-01T00:00:00Z"));
        assert_eq!(second_of("2026-11-01"), None);
    }

    #[test]
    fn a_row_is_described_by_its_window_group_and_value() {
        let described = head().describe(&row("7\u{1b}", "api", "tokens", "5"));
        assert_eq!(described, "month 2026-10-01T00:00, entity 7\u{fffd}, resource api, tokens 5");
    }

    #[test]
    fn other_variables_of_the_group_have_columns_of_their_own() {
        let head = Head { group: ["entity", "resource", "namespace"].map(str::to_owned).to_vec(), ..head() };
        let names: Vec<&str> = head.cells(None).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names.join(","),
            "pipeline,window,window_start,window_end,entity,resource,namespace,measure,kind,value,status,version,corrected_at,author,reason,restated_at"
        );
    }

    #[test]
    fn a_variable_never_has_the_name_of_another_column() {
        let own: Vec<String> = head().cells(None).into_iter().map(|(name, _)| name.to_owned()).collect();
        for name in &own {
            let group = ["entity", "resource", name.as_str()].map(str::to_owned).to_vec();
            let with = Head { group, ..head() };
            let names: Vec<&str> = with.cells(None).into_iter().map(|(name, _)| name).collect();
            let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
            // These two are variables themselves, and those of the window can't be variables of a group.
            let is_reserved = ["entity", "resource", "window", "window_start", "window_end"].contains(&name.as_str());
            assert!(is_reserved || distinct.len() == names.len(), "{name}: {names:?}");
        }
    }
}
