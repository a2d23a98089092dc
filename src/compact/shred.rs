//! Takes rows apart into the values of Parquet's columns, as the Dremel paper describes it: a value's definition level says how
//! many of the optional and repeated fields around it exist, its repetition level which repeated field it continues.

use apache_avro::types::Value as Avro;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;

use crate::columns::{Column, Kind, Leaf, decimal_bytes};

/// The values of one of Parquet's columns.
#[derive(Debug)]
pub(crate) struct LeafValues {
    values: Values,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// A value that isn't of its field's type, which the Avro reader rules out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit(pub String);

/// The levels of a value.
#[derive(Debug, Clone, Copy)]
struct Levels {
    definition: i16,
    repetition: i16,
    /// The repeated fields around it.
    depth: i16,
}

/// The columns' values of a group of rows.
#[derive(Debug)]
pub(crate) struct Shredder<'c> {
    columns: &'c [Column],
    leaves: Vec<LeafValues>,
}

impl<'c> Shredder<'c> {
    pub(crate) fn new(columns: &'c [Column]) -> Shredder<'c> {
        let mut leaves = Vec::new();
        columns.iter().for_each(|column| add_leaves(column, &mut leaves));
        Shredder { columns, leaves }
    }

    /// Adds a row, which has the fields of the schema.
    pub(crate) fn push(&mut self, row: &Avro) -> Result<(), Misfit> {
        let mut cursor = self.leaves.as_mut_slice();
        let levels = Levels { definition: 0, repetition: 0, depth: 0 };
        write_fields(self.columns, row, levels, &mut cursor)
    }

    /// Writes the values of the column at `index`, and forgets them.
    pub(crate) fn write(&mut self, index: usize, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        self.leaves.get_mut(index).map_or(Ok(()), |leaf| leaf.write(writer))
    }

    pub(crate) fn leaves(&self) -> usize {
        self.leaves.len()
    }
}

fn add_leaves(column: &Column, leaves: &mut Vec<LeafValues>) {
    match &column.kind {
        Kind::Leaf(leaf) => leaves.push(LeafValues::new(*leaf)),
        Kind::Record(fields) => fields.iter().for_each(|field| add_leaves(field, leaves)),
        Kind::Union(members) => members.iter().flatten().for_each(|member| add_leaves(member, leaves)),
        Kind::Array(element) => add_leaves(element, leaves),
        Kind::Map(value) => {
            leaves.push(LeafValues::new(Leaf::Text));
            add_leaves(value, leaves);
        }
    }
}

/// The leaves from the current one on. Each column takes its own from the front.
type Cursor<'l> = &'l mut [LeafValues];

fn take<'l>(cursor: &mut Cursor<'l>, count: usize) -> Cursor<'l> {
    let all = std::mem::take(cursor);
    let (taken, rest) = all.split_at_mut(count.min(all.len()));
    *cursor = rest;
    taken
}

fn write_fields(columns: &[Column], row: &Avro, levels: Levels, cursor: &mut Cursor<'_>) -> Result<(), Misfit> {
    let Avro::Record(fields) = row else { return Err(misfit("a record", row)) };
    if fields.len() != columns.len() {
        return Err(Misfit(format!("a record has {} fields instead of {}", fields.len(), columns.len())));
    }
    for (column, (_, value)) in columns.iter().zip(fields) {
        let mut own = take(cursor, column.leaves());
        write(column, value, levels, &mut own)?;
    }
    Ok(())
}

fn write(column: &Column, value: &Avro, mut levels: Levels, cursor: &mut Cursor<'_>) -> Result<(), Misfit> {
    let (branch, value) = match value {
        Avro::Union(branch, inner) => (usize::try_from(*branch).ok(), inner.as_ref()),
        other => (None, other),
    };
    if column.is_optional {
        if matches!(value, Avro::Null) {
            absent(levels, cursor);
            return Ok(());
        }
        levels.definition += 1;
    }
    match (&column.kind, value) {
        (Kind::Leaf(leaf), value) => match cursor.first_mut() {
            Some(values) => values.push(*leaf, value, levels),
            None => Ok(()),
        },
        (Kind::Record(fields), value) => write_fields(fields, value, levels, cursor),
        (Kind::Union(members), value) => {
            for (index, member) in members.iter().enumerate() {
                let Some(member) = member else { continue };
                let mut own = take(cursor, member.leaves());
                match branch == Some(index) {
                    true => write(member, value, levels, &mut own)?,
                    false => absent(levels, &mut own),
                }
            }
            Ok(())
        }
        (Kind::Array(element), Avro::Array(items)) => {
            if items.is_empty() {
                absent(levels, cursor);
            }
            for (index, item) in items.iter().enumerate() {
                write(element, item, repeated(levels, index), &mut &mut **cursor)?;
            }
            Ok(())
        }
        (Kind::Map(inner), Avro::Map(entries)) => {
            if entries.is_empty() {
                absent(levels, cursor);
            }
            // The Avro library's maps have no order.
            let mut entries: Vec<(&String, &Avro)> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let mut own = &mut **cursor;
                let levels = repeated(levels, index);
                if let [keys] = take(&mut own, 1) {
                    keys.push(Leaf::Text, &Avro::String(key.clone()), levels)?;
                }
                write(inner, value, levels, &mut own)?;
            }
            Ok(())
        }
        (Kind::Array(_), other) => Err(misfit("an array", other)),
        (Kind::Map(_), other) => Err(misfit("a map", other)),
    }
}

