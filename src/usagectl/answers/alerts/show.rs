//! Alerts as a table, as CSV, and as JSON lines.

use comfy_table::{Cell, Color};
use serde_json::json;
use usage_aggregator::fold::{Alert, AlertState};

use super::read::Standing;
use crate::shell::console::counted;
use crate::shell::csv_text::{Formulas, csv_text};
use crate::shell::plot;
use crate::shell::table;

/// The width of the bars.
const BAR: usize = 12;
const TITLES: [&str; 4] = ["window", "start", "entity", "resource"];

/// The columns of the group and the window.
fn group(standing: &Standing, others: &[&str]) -> Vec<String> {
    let Alert { window, window_start, entity, resource, variables, .. } = &standing.alert;
    let first = [window, window_start, entity, resource].map(String::clone);
    let others = others.iter().map(|name| variables.get(*name).cloned().unwrap_or_default());
    first.into_iter().chain(others).collect()
}

/// When a fold found the last event; empty if that isn't known.
fn since(standing: &Standing) -> String {
    standing.since.map(|at| at.to_string()).unwrap_or_default()
}

/// A share as a percentage, rounded down, so that 100% is never shown before it is reached.
fn percent(share: f64) -> String {
    format!("{:.1}%", (share * 1_000.0 + 1e-9).floor() / 10.0)
}

/// Why there are no alerts.
pub(super) fn none(pipeline: &str, has_limits: bool) -> String {
    match has_limits {
        true => format!("no alerts: no entity has reached a threshold of pipeline {pipeline} in these windows"),
        false => format!(
            "no alerts: pipeline {pipeline} has no [[record.alert]]; add one, or choose another pipeline with --pipeline"
        ),
    }
}

/// A table with a bar for the share of the limit.
pub(super) fn text(all: &[Standing], others: &[&str]) -> String {
    let titles = ["measure", "value", "limit", "share of the limit", "", "at", "state", "since", "crossings"];
    let mut listed = table::titled(TITLES.into_iter().chain(others.iter().copied()).chain(titles));
    for standing in all {
        let Alert { measure, limit, at, state, crossing, .. } = &standing.alert;
        let share = standing.share();
        let color = color(*state, share);
        let group = group(standing, others);
        let columns = [
            table::text(measure),
            table::number(standing.value.as_deref().unwrap_or("unknown")),
            table::number(&limit.to_string()),
            Cell::new(share.map(|share| plot::share(share, BAR)).unwrap_or_default()).fg(color),
            table::number(&share.map(percent).unwrap_or_default()),
            table::number(&percent(at.to_f64())),
            table::text(state.name()).fg(color),
            table::text(&since(standing)),
            table::number(&crossing.to_string()),
        ];
        listed.add_row(group.iter().map(|text| table::text(text)).chain(columns));
    }
    let firing = all.iter().filter(|standing| standing.is_firing()).count();
    format!("{listed}\n{}, {firing} firing", counted(all.len(), "alert"))
}

/// Red from the limit on, yellow where an alert is firing below it, green where it isn't.
fn color(state: AlertState, share: Option<f64>) -> Color {
    match (state, share) {
        (AlertState::Fired, Some(share)) if share >= 1.0 => Color::Red,
        (AlertState::Fired, _) => Color::Yellow,
        _ => Color::Green,
    }
}

/// CSV with a header, without the last line break.
pub(super) fn csv(all: &[Standing], others: &[&str], formulas: Formulas) -> anyhow::Result<String> {
    let titles = ["measure", "value", "limit", "share", "at", "threshold", "state", "since", "crossings", "id"];
    let titles: Vec<&str> = TITLES.iter().chain(others).chain(&titles).copied().collect();
    let line = |standing: &Standing| {
        let Alert { measure, limit, at, threshold, state, crossing, id, .. } = &standing.alert;
        let share = standing.share().map(|share| share.to_string()).unwrap_or_default();
        let (limit, at, threshold) = (limit.to_string(), at.to_string(), threshold.to_string());
        let value = standing.value.clone().unwrap_or_default();
        let (state, since, crossings) = (state.name().to_owned(), since(standing), crossing.to_string());
        let columns = [measure.clone(), value, limit, share, at, threshold, state, since, crossings, id.clone()];
        group(standing, others).into_iter().chain(columns).collect()
    };
    csv_text(&titles, all.iter().map(line), formulas)
}

/// A JSON object per line. Numbers are texts, so that no digit is lost.
pub(super) fn lines(all: &[Standing]) -> String {
    let line = |standing: &Standing| {
        let Alert { id, pipeline, entity, resource, variables, measure, window, .. } = &standing.alert;
        let Alert { window_start, window_end, limit, at, threshold, state, crossing, .. } = &standing.alert;
        let mut line = json!({
            "id": id, "pipeline": pipeline, "entity": entity, "resource": resource, "measure": measure,
            "window": window, "window_start": window_start, "window_end": window_end,
            "value": standing.value, "limit": limit.to_string(), "share": standing.share(),
            "at": at.to_string(), "threshold": threshold.to_string(), "state": state.name(),
            "since": standing.since.map(|at| at.to_string()), "crossings": crossing,
        });
        if let Some(fields) = line.as_object_mut().filter(|_| !variables.is_empty()) {
            fields.insert("variables".to_owned(), json!(variables));
        }
        line.to_string()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::alert_text::tests::alert;

    fn all() -> Vec<Standing> {
        let standing = |entity, state, crossing, value: Option<&str>| Standing {
            alert: alert(entity, state, crossing),
            since: value.and_then(|_| stream_types::Timestamp::from_seconds(1_795_856_220)),
            value: value.map(str::to_owned),
        };
        vec![
            standing("7", AlertState::Fired, 1, Some("999.99")),
            standing("8", AlertState::Fired, 3, Some("1250")),
            standing("9", AlertState::Corrected, 1, Some("640")),
            standing("10", AlertState::Cleared, 2, None),
        ]
    }

    #[test]
    fn a_table_shows_how_much_of_the_limit_is_reached() {
        insta::assert_snapshot!(text(&all(), &[]));
        assert!(
            none("orders", true).ends_with("no entity has reached a threshold of pipeline orders in these windows")
        );
        assert!(none("alleycat", false).contains("pipeline alleycat has no [[record.alert]]"));
    }

    #[test]
    fn csv_and_json_have_every_number_with_all_digits() {
        let mut all = all();
        all[0].alert.variables.insert("namespace".to_owned(), "default".to_owned());
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            csv(&all, &["namespace"], Formulas::default()).unwrap(),
            lines(&all)
        ));
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!([0.99999, 1.0, 0.8].map(percent), ["99.9%", "100.0%", "80.0%"].map(str::to_owned));
    }
}
