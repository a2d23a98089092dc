//! `[[record.counter]]`: whose usage of what a record type counts. `entity`, `resource` and `[[record.measure]]` directly
//! under `[[record]]` are short for a single counter.

use super::super::document::{Section, SpannedText};
use super::super::suggestion::closest;
use super::super::template::{ParsedText, Template};
use super::super::{Condition, Counter, Measure, Snapshot, Stream};
use super::contradiction::contradiction;
use super::kind::Measures;
use super::{alert, measure, parse_template};
use crate::record::Event;

/// What the counters of a record type can refer to.
#[derive(Clone, Copy)]
pub(super) struct Countable<'c> {
    /// Where counters are stored, if the pipeline has a `[snapshot]`.
    pub snapshot: Option<&'c Snapshot>,
    /// The variables that the record type captures or binds.
    pub variables: &'c [String],
    /// The conditions that items meet.
    pub conditions: &'c [Condition],
    /// The events that the record type processes.
    pub events: &'c [Event],
    /// What the pipeline says about its stream.
    pub stream: Option<Stream>,
}

/// Reads the counters of a record type.
pub(super) fn read_all(record: &Section<'_>, countable: Countable<'_>, measures: &mut Measures) -> Vec<Counter> {
    let sections = record.sections("counter");
    if sections.is_empty() {
        let measured = record.sections("measure");
        if measured.is_empty()
            && let Some(text) = record.text("entity").or(record.text("resource"))
        {
            let message = format!("{}: `entity` and `resource` need a measure; add a [[record.measure]]", record.title);
            record.document.mistake(&text.span, message);
        }
        return read(record, measured, countable, measures).into_iter().collect();
    }
    for key in ["entity", "resource", "measure", "alert"] {
        if let Some(value) = record.value(key) {
            let message = format!(
                "{}: `{key}` can't be combined with [[record.counter]]; move it into a [[record.counter]] of its own",
                record.title
            );
            record.document.mistake(&value.span(), message);
        }
    }
    let counter = |section: Section<'_>| {
        let measured = section.sections("measure");
        if measured.is_empty() {
            section.mistake("has no measure; add a [[record.counter.measure]]");
        }
        let counter = read(&section, measured, countable, measures);
        section.finish();
        counter
    };
    sections.into_iter().filter_map(counter).collect()
}

/// Reads the entity, the resource and the measures of one counter.
fn read(
    section: &Section<'_>,
    measured: Vec<Section<'_>>,
    countable: Countable<'_>,
    measures: &mut Measures,
) -> Option<Counter> {
    let entity = section.text("entity");
    let resource = section.text("resource");
    let alerts = section.sections("alert");
    if measured.is_empty() {
        alerts.iter().for_each(|alert| alert.mistake("needs a measure; add one to the same counter"));
        return None;
    }
    let Some(snapshot) = countable.snapshot else {
        section.mistake(
            "has measures, but the pipeline has no [snapshot] to store them in; add [snapshot] with a `partition_key` and \
             a `sort_key`",
        );
        return None;
    };
    let known = |name: &str| countable.variables.iter().position(|known| known == name);
    let template = |key: &'static str, text: Option<SpannedText<'_>>| match text {
        Some(text) => parse_template(section, key, &text, &known, &available(countable.variables, text.text)),
        None => {
            section.mistake(format_args!(
                "`{key}` is missing; write {key} = \"{{customer}}\", with variables that `match` or `bind` define"
            ));
            None
        }
    };
    let mut group = vec![template("entity", entity), template("resource", resource)];
    group.extend(
        snapshot.group_variables.iter().skip(2).map(|name| additional_variable(section, name, countable.variables)),
    );
    measured.iter().for_each(|section| section.find_misspelled("kind"));
    let partners: Vec<_> = measured.iter().map(|section| measure::along_with(section, &measured)).collect();
    let names: Vec<(&str, &str)> = measured
        .iter()
        .filter_map(|section| Some((section.text_of("name")?, section.text_of("kind").unwrap_or_default())))
        .collect();
    let read = |(section, along_with): (Section<'_>, Option<usize>)| {
        let (document, span, title) = (section.document, section.span.clone(), section.title.clone());
        let measure = measure::read(section, along_with, snapshot, countable, measures)?;
        if document.is_clean()
            && let Some(why) = never_met(countable.conditions, &measure)
        {
            document
                .mistake(&span, format!("{title}: its `where` and that of its record are never met together: {why}"));
        }
        Some(measure)
    };
    let own = measured.into_iter().zip(partners).filter_map(read).collect();
    let group: Vec<Template> = group.into_iter().collect::<Option<_>>()?;
    let variables = countable.variables;
    let alerts = alert::read_all(alerts, &alert::Alertable { snapshot, group: &group, variables, measures: &names });
    measures.groups.push(alert::CounterGroups::new(section, &group, variables, &names, alerts));
    Some(Counter { group, measures: own })
}

/// Why no image meets the conditions of a record type and of its measure, if that is certain.
fn never_met(conditions: &[Condition], measure: &Measure) -> Option<String> {
    measure.conditions.iter().find_map(|of_measure| {
        let path = of_measure.path.as_str();
        let same_path = conditions.iter().chain(&measure.conditions).filter(|condition| condition.path == path);
        let why = contradiction(&same_path.map(|condition| &condition.test).collect::<Vec<_>>())?;
        Some(format!("`{path}`: {why}"))
    })
}

/// The template for a variable in the snapshot's templates besides entity and resource: a capture with the same name.
fn additional_variable(section: &Section<'_>, name: &str, variables: &[String]) -> Option<Template> {
    let text = format!("{{{name}}}");
    let known = |name: &str| variables.iter().position(|known| known == name);
    let template = ParsedText::parse(&text).ok().and_then(|text| Template::new(&text, known).ok());
    if template.is_none() {
        let hint = available(variables, &text);
        section.mistake(format_args!("[snapshot] uses `{text}`, which this record type doesn't define{hint}"));
    }
    template
}

/// What to write instead of the first unknown variable of `text`, for the end of a message.
pub(super) fn available(variables: &[String], text: &str) -> String {
    let list = if variables.is_empty() { "none".to_owned() } else { variables.join(", ") };
    let parsed = ParsedText::parse(text).ok();
    let mut names = parsed.iter().flat_map(ParsedText::variables);
    let unknown = names.find(|name| !variables.iter().any(|known| known == name));
    match unknown.and_then(|unknown| closest(unknown, variables.iter().map(String::as_str))) {
        Some(closest) => format!("; did you mean `{{{closest}}}`? Available variables: {list}"),
        None => format!("; available variables: {list}"),
    }
}
