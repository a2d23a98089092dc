//! `[[indicator.value]]`: one value of an indicator.

use super::super::super::document::Section;
use super::super::super::{INDICATOR_PREVIOUS, INDICATOR_VERSION, IndicatorKind, IndicatorValue};
use super::super::condition::conditions;
use super::super::path;

/// The kinds of values.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Count,
    CountBy,
    Sum,
    Min,
    Max,
    Newest,
    Oldest,
    Distinct,
    Any,
    All,
    Latest,
}

const KINDS: [(&str, Kind); 11] = [
    ("count", Kind::Count),
    ("count_by", Kind::CountBy),
    ("sum", Kind::Sum),
    ("min", Kind::Min),
    ("max", Kind::Max),
    ("newest", Kind::Newest),
    ("oldest", Kind::Oldest),
    ("distinct", Kind::Distinct),
    ("any", Kind::Any),
    ("all", Kind::All),
    ("latest", Kind::Latest),
];

/// Reads the values of an indicator; `None` if one of them is wrong.
pub(super) fn read_all(indicator: &Section<'_>) -> Option<Vec<IndicatorValue>> {
    let sections = indicator.sections("value");
    if sections.is_empty() {
        indicator.mistake("has no value; add an [[indicator.value]]");
    }
    let mut values: Vec<IndicatorValue> = Vec::new();
    let expected = sections.len();
    for section in sections {
        let (document, span, title) = (section.document, section.span.clone(), section.title.clone());
        let Some(value) = read(section) else { continue };
        if values.iter().any(|other| other.name == value.name) {
            let message = format!("{title}: another value of this indicator is named \"{}\"", value.name);
            document.mistake(&span, message);
        }
        values.push(value);
    }
    (values.len() == expected).then_some(values)
}

fn read(section: Section<'_>) -> Option<IndicatorValue> {
    let name = name(&section);
    if section.value("kind").is_none() {
        let names = KINDS.map(|(name, _)| format!("\"{name}\"")).join(", ");
        section.mistake(format_args!("`kind` is missing; write one of {names}, for example kind = \"count\""));
    }
    let kind = section.choice("kind", &KINDS);
    let attribute = attribute(&section, kind, "attribute", "\"amount\"", |kind| {
        matches!(kind, Kind::CountBy | Kind::Sum | Kind::Min | Kind::Max | Kind::Distinct | Kind::Latest)
    });
    let by = attribute_by(&section, kind);
    let conditions = section.section("where").map(|section| conditions(&section));
    if kind == Some(Kind::All) && conditions.is_none() {
        section.mistake("`kind = \"all\"` needs `where`, the conditions that all items must meet");
    }
    section.finish();
    let kind = match kind? {
        Kind::Count => IndicatorKind::Count,
        Kind::CountBy => IndicatorKind::CountBy(attribute?),
        Kind::Sum => IndicatorKind::Sum(attribute?),
        Kind::Min => IndicatorKind::Min(attribute?),
        Kind::Max => IndicatorKind::Max(attribute?),
        Kind::Newest => IndicatorKind::Newest(by?),
        Kind::Oldest => IndicatorKind::Oldest(by?),
        Kind::Distinct => IndicatorKind::Distinct(attribute?),
        Kind::Any => IndicatorKind::Any,
        Kind::All => IndicatorKind::All,
        Kind::Latest => IndicatorKind::Latest { attribute: attribute?, by: by? },
    };
    Some(IndicatorValue { name: name?, kind, conditions: conditions.unwrap_or_default() })
}

/// The attribute that orders the items.
fn attribute_by(section: &Section<'_>, kind: Option<Kind>) -> Option<String> {
    attribute(section, kind, "by", "\"updated_at\"", |kind| matches!(kind, Kind::Newest | Kind::Oldest | Kind::Latest))
}

/// The path that `key` names, which only some kinds have.
fn attribute(
    section: &Section<'_>,
    kind: Option<Kind>,
    key: &'static str,
    example: &str,
    has: impl Fn(Kind) -> bool,
) -> Option<String> {
    let text = section.text(key);
    let kind = kind?;
    let kind_name = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| *name);
    match (text, has(kind)) {
        (Some(text), true) => path::read(section, key, &text),
        (None, true) if section.value(key).is_none() => {
            section.mistake(format_args!("`kind = \"{kind_name}\"` needs `{key}`; write {key} = {example}"));
            None
        }
        (None, _) => None,
        (Some(text), false) => {
            let kinds: Vec<&str> = KINDS.iter().filter(|(_, kind)| has(*kind)).map(|(name, _)| *name).collect();
            let message = format!(
                "{}: `{key}` can't be used with `kind = \"{kind_name}\"`; leave it out, or use one of {}",
                section.title,
                kinds.join(", ")
            );
            section.document.mistake(&text.span, message);
            None
        }
    }
}

/// The name of the value in the map.
fn name(section: &Section<'_>) -> Option<String> {
    let text = section.required_text("name", "\"open\"")?;
    let message = if [INDICATOR_VERSION, INDICATOR_PREVIOUS].contains(&text.text) {
        "is used for the writes of the indicator; choose another name"
    } else if text.text.is_empty() || text.text.len() > 255 || text.text.contains(['.', '[', ']']) {
        "must have 1 to 255 bytes, without `.` and `[`, so that it can be part of a path"
    } else {
        return Some(text.text.to_owned());
    };
    section.document.mistake(&text.span, format!("{}: `name` {message}", section.title));
    None
}
