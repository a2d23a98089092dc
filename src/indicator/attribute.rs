//! Attribute values of the SDK as values of records, and back.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::decimal::Decimal;
use crate::record::{Item, Value};

/// A value that the SDK has read. One of a type that the SDK doesn't know is NULL.
pub(super) fn from_attribute(value: AttributeValue) -> Value<'static> {
    let number = |text: &str| Decimal::parse(text).unwrap_or_default();
    match value {
        AttributeValue::S(text) => Value::S(Cow::Owned(text)),
        AttributeValue::N(text) => Value::N(number(&text)),
        AttributeValue::B(bytes) => Value::B(bytes.into_inner()),
        AttributeValue::Bool(value) => Value::Bool(value),
        AttributeValue::M(entries) => Value::M(from_item(entries)),
        AttributeValue::L(list) => Value::L(list.into_iter().map(from_attribute).collect()),
        AttributeValue::Ss(set) => Value::Ss(set.into_iter().map(Cow::Owned).collect()),
        AttributeValue::Ns(set) => Value::Ns(set.iter().map(|text| number(text)).collect()),
        AttributeValue::Bs(set) => Value::Bs(set.into_iter().map(Blob::into_inner).collect()),
        _ => Value::Null,
    }
}

/// An item that the SDK has read.
pub fn from_item(item: HashMap<String, AttributeValue>) -> Item<'static> {
    Item(item.into_iter().map(|(name, value)| (Cow::Owned(name), from_attribute(value))).collect())
}

/// A value for the SDK.
pub(super) fn to_attribute(value: &Value<'_>) -> AttributeValue {
    match value {
        Value::S(text) => AttributeValue::S(text.to_string()),
        Value::N(number) => AttributeValue::N(number.to_string()),
        Value::B(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Null => AttributeValue::Null(true),
        Value::M(item) => {
            AttributeValue::M(item.0.iter().map(|(name, value)| (name.to_string(), to_attribute(value))).collect())
        }
        Value::L(list) => AttributeValue::L(list.iter().map(to_attribute).collect()),
        Value::Ss(set) => AttributeValue::Ss(set.iter().map(ToString::to_string).collect()),
        Value::Ns(set) => AttributeValue::Ns(set.iter().map(ToString::to_string).collect()),
        Value::Bs(set) => AttributeValue::Bs(set.iter().map(|bytes| Blob::new(bytes.clone())).collect()),
    }
}
