//! `[[indicator]]`: which record types' items it is computed from, its target, its query, and its values.

mod conflict;
mod value;

use std::cell::RefCell;

use toml::Spanned;
use toml::de::DeValue;

use super::super::document::{Section, SpannedText};
use super::super::suggestion::closest;
use super::super::template::{Template, TemplateError};
use super::super::{Indicator, IndicatorQuery, IndicatorRecord, MissingTarget, Route, Stream};
use super::counter::available;
use super::{EVENTS, parse_text};
use crate::record::Event;

/// The attribute that an indicator owns unless `attribute` is set.
const USUAL_ATTRIBUTE: &str = "indicators";
/// Ten reads of 1 MB find 10,000 items of 1 KB.
const USUAL_MAX_ITEMS: usize = 10_000;
const LARGEST_MAX_ITEMS: usize = 1_000_000;

/// The record types of a pipeline.
pub(super) struct RecordTypes<'r> {
    /// Those that are valid.
    pub routes: &'r [Route],
    /// The names of all that the file has.
    pub declared: &'r [&'r str],
}

/// Reads all indicators.
pub(super) fn read_all(root: &Section<'_>, types: &RecordTypes<'_>, stream: Option<Stream>) -> Vec<Indicator> {
    let mut indicators: Vec<Indicator> = Vec::new();
    for section in root.sections("indicator") {
        if stream == Some(Stream::Kinesis) {
            section.mistake("needs the changes of a table, but the messages of a plain Kinesis stream have no table; remove `stream = \"kinesis\"` or the indicator");
        }
        let (span, title) = (section.span.clone(), section.title.clone());
        let Some(indicator) = read(section, types) else { continue };
        if indicators.iter().any(|other| other.name == indicator.name) {
            let message = format!("{title}: another indicator is named \"{}\"; choose another name", indicator.name);
            root.document.mistake(&span, message);
        } else if let Some(why) = conflict::with_target(&indicator, &indicators, types.routes) {
            root.document.mistake(&span, format!("{title}: {why}"));
        }
        for why in conflict::with_record_types(&indicator, types.routes) {
            root.document.mistake(&span, format!("{title}: {why}"));
        }
        indicators.push(indicator);
    }
    if let Some(cycle) = conflict::cycle(&indicators, types.routes).filter(|_| root.document.is_clean()) {
        root.document.mistake(&root.value("indicator").map_or(0..0, Spanned::span), cycle);
    }
    indicators
}

fn read(section: Section<'_>, types: &RecordTypes<'_>) -> Option<Indicator> {
    let name = section.required_text("name", "\"open orders\"");
    if let Some(name) = name.as_ref().filter(|name| name.text.trim().is_empty() || name.text.len() > 255) {
        section.document.mistake(&name.span, format!("{}: `name` must have 1 to 255 bytes", section.title));
    }
    let routes = records(&section, types);
    let variables = Variables { routes: &routes, known: RefCell::default() };
    let target = target(&section, &variables);
    // One target has one query: whatever asks for it, the query must be the same.
    let target_variables = variables.known.borrow().clone();
    let query = query(&section, &variables);
    if target.is_some()
        && let Some(other) = variables.known.borrow().iter().find(|name| !target_variables.contains(name))
    {
        section.mistake(format_args!(
            "`query` has the variable `{{{other}}}`, but `target` doesn't, so that one target would have several queries; \
             use only variables that are in `target`"
        ));
    }
    let attribute = attribute(&section, target.as_deref().unwrap_or_default());
    let choices = [("skip", MissingTarget::Skip), ("create", MissingTarget::Create)];
    let missing_target = section.choice("missing_target", &choices).unwrap_or(MissingTarget::Skip);
    let max_items = max_items(&section);
    let values = value::read_all(&section);
    let variables = variables.known.into_inner();
    section.finish();
    let slot = |route: &Route, name: &String| route.variables.iter().position(|known| known == name);
    let record = |(index, route): &(usize, &Route)| {
        let slots = variables.iter().map(|name| slot(route, name)).collect::<Option<_>>()?;
        Some(IndicatorRecord { route: *index, slots })
    };
    let records = routes.iter().map(record).collect::<Option<Vec<_>>>()?;
    Some(Indicator {
        name: name?.text.to_owned(),
        records,
        target: target?,
        query: query?,
        variables,
        attribute: attribute?,
        missing_target,
        max_items: max_items?,
        values: values?,
    })
}

