//! Parses `pipeline.toml` into a [`Pipeline`]. Everything is checked here, once, at startup: unknown keys, unknown
//! variables, invalid schemas. All mistakes are reported together, each with its line and what to write instead.

mod alert;
mod baseline;
mod closing;
mod condition;
mod contradiction;
mod counter;
mod indicator;
mod kind;
mod measure;
mod path;
mod route;
mod snapshot;
mod weight;
mod window_time;

use std::collections::BTreeMap;

use toml::de::DeTable;

pub use super::document::Mistakes;
use super::document::{Document, Section, SpannedText};
use super::template::{self, Template, TemplateError};
use super::{Folder, Pipeline, Stream, Unmatched};
use crate::record::Event;
use crate::time::Unit;
use crate::window::Window;

/// The file that every pipeline's folder must have.
pub(super) const FILE: &str = "pipeline.toml";

const DEFAULT_PREFIX: &str = "data-pipeline";

const EVENTS: [(&str, Event); 4] =
    [("INSERT", Event::Insert), ("MODIFY", Event::Modify), ("REMOVE", Event::Remove), ("EXPIRE", Event::Expire)];

const WINDOWS: [(&str, Window); 5] = [
    ("hour", Window::Hour),
    ("day", Window::Day),
    ("week", Window::Week),
    ("month", Window::Month),
    ("total", Window::Total),
];

/// The units of numbers that are times.
const TIME_UNITS: [(&str, Unit); 3] =
    [("seconds", Unit::Seconds), ("milliseconds", Unit::Milliseconds), ("microseconds", Unit::Microseconds)];

impl Pipeline {
    /// Reads and validates the pipeline in `folder`.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(folder: &Folder) -> Result<Pipeline, Mistakes> {
        let path = format!("{}/{FILE}", folder.name);
        let Some(text) = folder.files.get(FILE) else {
            return Err(Mistakes(vec![format!("{path}:1: file not found; every pipeline needs this file")]));
        };
        let document = Document::new(&path, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        // What follows a syntax error is mostly read wrong, so that only the first one helps.
        if let Some(error) = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start)) {
            document.mistake(&error.span().unwrap_or_default(), error.message());
        }
        let root = Section::new(&document, table.get_ref(), table.span(), "");
        let pipeline = errors.is_empty().then(|| read(&folder.name, &folder.files, root)).flatten();
        let mistakes = document.into_mistakes();
        match pipeline {
            Some(pipeline) if mistakes.0.is_empty() => Ok(pipeline),
            _ => Err(mistakes),
        }
    }
}

fn read(name: &str, files: &BTreeMap<String, String>, root: Section<'_>) -> Option<Pipeline> {
    root.text("description");
    let sources = root.texts("sources").unwrap_or_default().iter().map(|source| source.text.to_owned()).collect();
    let stream = root.choice("stream", &[("dynamodb", Stream::DynamoDb), ("kinesis", Stream::Kinesis)]);
    let unmatched = root.choice("unmatched", &[("skip", Unmatched::Skip), ("reject", Unmatched::Reject)]);
    let generation = generation(&root);
    let archive_prefix = root.section("archive").and_then(archive_prefix);
    let mut snapshot = root.section("snapshot").map(snapshot::read);
    let mut measures = kind::Measures::default();
    let sections = root.sections("record");
    if sections.is_empty() {
        root.document.mistake(&root.span, "no [[record]] found; a pipeline needs at least one record type");
    }
    let declared: Vec<&str> = sections.iter().filter_map(|section| section.text_of("type")).collect();
    let mut routes: Vec<super::Route> = Vec::new();
    for section in sections {
        let span = section.span.clone();
        if let Some(route) = route::read(section, stream, snapshot.as_ref(), files, &mut measures) {
            if routes.iter().any(|other| other.record_type == route.record_type) {
                root.document.mistake(&span, format!("record type `{}` is defined twice", route.record_type));
            } else if root.document.is_clean()
                && let Some(earlier) = routes.iter().find(|earlier| earlier.covers(&route))
            {
                root.document.mistake(&span, never_reached(&route, earlier));
            }
            routes.push(route);
        }
    }
    let alerts = alert::of_own_groups(root.document, std::mem::take(&mut measures.groups));
    let (mut measures, mut kinds) = measures.into_parts();
    if let Some(snapshot) = &snapshot {
        closing::add_adjustments(&root, snapshot, &routes, &mut measures, &mut kinds);
    }
    let types = indicator::RecordTypes { routes: &routes, declared: &declared };
    let indicators = indicator::read_all(&root, &types, stream);
    root.finish();
    if let Some(snapshot) = &mut snapshot {
        snapshot.measures.clone_from(&measures);
        snapshot.kinds.clone_from(&kinds);
        snapshot.alerts = alerts;
    }
    Some(Pipeline {
        name: name.to_owned(),
        sources,
        stream: stream.unwrap_or(Stream::DynamoDb),
        unmatched: unmatched.unwrap_or(Unmatched::Skip),
        generation,
        snapshot,
        archive_prefix: archive_prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
        routes,
        indicators,
        measures,
        distinct_key: None,
    })
}

