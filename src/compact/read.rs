//! Reads the rows of a Parquet file back as the Avro values that they were, without the columns `unit` and `effective`.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::types::Value as Avro;
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use crate::footer::{DAMAGED_PAGE, check_ranges, whole_footer};
use crate::thrift;
use crate::write::{AVRO_SCHEMA, EFFECTIVE_KEY};

/// Whether `file` is a Parquet file, by its first bytes.
pub fn is_parquet(file: &[u8]) -> bool {
    file.starts_with(b"PAR1")
}

/// The rows of a compacted unit.
pub struct CompactedFile {
    file: Bytes,
    reader: SerializedFileReader<Bytes>,
    schema: Schema,
    effective: i64,
}

impl CompactedFile {
    /// Reads the footer of `file`.
    ///
    /// # Errors
    /// If it isn't a Parquet file, or was not written by usage-compact.
    pub fn open(file: Bytes) -> Result<CompactedFile, String> {
        whole_footer(&file)?;
        let reader = SerializedFileReader::new(file.clone()).map_err(|error| error.to_string())?;
        check_ranges(reader.metadata())?;
        let entries = reader.metadata().file_metadata().key_value_metadata();
        let value = |key: &str| entries?.iter().find(|entry| entry.key == key)?.value.clone();
        let (Some(schema), Some(effective)) = (value(AVRO_SCHEMA), value(EFFECTIVE_KEY)) else {
            return Err("the Parquet file was not written by usage-compact".to_owned());
        };
        let schema = Schema::parse_str(&schema).map_err(|error| error.to_string())?;
        let effective = effective.parse().map_err(|_| format!("{EFFECTIVE_KEY} is {effective:?}"))?;
        Ok(CompactedFile { file, reader, schema, effective })
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The second from which on the file counts.
    pub fn effective(&self) -> i64 {
        self.effective
    }

    /// Its rows.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<Avro, String>>, String> {
        if !self.has_whole_pages() {
            return Err(DAMAGED_PAGE.to_owned());
        }
        let resolved = ResolvedSchema::new(&self.schema).map_err(|error| error.to_string())?;
        let rows = self.reader.get_row_iter(None).map_err(|error| error.to_string())?;
        Ok(rows.map(move |row| {
            let row = row.map_err(|error| error.to_string())?;
            record(row, &self.schema, resolved.get_names())
        }))
    }

    /// Whether the library can read the headers of all pages.
    fn has_whole_pages(&self) -> bool {
        let columns = self.reader.metadata().row_groups().iter().flat_map(|group| group.columns());
        let mut ranges = columns.map(|column| column.byte_range());
        ranges.all(|(start, length)| {
            let [start, end] = [start, start.saturating_add(length)].map(usize::try_from);
            let (Ok(start), Ok(end)) = (start, end) else { return false };
            self.file.get(start..end).is_some_and(thrift::has_whole_pages)
        })
    }
}

type Names<'s> = HashMap<Name, &'s Schema>;

fn record(row: Row, schema: &Schema, names: &Names<'_>) -> Result<Avro, String> {
    let Schema::Record(record) = schema else { return Err("the schema is not a record".to_owned()) };
    let columns = row.into_columns();
    let field = |(field, (name, value)): (&apache_avro::schema::RecordField, (String, Field))| {
        if name != field.name {
            return Err(format!("column {name} is in the place of {}", field.name));
        }
        Ok((name, value_of(value, &field.schema, names)?))
    };
    record.fields.iter().zip(columns).map(field).collect::<Result<Vec<_>, _>>().map(Avro::Record)
}

