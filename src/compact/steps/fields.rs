//! Which field of an archived row holds what, according to the pipeline's schemas.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use usage_aggregator::archive::RecordSchema;

/// The fields of one record type.
#[derive(Debug, Default)]
pub struct RowFields {
    /// The field of each `source`, such as `record_id`.
    sources: BTreeMap<String, String>,
    /// The field of each attribute, and its type.
    attributes: BTreeMap<String, (String, Value)>,
}

#[derive(Debug, Deserialize)]
struct RecordFields {
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    field_type: Value,
    source: Option<String>,
    attribute: Option<String>,
}

impl RowFields {
    /// The fields of `schema`.
    ///
    /// # Errors
    /// When the schema isn't a record, which validation rules out.
    pub fn new(schema: &RecordSchema) -> anyhow::Result<RowFields> {
        let record: RecordFields = serde_json::from_str(schema.json())?;
        let mut columns = RowFields::default();
        for field in record.fields {
            match (field.source, field.attribute) {
                (Some(source), _) => drop(columns.sources.insert(source, field.name)),
                (None, attribute) => {
                    let attribute = attribute.unwrap_or_else(|| field.name.clone());
                    columns.attributes.insert(attribute, (field.name, field.field_type));
                }
            }
        }
        Ok(columns)
    }

    /// The field that is filled from `source` rather than from an attribute.
    pub fn source(&self, source: &str) -> Option<&str> {
        self.sources.get(source).map(String::as_str)
    }

    /// The field that holds `attribute`, or the map that its path leads through, with its type. Lists aren't read back.
    pub fn attribute(&self, attribute: &str) -> Option<(&str, &Value)> {
        let head = || attribute.split('.').next().filter(|_| !attribute.contains('[')).unwrap_or(attribute);
        let (field, field_type) = self.attributes.get(attribute).or_else(|| self.attributes.get(head()))?;
        Some((field, field_type))
    }

    /// Every attribute that has its own field, with that field.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(attribute, (field, _))| (attribute.as_str(), field.as_str()))
    }

    /// The part of an item's key that a row contains, in a fixed order. An item's rows are counted by it.
    pub fn item(&self, names: &BTreeSet<String>, text_of: impl Fn(&str, &str) -> Option<String>) -> String {
        let known = names.iter().filter_map(|name| Some((name, self.attributes.get(name)?)));
        let texts: BTreeMap<&String, String> =
            known.filter_map(|(name, (field, _))| Some((name, text_of(name, field)?))).collect();
        item_text(&texts)
    }
}

/// An item's key as text.
pub fn item_text<K: Ord + std::fmt::Display, V: std::fmt::Display>(key: &BTreeMap<K, V>) -> String {
    key.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
