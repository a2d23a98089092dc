//! The kinds of measures: what each needs, and what contradicts it.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::super::document::Section;
use super::super::{Aggregate, MeasureKind, Missing, Quantile, Snapshot};
use super::alert::CounterGroups;
use crate::decimal::Decimal;
use crate::record::Event;

/// The `kind` of a measure.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Count,
    Sum,
    Delta,
    /// A delta that sees every change, so that the window `total` has the current value.
    Level,
    /// A value times the time that it stood.
    Weighted,
    /// Anything else than a sum of all records: it takes a value from the newest image of each record.
    Of(Aggregate),
}

/// 256: so many hashes take 2 KB in each state.
const USUAL_EXACT: u16 = 256;
/// 10,000 hashes take 80 KB in each state. An item has at most 400 KB.
const MAX_EXACT: i64 = 10_000;

pub(super) const KINDS: [(&str, Kind); 11] = [
    ("count", Kind::Count),
    ("sum", Kind::Sum),
    ("delta", Kind::Delta),
    ("level", Kind::Level),
    ("weighted", Kind::Weighted),
    ("max", Kind::Of(Aggregate::Max)),
    ("min", Kind::Of(Aggregate::Min)),
    ("first", Kind::Of(Aggregate::First)),
    ("latest", Kind::Of(Aggregate::Latest)),
    ("distinct", Kind::Of(Aggregate::Distinct { exact: USUAL_EXACT })),
    ("quantile", Kind::Of(Aggregate::Quantile)),
];

impl Kind {
    /// The events that count unless `events` is set. A removed item has no new value, so only sums count it.
    pub(super) fn usual_events(self, events: &[Event]) -> Vec<Event> {
        let writes: Vec<Event> =
            events.iter().filter(|event| matches!(event, Event::Insert | Event::Modify)).copied().collect();
        match self {
            Kind::Of(_) if !writes.is_empty() => writes,
            _ => events.to_vec(),
        }
    }
}

/// The measures of a pipeline that were read so far.
#[derive(Debug, Default)]
pub(super) struct Measures {
    /// The names of the measures that don't contain a capture.
    pub(super) names: Vec<String>,
    /// What each of them is.
    kinds: BTreeMap<String, MeasureKind>,
    /// The groups of the counters that have them, and their alerts.
    pub(super) groups: Vec<CounterGroups>,
}

impl Measures {
    /// The number of a measure, or why it can't have this name.
    pub(super) fn number(&mut self, name: &str, kind: MeasureKind) -> Result<usize, String> {
        if let Some(number) = self.names.iter().position(|known| known == name) {
            let same = self.kinds.get(name).is_none_or(|known| *known == kind);
            let different =
                "already belongs to a measure with another `kind`, `quantiles` or `exact`; choose another name";
            return same.then_some(number).ok_or_else(|| different.to_owned());
        }
        for attribute in kind.attributes(name) {
            let taken = |(other, kind): &(&String, &MeasureKind)| kind.attributes(other).contains(&attribute);
            if let Some((other, _)) = self.kinds.iter().find(taken) {
                return Err(format!(
                    "gives the attribute `{attribute}`, which the measure `{other}` has; choose another name"
                ));
            }
        }
        self.kinds.insert(name.to_owned(), kind);
        self.names.push(name.to_owned());
        Ok(self.names.len() - 1)
    }

    /// The names of the measures, and the kinds of those that aren't sums.
    pub(super) fn into_parts(mut self) -> (Vec<String>, BTreeMap<String, MeasureKind>) {
        self.kinds.retain(|_, kind| kind.aggregate != Aggregate::Sum);
        (self.names, self.kinds)
    }
}

/// Reads what a kind needs, and notes what contradicts it.
pub(super) fn read(section: &Section<'_>, kind: Option<Kind>, snapshot: &Snapshot) -> Option<MeasureKind> {
    let exact = exact(section, kind);
    let quantiles = quantiles(section, kind);
    let sum = MeasureKind { aggregate: Aggregate::Sum, quantiles: Vec::new() };
    let Kind::Of(aggregate) = kind? else { return Some(sum) };
    let name = aggregate.name();
    if let Some(value) = section.value("attributes") {
        let message =
            format!("{}: `attributes` needs `kind = \"sum\"` or `\"delta\"`; name one `attribute`", section.title);
        section.document.mistake(&value.span(), message);
    } else if section.value("attribute").is_none() {
        section.mistake("`attribute` is missing; write attribute = \"duration\"");
    }
    if matches!(aggregate, Aggregate::Distinct { .. }) {
        for key in ["scale", "factor"] {
            if let Some(value) = section.value(key) {
                let message =
                    format!("{}: `{key}` can't be used with `kind = \"distinct\"`; leave it out", section.title);
                section.document.mistake(&value.span(), message);
            }
        }
    } else if snapshot.fraction.is_some() {
        section.mistake(format_args!(
            "`kind = \"{name}\"` can't be combined with [snapshot] `fraction`, which stores whole numbers; leave one out"
        ));
    }
    match aggregate {
        Aggregate::Distinct { .. } => Some(MeasureKind { aggregate: Aggregate::Distinct { exact: exact? }, ..sum }),
        Aggregate::Quantile => Some(MeasureKind { aggregate, quantiles: quantiles? }),
        _ => Some(MeasureKind { aggregate, ..sum }),
    }
}

