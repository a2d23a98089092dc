//! Reads the rows of an export from the usage table.

use std::time::Duration;

use laptop::proof::rows::{Item, Row};
use usage_aggregator::pipeline::VERSION_ATTRIBUTE;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Window, Zone};

use super::period::Period;
use super::row::{Head, Status, UsageRow, second_of};

/// Which rows to export, and when a window is closed.
#[derive(Debug)]
pub(super) struct Selection {
    /// The windows.
    pub period: Period,
    /// Only this entity.
    pub entity: Option<String>,
    /// Only this resource.
    pub resource: Option<String>,
    /// Only these measures; all if there are none.
    pub measures: Vec<String>,
    /// Only windows that are closed.
    pub only_closed: bool,
    /// How long after its end a window is closed.
    pub grace: Duration,
    /// The length of the windows with which shorter ones are closed, and their time zone.
    pub closed_with: Option<(Window, Zone)>,
    /// The time now.
    pub now: Timestamp,
}

impl Selection {
    /// Whether a group is selected.
    pub(super) fn wants(&self, entity: &str, resource: &str, measure: &str) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        is(&self.entity, entity)
            && is(&self.resource, resource)
            && (self.measures.is_empty() || self.measures.iter().any(|wanted| wanted == measure))
    }

    /// Whether a window that ends then is closed.
    pub(super) fn status(&self, end: &str) -> Status {
        let Some(end) = second_of(end) else { return Status::Provisional };
        let together = self.closed_with.map_or(end, |(window, zone)| window.at(end - 1, zone).end().max(end));
        let grace = i64::try_from(self.grace.as_secs()).unwrap_or(i64::MAX);
        if together.saturating_add(grace) <= self.now.seconds() { Status::Closed } else { Status::Provisional }
    }

    /// The rows of a snapshot: one for each measure.
    pub(super) fn rows(&self, head: &Head, item: &Item, row: &Row) -> Vec<UsageRow> {
        let is_wanted = row.variable("window") == head.window.name() && self.period.contains(row.start());
        if !is_wanted {
            return Vec::new();
        }
        let end = row.variable("window_end");
        let (version, is_whole) = version(item);
        let status = if is_whole { self.status(end) } else { Status::Provisional };
        if self.only_closed && status != Status::Closed {
            return Vec::new();
        }
        let group: Vec<String> = head.group.iter().map(|name| row.variable(name).to_owned()).collect();
        let wanted = row
            .measures
            .iter()
            .filter(|(measure, _)| self.wants(row.variable("entity"), row.variable("resource"), measure));
        let of_measure = |(measure, value): (&String, &String)| UsageRow {
            start: row.start().to_owned(),
            group: group.clone(),
            measure: measure.clone(),
            correction: None,
            // DynamoDB may return a number in another notation. A text stays as it is.
            value: row.number(measure).map_or_else(|| value.clone(), |exact| exact.to_string()),
            end: end.to_owned(),
            status,
            version,
            restated_at: row.restated_at.clone(),
        };
        wanted.map(of_measure).collect()
    }
}

