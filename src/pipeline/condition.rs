//! `where` conditions: what the attributes of an image must be for a record to match or count.

use std::cmp::Ordering;
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

    /// How `value` compares with this one. Strings are compared byte by byte, as DynamoDB does; values of other types have
    /// no order.
    fn order_of(&self, value: Entry<'_>) -> Option<Ordering> {
        match self {
            Scalar::Text(limit) => Some(value.string()?.as_ref().cmp(limit.as_str())),
            Scalar::Number(limit) => Some(value.number()?.cmp(limit)),
            Scalar::Bool(_) => None,
        }
    }

    fn has_type_of(&self, value: Entry<'_>) -> bool {
        match self {
            Scalar::Text(_) => value.tag() == Tag::S,
            Scalar::Number(_) => value.tag() == Tag::N,
            Scalar::Bool(_) => matches!(value.tag(), Tag::True | Tag::False),
        }
    }
}

/// How a value must compare with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// At least the limit.
    Ge,
    /// More than the limit.
    Gt,
    /// At most the limit.
    Le,
    /// Less than the limit.
    Lt,
}

impl Operator {
    /// Whether a value that compares with the limit like this is right.
    pub fn admits(self, order: Ordering) -> bool {
        match self {
            Operator::Ge => order.is_ge(),
            Operator::Gt => order.is_gt(),
            Operator::Le => order.is_le(),
            Operator::Lt => order.is_lt(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Ge => "at least",
            Operator::Gt => "greater than",
            Operator::Le => "at most",
            Operator::Lt => "less than",
        })
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
    /// The attribute exists and isn't NULL.
    Exists,
    /// The attribute doesn't exist, or is NULL.
    Absent,
    /// The attribute has the type of the limit, which is a string or a number, and compares with it like this.
    Compare(Operator, Scalar),
    /// The attribute is a string that starts with this.
    Prefix(String),
    /// The attribute has a size that compares with this one like this; see [`size`].
    Size(Operator, usize),
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |list: &[Scalar]| list.iter().map(Scalar::to_string).collect::<Vec<_>>().join(" or ");
        match self {
            Test::AnyOf(values) => f.write_str(&list(values)),
            Test::NoneOf(values) => write!(f, "other than {}", list(values)),
            Test::Exists => f.write_str("present"),
            Test::Absent => f.write_str("absent"),
            Test::Compare(operator, limit) => write!(f, "{operator} {limit}"),
            Test::Prefix(prefix) => write!(f, "a string that starts with {prefix}"),
            Test::Size(operator, size) => write!(f, "of size {operator} {size}"),
        }
    }
}

impl Condition {
    /// Whether `item` meets the condition.
    pub fn holds(&self, item: Outline<'_>) -> bool {
        let value = item.value_at(&self.path);
        let among = |list: &[Scalar]| value.is_some_and(|value| list.iter().any(|scalar| scalar.equals(value)));
        match &self.test {
            Test::AnyOf(list) => among(list),
            Test::NoneOf(list) => !among(list),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Compare(operator, limit) => {
                value.and_then(|value| limit.order_of(value)).is_some_and(|order| operator.admits(order))
            }
            Test::Prefix(prefix) => value.and_then(Entry::string).is_some_and(|text| text.starts_with(prefix.as_str())),
            Test::Size(operator, limit) => value.and_then(size).is_some_and(|size| operator.admits(size.cmp(limit))),
        }
    }

    /// What `value`, which doesn't meet the condition, is, in words that show the difference.
    pub fn found(&self, value: Entry<'_>) -> String {
        let text = match value.tag() {
            Tag::True => "true".into(),
            Tag::False => "false".into(),
            _ => value.string().or_else(|| Some(value.digits()?.into())).unwrap_or_else(|| value.type_name().into()),
        };
        let is_comparable = match &self.test {
            Test::AnyOf(list) => list.iter().any(|scalar| scalar.has_type_of(value)),
            Test::Compare(_, limit) => limit.has_type_of(value),
            Test::Prefix(_) => value.tag() == Tag::S,
            Test::Size(..) => match size(value) {
                Some(size) => return format!("{} of size {size}", value.type_name()),
                None => false,
            },
            Test::NoneOf(_) | Test::Exists | Test::Absent => true,
        };
        match value.tag() {
            Tag::S if !is_comparable => format!("the string {text}"),
            Tag::N if !is_comparable => format!("the number {text}"),
            _ => text.into_owned(),
        }
    }
}

/// The number of members of a list, map or set, of characters of a string, or of bytes of a binary value.
fn size(value: Entry<'_>) -> Option<usize> {
    match value.tag() {
        Tag::S => value.string().map(|text| text.chars().count()),
        Tag::B => value.binary().map(|bytes| bytes.len()),
        Tag::M => value.map().map(|map| map.entries().count()),
        Tag::L | Tag::Ss | Tag::Ns | Tag::Bs => value.list().map(|list| list.entries().count()),
        Tag::N | Tag::True | Tag::False | Tag::Null => None,
    }
}

#[cfg(test)]
mod tests;
