//! What a simulation writes and what that means: a change, and the sums that follow from it by plain arithmetic.
//!
//! Nothing here uses the function's own rules, so that a ledger of changes can be held against what the function made.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// The attribute that numbers an item's state, so that a write can say which state it replaces.
pub const CHANGE_ATTRIBUTE: &str = "change";

/// An attribute's value, in DynamoDB's notation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attribute {
    S(String),
    N(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
}

/// An item's attributes by name.
pub type Item = BTreeMap<String, Attribute>;

/// One change of one item, or one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Unique in its ledger, rising.
    pub number: u64,
    pub write: Write,
    pub meaning: Meaning,
}

/// A write that says which state it replaces, so that repeating it changes nothing; but for messages, which can't be
/// repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// The whole item, in place of the state with this number, or of none.
    Put { item: Item, replaces: Option<u64> },
    /// The item of this key, which has the state with this number.
    Delete { key: Item, replaces: u64 },
    /// A message to a stream.
    Message { partition_key: String, data: String },
}

/// What a change means for usage and archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    pub record_type: String,
    /// What tells the item or the message's sender apart, as texts.
    pub key: BTreeMap<String, String>,
    /// What is added to which counters; none is zero.
    pub adds: Vec<Add>,
    /// Whether the change must be rejected: not counted, not archived, and kept by the failure destination.
    pub poison: bool,
    /// The record type of its row in the archive.
    pub archived: Option<String>,
}

/// What is added to one counter of each window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// Entity, resource, and what else tells counters apart.
    pub group: BTreeMap<String, String>,
    pub measure: String,
    /// An exact decimal.
    pub amount: String,
}

impl Attribute {
    /// A text.
    pub fn text(text: impl Into<String>) -> Attribute {
        Attribute::S(text.into())
    }

    /// A number, given by anything that prints as one.
    pub fn number(number: impl ToString) -> Attribute {
        Attribute::N(number.to_string())
    }

    /// The text of a text or number.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Attribute::S(text) | Attribute::N(text) => Some(text),
            Attribute::Bool(_) => None,
        }
    }
}

impl From<&Attribute> for AttributeValue {
    fn from(attribute: &Attribute) -> AttributeValue {
        match attribute {
            Attribute::S(text) => AttributeValue::S(text.clone()),
            Attribute::N(number) => AttributeValue::N(number.clone()),
            Attribute::Bool(truth) => AttributeValue::Bool(*truth),
        }
    }
}

/// The item as the SDK takes it.
pub(super) fn sdk_item(item: &Item) -> HashMap<String, AttributeValue> {
    item.iter().map(|(name, value)| (name.clone(), value.into())).collect()
}

/// An item of these attributes.
pub(super) fn item<const N: usize>(attributes: [(&str, Attribute); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Names and texts, as keys and groups have them.
pub(super) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// A number of hundredths as decimal text.
pub(super) fn hundredths(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let magnitude = number.unsigned_abs();
    format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100)
}
