//! `[[record.measure]]`: one kind of number that a record type counts.

use toml::Spanned;
use toml::de::DeValue;

use super::super::document::{Section, SpannedText};
use super::super::template::{self, Pattern, Template};
use super::super::{
    Amount, MEASURE_NAME_BYTES, Measure, MeasureKind, MeasureName, Quantity, Removal, Snapshot, Weight,
};
use super::condition::conditions;
use super::counter::Countable;
use super::kind::{self, KINDS, Kind, Measures};
use super::{EVENTS, baseline, parse_text, path, weight};
use crate::decimal::Decimal;
use crate::record::Event;

/// 38: the maximum number of digits of a DynamoDB number.
const MAX_SCALE: i64 = 38;

/// Reads one measure. `along_with` is the index of the measure that its `along_with` names.
pub(super) fn read(
    section: Section<'_>,
    along_with: Option<usize>,
    snapshot: &Snapshot,
    countable: Countable<'_>,
    measures: &mut Measures,
) -> Option<Measure> {
    let kind = section.choice("kind", &KINDS);
    if section.value("kind").is_none() {
        let names = KINDS.map(|(name, _)| format!("\"{name}\""));
        section.mistake(format_args!(
            "`kind` is missing; write one of {}, for example kind = \"count\"",
            names.join(", ")
        ));
    }
    let measure_kind = kind::read(&section, kind, snapshot);
    let quantity = quantity(&section, kind);
    let name = section.required_text("name", "\"orders\"");
    let name = name
        .and_then(|name| measure_name(&section, &name, quantity.as_ref(), measure_kind.as_ref()?, snapshot, measures));
    let weight = weight::read(&section, kind, snapshot);
    let amount = amount(&section, kind?, countable.events, along_with, weight);
    let conditions = section.section("where").map(|section| conditions(&section)).unwrap_or_default();
    weight::check(&section, kind, snapshot, countable);
    let baseline = baseline::read(&section, snapshot);
    let factor = section.value("factor").and_then(|value| factor(&section, value, quantity.as_ref()));
    let scale = scale(&section, quantity.as_ref());
    section.finish();
    let aggregate = measure_kind?.aggregate;
    Some(Measure { name: name?, aggregate, amount: amount?, quantity: quantity?, conditions, scale, factor, baseline })
}

/// The index of the measure that `along_with` of a count names. `sections` are the measures of the record type, in
/// order.
pub(super) fn along_with(section: &Section<'_>, sections: &[Section<'_>]) -> Option<usize> {
    let wanted = section.text("along_with")?;
    let is_difference = |other: &Section<'_>| matches!(other.text_of("kind"), Some("delta" | "level"));
    let differs = |other: &Section<'_>| other.span != section.span && is_difference(other);
    let index = sections.iter().position(|other| other.text_of("name") == Some(wanted.text) && differs(other));
    let message = match (section.text_of("kind"), index) {
        (Some("count"), Some(_)) => return index,
        (Some("count"), None) => {
            format!("names `{}`, but this counter has no delta or level with that name", wanted.text)
        }
        _ => "needs `kind = \"count\"`; leave it out".to_owned(),
    };
    section.document.mistake(&wanted.span, format!("{}: `along_with` {message}", section.title));
    None
}

fn scale(section: &Section<'_>, quantity: Option<&Quantity>) -> Option<u32> {
    let (scale, span) = section.integer("scale")?;
    let message = match (u32::try_from(scale).ok().filter(|_| scale <= MAX_SCALE), quantity) {
        (Some(_), Some(Quantity::One)) => {
            "limits the digits of an attribute's value, and this measure has none; leave it out".to_owned()
        }
        (None, _) => format!("must be 0 to {MAX_SCALE} fraction digits"),
        (Some(scale), _) => return Some(scale),
    };
    section.document.mistake(&span, format!("{}: `scale` {message}", section.title));
    None
}

