//! Converts rows of one schema to another by the rules of schema resolution. The Avro library's own conversion isn't used: it
//! ignores the aliases of fields, refuses decimals that are in fewer bytes than their precision may need, reads a type that is
//! referred to by name with the other schema's definition, and turns the bytes of defaults into UTF-8.

use std::borrow::Cow;
use std::mem::discriminant;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{RecordSchema as AvroRecord, Schema, SchemaKind, UnionSchema};
use apache_avro::types::Value as Avro;
use usage_aggregator::archive::{RecordSchema, wire};

use super::{Encoding, Resolution, encoding, promotes, resolved, written_field};

/// How rows of the schema `written` become rows of the schema `current`.
pub(crate) struct Conversion<'s> {
    rules: Resolution<'s>,
    written: &'s Schema,
    current: &'s RecordSchema,
    reader: GenericDatumReader<'s>,
}

impl<'s> Conversion<'s> {
    pub(crate) fn new(written: &'s Schema, current: &'s RecordSchema) -> Result<Conversion<'s>, String> {
        let reader = GenericDatumReader::builder(current.parsed()).build().map_err(|error| error.to_string())?;
        Ok(Conversion { rules: Resolution::new(current.parsed(), written), written, current, reader })
    }

    /// The row in the current schema.
    ///
    /// # Errors
    /// The path of the first field whose value the current schema can't have, and why.
    pub(crate) fn row(&self, row: &Avro) -> Result<Avro, String> {
        let mut bytes = Vec::new();
        self.value(row, self.written, self.current.parsed(), &mut bytes)?;
        self.reader.read_value(&mut bytes.as_slice()).map_err(|error| error.to_string())
    }

    /// Appends a value of the type `from` as the type `to` encodes it.
    fn value(&self, value: &Avro, from: &'s Schema, to: &'s Schema, out: &mut Vec<u8>) -> Result<(), String> {
        let (from, to) = (resolved(&self.rules.writer, from), resolved(&self.rules.reader, to));
        match (from, to, value) {
            (Schema::Union(from), _, Avro::Union(index, value)) => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                let branch = from.variants().get(index).ok_or("the union has no such branch")?;
                self.value(value, branch, to, out)
            }
            (_, Schema::Union(to), _) => {
                let (index, branch) = self.branch(from, to).ok_or_else(|| {
                    format!("the current schema's union has no type for {:?}", SchemaKind::from(from))
                })?;
                wire::count(out, index);
                self.value(value, from, branch, out)
            }
            (Schema::Array(from), Schema::Array(to), Avro::Array(items)) => {
                wire::block(out, items.len(), items.iter(), |out, item| self.value(item, &from.items, &to.items, out))
            }
            (Schema::Map(from), Schema::Map(to), Avro::Map(entries)) => {
                wire::block(out, entries.len(), entries.iter(), |out, (key, value)| {
                    wire::bytes(out, key.as_bytes());
                    self.value(value, &from.types, &to.types, out).map_err(|why| format!("{key}: {why}"))
                })
            }
            (Schema::Enum(_), Schema::Enum(to), Avro::Enum(_, symbol)) => {
                let position = |wanted: &String| to.symbols.iter().position(|symbol| symbol == wanted);
                let index = position(symbol).or_else(|| to.default.as_ref().and_then(position));
                wire::count(out, index.ok_or_else(|| format!("the current schema has no symbol {symbol}"))?);
                Ok(())
            }
            (Schema::Record(from), Schema::Record(to), Avro::Record(fields)) => self.record(fields, from, to, out),
            _ => scalar(value, from, to, out),
        }
    }

    fn record(
        &self,
        fields: &[(String, Avro)],
        from: &'s AvroRecord,
        to: &'s AvroRecord,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        for field in &to.fields {
            let index = written_field(field, from);
            let written = index.and_then(|index| Some((from.fields.get(index)?, &fields.get(index)?.1)));
            let appended = match (written, self.current.default_of(&to.name.fullname(None), &field.name)) {
                (Some((written, value)), _) => self.value(value, &written.schema, &field.schema, out),
                (None, Some(default)) => {
                    out.extend_from_slice(default);
                    Ok(())
                }
                (None, None) => Err("the row has no value for it, and the current schema has no default".to_owned()),
            };
            appended.map_err(|why| format!("{}: {why}", field.name))?;
        }
        Ok(())
    }

    /// The branch for values of the type `from`: the one of that type, or else the first that can be read from it.
    fn branch(&self, from: &'s Schema, to: &'s UnionSchema) -> Option<(usize, &'s Schema)> {
        let branches = || to.variants().iter().enumerate();
        let is_same = |branch: &'s Schema| {
            let branch = resolved(&self.rules.reader, branch);
            discriminant(branch) == discriminant(from) && branch.name() == from.name()
        };
        let same = branches().find(|(_, branch)| is_same(branch));
        same.or_else(|| branches().find(|(_, branch)| self.rules.clone().reads(branch, from)))
    }
}

