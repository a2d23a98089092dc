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
    /// through nested maps, with a dot before each level.
    pub fn at_path(&self, path: &str) -> Option<&Value<'a>> {
        if let Some(value) = self.attribute(path) {
            return Some(value);
        }
        let (head, rest) = path.split_once('.')?;
        match self.attribute(head)? {
            Value::M(inner) => inner.at_path(rest),
            _ => None,
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
