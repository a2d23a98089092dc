//! `[[record.alert]]`: the limit of a measure, and which fractions of it are reported.

use toml::Spanned;
use toml::de::DeValue;

use super::super::document::{Section, SpannedText};
use super::super::suggestion::closest;
use super::super::template::Template;
use super::super::{Alert, Limit, Rule, Snapshot};
use super::{WINDOWS, kind};
use crate::decimal::Decimal;
use crate::window::Window;

/// What the alerts of a counter can refer to.
pub(super) struct Alertable<'c> {
    /// Where counters are stored.
    pub snapshot: &'c Snapshot,
    /// The templates of the counter.
    pub group: &'c [Template],
    /// The names and kinds of the counter's measures.
    pub measures: &'c [(&'c str, &'c str)],
}

/// The kinds whose values can be compared with a limit.
const KINDS: [&str; 6] = ["count", "sum", "delta", "max", "level", "distinct"];

/// Why a measure of another kind can't have an alert.
fn refusal(kind: &str) -> &'static str {
    match kind {
        "min" => "a minimum only falls as records arrive",
        "first" | "latest" => "it is the value of a single record, not of the window",
        "quantile" => "it is an estimate that rises and falls with each record",
        _ => "its value isn't known until the items change",
    }
}

/// Reads the alerts of a counter, one for each of their `at`.
pub(super) fn read_all(sections: Vec<Section<'_>>, alertable: &Alertable<'_>) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for section in sections {
        let (document, span, title) = (section.document, section.span.clone(), section.title.clone());
        for alert in read(section, alertable).unwrap_or_default() {
            if alerts.iter().any(|other| other.window == alert.window && other.rule == alert.rule) {
                let Rule { measure, at, .. } = &alert.rule;
                document
                    .mistake(&span, format!("{title}: another alert reports `{measure}` at {at} of the same limit"));
            }
            alerts.push(alert);
        }
    }
    alerts
}

fn read(section: Section<'_>, alertable: &Alertable<'_>) -> Option<Vec<Alert>> {
    let measure = section.required_text("measure", "\"requests\"");
    let measure = measure.and_then(|measure| check_measure(&section, &measure, alertable));
    let window = window(&section, alertable.snapshot);
    let limit = limit(&section);
    let at = fractions(&section).unwrap_or_else(|| vec![Decimal::from(1)]);
    let rearm = section.value("rearm").and_then(|value| {
        let rearm = positive(&section, "rearm", value)?;
        if at.iter().any(|at| *at < rearm) {
            let message = format!("{}: `rearm` must not be greater than any number in `at`", section.title);
            section.document.mistake(&value.span(), message);
        }
        Some(rearm)
    });
    let title = section.title.clone();
    let (document, span) = (section.document, section.span.clone());
    section.finish();
    let (measure, window, limit) = (measure?, window?, limit?);
    let alert = |at: Decimal| {
        let known = limit.times(at).zip(limit.times(rearm.unwrap_or(at)));
        if known.is_none() {
            document.mistake(&span, format!("{title}: `limit` times `at` has more than 38 digits"));
        }
        let (fires_at, rearms_below) = known?;
        let rule = Rule { measure: measure.clone(), at, limit: limit.clone() };
        Some(Alert { rule, window, fires_at, rearms_below, group: alertable.group.to_vec() })
    };
    Some(at.into_iter().filter_map(alert).collect())
}

/// Checks that the counter has the measure, and that it is of a kind whose values can be compared with a limit.
fn check_measure(section: &Section<'_>, measure: &SpannedText<'_>, alertable: &Alertable<'_>) -> Option<String> {
    let mistake = |message: String| {
        section.document.mistake(&measure.span, format!("{}: {message}", section.title));
        None
    };
    let names = || alertable.measures.iter().map(|(name, _)| *name);
    match alertable.measures.iter().find(|(name, _)| *name == measure.text) {
        None => {
            let list = names().collect::<Vec<_>>().join(", ");
            let hint = match closest(measure.text, names()) {
                Some(closest) => format!("did you mean \"{closest}\"? Its measures: {list}"),
                None => format!("its measures: {list}"),
            };
            mistake(format!("`measure` names `{}`, which this counter doesn't have; {hint}", measure.text))
        }
        Some((name, _)) if name.contains('{') => {
            mistake("`measure` can't have a name with a variable; alerts need a measure with a fixed name".to_owned())
        }
        // A kind that doesn't exist is reported with the measure.
        Some((name, kind)) if kind::KINDS.iter().any(|(known, _)| known == kind) && !KINDS.contains(kind) => {
            let known = |name: &&str| kind::KINDS.iter().any(|(known, _)| known == name);
            let kinds: Vec<&str> = KINDS.into_iter().filter(known).collect();
            mistake(format!(
                "`{name}` has `kind = \"{kind}\"`, which can't have an alert: {}; use one of {}",
                refusal(kind),
                kinds.join(", ")
            ))
        }
        Some((name, _)) => Some((*name).to_owned()),
    }
}

fn window(section: &Section<'_>, snapshot: &Snapshot) -> Option<Window> {
    let counted = || snapshot.windows.iter().map(|window| window.name()).collect::<Vec<_>>().join(", ");
    if section.value("window").is_none() {
        section
            .mistake(format_args!("`window` is missing; write one of {}, for example window = \"month\"", counted()));
    }
    let window = section.choice("window", &WINDOWS)?;
    if !snapshot.windows.contains(&window) {
        let span = section.text("window").map_or(section.span.clone(), |text| text.span);
        let (title, name) = (&section.title, window.name());
        let message = format!(
            "{title}: `window` is \"{name}\", which [snapshot] `windows` doesn't list; add it there, or write one of {}",
            counted()
        );
        section.document.mistake(&span, message);
        return None;
    }
    Some(window)
}

fn limit(section: &Section<'_>) -> Option<Limit> {
    let Some(value) = section.value("limit") else {
        section.mistake("`limit` is missing; write limit = 1000");
        return None;
    };
    positive(section, "limit", value).map(Limit::Number)
}

/// The fractions of the limit that are reported.
fn fractions(section: &Section<'_>) -> Option<Vec<Decimal>> {
    let value = section.value("at")?;
    let DeValue::Array(list) = value.get_ref() else {
        return section.wrong("at", value, "a list of fractions of the limit, for example [0.8, 1.0]", value.get_ref());
    };
    let fractions: Vec<Decimal> = list.iter().map(|value| positive(section, "at", value)).collect::<Option<_>>()?;
    let mut sorted = fractions.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() || sorted.len() < fractions.len() {
        let message = format!("{}: `at` must be a list of different numbers, for example [0.8, 1.0]", section.title);
        section.document.mistake(&value.span(), message);
    }
    Some(fractions)
}

/// A number above 0.
fn positive(section: &Section<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Decimal> {
    let text = match value.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        other => return section.wrong(key, value, "a number", other),
    };
    let number = Decimal::parse(text).ok().filter(|number| *number > Decimal::ZERO);
    if number.is_none() {
        let message = format!("{}: `{key}` must be a decimal number above 0", section.title);
        section.document.mistake(&value.span(), message);
    }
    number
}

#[cfg(test)]
mod tests;
