//! Avro files as JSON rows that a person can read: exact decimals, ISO dates, RFC 3339 instants, base64 bytes. The Parquet
//! files of compacted hours are read as the same rows. The file may be hostile, so whatever would exhaust the memory or the stack is refused.

use std::collections::HashMap;

use anyhow::{Context, anyhow, bail};
use apache_avro::schema::{Name, ResolvedSchema, Schema};
use apache_avro::types::Value as Avro;
use apache_avro::{Reader, util::max_allocation_bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use stream_types::time::DAY_SECONDS;
use usage_aggregator::archive::RecordSchema;

use crate::read::{CompactedFile, is_parquet};
use crate::resolution::Conversion;
use crate::steps::{RowFields, hex};

/// A thousand times the block size of this project's files.
const MAX_ALLOCATION_BYTES: usize = 64 << 20;
/// Types in a row, with each named type counted wherever it is used. Our largest schema has fewer than 100.
const MAX_TYPES: usize = 10_000;
/// 64 bytes hold 153 digits; a DynamoDB number has at most 38.
const MAX_DECIMAL_BYTES: usize = 64;

type Names<'s> = HashMap<Name, &'s Schema>;

/// Passes at most `limit` rows of `file` to `row`, as they were written, and returns how many there were.
///
/// # Errors
/// When `file` isn't an Avro object container file, is damaged, or has a schema that is too large.
pub fn read_rows(file: &[u8], limit: usize, row: impl FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<usize> {
    read(file, None, limit, row)
}

/// Passes all rows of `file` to `row` as rows of the current schema, whichever schema they were written with: a renamed field has its
/// new name, and an added one its default. Returns how many there were.
///
/// # Errors
/// As [`read_rows`], and if the current schema can't have a value, with the record and the path of the field.
pub fn read_rows_as(
    current: &RecordSchema,
    file: &[u8],
    row: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    read(file, Some(current), usize::MAX, row)
}

fn read(
    file: &[u8],
    current: Option<&RecordSchema>,
    limit: usize,
    row: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    if is_parquet(file) {
        let compacted = open_compacted(file)?;
        let values = compacted.rows().map_err(anyhow::Error::msg)?.map(|value| value.map_err(anyhow::Error::msg));
        return pass(compacted.schema(), current, values.take(limit), row);
    }
    let reader = open(file)?;
    let schema = reader.writer_schema().clone();
    pass(&schema, current, reader.map(|value| value.map_err(anyhow::Error::from)).take(limit), row)
}

fn pass(
    written: &Schema,
    current: Option<&RecordSchema>,
    values: impl Iterator<Item = anyhow::Result<Avro>>,
    mut row: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let resolved = ResolvedSchema::new(written).context("resolve the schema's names")?;
    let names = resolved.get_names();
    check(written, names, &mut Vec::new(), &mut 0)?;
    let current = current.filter(|current| current.parsed() != written);
    let current = current.map(|current| Current::new(written, current)).transpose()?;
    let mut count = 0;
    for value in values {
        count += 1;
        let value = value.with_context(|| format!("read row {count} of the file"))?;
        let written = |value: &Avro| json(value, written, names);
        row(match &current {
            None => written(&value),
            Some(current) => current.row(&value).map_err(|why| {
                let record = current.record(&written(&value));
                anyhow!("read row {count}{record} with the current schema: {why}")
            })?,
        })?;
    }
    Ok(count)
}

/// The current schema, for rows that were written with another one.
struct Current<'s> {
    schema: &'s RecordSchema,
    names: ResolvedSchema<'s>,
    conversion: Conversion<'s>,
}

impl<'s> Current<'s> {
    fn new(written: &'s Schema, schema: &'s RecordSchema) -> anyhow::Result<Current<'s>> {
        let names = ResolvedSchema::new(schema.parsed()).context("resolve the current schema's names")?;
        let conversion = Conversion::new(written, schema).map_err(anyhow::Error::msg)?;
        Ok(Current { schema, names, conversion })
    }

    /// The row in this schema; otherwise the path of the field that it can't have, and why.
    fn row(&self, value: &Avro) -> Result<Value, String> {
        Ok(json(&self.conversion.row(value)?, self.schema.parsed(), self.names.get_names()))
    }

    /// The id of a row's record, for an error: ` (record 0382…)`; empty if the row has none.
    fn record(&self, row: &Value) -> String {
        let fields = RowFields::new(self.schema).ok();
        let id = fields.as_ref().and_then(|fields| row.get(fields.source("record_id")?)?.as_str());
        id.map(|id| format!(" (record {})", hex(id))).unwrap_or_default()
    }
}

