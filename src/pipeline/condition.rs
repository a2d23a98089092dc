//! `where` conditions: what the attributes of an image must be for a record to match or count.

use std::fmt;

use crate::decimal::Decimal;
use crate::outline::{Entry, Outline, Tag};

/// A value that an attribute is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// A number, compared by value.
    Number(Decimal),
    /// A boolean.
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Number(number) => write!(f, "{number}"),
            Scalar::Bool(value) => write!(f, "{value}"),
        }
    }
}

impl Scalar {
    /// Whether `value` has this type and value.
    pub fn equals(&self, value: Entry<'_>) -> bool {
        match self {
            Scalar::Text(wanted) => value.string().is_some_and(|text| *wanted == *text),
            Scalar::Number(wanted) => value.number().is_some_and(|number| *wanted == number),
            Scalar::Bool(true) => value.tag() == Tag::True,
            Scalar::Bool(false) => value.tag() == Tag::False,
        }
    }
}

/// A condition on one attribute of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The path of the attribute.
    pub path: String,
    /// What its value must be.
    pub test: Test,
}

/// The test of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The attribute equals one of these values.
    AnyOf(Vec<Scalar>),
    /// The attribute equals none of these values, or doesn't exist.
    NoneOf(Vec<Scalar>),
    /// The attribute exists.
    Exists,
    /// The attribute doesn't exist.
    Absent,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |list: &[Scalar]| list.iter().map(Scalar::to_string).collect::<Vec<_>>().join(" or ");
        match self {
            Test::AnyOf(values) => f.write_str(&list(values)),
            Test::NoneOf(values) => write!(f, "other than {}", list(values)),
            Test::Exists => f.write_str("present"),
            Test::Absent => f.write_str("absent"),
        }
    }
}

impl Condition {
    /// Whether `item` meets the condition.
    pub fn holds(&self, item: Outline<'_>) -> bool {
        let value = item.at_path(&self.path);
        let among = |list: &[Scalar]| value.is_some_and(|value| list.iter().any(|scalar| scalar.equals(value)));
        match &self.test {
            Test::AnyOf(list) => among(list),
            Test::NoneOf(list) => !among(list),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
        }
    }
}
