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
    records: Vec<Record>,
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

    /// The fields of the record type that [`Node::Record`] names by `index`.
    pub(super) fn fields(&self, index: usize) -> &[Field] {
        self.records.get(index).map(|record| record.fields.as_slice()).unwrap_or_default()
    }
}

/// A record type.
#[derive(Debug)]
pub(super) struct Record {
    pub name: Arc<str>,
    pub fields: Vec<Field>,
}

/// One field of a record type.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub origin: Origin,
    pub node: Node,
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

/// A type. Record types are named by index, so that they can contain themselves.
#[derive(Debug, Clone)]
pub(super) enum Node {
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
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
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
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Node::Null => "null",
            Node::Boolean => "boolean",
            Node::Int => "int",
            Node::Long => "long",
            Node::Float => "float",
            Node::Double => "double",
            Node::Bytes => "bytes",
            Node::String => "string",
            Node::JsonText => "anything, as JSON",
            Node::Fixed(size) => return write!(f, "fixed({size})"),
            Node::Enum(symbols) => return write!(f, "enum {}", symbols.name),
            Node::Array(items) => return write!(f, "array of ({items})"),
            Node::Map(values) => return write!(f, "map of ({values})"),
            Node::Union(branches) => return write_union(f, branches),
            Node::Record { name, .. } => return write!(f, "record {name}"),
            Node::Decimal { precision, scale, .. } => return write!(f, "decimal({precision}, {scale})"),
            Node::UuidText | Node::UuidBytes => "uuid",
            Node::Date { .. } => "date",
            Node::TimeOfDay { target: Unit::Milliseconds, .. } => "time-millis",
            Node::TimeOfDay { .. } => "time-micros",
            Node::Timestamp { target: Unit::Milliseconds, .. } => "timestamp-millis",
            Node::Timestamp { .. } => "timestamp-micros",
        })
    }
}

fn write_union(f: &mut fmt::Formatter<'_>, branches: &[Node]) -> fmt::Result {
    branches.iter().enumerate().try_for_each(|(index, branch)| match index {
        0 => write!(f, "{branch}"),
        _ => write!(f, " or {branch}"),
    })
}
