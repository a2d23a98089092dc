//! Evaluates patterns: all keys of a pattern must match, and for each key, one of the rules listed.

use std::cmp::Ordering;

use super::json::Json;
use stream_types::Decimal;

/// A pattern, or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// An object: all of its steps must match.
    All(Vec<Step>),
    /// A list: one of its rules must match.
    Any(Vec<Rule>),
}

/// A condition on an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The value of a key must match.
    Key(String, Node),
    /// `$or`: one of the alternatives must match the object.
    Or(Vec<Node>),
}

/// A condition on a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// The value equals this one. Numbers are compared by their text.
    Is(Json),
    /// The value is a string that matches.
    Text(TextRule),
    /// `anything-but`: the value exists and is none of these.
    NoneOf(Vec<Json>),
    /// `anything-but` with an operator: the value exists and matches none of these.
    NoText(Vec<TextRule>),
    /// The value is a JSON number that all comparisons hold for. DynamoDB's numbers are strings.
    Numeric(Vec<(Comparison, String)>),
    /// The value exists, or doesn't.
    Exists(bool),
}

/// A condition on a string.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextRule {
    Prefix(String),
    Suffix(String),
    /// This text and the next two are in lower case.
    EqualsIgnoreCase(String),
    PrefixIgnoreCase(String),
    SuffixIgnoreCase(String),
    /// The literal parts between the asterisks.
    Wildcard(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Node {
    /// Whether a value matches this part of the pattern.
    pub(super) fn matches(&self, value: &Json) -> bool {
        self.matches_option(Some(value))
    }

    /// Whether `name` is a top-level key of the pattern or of one of its alternatives.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let Node::All(steps) = self else { return false };
        steps.iter().any(|step| match step {
            Step::Key(key, _) => key == name,
            Step::Or(alternatives) => alternatives.iter().any(|alternative| alternative.mentions(name)),
        })
    }

    fn matches_option(&self, value: Option<&Json>) -> bool {
        match (self, value) {
            (Node::Any(rules), value) => any_rule(rules, value),
            // One element must match all keys: matches in different elements don't add up.
            (Node::All(_), Some(Json::List(list))) if !list.is_empty() => {
                list.iter().any(|element| self.matches_option(Some(element)))
            }
            (Node::All(steps), value) => steps.iter().all(|step| match step {
                Step::Key(key, node) => node.matches_option(value.and_then(|value| value.field(key))),
                Step::Or(alternatives) => alternatives.iter().any(|alternative| alternative.matches_option(value)),
            }),
        }
    }
}

fn any_rule(rules: &[Rule], value: Option<&Json>) -> bool {
    let mut leaves = Vec::new();
    collect_leaves(value, &mut leaves);
    if leaves.is_empty() {
        // The value is absent, or an object.
        return rules.contains(&Rule::Exists(false));
    }
    leaves.iter().any(|leaf| rules.iter().any(|rule| rule.matches(leaf)))
}

/// Collects the scalars in a value: the value itself, or the elements of a list.
fn collect_leaves<'a>(value: Option<&'a Json>, leaves: &mut Vec<&'a Json>) {
    match value {
        None | Some(Json::Object(_)) => {}
        Some(Json::List(list)) => list.iter().for_each(|element| collect_leaves(Some(element), leaves)),
        Some(leaf) => leaves.push(leaf),
    }
}

impl Rule {
    fn matches(&self, leaf: &Json) -> bool {
        match (self, leaf) {
            (Rule::Is(value), leaf) => value == leaf,
            (Rule::Text(rule), Json::Text(text)) => rule.matches(text),
            (Rule::NoneOf(values), leaf) => !values.contains(leaf),
            (Rule::NoText(rules), Json::Text(text)) => !rules.iter().any(|rule| rule.matches(text)),
            (Rule::NoText(_), _) => true,
            (Rule::Numeric(limits), Json::Number(number)) => {
                limits.iter().all(|(comparison, limit)| comparison.holds(compare(number, limit)))
            }
            (Rule::Text(_) | Rule::Numeric(_), _) => false,
            (Rule::Exists(exists), _) => *exists,
        }
    }
}

impl TextRule {
    fn matches(&self, text: &str) -> bool {
        match self {
            TextRule::Prefix(prefix) => text.starts_with(prefix),
            TextRule::Suffix(suffix) => text.ends_with(suffix),
            TextRule::EqualsIgnoreCase(lower) => text.to_lowercase() == *lower,
            TextRule::PrefixIgnoreCase(lower) => text.to_lowercase().starts_with(lower),
            TextRule::SuffixIgnoreCase(lower) => text.to_lowercase().ends_with(lower),
            TextRule::Wildcard(parts) => wildcard(parts, text),
        }
    }
}

/// The first part must begin the text and the last must end it. Each part between them is matched at its first occurrence.
fn wildcard(parts: &[String], text: &str) -> bool {
    match parts {
        [] => text.is_empty(),
        [only] => text == only,
        [first, middle @ .., last] => {
            let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
            for part in middle {
                let Some((_, after)) = rest.split_once(part.as_str()) else { return false };
                rest = after;
            }
            rest.ends_with(last.as_str())
        }
    }
}

impl Comparison {
    fn holds(self, order: Option<Ordering>) -> bool {
        order.is_some_and(|order| match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Equal => order.is_eq(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::Greater => order.is_gt(),
        })
    }
}

/// Exact up to 38 digits; beyond that, as doubles.
fn compare(a: &str, b: &str) -> Option<Ordering> {
    let difference = Decimal::parse(a).and_then(|a| a.checked_sub(Decimal::parse(b)?));
    match difference {
        Ok(difference) => difference.to_f64().partial_cmp(&0.0),
        Err(_) => a.parse::<f64>().ok()?.partial_cmp(&b.parse::<f64>().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A slow definition of wildcards: an asterisk matches nothing, or one character followed by an asterisk.
    fn matches_by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], text) => {
                matches_by_definition(rest, text) || (!text.is_empty() && matches_by_definition(pattern, &text[1..]))
            }
            ([p, rest @ ..], [t, after @ ..]) => p == t && matches_by_definition(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_by_definition(pattern in "[ab*]{0,6}", text in "[ab]{0,10}") {
            let parts: Vec<String> = pattern.split('*').map(str::to_owned).collect();
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(wildcard(&parts, &text), matches_by_definition(&characters(&pattern), &characters(&text)));
        }

        #[test]
        fn numbers_compare_as_numbers(a: i64, b: i64, zeros in 0_usize..3) {
            let a_text = format!("{a}.{}", "0".repeat(zeros + 1));
            prop_assert_eq!(compare(&a_text, &b.to_string()), Some(a.cmp(&b)));
        }
    }
}
