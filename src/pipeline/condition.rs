//! `where` conditions on the attributes of an image.

use crate::decimal::Decimal;
use crate::outline::{Entry, Outline, Tag};

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Number(Decimal),
    Bool(bool),
}

impl Scalar {
    /// Whether an attribute has this type and value.
    pub fn equals(&self, value: Entry<'_>) -> bool {
        match self {
            Scalar::Text(wanted) => value.string().is_some_and(|text| *wanted == *text),
            Scalar::Number(wanted) => value.number().is_some_and(|number| *wanted == number),
            Scalar::Bool(true) => value.tag() == Tag::True,
            Scalar::Bool(false) => value.tag() == Tag::False,
        }
    }
}

/// What an attribute must be for an image to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub path: String,
    pub test: Test,
}

/// The test of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    AnyOf(Vec<Scalar>),
    /// True of an absent attribute, too.
    NoneOf(Vec<Scalar>),
    Exists,
    Absent,
}

impl Condition {
    /// Whether `item` meets this condition.
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
