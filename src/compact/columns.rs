//! The Parquet columns for an Avro schema. What Parquet can't hold is refused with its path and what to do instead.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordSchema as AvroRecord, ResolvedSchema, UnionSchema, UuidSchema};
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{GroupTypeBuilder, Type, TypePtr};
use usage_aggregator::archive::RecordSchema;

/// The constant column with the unit of the rows.
pub const UNIT: &str = "unit";
/// The constant column with the second from which on the file counts.
pub const EFFECTIVE: &str = "effective";

/// A field, and how its values become the values of Parquet's columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub name: String,
    pub is_optional: bool,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Leaf(Leaf),
    /// The fields of a record.
    Record(Vec<Column>),
    /// The members of a union of several types, by branch; `None` for null.
    Union(Vec<Option<Column>>),
    /// The elements.
    Array(Box<Column>),
    /// The values; keys are texts.
    Map(Box<Column>),
}

/// A column of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Decimal { precision: usize, scale: usize },
    Date,
    TimestampMillis,
}

/// The columns of a record type, and where its record ids are.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub columns: Vec<Column>,
    /// The index of the field with the record id.
    pub record_id: usize,
    /// The index of the first field that comes from an attribute, if its values have an order: rows are sorted by it.
    pub sorted_by: Option<usize>,
}

impl Columns {
    /// The columns for `schema`.
    ///
    /// # Errors
    /// With one line for each field that can't be compacted.
    pub(crate) fn of(schema: &RecordSchema) -> Result<Columns, Vec<String>> {
        let json: serde_json::Value = serde_json::from_str(schema.json()).unwrap_or_default();
        let fields = json.get("fields").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let source =
            |field: &serde_json::Value| field.get("source").and_then(|source| source.as_str().map(str::to_owned));
        let record_id = fields.iter().position(|field| source(field).as_deref() == Some("record_id"));
        let resolved = ResolvedSchema::new(schema.parsed()).map_err(|error| vec![error.to_string()])?;
        let Schema::Record(record) = schema.parsed() else { return Err(vec!["the schema is not a record".to_owned()]) };
        let mut builder = Builder { names: resolved.get_names(), within: vec![&record.name], mistakes: Vec::new() };
        if record_id.is_none() {
            builder.mistakes.push(NO_RECORD_ID.to_owned());
        }
        let columns = builder.fields("", record).unwrap_or_default();
        let names = record.fields.iter().map(|field| &field.name);
        for name in names.filter(|name| [UNIT, EFFECTIVE].contains(&name.to_lowercase().as_str())) {
            builder.mistakes.push(format!(
                "{name}: compacted files have their own column with this name; rename the field, with \"attribute\": \"{name}\""
            ));
        }
        if !builder.mistakes.is_empty() {
            return Err(builder.mistakes);
        }
        let first = fields.iter().position(|field| source(field).is_none());
        let has_order = |index: &usize| columns.get(*index).is_some_and(Column::has_order);
        Ok(Columns { record_id: record_id.unwrap_or_default(), sorted_by: first.filter(has_order), columns })
    }

    /// The schema of the Parquet file.
    pub(crate) fn parquet(&self) -> Result<TypePtr, ParquetError> {
        let mut fields = self.columns.iter().map(Column::parquet).collect::<Result<Vec<_>, _>>()?;
        let text = Column { name: UNIT.to_owned(), is_optional: false, kind: Kind::Leaf(Leaf::Text) };
        let long = Column { name: EFFECTIVE.to_owned(), is_optional: false, kind: Kind::Leaf(Leaf::Long) };
        fields.extend([text.parquet()?, long.parquet()?]);
        Type::group_type_builder("row").with_fields(fields).build().map(Arc::new)
    }

    /// The index among Parquet's columns of the first one of the field at `index`.
    pub(crate) fn first_leaf(&self, index: usize) -> usize {
        self.columns.iter().take(index).map(Column::leaves).sum()
    }
}

