//! Filter criteria: EventBridge patterns over a record, as Lambda applies them to streams.
//!
//! What a pattern means is in `rule`, how its text is read in `parse`. That a filtered record is never delivered, and
//! that the position moves past it, is the mapping's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::source::{SourceRecord, StreamKind};

mod json;
mod parse;
mod rule;

use json::Json;
use rule::Node;

/// 10: Lambda's quota of patterns of one mapping, five unless raised.
const MAXIMUM_PATTERNS: usize = 10;
/// 4096: the length of `Pattern` in Lambda's API model.
const MAXIMUM_PATTERN_CHARACTERS: usize = 4096;

/// Patterns of which one must match; without any, every record does.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    root: Node,
}

/// Why Lambda would refuse the filter criteria.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("{count} filter patterns: a mapping takes up to {MAXIMUM_PATTERNS}; join some with `$or`")]
    TooMany { count: usize },
    /// `number` counts from 1; `path` is where in the pattern.
    #[error("filter pattern {number}, {path}: {problem}")]
    Pattern { number: usize, path: String, problem: String },
}

impl Filters {
    /// Reads patterns such as `{"eventName":["INSERT"]}`.
    ///
    /// # Errors
    /// When there are too many, or one isn't a pattern; the message names the pattern by its number and the place in it.
    pub fn parse(patterns: &[String]) -> Result<Filters, FilterError> {
        if patterns.len() > MAXIMUM_PATTERNS {
            return Err(FilterError::TooMany { count: patterns.len() });
        }
        let read = |(index, text): (usize, &String)| match parse::pattern(text) {
            Ok(root) => Ok(Pattern { text: text.clone(), root }),
            Err(parse::Mistake { path, problem }) => Err(FilterError::Pattern { number: index + 1, path, problem }),
        };
        Ok(Filters { patterns: patterns.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// Whether there is nothing to filter by.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `record` is to be delivered. A record that can't be read matches no pattern.
    pub fn matches(&self, kind: StreamKind, record: &SourceRecord) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let Ok(record) = Json::parse(&record.json) else { return false };
        match kind {
            StreamKind::DynamoDb => self.patterns.iter().any(|pattern| pattern.root.matches(&record)),
            StreamKind::Kinesis => self.matches_message(record),
        }
    }

    /// A Kinesis record is filtered by what surrounds its data and, under `data`, by the JSON that its data holds.
    fn matches_message(&self, record: Json) -> bool {
        let Json::Object(mut fields) = record else { return false };
        let Some(Json::Object(mut message)) = take(&mut fields, "kinesis") else { return false };
        let data = take(&mut message, "data").and_then(|data| decoded(&data));
        let has_data = data.is_some();
        fields.append(&mut message);
        fields.extend(data.map(|data| ("data".to_owned(), data)));
        let view = Json::Object(fields);
        // Data that isn't JSON match no pattern that asks for data, not even one that asks for their absence.
        self.patterns.iter().any(|pattern| (has_data || !pattern.root.names("data")) && pattern.root.matches(&view))
    }
}

fn take(fields: &mut Vec<(String, Json)>, name: &str) -> Option<Json> {
    let index = fields.iter().position(|(field, _)| field == name)?;
    Some(fields.swap_remove(index).1)
}

fn decoded(data: &Json) -> Option<Json> {
    let Json::Text(base64) = data else { return None };
    let bytes = BASE64.decode(base64).ok()?;
    Json::parse(std::str::from_utf8(&bytes).ok()?).ok()
}

#[cfg(test)]
mod tests;