fn value_of(field: Field, schema: &Schema, names: &Names<'_>) -> Result<Avro, String> {
    Ok(match (schema, field) {
        (Schema::Ref { name }, field) => match names.get(name) {
            Some(schema) => return value_of(field, schema, names),
            None => return Err(format!("unknown type {name}")),
        },
        (Schema::Union(union), field) => return union_value(field, union.variants(), names),
        (Schema::Null, Field::Null) => Avro::Null,
        (Schema::Boolean, Field::Bool(value)) => Avro::Boolean(value),
        (Schema::Int, Field::Int(value)) => Avro::Int(value),
        (Schema::Long, Field::Long(value)) => Avro::Long(value),
        (Schema::Float, Field::Float(value)) => Avro::Float(value),
        (Schema::Double, Field::Double(value)) => Avro::Double(value),
        (Schema::TimeMillis, Field::Int(value)) => Avro::TimeMillis(value),
        (Schema::TimeMicros, Field::Long(value)) => Avro::TimeMicros(value),
        (Schema::TimestampMicros, Field::Long(value)) => Avro::TimestampMicros(value),
        (Schema::TimestampMillis, Field::TimestampMillis(value)) => Avro::TimestampMillis(value),
        (Schema::Date, Field::Date(value)) => Avro::Date(value),
        (Schema::String, Field::Str(text)) => Avro::String(text),
        (Schema::Uuid(_), Field::Str(text)) => Avro::Uuid(text.parse().map_err(|_| format!("{text:?} is not a UUID"))?),
        (Schema::Uuid(_), Field::Bytes(bytes)) => {
            Avro::Uuid(apache_avro::Uuid::from_slice(bytes.data()).map_err(|error| error.to_string())?)
        }
        (Schema::Enum(symbols), Field::Str(text)) => {
            let position = symbols.symbols.iter().position(|symbol| *symbol == text);
            let position = position.and_then(|position| u32::try_from(position).ok());
            Avro::Enum(position.ok_or_else(|| format!("{text:?} is not a symbol of {}", symbols.name))?, text)
        }
        (Schema::Bytes, Field::Bytes(bytes)) => Avro::Bytes(bytes.data().to_vec()),
        (Schema::Fixed(fixed), Field::Bytes(bytes)) => Avro::Fixed(fixed.size, bytes.data().to_vec()),
        (Schema::Decimal(_), Field::Decimal(decimal)) => Avro::Decimal(decimal.data().into()),
        (Schema::Array(array), Field::ListInternal(list)) => {
            let items = list.elements().iter().map(|item| value_of(item.clone(), &array.items, names));
            Avro::Array(items.collect::<Result<_, _>>()?)
        }
        (Schema::Map(map), Field::MapInternal(entries)) => {
            let entry = |(key, value): &(Field, Field)| match key {
                Field::Str(key) => Ok((key.clone(), value_of(value.clone(), &map.types, names)?)),
                other => Err(format!("{other:?} is not a key")),
            };
            Avro::Map(entries.entries().iter().map(entry).collect::<Result<_, _>>()?)
        }
        (Schema::Record(_), Field::Group(row)) => return record(row, schema, names),
        (_, field) => return Err(format!("{field:?} has not the type of its field")),
    })
}

fn union_value(field: Field, variants: &[Schema], names: &Names<'_>) -> Result<Avro, String> {
    let union = |index: usize, value: Avro| Avro::Union(u32::try_from(index).unwrap_or_default(), Box::new(value));
    let others: Vec<(usize, &Schema)> =
        variants.iter().enumerate().filter(|(_, variant)| !matches!(variant, Schema::Null)).collect();
    let null = variants.iter().position(|variant| matches!(variant, Schema::Null));
    match (field, null, others.as_slice()) {
        // Its only type may itself be null.
        (Field::Null, Some(null), _) => Ok(union(null, Avro::Null)),
        (field, _, [(index, only)]) => Ok(union(*index, value_of(field, only, names)?)),
        (Field::Group(members), _, others) => {
            let member = members.into_columns().into_iter().zip(others).find(|((_, value), _)| *value != Field::Null);
            let ((_, value), (index, schema)) = member.ok_or("no member of a union has a value")?;
            Ok(union(*index, value_of(value, schema, names)?))
        }
        (field, ..) => Err(format!("{field:?} has not the type of its union")),
    }
}
