//! The values of an item's attributes.

use std::borrow::Cow;

use crate::decimal::Decimal;

/// The attributes of an item, or of a map inside one, in the order in which they were received.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Item<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Item<'a> {
    /// The value of the attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&Value<'a>> {
        // Names of the same length often differ in their last byte (b_tokens_tc, b_tokens_cp), which is checked inline.
        let same =
            |key: &str| key.len() == name.len() && key.as_bytes().last() == name.as_bytes().last() && key == name;
        self.0.iter().find(|(key, _)| same(key)).map(|(_, value)| value)
    }

    /// The value at `path`: the attribute with exactly that name or, if there is none, the one that the path reaches
    /// through nested maps and lists: `lines[0].price` is the price of the first line.
    pub fn at_path(&self, path: &str) -> Option<&Value<'a>> {
        if let Some(value) = self.attribute(path) {
            return Some(value);
        }
        let (name, steps) = Step::split(path)?;
        self.attribute(name)?.at_steps(steps)
    }
}

/// The first of the steps that follow a name in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'p> {
    /// There is none.
    End,
    /// Into a map: the rest is a path of its own.
    Into(&'p str),
    /// To the member of a list, and the steps after it.
    Member(usize, &'p str),
}

impl<'p> Step<'p> {
    /// Splits a path into its first name and the steps that follow it, if there are any.
    pub fn split(path: &'p str) -> Option<(&'p str, &'p str)> {
        // Most attributes that are looked up in vain have short names, which bytes search faster than characters.
        path.split_at_checked(path.bytes().position(|byte| matches!(byte, b'.' | b'['))?)
    }

    /// Reads the first of these steps, which start with a dot or a bracket.
    pub fn first(steps: &'p str) -> Option<Step<'p>> {
        if let Some(path) = steps.strip_prefix('.') {
            return Some(Step::Into(path));
        }
        match steps.strip_prefix('[') {
            Some(member) => {
                let (index, further) = member.split_once(']')?;
                Some(Step::Member(index.parse().ok()?, further))
            }
            None => steps.is_empty().then_some(Step::End),
        }
    }
}

/// One DynamoDB attribute value. Numbers are exact and binary values are decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A string.
    S(Cow<'a, str>),
    /// A number.
    N(Decimal),
    /// A binary value.
    B(Vec<u8>),
    /// A boolean.
    Bool(bool),
    /// NULL.
    Null,
    /// A map.
    M(Item<'a>),
    /// A list.
    L(Vec<Value<'a>>),
    /// A set of strings.
    Ss(Vec<Cow<'a, str>>),
    /// A set of numbers.
    Ns(Vec<Decimal>),
    /// A set of binary values.
    Bs(Vec<Vec<u8>>),
}

impl<'a> Value<'a> {
    fn at_steps(&self, steps: &str) -> Option<&Value<'a>> {
        match (Step::first(steps)?, self) {
            (Step::End, value) => Some(value),
            (Step::Into(path), Value::M(inner)) => inner.at_path(path),
            (Step::Member(index, further), Value::L(members)) => members.get(index)?.at_steps(further),
            _ => None,
        }
    }
}

impl Value<'_> {
    /// DynamoDB's name for the type of this value.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::S(_) => "S",
            Value::N(_) => "N",
            Value::B(_) => "B",
            Value::Bool(_) => "BOOL",
            Value::Null => "NULL",
            Value::M(_) => "M",
            Value::L(_) => "L",
            Value::Ss(_) => "SS",
            Value::Ns(_) => "NS",
            Value::Bs(_) => "BS",
        }
    }
}