/// The record types that `records` names, with their indexes.
fn records<'r>(section: &Section<'_>, types: &RecordTypes<'r>) -> Vec<(usize, &'r Route)> {
    let Some(names) = section.texts("records") else {
        if section.value("records").is_none() {
            section.mistake(
                "`records` is missing; list the record types whose items it is computed from, records = [\"order\"]",
            );
        }
        return Vec::new();
    };
    if names.is_empty() {
        section.mistake("`records` is empty; list the record types whose items it is computed from");
    }
    let mut routes: Vec<(usize, &Route)> = Vec::new();
    for name in names {
        let mistake = |message: String| section.document.mistake(&name.span, format!("{}: {message}", section.title));
        match types.routes.iter().enumerate().find(|(_, route)| route.record_type == name.text) {
            Some((index, _)) if routes.iter().any(|(known, _)| *known == index) => {
                mistake(format!("`records` names \"{}\" twice", name.text));
            }
            Some((index, route)) => {
                if !Event::ALL.iter().all(|event| route.events.contains(event)) {
                    let all = EVENTS.map(|(name, _)| name).join(", ");
                    mistake(format!(
                        "an indicator must see every change of its items, but `events` of the record type \"{}\" leaves \
                         some out; remove it there, so that it has {all}",
                        name.text
                    ));
                }
                routes.push((index, route));
            }
            // What is wrong with it is reported there.
            None if types.declared.contains(&name.text) => {}
            None => {
                let list = types.declared.join(", ");
                let hint = match closest(name.text, types.declared.iter().copied()) {
                    Some(closest) => format!("did you mean \"{closest}\"? Record types: {list}"),
                    None => format!("record types: {list}"),
                };
                mistake(format!("`records` names \"{}\", which is not a record type; {hint}", name.text));
            }
        }
    }
    routes
}

/// The variables that the templates of an indicator have used so far. Every record type must define them.
struct Variables<'v> {
    routes: &'v [(usize, &'v Route)],
    known: RefCell<Vec<String>>,
}

impl Variables<'_> {
    /// Parses a template of a key.
    fn template(&self, section: &Section<'_>, key: &str, text: &SpannedText<'_>) -> Option<Template> {
        let parsed = parse_text(section, key, text)?;
        let mistake = |message: String| {
            section.document.mistake(&text.span, format!("{}: `{key}`: {message}", section.title));
        };
        let mut is_known = true;
        for (_, route) in self.routes {
            if let Some(unknown) = parsed.variables().find(|name| !route.variables.iter().any(|known| known == name)) {
                let hint = available(&route.variables, text.text);
                mistake(format!("record type \"{}\" doesn't capture `{{{unknown}}}`{hint}", route.record_type));
                is_known = false;
            }
        }
        if !is_known {
            return None;
        }
        let slot = |name: &str| {
            let mut known = self.known.borrow_mut();
            let slot = known.iter().position(|known| known == name).unwrap_or(known.len());
            if slot == known.len() {
                known.push(name.to_owned());
            }
            Some(slot)
        };
        Template::verbatim(&parsed, slot).map_err(|error: TemplateError| mistake(error.to_string())).ok()
    }
}

/// The key of the target.
fn target(section: &Section<'_>, variables: &Variables<'_>) -> Option<Vec<(String, Template)>> {
    if section.value("target").is_none() {
        section.mistake("`target` is missing; write the key of the item that gets the values, target = { pk = \"CUSTOMER#{customer}\", sk = \"PROFILE\" }");
    }
    let section = section.section("target")?;
    let mut key = Vec::new();
    let mut entries = 0;
    for (name, value) in section.entries() {
        entries += 1;
        let DeValue::String(text) = value.get_ref() else {
            section.wrong::<()>(name, value, "a string, for example \"CUSTOMER#{customer}\"", value.get_ref());
            continue;
        };
        let text = SpannedText { text, span: value.span() };
        key.extend(variables.template(&section, name, &text).map(|template| (name.to_owned(), template)));
    }
    if !matches!(entries, 1 | 2) {
        section.mistake("must have one or two attributes, as the table's key has");
    }
    (key.len() == entries).then_some(key)
}

