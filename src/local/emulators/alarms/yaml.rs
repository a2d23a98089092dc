//! CloudFormation's YAML as JSON: the short forms of functions, such as `!Sub`, become their long forms.

use anyhow::{Context, anyhow, bail};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

/// Reads one document.
///
/// # Errors
/// If the text isn't YAML, or uses anchors.
pub(super) fn read(text: &str) -> anyhow::Result<Value> {
    let mut events = Events(Parser::new_from_str(text));
    loop {
        match events.next()? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            first => return events.value(first),
        }
    }
}

struct Events<'t>(Parser<'t, saphyr_parser::StrInput<'t>>);

impl<'t> Events<'t> {
    fn next(&mut self) -> anyhow::Result<Event<'t>> {
        let (event, _) = self.0.next().context("the document ends too early")??;
        Ok(event)
    }

    /// The value that starts with `first`.
    fn value(&mut self, first: Event<'t>) -> anyhow::Result<Value> {
        match first {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain { scalar(&text) } else { Value::from(&*text) };
                Ok(tagged(tag.as_deref(), value))
            }
            Event::SequenceStart(_, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(tagged(tag.as_deref(), Value::Array(items))),
                        first => items.push(self.value(first)?),
                    }
                }
            }
            Event::MappingStart(_, tag) => {
                let mut fields = Map::new();
                loop {
                    let name = match self.next()? {
                        Event::MappingEnd => return Ok(tagged(tag.as_deref(), Value::Object(fields))),
                        Event::Scalar(name, ..) => name.into_owned(),
                        other => bail!("a key is text, not {other:?}"),
                    };
                    let first = self.next()?;
                    fields.insert(name, self.value(first)?);
                }
            }
            other => Err(anyhow!("{other:?} isn't supported")),
        }
    }
}

/// A plain scalar: a number, a bool, nothing, or text.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // Not a number's every notation: `2010-09-09` and `0x10` are text here, as they are to CloudFormation.
        text if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
        }
        text => Value::from(text),
    }
}

/// `!Sub x` is `{"Fn::Sub": x}`.
fn tagged(tag: Option<&Tag>, value: Value) -> Value {
    let Some(tag) = tag.filter(|tag| tag.handle == "!" && !tag.suffix.is_empty()) else { return value };
    let (name, value) = match (tag.suffix.as_str(), value) {
        (name @ ("Ref" | "Condition"), value) => (name.to_owned(), value),
        ("GetAtt", Value::String(path)) => {
            let (resource, attribute) = path.split_once('.').unwrap_or((&path, ""));
            ("Fn::GetAtt".to_owned(), Value::from(vec![resource, attribute]))
        }
        (name, value) => (format!("Fn::{name}"), value),
    };
    Value::Object(Map::from_iter([(name, value)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_forms_become_long_forms() {
        let text = "A: !Sub '${B}-c'\nB: !If [X, !Ref Y, !GetAtt Q.Name]\nC: !Equals\n  - !Ref P\n  - 'true'\n\
                    D: { Name: x, Value: 60 }\nE: !And [!Condition Counts]\nF: [1.5, -1, true, 2010-09-09, '7', ~]\n";
        let expected = json!({
            "A": { "Fn::Sub": "${B}-c" },
            "B": { "Fn::If": ["X", { "Ref": "Y" }, { "Fn::GetAtt": ["Q", "Name"] }] },
            "C": { "Fn::Equals": [{ "Ref": "P" }, "true"] },
            "D": { "Name": "x", "Value": 60 },
            "E": { "Fn::And": [{ "Condition": "Counts" }] },
            "F": [1.5, -1, true, "2010-09-09", "7", null],
        });
        assert_eq!(read(text).unwrap(), expected);
        assert!(read("A: [1").is_err());
    }
}
