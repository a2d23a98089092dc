//! What a filter pattern can never match, and what it always matches, by where a stream record has its values: a table's
//! number is a text (`{"N":"5"}`), `exists` asks for a leaf, and the pipeline's keys begin as its templates say.
//!
//! That a pattern is well formed is the local mapping's to say (`Filters::parse`).

use serde_json::{Map, Value};
use usage_aggregator::pipeline::{Pipeline, Route};

/// What is wrong with a pattern that Lambda takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// Why no record can match; empty if one may.
    pub never: Vec<String>,
    /// Conditions that every record meets, though they look like conditions.
    pub always: Vec<String>,
}

/// Looks at the pattern of a table's stream.
pub fn mistakes(pattern: &str, pipeline: &Pipeline) -> Mistakes {
    let routes: Vec<&Route> = pipeline.routes.iter().collect();
    let Ok(Value::Object(fields)) = serde_json::from_str(pattern) else {
        return Mistakes { never: vec!["it is no JSON object".to_owned()], always: Vec::new() };
    };
    let before = routes.len();
    let mut walk = Walk { mistakes: Mistakes::default(), routes };
    walk.fields(&fields, Level::Root, &Path::default());
    if walk.mistakes.never.is_empty() && walk.routes.is_empty() && before > 0 {
        let known = pipeline.routes.iter().flat_map(Route::matched_ends);
        let known = known.map(|(attribute, start, _)| format!("{attribute} {start}…")).collect::<Vec<_>>().join(", ");
        walk.mistakes.never.push(format!("no record type of the pipeline has such keys; they begin with {known}"));
    }
    walk.mistakes
}

/// Where in a record a key stands.
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
    /// There is no such field.
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
struct Path(Vec<String>);

impl Path {
    fn step(&self, key: &str) -> Path {
        Path(self.0.iter().cloned().chain([key.to_owned()]).collect())
    }

    /// The key attribute whose text this is.
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

/// One way through a pattern: what was found, and the record types that may still match.
#[derive(Clone)]
struct Walk<'p> {
    mistakes: Mistakes,
    routes: Vec<&'p Route>,
}

impl Walk<'_> {
    /// All of these must match.
    fn fields(&mut self, fields: &Map<String, Value>, level: Level, path: &Path) {
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
    fn alternatives(&mut self, alternatives: &[Value], level: Level, path: &Path) {
        let walked: Vec<Walk<'_>> = alternatives
            .iter()
            .filter_map(Value::as_object)
            .map(|fields| {
                let mut walk = Walk { mistakes: Mistakes::default(), routes: self.routes.clone() };
                walk.fields(fields, level, path);
                walk
            })
            .collect();
        let alive = |walk: &&Walk<'_>| walk.mistakes.never.is_empty();
        if walked.iter().any(|walk| alive(&walk)) {
            self.routes.retain(|route| {
                walked.iter().filter(alive).any(|walk| walk.routes.iter().any(|left| std::ptr::eq(*left, *route)))
            });
        } else {
            self.mistakes.never.extend(walked.iter().flat_map(|walk| walk.mistakes.never.clone()));
        }
        self.mistakes.always.extend(walked.into_iter().flat_map(|walk| walk.mistakes.always));
    }

    /// One of the rules must match the value here.
    fn rules(&mut self, rules: &[Value], level: Level, path: &Path) {
        let why: Vec<&str> = rules.iter().filter_map(|rule| impossible(rule, level, path)).collect();
        if let (true, Some(why)) = (why.len() == rules.len(), why.first()) {
            self.mistakes.never.push(format!("{}: {why}", path.shown()));
        }
        let leaf = matches!(level, Level::Text | Level::Number | Level::Truth);
        if !leaf && rules.iter().any(is_absence) {
            let hint = "a condition that every record meets, for nothing there is a value itself; go down to the type, as in .S";
            self.mistakes.always.push(format!("{}: {hint}", path.shown()));
        }
        if let Some(attribute) = path.key_attribute() {
            self.routes.retain(|route| {
                route
                    .matched_ends()
                    .filter(|(name, _, _)| *name == attribute)
                    .all(|(_, start, end)| rules.iter().any(|rule| may_be(rule, start, end)))
            });
        }
    }
}

fn is_absence(rule: &Value) -> bool {
    rule.get("exists") == Some(&Value::Bool(false))
}

/// Why a rule can't match any value at this place.
fn impossible(rule: &Value, level: Level, path: &Path) -> Option<&'static str> {
    if is_absence(rule) {
        return None;
    }
    let operator = |name: &str| rule.get(name).is_some();
    match level {
        Level::Nowhere => Some("a stream record has no such field"),
        Level::Root | Level::Identity | Level::Record | Level::Item => Some("stands above the values"),
        Level::Attribute if operator("exists") => Some("exists asks for a value itself; go down to its type, as in .S"),
        Level::Attribute => Some("stands above the value; go down to its type, as in .S"),
        Level::Text if rule.is_number() || operator("numeric") => {
            Some("DynamoDB's numbers are texts in a record, so no number matches; write \"N\":[\"5\"]")
        }
        Level::Text if rule.is_boolean() || rule.is_null() => Some("the value is a text"),
        Level::Text if path.0 == ["eventName"] && rule.is_string() => {
            let known = rule.as_str().is_some_and(|name| ["INSERT", "MODIFY", "REMOVE"].contains(&name));
            (!known).then_some("an event is INSERT, MODIFY or REMOVE")
        }
        Level::Number if rule.is_string() || operator("prefix") || operator("suffix") => Some("the value is a number"),
        Level::Truth if rule.is_string() || rule.is_number() || operator("prefix") || operator("numeric") => {
            Some("the value is true or false")
        }
        Level::Text | Level::Number | Level::Truth => None,
    }
}

/// Whether a text with this start and end may match the rule.
fn may_be(rule: &Value, start: &str, end: &str) -> bool {
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
