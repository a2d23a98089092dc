//! Rows as Parquet. Instants are timestamps with microseconds in UTC. Values are texts: measures have different scales, and no
//! one decimal type holds all of their numbers exactly; `CAST(value AS DECIMAL(38, 6))` converts them.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::results::export::row::{Cell, Head, UsageRow};

/// 10,000: the rows of a row group, which are held in memory.
const GROUP_ROWS: usize = 10_000;

/// Writes a Parquet file.
pub(in crate::results::export) struct ParquetFile<W: Write + Send> {
    head: Head,
    out: SerializedFileWriter<W>,
    rows: Vec<UsageRow>,
}

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn new(head: &Head, out: W) -> io::Result<ParquetFile<W>> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let out =
            SerializedFileWriter::new(out, schema(head).map_err(failed)?, Arc::new(properties)).map_err(failed)?;
        Ok(ParquetFile { head: head.clone(), out, rows: Vec::new() })
    }

    pub(super) fn write(&mut self, row: &UsageRow) -> io::Result<()> {
        self.rows.push(row.clone());
        if self.rows.len() >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_group()?;
        self.out.into_inner().map_err(failed)
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<(&str, Cell<'_>)>> = self.rows.iter().map(|row| self.head.cells(Some(row))).collect();
        let mut group = self.out.next_row_group().map_err(failed)?;
        let mut place = 0;
        while let Some(mut column) = group.next_column().map_err(failed)? {
            let cells: Vec<Cell<'_>> = rows.iter().filter_map(|row| row.get(place)).map(|(_, cell)| *cell).collect();
            let levels: Vec<i16> = cells.iter().map(|cell| i16::from(is_present(cell))).collect();
            let is_optional = matches!(cells.first(), Some(Cell::Maybe(_) | Cell::Whole(_)));
            let levels = is_optional.then_some(levels.as_slice());
            if matches!(cells.first(), Some(Cell::Instant(_) | Cell::Whole(_))) {
                let numbers: Vec<i64> = cells.iter().filter_map(whole).collect::<io::Result<_>>()?;
                column.typed::<Int64Type>().write_batch(&numbers, levels, None).map_err(failed)?;
            } else {
                let texts: Vec<ByteArray> = cells.iter().filter_map(text).collect();
                column.typed::<ByteArrayType>().write_batch(&texts, levels, None).map_err(failed)?;
            }
            column.close().map_err(failed)?;
            place += 1;
        }
        group.close().map_err(failed)?;
        self.rows.clear();
        Ok(())
    }
}

fn schema(head: &Head) -> Result<TypePtr, ParquetError> {
    let field = |(name, cell): (&str, Cell<'_>)| {
        let (physical, logical, repetition) = match cell {
            Cell::Text(_) => (Physical::BYTE_ARRAY, LogicalType::String, Repetition::REQUIRED),
            Cell::Maybe(_) => (Physical::BYTE_ARRAY, LogicalType::String, Repetition::OPTIONAL),
            Cell::Instant(_) => {
                let instant = LogicalType::timestamp(true, TimeUnit::MICROS);
                (Physical::INT64, instant, Repetition::REQUIRED)
            }
            Cell::Whole(_) => (Physical::INT64, LogicalType::integer(64, false), Repetition::OPTIONAL),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(repetition);
        field.with_logical_type(Some(logical)).build().map(Arc::new)
    };
    let fields = head.cells(None).into_iter().map(field).collect::<Result<_, _>>()?;
    Type::group_type_builder("usage").with_fields(fields).build().map(Arc::new)
}

fn is_present(cell: &Cell<'_>) -> bool {
    !matches!(cell, Cell::Maybe(None) | Cell::Whole(None))
}

fn text(cell: &Cell<'_>) -> Option<ByteArray> {
    match cell {
        Cell::Text(text) | Cell::Instant(text) => Some(ByteArray::from(*text)),
        Cell::Maybe(text) => text.map(ByteArray::from),
        Cell::Whole(_) => None,
    }
}

fn whole(cell: &Cell<'_>) -> Option<io::Result<i64>> {
    match cell {
        // An unsigned number has the bits of its signed one.
        Cell::Whole(number) => number.map(|number| Ok(number.cast_signed())),
        Cell::Instant(text) => Some(match text.parse::<jiff::Timestamp>() {
            Ok(instant) => Ok(instant.as_microsecond()),
            Err(error) => Err(io::Error::other(format!("{text} is not an instant: {error}"))),
        }),
        Cell::Text(_) | Cell::Maybe(_) => None,
    }
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}