/// The version of a snapshot, and whether all its values are of that version. Others may have written the snapshot: it has
/// no version then.
fn version(item: &Item) -> (Option<u64>, bool) {
    let stored = item.get(VERSION_ATTRIBUTE).and_then(|version| version.as_b().ok()).map(AsRef::as_ref);
    match stored {
        // A snapshot with hundreds of measures is written by several updates; a ninth byte marks all but the last.
        Some([a, b, c, d, e, f, g, h, rest @ ..]) => {
            (Some(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])), rest.is_empty())
        }
        _ => (None, true),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::super::row::tests::head;
    use super::*;

    fn selection(now: &str) -> Selection {
        Selection {
            period: Period::new(Window::Month, Some("2026-10".to_owned()), None).unwrap(),
            entity: None,
            resource: None,
            measures: Vec::new(),
            only_closed: false,
            grace: Duration::from_secs(26 * 3_600),
            closed_with: None,
            now: Timestamp::parse(now).unwrap(),
        }
    }

    fn snapshot() -> Row {
        let variables = [
            ("entity", "7"),
            ("resource", "orders"),
            ("window", "month"),
            ("window_start", "2026-10-01T00:00:00Z"),
            ("window_end", "2026-11-01T00:00:00Z"),
        ];
        let measures = [("amount", "1.2E+3"), ("changes", "2")];
        let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        Row { variables: variables.map(owned).into(), measures: measures.map(owned).into(), ..Row::default() }
    }

    fn item(version: &[u8]) -> Item {
        [(VERSION_ATTRIBUTE.to_owned(), AttributeValue::B(Blob::new(version)))].into()
    }

    #[test]
    fn a_snapshot_has_a_row_for_each_measure_with_its_exact_value_and_version() {
        let rows = selection("2026-11-02T02:00:00Z").rows(&head(), &item(&[0, 1, 0, 0, 0, 0, 0, 9]), &snapshot());
        let values: Vec<(&str, &str, Option<u64>)> =
            rows.iter().map(|row| (&*row.measure, &*row.value, row.version)).collect();
        assert_eq!(values, [("amount", "1200", Some((1 << 48) + 9)), ("changes", "2", Some((1 << 48) + 9))]);
        let only = Selection { measures: vec!["changes".to_owned()], ..selection("2026-11-02T02:00:00Z") };
        assert_eq!(only.rows(&head(), &Item::new(), &snapshot()).len(), 1);
        let other = Selection { entity: Some("8".to_owned()), ..selection("2026-11-02T02:00:00Z") };
        assert_eq!(other.rows(&head(), &Item::new(), &snapshot()), []);
    }

    #[test]
    fn regression_a_text_that_reads_like_a_number_is_exported_as_it_is() {
        for text in ["007", "1.10", "+49170123", "1e3"] {
            let measures =
                [("code", text), ("amount", "1.2E+3")].map(|(name, text)| (name.to_owned(), text.to_owned()));
            let row = Row { measures: measures.into(), texts: ["code".to_owned()].into(), ..snapshot() };
            let rows = selection("2026-11-02T02:00:00Z").rows(&head(), &Item::new(), &row);
            let values: Vec<&str> = rows.iter().map(|row| row.value.as_str()).collect();
            assert_eq!(values, ["1200", text]);
        }
    }

    #[test]
    fn a_window_is_closed_once_its_end_and_the_grace_have_passed() {
        let whole = item(&[0; 8]);
        for (now, status) in [("2026-11-02T01:59:59Z", Status::Provisional), ("2026-11-02T02:00:00Z", Status::Closed)] {
            assert_eq!(selection(now).rows(&head(), &whole, &snapshot())[0].status, status, "{now}");
        }
        let early = Selection { only_closed: true, ..selection("2026-11-01T00:00:00Z") };
        assert_eq!(early.rows(&head(), &whole, &snapshot()), []);
    }

    #[test]
    fn a_window_can_be_closed_together_with_a_longer_one() {
        let together = |now: &str| Selection { closed_with: Some((Window::Month, Zone::UTC)), ..selection(now) };
        for (now, status) in [("2026-11-02T01:59:59Z", Status::Provisional), ("2026-11-02T02:00:00Z", Status::Closed)] {
            assert_eq!(together(now).status("2026-10-03T00:00:00Z"), status, "{now}");
        }
    }

    #[test]
    fn a_row_says_when_its_closed_window_was_restated() {
        let restated = Row { restated_at: Some("2026-11-03T00:00:00Z".to_owned()), ..snapshot() };
        let rows = selection("2026-11-04T00:00:00Z").rows(&head(), &item(&[0; 8]), &restated);
        assert_eq!(rows[0].restated_at.as_deref(), Some("2026-11-03T00:00:00Z"));
    }

    #[test]
    fn a_snapshot_that_is_only_partly_of_its_version_is_provisional() {
        let rows = selection("2026-12-01T00:00:00Z").rows(&head(), &item(&[0, 0, 0, 0, 0, 0, 0, 8, 0xFF]), &snapshot());
        assert_eq!((rows[0].status, rows[0].version), (Status::Provisional, Some(8)));
        let foreign = selection("2026-12-01T00:00:00Z").rows(&head(), &Item::new(), &snapshot());
        assert_eq!((foreign[0].status, foreign[0].version), (Status::Closed, None));
    }
}