/// The partition key and the start of the sort keys that are read.
fn query(section: &Section<'_>, variables: &Variables<'_>) -> Option<IndicatorQuery> {
    let index = section.text("index");
    if let Some(index) = index.as_ref().filter(|index| index.text.is_empty()) {
        section.document.mistake(&index.span, format!("{}: `index` is empty; leave it out", section.title));
    }
    if section.value("query").is_none() {
        section.mistake(
            "`query` is missing; write query = { pk = \"CUSTOMER#{customer}\", sk = { prefix = \"ORDER#\" } }",
        );
    }
    let section = section.section("query")?;
    let (mut partitions, mut sorts) = (Vec::new(), Vec::new());
    for (name, value) in section.entries() {
        match value.get_ref() {
            DeValue::String(text) => partitions.push((name, SpannedText { text, span: value.span() })),
            DeValue::Table(table) => {
                let title = format!("{} {name}", section.title);
                sorts.push((name, Section::new(section.document, table, value.span(), &title)));
            }
            other => {
                section.wrong::<()>(name, value, "a string or { prefix = \"ORDER#\" }", other);
            }
        }
    }
    if partitions.len() != 1 || sorts.len() > 1 {
        section.mistake(
            "must have the partition key, a string, and may have the sort key, a table with `prefix`: { pk = \"CUSTOMER#{customer}\", sk = { prefix = \"ORDER#\" } }",
        );
    }
    let (partition, text) = partitions.into_iter().next()?;
    let template = variables.template(&section, partition, &text);
    let sort = match sorts.into_iter().next() {
        None => None,
        Some((name, inner)) => {
            let prefix = inner.required_text("prefix", "\"ORDER#\"").filter(|prefix| !prefix.text.is_empty());
            let template = prefix.and_then(|prefix| variables.template(&inner, "prefix", &prefix));
            if inner.text_of("prefix").is_some_and(str::is_empty) {
                inner.mistake("`prefix` is empty; leave the sort key out");
            }
            inner.finish();
            Some((name.to_owned(), template?))
        }
    };
    let index = index.map(|index| index.text.to_owned());
    let query = IndicatorQuery { index, partition: (partition.to_owned(), template?), sort };
    for (_, route) in variables.routes {
        if let Some(attribute) = conflict::never_found(&query, route) {
            section.mistake(format_args!(
                "never finds items of the record type \"{}\", whose `match` has another `{attribute}`; correct one of them, \
                 or remove the record type from `records`",
                route.record_type
            ));
        }
    }
    Some(query)
}

/// The name of the map.
fn attribute(section: &Section<'_>, target: &[(String, Template)]) -> Option<String> {
    let Some(text) = section.text("attribute") else { return Some(USUAL_ATTRIBUTE.to_owned()) };
    let message = if text.text.is_empty() || text.text.len() > 255 || text.text.contains(['.', '[', ']']) {
        "must be the name of a top-level attribute, without `.` and `[`"
    } else if target.iter().any(|(name, _)| name == text.text) {
        "names an attribute of the target's key; choose another name"
    } else {
        return Some(text.text.to_owned());
    };
    section.document.mistake(&text.span, format!("{}: `attribute` {message}", section.title));
    None
}

fn max_items(section: &Section<'_>) -> Option<usize> {
    let Some((number, span)) = section.integer("max_items") else { return Some(USUAL_MAX_ITEMS) };
    let valid = usize::try_from(number).ok().filter(|number| (1..=LARGEST_MAX_ITEMS).contains(number));
    if valid.is_none() {
        let message = format!("{}: `max_items` must be 1 to {LARGEST_MAX_ITEMS}", section.title);
        section.document.mistake(&span, message);
    }
    valid
}

#[cfg(test)]
mod tests;
