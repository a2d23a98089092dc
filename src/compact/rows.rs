//! The rows of a unit while they are merged: each record once, as Avro bytes of the current schema, which take a fraction of the
//! memory of decoded values.

use std::collections::HashSet;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::util::max_allocation_bytes;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Reader, Schema};
use usage_aggregator::archive::RecordSchema;

use crate::columns::Columns;
use crate::resolution::Conversion;

/// A record's identity.
pub(crate) type Id = [u8; 16];

/// What a row takes besides its bytes: its entry here and in the set of ids.
const ROW_OVERHEAD_BYTES: usize = 100;

/// What a length in a damaged file can make the library reserve; it would be 512 MiB. Blocks have 64 KiB, and an item 400 KB.
const MAX_ALLOCATION_BYTES: usize = 64 << 20;

/// The rows so far.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    ids: HashSet<Id>,
}

#[derive(Debug)]
struct Row {
    order: Vec<u8>,
    id: Id,
    start: usize,
    end: usize,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// About how much memory the rows take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let orders: usize = self.rows.first().map_or(0, |row| row.order.len());
        self.bytes.len() + self.rows.len() * (ROW_OVERHEAD_BYTES + orders)
    }

    /// Adds the rows of a raw file, except those whose records are here already or that `is_known` selects. Returns the ids of all
    /// rows of the file.
    ///
    /// # Errors
    /// If the file can't be read with the current schema.
    pub(crate) fn read(
        &mut self,
        file: &[u8],
        schema: &RecordSchema,
        columns: &Columns,
        is_known: impl Fn(&Id) -> bool,
    ) -> Result<Vec<Id>, String> {
        max_allocation_bytes(MAX_ALLOCATION_BYTES);
        let reader = Reader::new(file).map_err(|error| error.to_string())?;
        let written = reader.writer_schema().clone();
        let conversion = match written == *schema.parsed() {
            true => None,
            false => Some(Conversion::new(&written, schema)?),
        };
        let writer = GenericDatumWriter::builder(schema.parsed()).validate(false).build();
        let writer = writer.map_err(|error| error.to_string())?;
        let mut ids = Vec::new();
        for row in reader {
            let mut row = row.map_err(|error| error.to_string())?;
            if let Some(conversion) = &conversion {
                row = conversion.row(&row).map_err(|why| format!("row {}: {why}", ids.len() + 1))?;
            }
            let id = field(&row, columns.record_id).and_then(id).ok_or("a row has no record id")?;
            ids.push(id);
            if is_known(&id) || !self.ids.insert(id) {
                continue;
            }
            let order = columns.sorted_by.and_then(|index| field(&row, index)).map(order).unwrap_or_default();
            let start = self.bytes.len();
            writer.write_value_ref(&mut self.bytes, &row).map_err(|error| error.to_string())?;
            self.rows.push(Row { order, id, start, end: self.bytes.len() });
        }
        Ok(ids)
    }

    /// Sorts the rows.
    pub(crate) fn sort(&mut self) {
        self.rows.sort_unstable_by(|one, other| (&one.order, one.id).cmp(&(&other.order, other.id)));
    }

    /// Passes the decoded rows from `start` on, at most `count`, to `each`.
    ///
    /// # Errors
    /// If `each` fails.
    pub(crate) fn decode(
        &self,
        schema: &Schema,
        [start, count]: [usize; 2],
        mut each: impl FnMut(&Avro) -> Result<(), String>,
    ) -> Result<(), String> {
        let reader = GenericDatumReader::builder(schema).build().map_err(|error| error.to_string())?;
        for row in self.rows.iter().skip(start).take(count) {
            let mut bytes = self.bytes.get(row.start..row.end).unwrap_or_default();
            each(&reader.read_value(&mut bytes).map_err(|error| error.to_string())?)?;
        }
        Ok(())
    }
}

fn field(row: &Avro, index: usize) -> Option<&Avro> {
    let Avro::Record(fields) = row else { return None };
    fields.get(index).map(|(_, value)| value)
}

/// A record id: as text it has two digits for each byte.
fn id(value: &Avro) -> Option<Id> {
    match value {
        Avro::Union(_, inner) => id(inner),
        Avro::String(text) => id_of(text.as_bytes()),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => id_of(bytes),
        _ => None,
    }
}

/// A record id from its text or its bytes.
pub(crate) fn id_of(value: &[u8]) -> Option<Id> {
    if let Ok(id) = Id::try_from(value) {
        return Some(id);
    }
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() == 32)?;
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// Bytes that have the order of the values, as Parquet defines it.
fn order(value: &Avro) -> Vec<u8> {
    let number = |number: i64| number.wrapping_sub(i64::MIN).to_be_bytes().to_vec();
    match value {
        Avro::String(text) | Avro::Enum(_, text) => text.as_bytes().to_vec(),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => bytes.clone(),
        Avro::Uuid(uuid) => uuid.as_bytes().to_vec(),
        Avro::Int(value) | Avro::Date(value) | Avro::TimeMillis(value) => number(i64::from(*value)),
        Avro::Long(value) | Avro::TimeMicros(value) | Avro::TimestampMicros(value) | Avro::TimestampMillis(value) => {
            number(*value)
        }
        _ => Vec::new(),
    }
}
