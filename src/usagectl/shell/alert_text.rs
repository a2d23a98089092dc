//! An alert of the pipeline in words.

use usage_aggregator::fold::{Alert, AlertState};

use crate::shell::console::plain;
use crate::shell::numbers::percent;

/// One line: whose value has reached which share of which limit, or has fallen back.
pub fn alert_text(alert: &Alert) -> String {
    let Alert { entity, resource, variables, measure, window, window_start, limit, at, state, .. } = alert;
    let others: String = variables.values().map(|value| format!(" {value}")).collect();
    let share = percent(at.to_f64(), 1.0);
    let share = format!("{}% of {limit}", share.strip_suffix(".0").unwrap_or(&share));
    let what = match state {
        AlertState::Fired => format!("{measure} has reached {share}"),
        AlertState::Cleared => format!("{measure} is below {share} again"),
        AlertState::Corrected => format!("a correction took {measure} below {share}"),
    };
    let window = match window.as_str() {
        "total" => window.clone(),
        "hour" => format!("hour {window_start}"),
        _ => format!("{window} of {}", window_start.get(..10).unwrap_or(window_start)),
    };
    plain(&format!("{entity} {resource}{others}: {what} ({window})"))
}

/// The alert in the detail of an event, if it is one.
pub fn alert_of(source: &str, detail: &str) -> Option<Alert> {
    (source == usage_aggregator::fold::ALERT_SOURCE).then(|| serde_json::from_str(detail).ok())?
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use stream_types::Decimal;

    /// An alert on the month's amount of an entity.
    pub(crate) fn alert(entity: &str, state: AlertState, crossing: u64) -> Alert {
        let number = |text: &str| Decimal::parse(text).unwrap();
        Alert {
            id: format!("a#orders#2026-11/{entity}#0000000000000001#{crossing:06}"),
            pipeline: "orders".to_owned(),
            entity: entity.to_owned(),
            resource: "orders".to_owned(),
            variables: std::collections::BTreeMap::new(),
            measure: "amount".to_owned(),
            window: "month".to_owned(),
            window_start: "2026-11-01T00:00:00Z".to_owned(),
            window_end: "2026-12-01T00:00:00Z".to_owned(),
            limit: number("1000"),
            at: number("0.8"),
            threshold: number("800"),
            state,
            crossing,
        }
    }

    #[test]
    fn each_state_reads_as_a_sentence() {
        let text = |state| alert_text(&alert("7", state, 1));
        assert_eq!(text(AlertState::Fired), "7 orders: amount has reached 80% of 1000 (month of 2026-11-01)");
        assert_eq!(text(AlertState::Cleared), "7 orders: amount is below 80% of 1000 again (month of 2026-11-01)");
        let corrected = "7 orders: a correction took amount below 80% of 1000 (month of 2026-11-01)";
        assert_eq!(text(AlertState::Corrected), corrected);
        let mut alert = alert("7\u{7}", AlertState::Fired, 1);
        alert.window = "total".to_owned();
        alert.at = Decimal::parse("0.955").unwrap();
        alert.variables.insert("plan".to_owned(), "free".to_owned());
        assert_eq!(alert_text(&alert), "7\u{fffd} orders free: amount has reached 95.5% of 1000 (total)");
    }

    #[test]
    fn events_of_others_are_no_alerts() {
        let detail = serde_json::to_string(&alert("7", AlertState::Fired, 1)).unwrap();
        assert_eq!(alert_of("usage-aggregator", &detail), Some(alert("7", AlertState::Fired, 1)));
        assert_eq!(alert_of("aws.s3", &detail), None);
        assert_eq!(alert_of("usage-aggregator", "{}"), None);
    }
}