fn factor(section: &Section<'_>, value: &Spanned<DeValue<'_>>, quantity: Option<&Quantity>) -> Option<Decimal> {
    let text = match value.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        other => return section.wrong("factor", value, "a number, for example 0.001", other),
    };
    let factor = Decimal::parse(text).ok().filter(|factor| !factor.is_zero());
    let message = match (factor, quantity) {
        (Some(_), Some(Quantity::One)) => {
            "multiplies the value of an attribute, and this measure has none; leave it out"
        }
        (None, _) => "must be a decimal number other than 0",
        (Some(factor), _) => return Some(factor),
    };
    section.document.mistake(&value.span(), format!("{}: `factor` {message}", section.title));
    None
}

fn quantity(section: &Section<'_>, kind: Option<Kind>) -> Option<Quantity> {
    let attribute = section.text("attribute");
    let pattern = section.text("attributes");
    let except = section.texts("except").unwrap_or_default();
    if let Some(value) = section.value("except").filter(|_| section.value("attributes").is_none()) {
        let message =
            "`except` leaves out what `attributes` captures, and this measure has no `attributes`; leave it out";
        section.document.mistake(&value.span(), format!("{}: {message}", section.title));
    }
    let missing = kind::missing(section, kind);
    match (attribute, pattern, kind) {
        (Some(attribute), _, Some(Kind::Count)) => counts_records(section, "attribute", &attribute),
        (None, Some(pattern), Some(Kind::Count)) => counts_records(section, "attributes", &pattern),
        (Some(_), Some(pattern), _) => {
            section.document.mistake(
                &pattern.span,
                format!("{}: `attribute` and `attributes` can't both be set; leave one out", section.title),
            );
            None
        }
        (Some(attribute), None, _) => {
            let path = path::read(section, "attribute", &attribute)?;
            Some(Quantity::Attribute { path, missing })
        }
        (None, Some(pattern), _) => matching(section, &pattern, &except),
        (None, None, Some(Kind::Sum)) => {
            section.mistake("`attribute` is missing; write attribute = \"total\"");
            None
        }
        // Reported with the kind.
        (None, None, Some(Kind::Of(_))) => None,
        (None, None, _) => Some(Quantity::One),
    }
}

fn counts_records<T>(section: &Section<'_>, key: &str, text: &SpannedText<'_>) -> Option<T> {
    let message = format!(
        "{}: `{key}` needs another kind, for example \"sum\" or \"delta\"; a count counts records",
        section.title
    );
    section.document.mistake(&text.span, message);
    None
}

