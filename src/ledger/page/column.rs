//! The values of one measure for the records of a group.

use crate::decimal::Decimal;
use crate::ledger::wire::{Damaged, Reader, Writer};

/// The values of one measure, in the order of the group's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// No record has a value.
    None,
    /// Every record has this value.
    Same(Decimal),
    /// Each record has a value or none.
    Each(Vec<Option<Decimal>>),
}

/// No record has a value.
const NONE: u8 = 0;
/// One value for all records.
const SAME: u8 = 1;
/// A value for each record, with a common exponent.
const EACH: u8 = 2;
/// A bit for each record that says whether it has a value, then the values with a common exponent.
const SOME: u8 = 3;
/// The bits, then the values, each with its exponent: their exponents are too different for a common one.
const UNLIKE: u8 = 4;

impl Column {
    /// The simplest column with these values.
    pub fn new(cells: Vec<Option<Decimal>>) -> Column {
        match cells.first() {
            None => Column::None,
            Some(first) if cells.iter().any(|cell| cell != first) => Column::Each(cells),
            Some(first) => first.map_or(Column::None, Column::Same),
        }
    }

    /// The value of the record at `row`.
    pub fn value(&self, row: usize) -> Option<Decimal> {
        match self {
            Column::None => None,
            Column::Same(value) => Some(*value),
            Column::Each(cells) => cells.get(row).copied().flatten(),
        }
    }

    /// Whether no record has a value.
    pub fn is_empty(&self) -> bool {
        matches!(self, Column::None)
    }

    pub(super) fn write(&self, writer: &mut Writer, rows: usize) {
        let cells = match self {
            Column::None => return writer.byte(NONE),
            Column::Same(value) => {
                writer.byte(SAME);
                return writer.decimal(*value);
            }
            Column::Each(cells) => cells,
        };
        let values: Vec<Decimal> = cells.iter().flatten().copied().collect();
        let exponent = values.iter().map(|value| value.parts().1).min().unwrap_or_default();
        let mantissas: Option<Vec<i128>> = values.iter().map(|value| value.mantissa_at(exponent)).collect();
        writer.byte(match &mantissas {
            None => UNLIKE,
            Some(_) if values.len() < rows => SOME,
            Some(_) => EACH,
        });
        if mantissas.is_none() || values.len() < rows {
            write_bits(writer, cells);
        }
        match mantissas {
            Some(mantissas) => {
                writer.int(i128::from(exponent));
                mantissas.into_iter().for_each(|mantissa| writer.int(mantissa));
            }
            None => values.into_iter().for_each(|value| writer.decimal(value)),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, rows: usize) -> Result<Column, Damaged> {
        let kind = reader.byte()?;
        let has_value = match kind {
            NONE => return Ok(Column::None),
            SAME => return reader.decimal().map(Column::Same),
            EACH => vec![true; rows],
            SOME | UNLIKE => read_bits(reader, rows)?,
            _ => return Err(Damaged("a newer release wrote it: it has an unknown column")),
        };
        let exponent = match kind {
            UNLIKE => None,
            _ => Some(i32::try_from(reader.int()?).map_err(|_| Damaged("an exponent is out of range"))?),
        };
        let mut cell = |has_value: bool| match exponent.filter(|_| has_value) {
            Some(exponent) => {
                let value = Decimal::from_parts(reader.int()?, exponent);
                value.map(Some).map_err(|_| Damaged("a number is out of range"))
            }
            None if has_value => reader.decimal().map(Some),
            None => Ok(None),
        };
        has_value.into_iter().map(&mut cell).collect::<Result<_, _>>().map(Column::Each)
    }
}

fn write_bits(writer: &mut Writer, cells: &[Option<Decimal>]) {
    for eight in cells.chunks(8) {
        let bits = eight.iter().enumerate().map(|(place, cell)| u8::from(cell.is_some()) << place);
        writer.byte(bits.fold(0, |all, bit| all | bit));
    }
}

fn read_bits(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<bool>, Damaged> {
    let bits = reader.raw(rows.div_ceil(8))?;
    Ok(bits.iter().flat_map(|byte| (0..8).map(move |place| byte >> place & 1 == 1)).take(rows).collect())
}
