//! A pipeline's Avro schema, checked and compiled to the tree that encoding walks. Says what the tree is made of;
//! making it is `compile`'s work and walking it `encode`'s.

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
    /// Parses and checks the text of an `.avsc` file.
    ///
    /// # Errors
    /// All mistakes at once, each with the path of its field and what to write instead.
    pub fn parse(avsc_text: &str) -> Result<RecordSchema, Vec<String>> {
        let json: serde_json::Value =
            serde_json::from_str(avsc_text).map_err(|error| vec![format!("the schema is no JSON: {error}")])?;
        let records = compile::compile(&json)?;
        // What the compiler doesn't look at, such as the characters in names, the Avro library does.
        let parsed = apache_avro::Schema::parse_str(avsc_text)
            .map_err(|error| vec![format!("the schema is no Avro schema: {error}")])?;
        let name = records.first().map(|root| root.name.to_string()).unwrap_or_default();
        Ok(RecordSchema { parsed, json: json.to_string(), name, records })
    }

    /// The name of the top-level record, without its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema on one line, custom attributes kept, the keys of every object in alphabetical order.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The schema as the Avro library sees it.
    pub fn parsed(&self) -> &apache_avro::Schema {
        &self.parsed
    }

    /// The fields of the top-level record.
    pub(super) fn root(&self) -> &[Field] {
        self.fields(0)
    }

    /// The fields of the record type that [`TypeNode::Record`] names by `index`.
    pub(super) fn fields(&self, index: usize) -> &[Field] {
        self.records.get(index).map(|record| record.fields.as_slice()).unwrap_or_default()
    }
}

/// A record type.
#[derive(Debug)]
pub(super) struct AvroRecord {
    pub name: Arc<str>,
    pub fields: Vec<Field>,
}

/// One field of a record type.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub origin: Origin,
    pub node: TypeNode,
    /// The default, already encoded.
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

/// A type. AvroRecord types are named by index, so that they can contain themselves.
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
    /// Numbers are days unless a unit is given.
    Date {
        unit: Option<Unit>,
    },
    /// Counted in `target`; numbers are in `unit`.
    TimeOfDay {
        target: Unit,
        unit: Unit,
    },
    /// Counted in `target`; numbers are in `unit`.
    Timestamp {
        target: Unit,
        unit: Unit,
    },
}

/// What a decimal's unscaled value is written as.
#[derive(Debug, Clone, Copy)]
pub(super) enum DecimalForm {
    Bytes,
    Fixed(usize),
}

/// An enumeration.
#[derive(Debug)]
pub(super) struct Enum {
    pub name: String,
    pub symbols: Vec<String>,
}

impl Enum {
    /// What `symbol` is written as.
    pub(super) fn position(&self, symbol: &str) -> Option<usize> {
        self.symbols.iter().position(|other| other == symbol)
    }
}

/// The type as a message names it: `long`, `decimal(9, 2)`, `null or string`.
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
            TypeNode::JsonText => "anything, as JSON",
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
