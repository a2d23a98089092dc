//! Parses the text of a pattern. Anything that EventBridge doesn't define, or Lambda doesn't accept for streams, is an
//! error.

use super::MAXIMUM_PATTERN_CHARACTERS;
use super::json::Json;
use super::rule::{Comparison, Node, Rule, Step, TextRule};

/// What is wrong with a pattern, and where in it.
#[derive(Debug)]
pub(super) struct PatternError {
    pub(super) path: String,
    pub(super) problem: String,
}

type Parsed<T> = Result<T, PatternError>;

const OPERATORS: &str = "prefix, suffix, equals-ignore-case, anything-but, numeric, exists, wildcard";

pub(super) fn pattern(text: &str) -> Parsed<Node> {
    let root = Path::default();
    let length = text.chars().count();
    if length > MAXIMUM_PATTERN_CHARACTERS {
        return root.error(format!("has {length} characters; the limit is {MAXIMUM_PATTERN_CHARACTERS}"));
    }
    match Json::parse(text) {
        Ok(Json::Object(fields)) => all(fields, &root),
        Ok(_) => root.error("must be an object"),
        Err(error) => root.error(format!("is not valid JSON: {error}")),
    }
}

/// The place in a pattern: its keys, joined by dots.
#[derive(Default)]
struct Path(String);

impl Path {
    fn step(&self, key: &str) -> Path {
        Path(if self.0.is_empty() { key.to_owned() } else { format!("{}.{key}", self.0) })
    }

    fn error<T>(&self, problem: impl Into<String>) -> Parsed<T> {
        let path = if self.0.is_empty() { "top level".to_owned() } else { self.0.clone() };
        Err(PatternError { path, problem: problem.into() })
    }
}

fn all(fields: Vec<(String, Json)>, path: &Path) -> Parsed<Node> {
    if fields.is_empty() {
        return path.error("an empty object matches nothing; add a key");
    }
    let steps = fields.into_iter().map(|(key, value)| {
        let path = path.step(&key);
        match value {
            value if key == "$or" => Ok(Step::Or(alternatives(value, &path)?)),
            Json::Object(fields) => Ok(Step::Key(key, all(fields, &path)?)),
            Json::List(values) if values.is_empty() => path.error("an empty list matches nothing; add a value"),
            Json::List(values) => {
                let rules = values.into_iter().map(|value| rule(value, &path)).collect::<Parsed<_>>()?;
                Ok(Step::Key(key, Node::Any(rules)))
            }
            _ => path.error("must be an object or a list of values, for example [\"INSERT\"]"),
        }
    });
    Ok(Node::All(steps.collect::<Parsed<_>>()?))
}

fn alternatives(value: Json, path: &Path) -> Parsed<Vec<Node>> {
    match value {
        Json::List(list) if list.len() >= 2 => {
            let alternatives = list.into_iter().map(|alternative| match alternative {
                Json::Object(fields) => all(fields, path),
                _ => path.error("each alternative must be an object"),
            });
            alternatives.collect()
        }
        _ => path.error("must be a list of at least two objects"),
    }
}

fn rule(value: Json, path: &Path) -> Parsed<Rule> {
    match value {
        Json::Object(fields) => {
            let (name, operand) = single(fields, path)?;
            operator(&name, operand, &path.step(&name))
        }
        Json::List(_) => path.error("a list within a list is not allowed; list only values"),
        scalar => Ok(Rule::Is(scalar)),
    }
}

fn operator(name: &str, operand: Json, path: &Path) -> Parsed<Rule> {
    match (name, operand) {
        ("exists", Json::Bool(exists)) => Ok(Rule::Exists(exists)),
        ("exists", _) => path.error("must be true or false"),
        ("numeric", Json::List(terms)) => numeric(terms, path),
        ("numeric", _) => path.error("must be a list, for example [\">\", 0, \"<=\", 5]"),
        ("anything-but", operand) => anything_but(operand, path),
        (name, operand) => text_rule(name, operand, path).map(Rule::Text),
    }
}