fn matching(section: &Section<'_>, text: &SpannedText<'_>, except: &[SpannedText<'_>]) -> Option<Quantity> {
    let parsed = parse_text(section, "attributes", text)?;
    let pattern = Pattern::new(&parsed, |_| 0);
    match pattern {
        Ok(pattern) if parsed.variables().count() == 1 => {
            Some(Quantity::Matching { pattern, except: except.iter().map(|text| text.text.to_owned()).collect() })
        }
        _ => {
            let message =
                format!("{}: `attributes` needs exactly one capture, for example \"b_{{limit}}_tc\"", section.title);
            section.document.mistake(&text.span, message);
            None
        }
    }
}

fn measure_name(
    section: &Section<'_>,
    name: &SpannedText<'_>,
    quantity: Option<&Quantity>,
    kind: &MeasureKind,
    snapshot: &Snapshot,
    measures: &mut Measures,
) -> Option<MeasureName> {
    let mistake = |message: &str| section.document.mistake(&name.span, format!("{}: `name` {message}", section.title));
    let parsed = parse_text(section, "name", name)?;
    let captured = matches!(quantity, Some(Quantity::Matching { .. }));
    let variables: Vec<&str> = parsed.variables().collect();
    match (variables.as_slice(), captured) {
        ([], false) => {
            let attributes = kind.attributes(name.text);
            if snapshot.reserved().any(|reserved| attributes.iter().any(|attribute| attribute == reserved)) {
                mistake("is already the name of an attribute of every snapshot; choose another name");
            }
            if let Some(message) = taken_by_fraction(snapshot, name.text, measures) {
                mistake(&message);
            }
            if !MEASURE_NAME_BYTES.contains(&name.text.len()) {
                mistake("must have 1 to 255 bytes");
            }
            measures.number(name.text, kind.clone()).map(MeasureName::Fixed).map_err(|message| mistake(&message)).ok()
        }
        ([variable], true) if captures(section, variable) => Template::new(&parsed, |_| Some(0))
            .map(MeasureName::Captured)
            .map_err(|error| mistake(&error.to_string()))
            .ok(),
        (_, true) => {
            mistake("must contain the capture of `attributes`, so that each match has its own counter");
            None
        }
        (_, false) => {
            mistake("contains a variable, but there is no `attributes` pattern that captures it");
            None
        }
    }
}

/// What is wrong if the fraction of a measure has the attribute of another one, or another one's fraction has its attribute.
fn taken_by_fraction(snapshot: &Snapshot, name: &str, measures: &Measures) -> Option<String> {
    let fraction = snapshot.fraction_of(name)?;
    if snapshot.reserved().any(|reserved| reserved == fraction) {
        return Some(format!("gives the attribute `{fraction}`, which every snapshot has; choose another name"));
    }
    let shares = |other: &&String| **other == fraction || snapshot.fraction_of(other).as_deref() == Some(name);
    let other = measures.names.iter().find(shares)?;
    let attribute = if *other == fraction { &fraction } else { name };
    Some(format!("gives the attribute `{attribute}`, which the measure `{other}` has; choose another name"))
}

fn captures(section: &Section<'_>, variable: &str) -> bool {
    let pattern = section.text("attributes").and_then(|text| template::ParsedText::parse(text.text).ok());
    pattern.is_some_and(|pattern| pattern.variables().any(|name| name == variable))
}

fn amount(
    section: &Section<'_>,
    kind: Kind,
    events: &[Event],
    along_with: Option<usize>,
    weight: Option<Weight>,
) -> Option<Amount> {
    let own_events = section.choices("events", &EVENTS);
    let removals = [("subtract", Removal::Subtract), ("ignore", Removal::Ignore)];
    let removed = section.choice("removed", &removals);
    let expired = section.choice("expired", &removals);
    let cleared = section.choice("cleared", &removals);
    let reads_old_images = matches!(kind, Kind::Delta | Kind::Level | Kind::Weighted);
    if reads_old_images && own_events.is_some() {
        section.mistake(format_args!(
            "`events` can't be set for `kind = \"{}\"`, which uses the `events` of its record",
            section.text_of("kind").unwrap_or_default()
        ));
    }
    match kind {
        Kind::Count | Kind::Sum | Kind::Of(_) => {
            if removed.or(expired).or(cleared).is_some() {
                section.mistake(
                    "`removed`, `expired` and `cleared` need `kind = \"delta\"`; any other kind looks only at the newest image and lists `events` instead",
                );
            }
            if own_events.iter().flatten().any(|event| !events.contains(event)) {
                section
                    .mistake("`events` lists an event that the record's `events` leaves out, so it would never count");
            }
            Some(Amount::Each { events: own_events.unwrap_or_else(|| kind.usual_events(events)), along_with })
        }
        Kind::Delta => {
            if cleared == Some(Removal::Ignore) {
                check_cleared(section);
            }
            let removed = removed.unwrap_or(Removal::Subtract);
            let cleared = cleared.unwrap_or(Removal::Subtract);
            Some(Amount::Difference { removed, expired: expired.unwrap_or(removed), cleared })
        }
        Kind::Level | Kind::Weighted => {
            if removed.or(expired).or(cleared).is_some() {
                section.mistake("`removed`, `expired` and `cleared` need `kind = \"delta\"`; leave them out");
            }
            match kind {
                Kind::Weighted => weight.map(Amount::Standing),
                _ => Some(Amount::Difference {
                    removed: Removal::Subtract,
                    expired: Removal::Subtract,
                    cleared: Removal::Subtract,
                }),
            }
        }
    }
}

/// Notes that `cleared` has no effect on a delta that counts items.
fn check_cleared(section: &Section<'_>) {
    let counts_items = ["attribute", "attributes"].into_iter().all(|key| section.value(key).is_none());
    if let Some(value) = section.value("cleared").filter(|_| counts_items) {
        let message = "`cleared` is about an attribute that an item no longer has, and this measure counts items; leave it out, or \
                       use `where` to choose the items";
        section.document.mistake(&value.span(), format!("{}: {message}", section.title));
    }
}
