//! What a simulation writes and what it means: a change, and the sums that follow from it by plain arithmetic.
//!
//! Nothing here uses the function's own rules, so that the function's results can be checked against a ledger of changes. Only the load
//! of a table of your own has to (see `own`).

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use stream_types::Timestamp;

use super::instant;

/// The attribute that numbers an item's states, so that a write can name the state it replaces.
pub const CHANGE_ATTRIBUTE: &str = "change";

/// An attribute's value, in DynamoDB's notation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attribute {
    /// A string.
    S(String),
    /// A number.
    N(String),
    /// A boolean.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// Null.
    #[serde(rename = "NULL")]
    Null(bool),
    /// Bytes, in base64.
    B(String),
    /// A map.
    M(LoadItem),
    /// A list.
    L(Vec<Attribute>),
    /// A set of strings.
    #[serde(rename = "SS")]
    StringSet(Vec<String>),
    /// A set of numbers.
    #[serde(rename = "NS")]
    NumberSet(Vec<String>),
    /// A set of bytes, in base64.
    #[serde(rename = "BS")]
    BinarySet(Vec<String>),
}

/// An item's attributes by name.
pub type LoadItem = BTreeMap<String, Attribute>;

/// One change of one item, or one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Unique in its ledger, and rising.
    pub number: u64,
    /// What is sent.
    pub write: Write,
    /// What it adds to usage and archive.
    pub meaning: Meaning,
}

/// A write that names the state it replaces, so that repeating it changes nothing. Messages have no state, and can't be
/// repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Puts the whole item.
    Put {
        /// The new state.
        item: LoadItem,
        /// The number of the state it replaces; `None` for a new item.
        replaces: Option<u64>,
    },
    /// Deletes an item.
    Delete {
        /// The item's key.
        key: LoadItem,
        /// The number of the state it has.
        replaces: u64,
    },
    /// Sends a message to a stream.
    Message {
        /// The message's partition key.
        partition_key: String,
        /// The message as JSON.
        data: String,
    },
}

/// What a change adds to usage and archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// The record type in the pipeline.
    pub record_type: String,
    /// What identifies the item or the message's sender.
    pub key: BTreeMap<String, String>,
    /// The amounts that are added to counters. None of them is zero.
    pub adds: Vec<Add>,
    /// The time that decides in which windows they count; `None` if that is the time of the write.
    #[serde(with = "instant::optional", skip_serializing_if = "Option::is_none", default)]
    pub event_time: Option<Timestamp>,
    /// Whether the function must reject the change: it is neither counted nor archived, and ends in the failure
    /// destination.
    pub poison: bool,
    /// The record type of its row in the archive, if it has one.
    pub archived: Option<String>,
}

/// An amount that is added to one counter in each window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// Entity, resource, and whatever else identifies the counter.
    pub group: BTreeMap<String, String>,
    /// The measure's name.
    pub measure: String,
    /// An exact decimal.
    pub amount: String,
}

impl Attribute {
    /// A text.
    pub fn text(text: impl Into<String>) -> Attribute {
        Attribute::S(text.into())
    }

    /// A number, from anything that prints as one.
    pub fn number(number: impl ToString) -> Attribute {
        Attribute::N(number.to_string())
    }

    /// The text of a string or number.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Attribute::S(text) | Attribute::N(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&Attribute> for AttributeValue {
    fn from(attribute: &Attribute) -> AttributeValue {
        match attribute {
            Attribute::S(text) => AttributeValue::S(text.clone()),
            Attribute::N(number) => AttributeValue::N(number.clone()),
            Attribute::Bool(truth) => AttributeValue::Bool(*truth),
            Attribute::Null(null) => AttributeValue::Null(*null),
            Attribute::B(text) => AttributeValue::B(bytes(text)),
            Attribute::M(map) => AttributeValue::M(sdk_item(map)),
            Attribute::L(list) => AttributeValue::L(list.iter().map(Into::into).collect()),
            Attribute::StringSet(texts) => AttributeValue::Ss(texts.clone()),
            Attribute::NumberSet(numbers) => AttributeValue::Ns(numbers.clone()),
            Attribute::BinarySet(texts) => AttributeValue::Bs(texts.iter().map(|text| bytes(text)).collect()),
        }
    }
}

/// The bytes of a text in base64, or the text itself if it isn't base64.
fn bytes(text: &str) -> Blob {
    Blob::new(STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec()))
}

/// The item in the SDK's types.
pub(super) fn sdk_item(item: &LoadItem) -> HashMap<String, AttributeValue> {
    item.iter().map(|(name, value)| (name.clone(), value.into())).collect()
}

/// An item with these attributes.
pub(super) fn item<const N: usize>(attributes: [(&str, Attribute); N]) -> LoadItem {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A map of names to texts, as in keys and groups.
pub(super) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// A number of hundredths as a decimal.
pub(super) fn hundredths(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let magnitude = number.unsigned_abs();
    format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100)
}
