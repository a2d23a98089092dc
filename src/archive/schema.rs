//! Avro schemas, validated and compiled to the tree that encoding walks. This file defines the tree, `compile` builds
//! it, and `encode` walks it.

use std::fmt;
use std::sync::Arc;

use super::compile;
use super::metadata::Metadata;
use crate::time::Unit;

/// The schema of one record type's rows.
#[derive(Debug)]
pub struct RecordSchema {
    parsed: apache_avro::Schema,
    json: String,
    name: String,
    records: Vec<AvroRecord>,
}

impl RecordSchema {
    /// Parses and validates the text of an `.avsc` file.
    ///
    /// # Errors
    /// All mistakes at once, each with the path of its field and what to write instead.
    pub fn parse(avsc_text: &str) -> Result<RecordSchema, Vec<String>> {
        // Editors on Windows begin files with a byte order mark.
        let avsc_text = avsc_text.trim_start_matches('\u{feff}');
        let mut json: serde_json::Value =
            serde_json::from_str(avsc_text).map_err(|error| vec![format!("the schema is not valid JSON: {error}")])?;
        let records = compile::compile(&json)?;
        // The Avro library checks what the compiler doesn't, for example that a field is not defined twice.
        let parsed = apache_avro::Schema::parse_str(avsc_text)
            .map_err(|error| vec![format!("the schema is not a valid Avro schema: {error}")])?;
        write_scales(&mut json);
        let name = records.first().map(|root| root.name.to_string()).unwrap_or_default();
        Ok(RecordSchema { parsed, json: json.to_string(), name, records })
    }

    /// The name of the top-level record, without its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema as JSON on one line, including custom attributes, with the keys of every object sorted.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The schema in the Avro library's form.
    pub fn parsed(&self) -> &apache_avro::Schema {
        &self.parsed
    }

    /// The encoded default of a field of the record type with this full name.
    pub fn default_of(&self, full_name: &str, field: &str) -> Option<&[u8]> {
        let record = self.records.iter().find(|record| record.full_name == full_name)?;
        record.fields.iter().find(|own| own.name == field)?.default.as_deref()
    }

    /// The fields of the top-level record.
    pub(super) fn root(&self) -> &[Field] {
        self.fields(0)
    }

    /// The fields of the record type with this index; see [`TypeNode::Record`].
    pub(super) fn fields(&self, index: usize) -> &[Field] {
        self.records.get(index).map(|record| record.fields.as_slice()).unwrap_or_default()
    }
}

/// Writes out the scale of decimals, which is 0 by default: Hive's reader, which Athena uses, fails on files without it.
fn write_scales(json: &mut serde_json::Value) {
    use serde_json::Value;
    match json {
        Value::Array(parts) => parts.iter_mut().for_each(write_scales),
        Value::Object(object) => {
            if object.get("logicalType").is_some_and(|name| name == "decimal") && !object.contains_key("scale") {
                object.insert("scale".to_owned(), 0.into());
            }
            object.iter_mut().filter(|(key, _)| *key != "default").for_each(|(_, part)| write_scales(part));
        }
        _ => {}
    }
}

/// An Avro record type.
#[derive(Debug)]
pub(super) struct AvroRecord {
    pub name: Arc<str>,
    /// The name with its namespace.
    pub full_name: String,
    pub fields: Vec<Field>,
}

/// One field of a record type.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub origin: Origin,
    pub node: TypeNode,
    /// The encoded default.
    pub default: Option<Vec<u8>>,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The attribute at this path.
    Attribute(String),
    /// The change record itself.
    Metadata(Metadata),
}

/// An Avro type. Record types are referred to by index, so that they can contain themselves.
#[derive(Debug, Clone)]
pub(super) enum TypeNode {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// A string that holds any value as JSON.
    JsonText,
    Fixed(usize),
    Enum(Arc<Enum>),
    Array(Box<TypeNode>),
    Map(Box<TypeNode>),
    Union(Vec<TypeNode>),
    Record {
        index: usize,
        name: Arc<str>,
    },
    Decimal {
        precision: u32,
        scale: u32,
        form: DecimalForm,
    },
    UuidText,
    UuidBytes,
    /// Stored in days. Attributes that are numbers are in `unit`, or in days without it.
    Date {
        unit: Option<Unit>,
    },
    /// Stored in `target`. Attributes that are numbers are in `unit`.
    TimeOfDay {
        target: Unit,
        unit: Unit,
    },
    /// Stored in `target`. Attributes that are numbers are in `unit`.
    Timestamp {
        target: Unit,
        unit: Unit,
    },
}

/// How the unscaled value of a decimal is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum DecimalForm {
    Bytes,
    Fixed(usize),
}

/// An Avro enum.
#[derive(Debug)]
pub(super) struct Enum {
    pub name: String,
    pub symbols: Vec<String>,
}

impl Enum {
    /// The position of `symbol`, as which it is stored.
    pub(super) fn position(&self, symbol: &str) -> Option<usize> {
        self.symbols.iter().position(|other| other == symbol)
    }
}

/// The type as it appears in messages: `long`, `decimal(9, 2)`, `null or string`.
impl fmt::Display for TypeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TypeNode::Null => "null",
            TypeNode::Boolean => "boolean",
            TypeNode::Int => "int",
            TypeNode::Long => "long",
            TypeNode::Float => "float",
            TypeNode::Double => "double",
            TypeNode::Bytes => "bytes",
            TypeNode::String => "string",
            TypeNode::JsonText => "any value as JSON",
            TypeNode::Fixed(size) => return write!(f, "fixed({size})"),
            TypeNode::Enum(symbols) => return write!(f, "enum {}", symbols.name),
            TypeNode::Array(items) => return write!(f, "array of ({items})"),
            TypeNode::Map(values) => return write!(f, "map of ({values})"),
            TypeNode::Union(branches) => return write_union(f, branches),
            TypeNode::Record { name, .. } => return write!(f, "record {name}"),
            TypeNode::Decimal { precision, scale, .. } => return write!(f, "decimal({precision}, {scale})"),
            TypeNode::UuidText | TypeNode::UuidBytes => "uuid",
            TypeNode::Date { .. } => "date",
            TypeNode::TimeOfDay { target: Unit::Milliseconds, .. } => "time-millis",
            TypeNode::TimeOfDay { .. } => "time-micros",
            TypeNode::Timestamp { target: Unit::Milliseconds, .. } => "timestamp-millis",
            TypeNode::Timestamp { .. } => "timestamp-micros",
        })
    }
}

fn write_union(f: &mut fmt::Formatter<'_>, branches: &[TypeNode]) -> fmt::Result {
    branches.iter().enumerate().try_for_each(|(index, branch)| match index {
        0 => write!(f, "{branch}"),
        _ => write!(f, " or {branch}"),
    })
}
