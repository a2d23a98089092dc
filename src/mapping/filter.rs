//! Filter criteria: EventBridge patterns that records are matched against, as Lambda does for streams.
//!
//! `parse` reads the text of a pattern, and `rule` evaluates it. The mapping never delivers a record that is filtered out,
//! and moves the checkpoint past it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::source::{SourceRecord, StreamKind};

mod json;
mod parse;
mod rule;

use json::Json;
use rule::Node;

/// 10: the most patterns of one mapping. Lambda's quota is 5 unless raised.
const MAXIMUM_PATTERNS: usize = 10;
/// 4096: the maximum length of `Pattern` in Lambda's API model.
const MAXIMUM_PATTERN_CHARACTERS: usize = 4096;

/// Patterns, of which one must match. Without patterns, every record matches.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    root: Node,
}

/// Why Lambda would reject the filter criteria.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There are too many patterns.
    #[error("{count} filter patterns are too many; use up to {MAXIMUM_PATTERNS}, or join some with `$or`")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A pattern is not valid.
    #[error("filter pattern {number}, {path}: {problem}")]
    Pattern {
        /// The pattern's number, starting with 1.
        number: usize,
        /// Where in the pattern: its keys, joined by dots.
        path: String,
        /// What is wrong there.
        problem: String,
    },
}

impl Filters {
    /// Parses patterns such as `{"eventName":["INSERT"]}`.
    ///
    /// # Errors
    /// If there are too many patterns, or one of them is not valid. The error names the pattern and the place in it.
    pub fn parse(patterns: &[String]) -> Result<Filters, FilterError> {
        if patterns.len() > MAXIMUM_PATTERNS {
            return Err(FilterError::TooMany { count: patterns.len() });
        }
        let read = |(index, text): (usize, &String)| match parse::pattern(text) {
            Ok(root) => Ok(Pattern { text: text.clone(), root }),
            Err(parse::PatternError { path, problem }) => {
                Err(FilterError::Pattern { number: index + 1, path, problem })
            }
        };
        Ok(Filters { patterns: patterns.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }

    /// The text of each pattern.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a pattern matches the record. A record that is not valid JSON matches no pattern.
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

    /// In a pattern for Kinesis, `data` stands for the JSON in the record's data; the record's other fields are beside it.
    fn matches_message(&self, record: Json) -> bool {
        let Json::Object(mut fields) = record else { return false };
        let Some(Json::Object(mut message)) = take(&mut fields, "kinesis") else { return false };
        let data = take(&mut message, "data").and_then(|data| decoded(&data));
        let has_data = data.is_some();
        fields.append(&mut message);
        fields.extend(data.map(|data| ("data".to_owned(), data)));
        let view = Json::Object(fields);
        // Data that isn't JSON matches no pattern that mentions data, not even one that expects it to be absent.
        self.patterns.iter().any(|pattern| (has_data || !pattern.root.mentions("data")) && pattern.root.matches(&view))
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