/// The schema of `file`, as it is written there.
///
/// # Errors
/// When `file` isn't an Avro object container file.
pub fn read_schema(file: &[u8]) -> anyhow::Result<Value> {
    let schema = match is_parquet(file) {
        true => serde_json::to_value(open_compacted(file)?.schema()),
        false => serde_json::to_value(open(file)?.writer_schema()),
    };
    schema.context("print the schema")
}

fn open_compacted(file: &[u8]) -> anyhow::Result<CompactedFile> {
    CompactedFile::open(Bytes::copy_from_slice(file))
        .map_err(anyhow::Error::msg)
        .context("read the Parquet file's footer")
}

fn open(file: &[u8]) -> anyhow::Result<Reader<'static, &[u8]>> {
    max_allocation_bytes(MAX_ALLOCATION_BYTES);
    Reader::new(file).context("read the file's header: is it an Avro object container file?")
}

/// Refuses schemas with which a small file could have endless rows: types that contain themselves, and types that
/// multiply each other.
fn check<'s>(
    schema: &'s Schema,
    names: &Names<'s>,
    within: &mut Vec<&'s Name>,
    types: &mut usize,
) -> anyhow::Result<()> {
    *types += 1;
    if *types > MAX_TYPES {
        bail!("read the file: its schema has more than {MAX_TYPES} types in a row");
    }
    match schema {
        Schema::Ref { name } if within.contains(&name) => bail!("read the file: its type {name} contains itself"),
        Schema::Ref { name } => names.get(name).map_or(Ok(()), |schema| check(schema, names, within, types)),
        Schema::Record(record) => {
            within.push(&record.name);
            record.fields.iter().try_for_each(|field| check(&field.schema, names, within, types))?;
            within.pop();
            Ok(())
        }
        Schema::Union(union) => union.variants().iter().try_for_each(|variant| check(variant, names, within, types)),
        Schema::Array(array) => check(&array.items, names, within, types),
        Schema::Map(map) => check(&map.types, names, within, types),
        _ => Ok(()),
    }
}

fn json(value: &Avro, schema: &Schema, names: &Names<'_>) -> Value {
    match (value, schema) {
        (value, Schema::Ref { name }) => names.get(name).map_or(Value::Null, |schema| json(value, schema, names)),
        (Avro::Union(index, value), Schema::Union(union)) => {
            let variant = usize::try_from(*index).ok().and_then(|index| union.variants().get(index));
            json(value, variant.unwrap_or(&Schema::Null), names)
        }
        (Avro::Record(fields), Schema::Record(record)) => fields
            .iter()
            .zip(&record.fields)
            .map(|((name, value), field)| (name.clone(), json(value, &field.schema, names)))
            .collect::<Map<_, _>>()
            .into(),
        (Avro::Array(items), Schema::Array(array)) => {
            items.iter().map(|item| json(item, &array.items, names)).collect()
        }
        (Avro::Map(entries), Schema::Map(map)) => entries
            .iter()
            .map(|(name, value)| (name.clone(), json(value, &map.types, names)))
            .collect::<Map<_, _>>()
            .into(),
        (Avro::Decimal(decimal), Schema::Decimal(schema)) => {
            let bytes: Vec<u8> = decimal.try_into().unwrap_or_default();
            decimal_text(&bytes, schema.scale).map_or_else(|| base64(&bytes), Value::from)
        }
        (value, _) => scalar(value),
    }
}