const NO_RECORD_ID: &str =
    "no field has \"source\": \"record_id\", by which compaction keeps each record once; add one";

impl Column {
    /// How many of Parquet's columns it has.
    pub(crate) fn leaves(&self) -> usize {
        match &self.kind {
            Kind::Leaf(_) => 1,
            Kind::Record(fields) => fields.iter().map(Column::leaves).sum(),
            Kind::Union(members) => members.iter().flatten().map(Column::leaves).sum(),
            Kind::Array(element) => element.leaves(),
            Kind::Map(value) => 1 + value.leaves(),
        }
    }

    /// Whether rows can be sorted by its values.
    fn has_order(&self) -> bool {
        let ordered = [Leaf::Int, Leaf::Long, Leaf::Text, Leaf::Bytes, Leaf::Date, Leaf::TimestampMillis];
        !self.is_optional && matches!(&self.kind, Kind::Leaf(leaf) if ordered.contains(leaf))
    }

    fn parquet(&self) -> Result<TypePtr, ParquetError> {
        let repetition = if self.is_optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let built = match &self.kind {
            Kind::Leaf(leaf) => return leaf.parquet(&self.name, repetition),
            Kind::Record(fields) => group(&self.name, fields.iter().map(Column::parquet).collect::<Result<_, _>>()?),
            Kind::Union(members) => {
                group(&self.name, members.iter().flatten().map(Column::parquet).collect::<Result<_, _>>()?)
            }
            Kind::Array(element) => {
                let list = group("list", vec![element.parquet()?]).with_repetition(Repetition::REPEATED).build()?;
                group(&self.name, vec![Arc::new(list)]).with_logical_type(Some(LogicalType::List))
            }
            Kind::Map(value) => {
                let key = Leaf::Text.parquet("key", Repetition::REQUIRED)?;
                let entry = group("key_value", vec![key, value.parquet()?]);
                let entry = entry.with_repetition(Repetition::REPEATED).build()?;
                group(&self.name, vec![Arc::new(entry)]).with_logical_type(Some(LogicalType::Map))
            }
        };
        built.with_repetition(repetition).build().map(Arc::new)
    }
}

fn group(name: &str, fields: Vec<TypePtr>) -> GroupTypeBuilder<'_> {
    Type::group_type_builder(name).with_fields(fields)
}

impl Leaf {
    fn parquet(self, name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match self {
            Leaf::Null => (Physical::INT32, Some(LogicalType::Unknown)),
            Leaf::Boolean => (Physical::BOOLEAN, None),
            Leaf::Int => (Physical::INT32, None),
            Leaf::Long => (Physical::INT64, None),
            Leaf::Float => (Physical::FLOAT, None),
            Leaf::Double => (Physical::DOUBLE, None),
            Leaf::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Leaf::Bytes => (Physical::BYTE_ARRAY, None),
            Leaf::Date => (Physical::INT32, Some(LogicalType::Date)),
            Leaf::TimestampMillis => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
            Leaf::Decimal { precision, scale } => {
                let int = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
                let logical = LogicalType::decimal(int(scale), int(precision));
                let builder = Type::primitive_type_builder(name, Physical::FIXED_LEN_BYTE_ARRAY);
                let builder = builder.with_length(int(decimal_bytes(precision))).with_logical_type(Some(logical));
                let builder = builder.with_precision(int(precision)).with_scale(int(scale));
                return builder.with_repetition(repetition).build().map(Arc::new);
            }
        };
        let builder = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        builder.with_repetition(repetition).build().map(Arc::new)
    }
}

/// The bytes of a two's complement number with this many decimal digits.
pub(crate) fn decimal_bytes(precision: usize) -> usize {
    // log2(10) = 3.321928…, rounded up, and one bit for the sign.
    let bits = (precision * 3_321_929).div_ceil(1_000_000) + 1;
    bits.div_ceil(8)
}

struct Builder<'s> {
    names: &'s HashMap<Name, &'s Schema>,
    /// The record types around the current field.
    within: Vec<&'s Name>,
    mistakes: Vec<String>,
}