/// Appends a value without parts.
fn scalar(value: &Avro, from: &Schema, to: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    let encoding = encoding(to);
    let is_read = match (&encoding, super::encoding(from)) {
        (Encoding::Primitive(to), Encoding::Primitive(from)) => promotes(to, from),
        (Encoding::Fixed(to), Encoding::Fixed(from)) => to.size == from.size,
        _ => false,
    };
    let changed = || format!("{:?} has become {:?}", SchemaKind::from(from), SchemaKind::from(to));
    if !is_read || !same_meaning(from, to) {
        return Err(changed());
    }
    match encoding {
        Encoding::Primitive("null") => {}
        Encoding::Primitive("boolean") => out.push(u8::from(matches!(value, Avro::Boolean(true)))),
        Encoding::Primitive("int" | "long") => wire::long(out, whole(value).ok_or_else(changed)?),
        Encoding::Primitive("float") => out.extend_from_slice(&float(value).ok_or_else(changed)?.to_le_bytes()),
        Encoding::Primitive("double") => out.extend_from_slice(&double(value).ok_or_else(changed)?.to_le_bytes()),
        Encoding::Primitive("string") => {
            let bytes = bytes(value, true).ok_or_else(changed)?;
            std::str::from_utf8(&bytes).map_err(|_| "the bytes are not UTF-8, and the current schema has a string")?;
            wire::bytes(out, &bytes);
        }
        Encoding::Primitive(_) => wire::bytes(out, &bytes(value, false).ok_or_else(changed)?),
        Encoding::Fixed(_) => out.extend_from_slice(&bytes(value, false).ok_or_else(changed)?),
        Encoding::Composite => return Err(changed()),
    }
    Ok(())
}

/// Whether encoded values say the same in both types: numbers aren't dates, and a decimal's scale is part of its value.
fn same_meaning(from: &Schema, to: &Schema) -> bool {
    let is_plain = |schema: &Schema| {
        use Schema::{Boolean, Bytes, Double, Fixed, Float, Int, Long, Null, String};
        matches!(schema, Null | Boolean | Int | Long | Float | Double | Bytes | String | Fixed(_))
    };
    match (from, to) {
        (Schema::Decimal(from), Schema::Decimal(to)) => from.scale == to.scale,
        _ => discriminant(from) == discriminant(to) || (is_plain(from) && is_plain(to)),
    }
}

fn whole(value: &Avro) -> Option<i64> {
    match value {
        Avro::Int(value) | Avro::Date(value) | Avro::TimeMillis(value) => Some(i64::from(*value)),
        Avro::Long(value)
        | Avro::TimeMicros(value)
        | Avro::TimestampMillis(value)
        | Avro::TimestampMicros(value)
        | Avro::TimestampNanos(value)
        | Avro::LocalTimestampMillis(value)
        | Avro::LocalTimestampMicros(value)
        | Avro::LocalTimestampNanos(value) => Some(*value),
        _ => None,
    }
}

#[expect(clippy::as_conversions, reason = "Avro's readers round whole numbers, too")]
fn float(value: &Avro) -> Option<f32> {
    match value {
        Avro::Float(value) => Some(*value),
        value => whole(value).map(|value| value as f32),
    }
}

#[expect(clippy::as_conversions, reason = "Avro's readers round whole numbers, too")]
fn double(value: &Avro) -> Option<f64> {
    match value {
        Avro::Double(value) => Some(*value),
        Avro::Float(value) => Some(f64::from(*value)),
        value => whole(value).map(|value| value as f64),
    }
}

/// The bytes of what isn't a number. A UUID may be text.
fn bytes(value: &Avro, is_text: bool) -> Option<Cow<'_, [u8]>> {
    Some(match value {
        Avro::String(text) => text.as_bytes().into(),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => bytes.into(),
        Avro::Uuid(uuid) if is_text => uuid.to_string().into_bytes().into(),
        Avro::Uuid(uuid) => uuid.as_bytes().to_vec().into(),
        Avro::Decimal(decimal) => Vec::try_from(decimal).ok()?.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