/// The mistake that `earlier` takes all items of `route`.
fn never_reached(route: &super::Route, earlier: &super::Route) -> String {
    let (name, earlier_name) = (&route.record_type, &earlier.record_type);
    if route.covers(earlier) {
        return format!(
            "record type `{name}` is never reached: `{earlier_name}` before it has the same `match` and `where`; \
             change one of them, or combine the two: a record type can have several counters"
        );
    }
    format!(
        "record type `{name}` is never reached: every item that it matches also matches `{earlier_name}` before it; \
         move it before `{earlier_name}`"
    )
}

/// The generation of the measures, 1 by default.
fn generation(root: &Section<'_>) -> u64 {
    let Some((number, span)) = root.integer("generation") else { return 1 };
    let generation = u64::try_from(number).ok().filter(|generation| *generation > 0);
    generation.unwrap_or_else(|| {
        root.document
            .mistake(&span, "`generation` must be a whole number from 1; raise it by 1 whenever the measures change");
        1
    })
}

fn archive_prefix(section: Section<'_>) -> Option<String> {
    let prefix = section.text("prefix");
    let valid = prefix.and_then(|prefix| {
        let check = check_prefix(prefix.text);
        if let Err(message) = check {
            section.document.mistake(&prefix.span, format!("{}: `prefix` {message}", section.title));
        }
        check.ok().map(|()| prefix.text.to_owned())
    });
    section.finish();
    valid
}

/// Checks the prefix of object keys. Only plain path segments are allowed, so that S3 and Athena agree on what is under
/// it.
///
/// # Errors
/// What is wrong; reads after the name of the setting.
pub fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let segment = |segment: &str| !segment.is_empty() && segment.chars().all(plain) && !segment.starts_with('.');
    if prefix.len() > 512 || !prefix.split('/').all(segment) {
        return Err(
            "must be segments of letters, digits, `-`, `_` and `.` joined by `/`, for example data-pipeline/test",
        );
    }
    Ok(())
}

/// Parses a text with variables, noting a mistake at its position.
fn parse_text(section: &Section<'_>, key: &str, text: &SpannedText<'_>) -> Option<template::ParsedText> {
    template::ParsedText::parse(text.text)
        .map_err(|message| section.document.mistake(&text.span, format!("{}: `{key}`: {message}", section.title)))
        .ok()
}

/// Parses a template, noting a mistake at its position. `known` resolves variables to slots.
fn parse_template(
    section: &Section<'_>,
    key: &str,
    text: &SpannedText<'_>,
    known: &dyn Fn(&str) -> Option<usize>,
    hint: &str,
) -> Option<Template> {
    let parsed = parse_text(section, key, text)?;
    Template::new(&parsed, known)
        .map_err(|error| {
            let hint = if matches!(error, TemplateError::Unbound(_)) { hint } else { "" };
            section.document.mistake(&text.span, format!("{}: `{key}`: {error}{hint}", section.title));
        })
        .ok()
}

#[cfg(test)]
mod tests;