/// The methods return `None` after recording a mistake.
impl<'s> Builder<'s> {
    fn mistake<T>(&mut self, path: &str, text: &str) -> Option<T> {
        self.mistakes.push(format!("{path}: {text}"));
        None
    }

    fn fields(&mut self, path: &str, record: &'s AvroRecord) -> Option<Vec<Column>> {
        if record.fields.is_empty() {
            return self.mistake(path, "Parquet can't hold a record without fields; add one, or use a map");
        }
        // All fields are visited, even after a mistake.
        let mut columns = Vec::new();
        for field in &record.fields {
            let inner = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            columns.push(self.column(&inner, &field.name, &field.schema));
        }
        columns.into_iter().collect()
    }

    fn column(&mut self, path: &str, name: &str, schema: &'s Schema) -> Option<Column> {
        let required = |kind: Kind| Column { name: name.to_owned(), is_optional: false, kind };
        let leaf = match schema {
            Schema::Null => {
                return Some(Column { is_optional: true, ..required(Kind::Leaf(Leaf::Null)) });
            }
            Schema::Boolean => Leaf::Boolean,
            Schema::Int | Schema::TimeMillis => Leaf::Int,
            Schema::Long | Schema::TimeMicros | Schema::TimestampMicros => Leaf::Long,
            Schema::Float => Leaf::Float,
            Schema::Double => Leaf::Double,
            Schema::String | Schema::Enum(_) | Schema::Uuid(UuidSchema::String) => Leaf::Text,
            Schema::Bytes | Schema::Fixed(_) | Schema::Uuid(_) => Leaf::Bytes,
            Schema::Decimal(decimal) => Leaf::Decimal { precision: decimal.precision, scale: decimal.scale },
            Schema::Date => Leaf::Date,
            Schema::TimestampMillis => Leaf::TimestampMillis,
            Schema::Array(array) => {
                return Some(required(Kind::Array(Box::new(self.column(path, "element", &array.items)?))));
            }
            Schema::Map(map) => {
                return Some(required(Kind::Map(Box::new(self.column(path, "value", &map.types)?))));
            }
            Schema::Record(record) => {
                if self.within.contains(&&record.name) {
                    return self.mistake(
                        path,
                        "a column can't contain its own type; archive it as JSON with \"as\": \"json\"",
                    );
                }
                self.within.push(&record.name);
                let fields = self.fields(path, record);
                self.within.pop();
                return Some(required(Kind::Record(fields?)));
            }
            Schema::Union(union) => return self.union(path, name, union),
            Schema::Ref { name: reference } => {
                return match self.names.get(reference).copied() {
                    Some(schema) => self.column(path, name, schema),
                    None => self.mistake(path, "names an unknown type"),
                };
            }
            _ => return self.mistake(path, "can't be written to Parquet; use another type"),
        };
        Some(required(Kind::Leaf(leaf)))
    }

    fn union(&mut self, path: &str, name: &str, union: &'s UnionSchema) -> Option<Column> {
        let is_optional = union.variants().iter().any(|variant| matches!(variant, Schema::Null));
        let others: Vec<&'s Schema> =
            union.variants().iter().filter(|variant| !matches!(variant, Schema::Null)).collect();
        if let [only] = others.as_slice() {
            let column = self.column(path, name, only)?;
            return Some(Column { is_optional: is_optional || column.is_optional, ..column });
        }
        if others.is_empty() {
            return self.column(path, name, &Schema::Null);
        }
        let mut members = Vec::new();
        let mut number = 0;
        for variant in union.variants() {
            if matches!(variant, Schema::Null) {
                members.push(None);
                continue;
            }
            let member = self.column(path, &format!("member{number}"), variant)?;
            members.push(Some(Column { is_optional: true, ..member }));
            number += 1;
        }
        Some(Column { name: name.to_owned(), is_optional, kind: Kind::Union(members) })
    }
}
