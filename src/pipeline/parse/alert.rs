//! `[[record.alert]]`: the limit of a measure, and which fractions of it are reported.

mod groups;

use toml::Spanned;
use toml::de::DeValue;

use super::super::document::{Section, SpannedText};
use super::super::suggestion::closest;
use super::super::template::Template;
use super::super::{Alert, Limit, LimitItem, Rule, Snapshot};
use super::{WINDOWS, kind, parse_template};
use crate::decimal::Decimal;
use crate::window::Window;
pub(super) use groups::{CounterGroups, of_own_groups};

/// What the alerts of a counter can refer to.
pub(super) struct Alertable<'c> {
    /// Where counters are stored.
    pub snapshot: &'c Snapshot,
    /// The templates of the counter.
    pub group: &'c [Template],
    /// The variables that the record type captures or binds.
    pub variables: &'c [String],
    /// The names and kinds of the counter's measures.
    pub measures: &'c [(&'c str, &'c str)],
}

/// No alert waits for more than this many times its limit; a larger number is a percentage by mistake.
const MAX_FRACTION: i64 = 10;

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
    let limit = limit(&section, alertable);
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
    let (measure, window, (limit, item)) = (measure?, window?, limit?);
    let alert = |at: Decimal| {
        let rearm = rearm.unwrap_or(at);
        if let Limit::Number(limit) = limit
            && [at, rearm].into_iter().any(|fraction| limit.checked_mul(fraction).is_err())
        {
            document.mistake(&span, format!("{title}: `limit` times `at` has more than 38 digits"));
        }
        let rule = Rule { measure: measure.clone(), at, limit: limit.clone() };
        Alert { rule, window, rearm, item: item.clone(), group: alertable.group.to_vec(), others: Vec::new() }
    };
    Some(at.into_iter().map(alert).collect())
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

/// Reads a limit: a number, or where it is: `{ table = "quotas", key = { pk = "{tenant}" }, attribute = "requests" }`.
fn limit(section: &Section<'_>, alertable: &Alertable<'_>) -> Option<(Limit, Option<LimitItem>)> {
    let Some(value) = section.value("limit") else {
        section.mistake("`limit` is missing; write limit = 1000");
        return None;
    };
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        return Some((Limit::Number(positive(section, "limit", value)?), None));
    }
    let section = section.section("limit")?;
    let table = section.required_text("table", "\"quotas\"");
    let attribute = section.required_text("attribute", "\"requests\"");
    let key = section.section("key");
    if section.value("key").is_none() {
        section.mistake("`key` is missing; write key = { pk = \"TENANT#{tenant}\" }");
    }
    let key = key.and_then(|section| limit_key(&section, alertable));
    section.finish();
    let (table, attribute, (key, texts)) = (table?.text, attribute?.text, key?);
    let item = LimitItem { table: table.to_owned(), key, attribute: attribute.to_owned() };
    Some((Limit::Item(format!("{table}: {attribute} of {}", texts.join(", "))), Some(item)))
}

/// The names and templates of a key, and its texts.
type Key = (Vec<(String, Template)>, Vec<String>);

/// Reads the key of the item that has a limit. It can use the variables of the counter's entity and resource, because only these
/// are the same for all records of a group.
fn limit_key(section: &Section<'_>, alertable: &Alertable<'_>) -> Option<Key> {
    let slots: Vec<usize> = alertable.group.iter().flat_map(Template::slots).collect();
    let names = || alertable.variables.iter().enumerate().filter(|(slot, _)| slots.contains(slot));
    let known = |name: &str| names().find(|(_, known)| *known == name).map(|(slot, _)| slot);
    let list = names().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
    let hint = format!("; the variables of the counter's entity and resource are {list}");
    let (mut key, mut texts) = (Vec::new(), Vec::new());
    for (name, value) in section.entries() {
        let DeValue::String(text) = value.get_ref() else {
            section.wrong::<()>(name, value, "a string, for example \"TENANT#{tenant}\"", value.get_ref());
            continue;
        };
        let text = SpannedText { text, span: value.span() };
        let template = parse_template(section, name, &text, &known, &hint);
        key.extend(template.map(|template| (name.to_owned(), template.unescaped())));
        texts.push(format!("{name} = {}", text.text));
    }
    if !matches!(texts.len(), 1 | 2) {
        section.mistake("must have one or two attributes, as the table's key has");
    }
    Some((key, texts))
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
    for (fraction, value) in
        fractions.iter().zip(list.iter()).filter(|(fraction, _)| **fraction > Decimal::from(MAX_FRACTION))
    {
        let message = format!(
            "{}: `at` has fractions of the limit, and {fraction} is {fraction} times the limit; for 80%, write 0.8",
            section.title
        );
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