/// The levels of an element: all but the first continue the repeated field.
fn repeated(levels: Levels, index: usize) -> Levels {
    let depth = levels.depth + 1;
    let repetition = if index == 0 { levels.repetition } else { depth };
    Levels { definition: levels.definition + 1, repetition, depth }
}

fn absent(levels: Levels, cursor: &mut Cursor<'_>) {
    for leaf in cursor.iter_mut() {
        leaf.definition.push(levels.definition);
        leaf.repetition.push(levels.repetition);
    }
}

fn misfit(expected: &str, found: &Avro) -> Misfit {
    Misfit(format!("expected {expected}, found {:?}", apache_avro::schema::SchemaKind::from(found)))
}

impl LeafValues {
    fn new(leaf: Leaf) -> LeafValues {
        let values = match leaf {
            Leaf::Boolean => Values::Boolean(Vec::new()),
            Leaf::Null | Leaf::Int | Leaf::Date => Values::Int(Vec::new()),
            Leaf::Long | Leaf::TimestampMillis => Values::Long(Vec::new()),
            Leaf::Float => Values::Float(Vec::new()),
            Leaf::Double => Values::Double(Vec::new()),
            Leaf::Text | Leaf::Bytes => Values::Bytes(Vec::new()),
            Leaf::Decimal { .. } => Values::Fixed(Vec::new()),
        };
        LeafValues { values, definition: Vec::new(), repetition: Vec::new() }
    }

    fn push(&mut self, leaf: Leaf, value: &Avro, levels: Levels) -> Result<(), Misfit> {
        match (&mut self.values, value) {
            (Values::Boolean(values), Avro::Boolean(value)) => values.push(*value),
            (Values::Int(values), Avro::Int(value) | Avro::Date(value) | Avro::TimeMillis(value)) => {
                values.push(*value)
            }
            (
                Values::Long(values),
                Avro::Long(value)
                | Avro::TimeMicros(value)
                | Avro::TimestampMicros(value)
                | Avro::TimestampMillis(value),
            ) => values.push(*value),
            (Values::Float(values), Avro::Float(value)) => values.push(*value),
            (Values::Double(values), Avro::Double(value)) => values.push(*value),
            (Values::Bytes(values), Avro::String(text) | Avro::Enum(_, text)) => values.push(text.as_str().into()),
            (Values::Bytes(values), Avro::Bytes(bytes) | Avro::Fixed(_, bytes)) => values.push(bytes.clone().into()),
            (Values::Bytes(values), Avro::Uuid(uuid)) => values.push(match leaf {
                Leaf::Text => uuid.to_string().as_str().into(),
                _ => uuid.as_bytes().to_vec().into(),
            }),
            (Values::Fixed(values), Avro::Decimal(decimal)) => values.push(fixed(leaf, decimal)?),
            (_, other) => return Err(misfit(&format!("{leaf:?}"), other)),
        }
        self.definition.push(levels.definition);
        self.repetition.push(levels.repetition);
        Ok(())
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let (definition, repetition) = (std::mem::take(&mut self.definition), std::mem::take(&mut self.repetition));
        let levels = [definition.as_slice(), repetition.as_slice()];
        match &mut self.values {
            Values::Boolean(values) => write_batch::<BoolType>(writer, values, levels),
            Values::Int(values) => write_batch::<Int32Type>(writer, values, levels),
            Values::Long(values) => write_batch::<Int64Type>(writer, values, levels),
            Values::Float(values) => write_batch::<FloatType>(writer, values, levels),
            Values::Double(values) => write_batch::<DoubleType>(writer, values, levels),
            Values::Bytes(values) => write_batch::<ByteArrayType>(writer, values, levels),
            Values::Fixed(values) => write_batch::<FixedLenByteArrayType>(writer, values, levels),
        }
    }
}

/// A decimal's unscaled value, in as many bytes as the column has.
fn fixed(leaf: Leaf, decimal: &apache_avro::Decimal) -> Result<FixedLenByteArray, Misfit> {
    let Leaf::Decimal { precision, .. } = leaf else {
        return Err(Misfit(format!("expected {leaf:?}, found a decimal")));
    };
    let size = decimal_bytes(precision);
    let too_large = || Misfit(format!("a decimal has more than {precision} digits"));
    let bytes: Vec<u8> = decimal.try_into().map_err(|_| too_large())?;
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    let mut number = vec![sign; size.saturating_sub(bytes.len())];
    // Bytes in front that only repeat the sign aren't needed.
    let (extra, needed) = bytes.split_at(bytes.len().saturating_sub(size));
    let keeps_sign = needed.first().is_none_or(|first| (first & 0x80 != 0) == (sign == 0xff));
    if extra.iter().any(|byte| *byte != sign) || !keeps_sign {
        return Err(too_large());
    }
    number.extend_from_slice(needed);
    Ok(ByteArray::from(number).into())
}

fn write_batch<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    [definition, repetition]: [&[i16]; 2],
) -> Result<(), ParquetError> {
    let values = std::mem::take(values);
    // Levels of a column that can't be absent or repeated are all 0, and ignored.
    writer.typed::<T>().write_batch(&values, Some(definition), Some(repetition)).map(drop)
}