fn scalar(value: &Avro) -> Value {
    match value {
        Avro::Boolean(truth) => json!(truth),
        Avro::Int(number) => json!(number),
        Avro::Long(number) => json!(number),
        Avro::Float(number) => float(f64::from(*number)),
        Avro::Double(number) => float(*number),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => base64(bytes),
        Avro::BigDecimal(number) => json!(number.to_string()),
        Avro::Uuid(uuid) => json!(uuid.to_string()),
        Avro::Duration(duration) => {
            let (months, days, millis) = (duration.months(), duration.days(), duration.millis());
            json!({ "months": u32::from(months), "days": u32::from(days), "millis": u32::from(millis) })
        }
        value => time(value).unwrap_or(Value::Null),
    }
}

/// A time as ISO text, or as a plain number if it is outside the calendar; `None` if `value` isn't a time.
fn time(value: &Avro) -> Option<Value> {
    let (per_second, units) = match value {
        Avro::Date(days) => (1, i64::from(*days) * DAY_SECONDS),
        Avro::TimeMillis(units) => (1_000, i64::from(*units)),
        Avro::TimestampMillis(units) | Avro::LocalTimestampMillis(units) => (1_000, *units),
        Avro::TimeMicros(units) | Avro::TimestampMicros(units) | Avro::LocalTimestampMicros(units) => {
            (1_000_000, *units)
        }
        Avro::TimestampNanos(units) | Avro::LocalTimestampNanos(units) => (1_000_000_000, *units),
        _ => return None,
    };
    let nanos = i128::from(units) * (1_000_000_000 / per_second);
    let Ok(instant) = jiff::Timestamp::from_nanosecond(nanos) else { return Some(units.into()) };
    let civil = jiff::tz::Offset::UTC.to_datetime(instant);
    Some(Value::from(match value {
        Avro::Date(_) => civil.date().to_string(),
        Avro::TimeMillis(_) | Avro::TimeMicros(_) => civil.time().to_string(),
        Avro::TimestampMillis(_) | Avro::TimestampMicros(_) | Avro::TimestampNanos(_) => instant.to_string(),
        _ => civil.to_string(),
    }))
}

fn float(number: f64) -> Value {
    // JSON has no NaN and no infinities.
    serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

fn base64(bytes: &[u8]) -> Value {
    BASE64_STANDARD.encode(bytes).into()
}

/// The exact text of a two's complement big-endian number of `10^-scale`.
fn decimal_text(bytes: &[u8], scale: usize) -> Option<String> {
    if bytes.len() > MAX_DECIMAL_BYTES || scale > 1_000 {
        return None;
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    // The magnitude of a negative number is its complement plus one.
    let mut digits = Vec::new();
    for byte in bytes {
        multiply_add(&mut digits, 256, if negative { !byte } else { *byte });
    }
    if negative {
        multiply_add(&mut digits, 1, 1);
    }
    digits.resize(digits.len().max(scale + 1), 0);
    let mut text: String = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    if scale > 0 {
        text.insert(text.len() - scale, '.');
    }
    Some(if negative { format!("-{text}") } else { text })
}

/// `digits * factor + term`. The digits are decimal, lowest first.
fn multiply_add(digits: &mut Vec<u8>, factor: u16, term: u8) {
    let mut carry = u16::from(term);
    for digit in digits.iter_mut() {
        let value = u16::from(*digit) * factor + carry;
        *digit = u8::try_from(value % 10).unwrap_or(0);
        carry = value / 10;
    }
    while carry > 0 {
        digits.push(u8::try_from(carry % 10).unwrap_or(0));
        carry /= 10;
    }
}

#[cfg(test)]
mod tests;
