//! Items of the usage table as rows: entity, resource, window and start are read back out of the texts that the
//! pipeline's templates made of them, and every other number is a measure.

use std::collections::{BTreeMap, HashMap};

use crate::pipeline::template::{Pattern, Template, Text};
use crate::pipeline::{Snapshot, WINDOW_VARIABLES};
use aws_sdk_dynamodb::types::AttributeValue;

pub type Item = HashMap<String, AttributeValue>;

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// By the names of the pipeline: `entity`, `resource`, and what else its keys have.
    pub variables: BTreeMap<String, String>,
    /// Exact decimal texts.
    pub measures: BTreeMap<String, String>,
}

impl Row {
    /// What the row has for a variable; nothing where the pipeline's templates don't keep it.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// The window's first instant, or the short form of it where that is all a key has.
    pub fn start(&self) -> &str {
        [self.variable("window_start"), self.variable("window_key")]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or("")
    }
}

/// Reads the rows of one pipeline.
#[derive(Debug)]
pub struct RowReader {
    /// Attributes with what they are made of; later ones are surer, being one variable alone.
    patterns: Vec<(String, Pattern)>,
    variables: Vec<String>,
    reserved: Vec<String>,
}

impl RowReader {
    pub fn new(snapshot: &Snapshot) -> RowReader {
        let variables: Vec<String> =
            snapshot.group_variables.iter().cloned().chain(WINDOW_VARIABLES.map(str::to_owned)).collect();
        let keys = [Some(&snapshot.partition_key), snapshot.sort_key.as_ref()].into_iter().flatten();
        let marks: Vec<String> = variables.iter().map(|name| format!("{{{name}}}")).collect();
        let pattern = |(attribute, template): &(String, Template)| {
            // With each variable's value being its own name in braces, what is rendered is the template's text.
            let text = Text::parse(&template.render(|slot| marks.get(slot).map_or("", String::as_str))).ok()?;
            let place = |name: &str| variables.iter().position(|known| known == name).unwrap_or(usize::MAX);
            Some((attribute.clone(), Pattern::new(&text, place).ok()?))
        };
        let patterns = keys.chain(&snapshot.attributes).filter_map(pattern).collect();
        RowReader { patterns, reserved: snapshot.reserved().map(str::to_owned).collect(), variables }
    }

    /// The group's variables, as columns.
    pub fn group_variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str).filter(|name| !WINDOW_VARIABLES.contains(name))
    }

    pub fn read(&self, item: &Item) -> Row {
        let mut variables = BTreeMap::new();
        for (attribute, pattern) in &self.patterns {
            let Some(Ok(text)) = item.get(attribute).map(AttributeValue::as_s) else { continue };
            let mut found = Vec::new();
            if pattern.matches(text, |slot, value| found.push((slot, value))) {
                let named = found.into_iter().filter_map(|(slot, value)| Some((self.variables.get(slot)?, value)));
                variables.extend(named.map(|(name, value)| (name.clone(), value.to_owned())));
            }
        }
        let measure = |(name, value): (&String, &AttributeValue)| {
            let number = value.as_n().ok().filter(|_| !self.reserved.contains(name))?;
            Some((name.clone(), number.clone()))
        };
        Row { variables, measures: item.iter().filter_map(measure).collect() }
    }
}