fn text_rule(name: &str, operand: Json, path: &Path) -> Parsed<TextRule> {
    match (name, operand) {
        ("prefix", Json::Text(text)) => Ok(TextRule::Prefix(text)),
        ("suffix", Json::Text(text)) => Ok(TextRule::Suffix(text)),
        ("prefix", Json::Object(fields)) => ignoring_case(fields, path).map(TextRule::PrefixIgnoreCase),
        ("suffix", Json::Object(fields)) => ignoring_case(fields, path).map(TextRule::SuffixIgnoreCase),
        ("equals-ignore-case", Json::Text(text)) => Ok(TextRule::EqualsIgnoreCase(text.to_lowercase())),
        ("wildcard", Json::Text(text)) => wildcard(&text, path),
        ("prefix" | "suffix", _) => path.error("must be a string or {\"equals-ignore-case\": STRING}"),
        ("equals-ignore-case" | "wildcard", _) => path.error("must be a string"),
        _ => path.error(format!("`{name}` is not a valid operator; expected one of {OPERATORS}")),
    }
}

fn ignoring_case(fields: Vec<(String, Json)>, path: &Path) -> Parsed<String> {
    match single(fields, path)? {
        (name, Json::Text(text)) if name == "equals-ignore-case" => Ok(text.to_lowercase()),
        _ => path.error("must be a string or {\"equals-ignore-case\": STRING}"),
    }
}

fn anything_but(operand: Json, path: &Path) -> Parsed<Rule> {
    let values = match operand {
        Json::Object(fields) => {
            let (name, operand) = single(fields, path)?;
            return no_text(&name, operand, &path.step(&name));
        }
        Json::List(values) => values,
        value => vec![value],
    };
    let texts = values.iter().all(|value| matches!(value, Json::Text(_)));
    let numbers = values.iter().all(|value| matches!(value, Json::Number(_)));
    if values.is_empty() || !(texts || numbers) {
        return path.error("must be strings, numbers, or an object with one operator");
    }
    Ok(Rule::NoneOf(values))
}

fn no_text(name: &str, operand: Json, path: &Path) -> Parsed<Rule> {
    let operands = match operand {
        Json::List(operands) if operands.is_empty() => return path.error("an empty list excludes nothing"),
        Json::List(operands) => operands,
        operand => vec![operand],
    };
    let rules = operands.into_iter().map(|operand| match operand {
        Json::Text(text) if text.is_empty() => path.error("an empty string is not allowed here"),
        operand => text_rule(name, operand, path),
    });
    Ok(Rule::NoText(rules.collect::<Parsed<_>>()?))
}

fn numeric(terms: Vec<Json>, path: &Path) -> Parsed<Rule> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    const SHAPE: &str =
        "must be one comparison, or a lower and an upper bound, for example [\"=\", 3] or [\">\", 0, \"<=\", 5]";
    let (pairs, rest) = terms.as_chunks::<2>();
    let read = pairs.iter().map(|[comparison, limit]| {
        let (Json::Text(comparison), Json::Number(limit)) = (comparison, limit) else { return path.error(SHAPE) };
        let comparison = match comparison.as_str() {
            "<" => Less,
            "<=" => LessOrEqual,
            "=" => Equal,
            ">=" => GreaterOrEqual,
            ">" => Greater,
            _ => {
                return path
                    .error(format!("`{comparison}` is not a valid comparison; expected one of <, <=, =, >=, >"));
            }
        };
        Ok((comparison, limit.clone()))
    });
    let comparisons = read.collect::<Parsed<Vec<_>>>()?;
    match comparisons.as_slice() {
        [_] if rest.is_empty() => {}
        [(Greater | GreaterOrEqual, _), (Less | LessOrEqual, _)] if rest.is_empty() => {}
        _ => return path.error(SHAPE),
    }
    Ok(Rule::Numeric(comparisons))
}

/// `*` stands for any text, `\*` for an asterisk and `\\` for a backslash.
fn wildcard(text: &str, path: &Path) -> Parsed<TextRule> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '*' if parts.len() > 1 && parts.last().is_some_and(String::is_empty) => {
                return path.error("two asterisks in a row are not allowed; one matches any text");
            }
            '*' => {
                parts.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => escaped,
                _ => return path.error("a backslash can only escape * and \\"),
            },
            plain => plain,
        };
        if let Some(part) = parts.last_mut() {
            part.push(literal);
        }
    }
    Ok(TextRule::Wildcard(parts))
}

fn single(fields: Vec<(String, Json)>, path: &Path) -> Parsed<(String, Json)> {
    let count = fields.len();
    let mut fields = fields.into_iter();
    match (fields.next(), count) {
        (Some(field), 1) => Ok(field),
        _ => path.error(format!("an object must have exactly one operator, not {count}")),
    }
}
