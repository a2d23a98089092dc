//! What a pattern means: keys that must all match, and at each end a list of rules of which one must.

use std::cmp::Ordering;

use super::json::Json;
use stream_types::Decimal;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// All of them must match.
    All(Vec<Step>),
    /// One of them must match.
    Any(Vec<Rule>),
}

/// One condition on an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Key(String, Node),
    /// `$or`: alternatives about the same object.
    Or(Vec<Node>),
}

/// What a value must be like.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// This very null, boolean, number by its text, or string.
    Is(Json),
    Text(TextRule),
    /// There, and none of these values.
    NoneOf(Vec<Json>),
    /// There, and none of these rules.
    NoText(Vec<TextRule>),
    /// A JSON number that passes all comparisons. DynamoDB's numbers are strings.
    Numeric(Vec<(Comparison, String)>),
    Exists(bool),
}

/// What a string must be like.
#[derive(Debug, Clone, PartialEq)]
pub enum TextRule {
    Prefix(String),
    Suffix(String),
    /// These three hold their text in lower case.
    EqualsIgnoreCase(String),
    PrefixIgnoreCase(String),
    SuffixIgnoreCase(String),
    /// The literal parts between the asterisks.
    Wildcard(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Node {
    /// Whether a record, or a part of it, is as this says.
    pub fn matches(&self, value: &Json) -> bool {
        self.holds(Some(value))
    }

    /// Whether a top-level key of the pattern, in whatever alternative, is `name`.
    pub fn names(&self, name: &str) -> bool {
        let Node::All(steps) = self else { return false };
        steps.iter().any(|step| match step {
            Step::Key(key, _) => key == name,
            Step::Or(alternatives) => alternatives.iter().any(|alternative| alternative.names(name)),
        })
    }

    fn holds(&self, value: Option<&Json>) -> bool {
        match (self, value) {
            (Node::Any(rules), value) => any_rule(rules, value),
            // One element must match as a whole: keys of different elements don't add up.
            (Node::All(_), Some(Json::List(list))) if !list.is_empty() => {
                list.iter().any(|element| self.holds(Some(element)))
            }
            (Node::All(steps), value) => steps.iter().all(|step| match step {
                Step::Key(key, node) => node.holds(value.and_then(|value| value.field(key))),
                Step::Or(alternatives) => alternatives.iter().any(|alternative| alternative.holds(value)),
            }),
        }
    }
}

fn any_rule(rules: &[Rule], value: Option<&Json>) -> bool {
    let mut leaves = Vec::new();
    collect_leaves(value, &mut leaves);
    if leaves.is_empty() {
        // Nothing there, or something that isn't a leaf.
        return rules.contains(&Rule::Exists(false));
    }
    leaves.iter().any(|leaf| rules.iter().any(|rule| rule.matches(leaf)))
}

/// The scalars that `value` is or lists.
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

/// The first part must begin the text and the last must end it; between them each is taken where it comes first.
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

/// Exact within 38 digits, and as doubles beyond.
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

    /// The meaning of a wildcard, spelled out: an asterisk is nothing, or one character and an asterisk.
    fn means(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], text) => means(rest, text) || (!text.is_empty() && means(pattern, &text[1..])),
            ([p, rest @ ..], [t, after @ ..]) => p == t && means(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_what_they_mean(pattern in "[ab*]{0,6}", text in "[ab]{0,10}") {
            let parts: Vec<String> = pattern.split('*').map(str::to_owned).collect();
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(wildcard(&parts, &text), means(&characters(&pattern), &characters(&text)));
        }

        #[test]
        fn numbers_compare_as_numbers(a: i64, b: i64, zeros in 0_usize..3) {
            let a_text = format!("{a}.{}", "0".repeat(zeros + 1));
            prop_assert_eq!(compare(&a_text, &b.to_string()), Some(a.cmp(&b)));
        }
    }
}