/// What happens if an image lacks the attribute. A sum takes 0 then, the other kinds have no such value.
pub(super) fn missing(section: &Section<'_>, kind: Option<Kind>) -> Missing {
    let choices = [("reject", Missing::Reject), ("zero", Missing::Zero), ("ignore", Missing::Ignore)];
    let missing = section.choice("missing", &choices).unwrap_or(Missing::Reject);
    if let (Some(value), Some(why)) = (section.value("missing"), never_missing(section, kind)) {
        let message = format!("{}: `missing` has no effect, because {why}; leave it out", section.title);
        section.document.mistake(&value.span(), message);
        return missing;
    }
    match (kind, missing) {
        (Some(Kind::Of(aggregate)), Missing::Zero) => section.mistake(format_args!(
            "`missing = \"zero\"` would be a value of its own for `kind = \"{}\"`; write \"ignore\" to leave such records out",
            aggregate.name()
        )),
        (Some(Kind::Count | Kind::Sum | Kind::Delta | Kind::Level | Kind::Weighted), Missing::Ignore) => {
            section.mistake("`missing = \"ignore\"` can't be used for a kind that adds amounts; write \"zero\"");
        }
        _ => {}
    }
    missing
}

/// Why a measure has no attribute that an image may lack.
fn never_missing(section: &Section<'_>, kind: Option<Kind>) -> Option<&'static str> {
    let [attribute, pattern] = ["attribute", "attributes"].map(|key| section.value(key).is_some());
    match kind {
        Some(Kind::Count) => Some("a count counts records, whatever attributes they have"),
        Some(Kind::Sum | Kind::Delta | Kind::Level | Kind::Weighted) if pattern && !attribute => {
            Some("`attributes` takes only attributes that an image has")
        }
        Some(Kind::Delta | Kind::Level | Kind::Weighted) if !attribute => {
            Some("without `attribute`, items are counted, whatever attributes they have")
        }
        // Whatever else lacks an attribute is reported with the kind.
        _ => None,
    }
}

/// How many values are counted exactly.
fn exact(section: &Section<'_>, kind: Option<Kind>) -> Option<u16> {
    let Some((exact, span)) = section.integer("exact") else { return Some(USUAL_EXACT) };
    let valid = u16::try_from(exact).ok().filter(|_| (1..=MAX_EXACT).contains(&exact));
    let message = match (kind, valid) {
        (Some(Kind::Of(Aggregate::Distinct { .. })), Some(_)) => return valid,
        (Some(Kind::Of(Aggregate::Distinct { .. })), None) => format!("must be 1 to {MAX_EXACT}"),
        _ => "needs `kind = \"distinct\"`; leave it out".to_owned(),
    };
    section.document.mistake(&span, format!("{}: `exact` {message}", section.title));
    valid
}

/// The quantiles that are published.
fn quantiles(section: &Section<'_>, kind: Option<Kind>) -> Option<Vec<Quantile>> {
    let Some(value) = section.value("quantiles") else { return Some(Quantile::USUAL.to_vec()) };
    let quantile = |value: &toml::Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Float(float) => Decimal::parse(float.as_str()).ok().and_then(Quantile::of),
        DeValue::Integer(integer) => Decimal::parse(integer.as_str()).ok().and_then(Quantile::of),
        _ => None,
    };
    let valid: Option<Vec<Quantile>> = match value.get_ref() {
        DeValue::Array(list) => list.iter().map(quantile).collect(),
        _ => None,
    };
    let are_different = |list: &Vec<Quantile>| {
        let mut sorted = list.clone();
        sorted.sort_unstable();
        sorted.dedup();
        !list.is_empty() && sorted.len() == list.len()
    };
    let valid = valid.filter(are_different);
    let message = match (kind, &valid) {
        (Some(Kind::Of(Aggregate::Quantile)), Some(_)) => return valid,
        (Some(Kind::Of(Aggregate::Quantile)), None) => {
            "must be a list of different numbers from 0 to 1 with at most six fraction digits, for example [0.5, 0.95, 0.99]"
        }
        _ => "needs `kind = \"quantile\"`; leave it out",
    };
    section.document.mistake(&value.span(), format!("{}: `quantiles` {message}", section.title));
    valid
}

#[cfg(test)]
mod tests;
