//! Finds filter patterns that can never match, and conditions that are always true, by the structure of a stream record: a
//! table's number is a string (`{"N":"5"}`), `exists` works on leaves only, and keys start as the pipeline's templates do.
//!
//! Whether a pattern is valid is checked by the event source mapping (`Filters::parse`).

use serde_json::{Map, Value};
use usage_aggregator::pipeline::{Pipeline, Route};

/// What is wrong with a valid pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// Why no record can match; empty if some can.
    pub never: Vec<String>,
    /// Conditions that every record meets.
    pub always: Vec<String>,
}

/// Analyzes a pattern for a table's stream.
pub fn mistakes(pattern: &str, pipeline: &Pipeline) -> Mistakes {
    let routes: Vec<&Route> = pipeline.routes.iter().collect();
    let Ok(Value::Object(fields)) = serde_json::from_str(pattern) else {
        return Mistakes { never: vec!["it is not a JSON object".to_owned()], always: Vec::new() };
    };
    let before = routes.len();
    let mut analysis = Analysis { mistakes: Mistakes::default(), routes };
    analysis.fields(&fields, Level::Root, &FieldPath::default());
    if analysis.mistakes.never.is_empty() && analysis.routes.is_empty() && before > 0 {
        let known = pipeline.routes.iter().flat_map(Route::matched_ends);
        let known = known.map(|(attribute, start, _)| format!("{attribute} {start}…")).collect::<Vec<_>>().join(", ");
        analysis.mistakes.never.push(format!("no record type of the pipeline has such keys; keys start with {known}"));
    }
    analysis.mistakes
}

/// What a field of a record contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Identity,
    Record,
    /// Attributes by name: keys, an image, or a map in one.
    Item,
    /// One value's type descriptor: `{"S": …}`.
    Attribute,
    Text,
    Number,
    Truth,
    /// The field doesn't exist.
    Nowhere,
}

