//! `[[record]]`: a record type, how it is recognized, what it counts and how it is archived.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::super::document::{Section, SpannedText};
use super::super::template::{Pattern, is_name};
use super::super::{Archive, ArchivedImage, Matcher, PartitionDate, Requirement, Route, Snapshot, Stream};
use super::condition::{conditions, scalar};
use super::counter::{self, Countable};
use super::kind::Measures;
use super::{EVENTS, TIME_UNITS, parse_text, path, window_time};
use crate::archive::RecordSchema;
use crate::record::Event;
use crate::time::Unit;

pub(super) fn read(
    section: Section<'_>,
    stream: Option<Stream>,
    snapshot: Option<&Snapshot>,
    files: &BTreeMap<String, String>,
    measures: &mut Measures,
) -> Option<Route> {
    let record_type = section.required_text("type", "\"order\"");
    let record_type = record_type.and_then(|name| check_type(&section, &name));
    let mut variables = Vec::new();
    let matchers = section.section("match").map(|section| matchers(&section, &mut variables));
    if section.value("match").is_none() {
        section.mistake(
            "`match` is missing; write match = { pk = \"CUSTOMER#{customer}\" }, or match = {} if all items match",
        );
    }
    let binds = section.section("bind").map(|section| binds(&section, &mut variables)).unwrap_or_default();
    let conditions = section.section("where").map(|section| conditions(&section)).unwrap_or_default();
    let events = section.choices("events", &EVENTS).unwrap_or_else(|| Event::ALL.to_vec());
    let counters = counter::read_all(
        &section,
        Countable { snapshot, variables: &variables, conditions: &conditions, events: &events, stream },
        measures,
    );
    let window_time = section.section("window_time").and_then(|section| window_time::read(section, &counters));
    let archive = section.section("archive").and_then(|section| archive(section, files, &events));
    section.finish();
    let (record_type, matchers) = (record_type?, matchers?);
    Some(Route { record_type, matchers, binds, conditions, events, window_time, counters, archive, variables })
}

/// Checks the name of a record type, which is also a folder in the archive and a table in Athena.
fn check_type(section: &Section<'_>, name: &SpannedText<'_>) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let valid = name.text.len() <= 64
        && name.text.starts_with(|c: char| c.is_ascii_lowercase())
        && name.text.chars().all(plain);
    if !valid {
        let message = format!(
            "{}: `type` must start with a lowercase letter and have at most 64 lowercase letters, digits and `_`",
            section.title
        );
        section.document.mistake(&name.span, message);
    }
    valid.then(|| name.text.to_owned())
}

fn matchers(section: &Section<'_>, variables: &mut Vec<String>) -> Vec<Matcher> {
    let matcher = |(attribute, value): (&str, &Spanned<DeValue<'_>>)| {
        path::check(section, attribute, attribute, &value.span());
        let (requirement, text) = match value.get_ref() {
            DeValue::String(text) => {
                let span = SpannedText { text, span: value.span() };
                (Requirement::Pattern(pattern(section, attribute, &span, variables)?), text.to_string())
            }
            _ => {
                let scalar = scalar(section, attribute, value)?;
                let text = scalar.to_string();
                (Requirement::Equal(scalar), text)
            }
        };
        Some(Matcher { attribute: attribute.to_owned(), requirement, text })
    };
    section.entries().filter_map(matcher).collect()
}

fn pattern(section: &Section<'_>, key: &str, text: &SpannedText<'_>, variables: &mut Vec<String>) -> Option<Pattern> {
    let parsed = parse_text(section, key, text)?;
    let before = variables.len();
    let again = |name: &&str| {
        variables.iter().any(|known| known == name) || parsed.variables().filter(|other| other == name).count() > 1
    };
    if let Some(twice) = parsed.variables().find(again) {
        section
            .document
            .mistake(&text.span, format!("{}: `{{{twice}}}` is captured twice; use different names", section.title));
    }
    variables.extend(parsed.variables().map(str::to_owned));
    let added = variables.get(before..).unwrap_or_default();
    let slot = |name: &str| before + added.iter().position(|known| known == name).unwrap_or(0);
    Pattern::new(&parsed, slot)
        .map_err(|message| section.document.mistake(&text.span, format!("{}: `{key}`: {message}", section.title)))
        .ok()
}

fn binds(section: &Section<'_>, variables: &mut Vec<String>) -> Vec<(String, usize)> {
    let mut binds = Vec::new();
    for (name, value) in section.entries() {
        let DeValue::String(path) = value.get_ref() else {
            section.wrong::<()>(name, value, "the name of an attribute", value.get_ref());
            continue;
        };
        path::check(section, name, path, &value.span());
        if !is_name(name) {
            let message =
                format!("{}: `{name}` is not a valid variable; use lowercase letters, digits and `_`", section.title);
            section.document.mistake(&value.span(), message);
        }
        if variables.iter().any(|known| known == name) {
            section.document.mistake(
                &value.span(),
                format!("{}: `{name}` is already captured by `match`; choose another name", section.title),
            );
        }
        binds.push((path.clone().into_owned(), variables.len()));
        variables.push(name.to_owned());
    }
    binds
}

fn archive(section: Section<'_>, files: &BTreeMap<String, String>, events: &[Event]) -> Option<Archive> {
    let file = section.required_text("schema", "\"order.avsc\"");
    let schema = file.and_then(|file| schema(&section, &file, files));
    let images = [("newest", ArchivedImage::Newest), ("new", ArchivedImage::New), ("old", ArchivedImage::Old)];
    let image = section.choice("image", &images).unwrap_or(ArchivedImage::Newest);
    let own_events = section.choices("events", &EVENTS).unwrap_or_else(|| events.to_vec());
    if own_events.iter().any(|event| !events.contains(event)) {
        section.mistake(
            "`events` lists an event that the record's `events` leaves out, so it would never be archived; add it there, or leave it \
             out here",
        );
    }
    let attribute = section.text("partition_date").filter(|path| path.text != "created_at");
    let unit = section.choice("partition_date_unit", &TIME_UNITS).unwrap_or(Unit::Seconds);
    if let Some(value) = section.value("partition_date_unit").filter(|_| attribute.is_none()) {
        let message = "`partition_date_unit` is the unit of the attribute that `partition_date` names, and it names none; write \
                       partition_date = \"ordered_at\", or leave `partition_date_unit` out";
        section.document.mistake(&value.span(), format!("{}: {message}", section.title));
    }
    let partition_date = match attribute {
        None => PartitionDate::CreatedAt,
        Some(attribute) => PartitionDate::Attribute { path: path::read(&section, "partition_date", &attribute)?, unit },
    };
    section.finish();
    Some(Archive { schema: schema?, image, partition_date, events: own_events })
}

fn schema(section: &Section<'_>, file: &SpannedText<'_>, files: &BTreeMap<String, String>) -> Option<RecordSchema> {
    let Some(text) = files.get(file.text) else {
        let others: Vec<&str> = files.keys().map(String::as_str).filter(|name| name.ends_with(".avsc")).collect();
        let message =
            format!("{}: no file `{}` in the pipeline's folder; found {}", section.title, file.text, others.join(", "));
        section.document.mistake(&file.span, message);
        return None;
    };
    let note = |mistakes: Vec<String>| {
        for mistake in mistakes {
            section.document.mistake(&file.span, format!("{}: {}: {mistake}", section.title, file.text));
        }
    };
    RecordSchema::parse(text).map_err(note).ok()
}