impl Level {
    fn below(self, key: &str) -> Level {
        match (self, key) {
            (Level::Root, "dynamodb") => Level::Record,
            (Level::Root, "userIdentity") => Level::Identity,
            (
                Level::Root,
                "eventID" | "eventName" | "eventVersion" | "eventSource" | "awsRegion" | "eventSourceARN",
            )
            | (Level::Identity, "type" | "principalId")
            | (Level::Record, "SequenceNumber" | "StreamViewType")
            | (Level::Attribute, "S" | "N" | "B" | "SS" | "NS" | "BS") => Level::Text,
            (Level::Record, "ApproximateCreationDateTime" | "SizeBytes") => Level::Number,
            (Level::Record, "Keys" | "NewImage" | "OldImage") | (Level::Attribute, "M") => Level::Item,
            (Level::Item, _) | (Level::Attribute, "L") => Level::Attribute,
            (Level::Attribute, "BOOL" | "NULL") => Level::Truth,
            _ => Level::Nowhere,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct FieldPath(Vec<String>);

impl FieldPath {
    fn step(&self, key: &str) -> FieldPath {
        FieldPath(self.0.iter().cloned().chain([key.to_owned()]).collect())
    }

    /// The key attribute, if this is the value of one.
    fn key_attribute(&self) -> Option<&str> {
        match self.0.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["dynamodb", "Keys" | "NewImage" | "OldImage", attribute, "S"] => Some(attribute),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        self.0.join(".")
    }
}

/// The analysis of a pattern so far: what was found, and the record types that can still match.
#[derive(Clone)]
struct Analysis<'p> {
    mistakes: Mistakes,
    routes: Vec<&'p Route>,
}

impl Analysis<'_> {
    /// All of these must match.
    fn fields(&mut self, fields: &Map<String, Value>, level: Level, path: &FieldPath) {
        for (key, value) in fields {
            match value {
                Value::Array(alternatives) if key == "$or" => self.alternatives(alternatives, level, path),
                Value::Object(inner) => self.fields(inner, level.below(key), &path.step(key)),
                Value::Array(rules) => self.rules(rules, level.below(key), &path.step(key)),
                _ => {}
            }
        }
    }

    /// One of these must match.
    fn alternatives(&mut self, alternatives: &[Value], level: Level, path: &FieldPath) {
        let analyses: Vec<Analysis<'_>> = alternatives
            .iter()
            .filter_map(Value::as_object)
            .map(|fields| {
                let mut analysis = Analysis { mistakes: Mistakes::default(), routes: self.routes.clone() };
                analysis.fields(fields, level, path);
                analysis
            })
            .collect();
        let alive = |analysis: &&Analysis<'_>| analysis.mistakes.never.is_empty();
        if analyses.iter().any(|analysis| alive(&analysis)) {
            self.routes.retain(|route| {
                analyses
                    .iter()
                    .filter(alive)
                    .any(|analysis| analysis.routes.iter().any(|left| std::ptr::eq(*left, *route)))
            });
        } else {
            self.mistakes.never.extend(analyses.iter().flat_map(|analysis| analysis.mistakes.never.clone()));
        }
        self.mistakes.always.extend(analyses.into_iter().flat_map(|analysis| analysis.mistakes.always));
    }

    /// One of the rules must match the value here.
    fn rules(&mut self, rules: &[Value], level: Level, path: &FieldPath) {
        let why: Vec<&str> = rules.iter().filter_map(|rule| impossible(rule, level, path)).collect();
        if let (true, Some(why)) = (why.len() == rules.len(), why.first()) {
            self.mistakes.never.push(format!("{}: {why}", path.shown()));
        }
        let leaf = matches!(level, Level::Text | Level::Number | Level::Truth);
        if !leaf && rules.iter().any(is_absence) {
            let hint = "a condition that every record meets, because this field is not a value; add the type, as in .S";
            self.mistakes.always.push(format!("{}: {hint}", path.shown()));
        }
        if let Some(attribute) = path.key_attribute() {
            self.routes.retain(|route| {
                route
                    .matched_ends()
                    .filter(|(name, _, _)| *name == attribute)
                    .all(|(_, start, end)| rules.iter().any(|rule| can_match(rule, start, end)))
            });
        }
    }
}

fn is_absence(rule: &Value) -> bool {
    rule.get("exists") == Some(&Value::Bool(false))
}

/// Why a rule can't match any value at this place.
fn impossible(rule: &Value, level: Level, path: &FieldPath) -> Option<&'static str> {
    if is_absence(rule) {
        return None;
    }
    let operator = |name: &str| rule.get(name).is_some();
    match level {
        Level::Nowhere => Some("a stream record has no such field"),
        Level::Root | Level::Identity | Level::Record | Level::Item => Some("is not a value"),
        Level::Attribute if operator("exists") => Some("exists works only on values; add the type, as in .S"),
        Level::Attribute => Some("is not a value; add the type, as in .S"),
        Level::Text if rule.is_number() || operator("numeric") => {
            Some("DynamoDB numbers are strings in a record, so a number never matches; write \"N\":[\"5\"]")
        }
        Level::Text if rule.is_boolean() || rule.is_null() => Some("the value is a string"),
        Level::Text if path.0 == ["eventName"] && rule.is_string() => {
            let known = rule.as_str().is_some_and(|name| ["INSERT", "MODIFY", "REMOVE"].contains(&name));
            (!known).then_some("an event name is INSERT, MODIFY or REMOVE")
        }
        Level::Number if rule.is_string() || operator("prefix") || operator("suffix") => Some("the value is a number"),
        Level::Truth if rule.is_string() || rule.is_number() || operator("prefix") || operator("numeric") => {
            Some("the value is true or false")
        }
        Level::Text | Level::Number | Level::Truth => None,
    }
}

/// Whether a string with this start and end can match the rule.
fn can_match(rule: &Value, start: &str, end: &str) -> bool {
    let operand = |name: &str| rule.get(name).and_then(Value::as_str);
    if let Some(text) = rule.as_str() {
        return text.starts_with(start) && text.ends_with(end);
    }
    if let Some(prefix) = operand("prefix") {
        return prefix.starts_with(start) || start.starts_with(prefix);
    }
    operand("suffix").is_none_or(|suffix| suffix.ends_with(end) || end.ends_with(suffix))
}

#[cfg(test)]
mod tests;
