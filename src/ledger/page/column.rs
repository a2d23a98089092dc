//! The values of one measure for the records of a group.

use crate::decimal::Decimal;
use crate::ledger::moment::{read_moment, write_moment};
use crate::ledger::wire::{Damaged, Reader, Writer};
use crate::usage::{Aggregate, Cell};

/// The values of one measure, in the order of the group's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// No record has a value.
    None,
    /// Every record has this value.
    Same(Cell),
    /// Each record has a value or none.
    Each(Vec<Option<Cell>>),
}

/// No record has a value.
const NONE: u8 = 0;
/// One value for all records.
const SAME: u8 = 1;
/// A value for each record. Numbers have a common exponent, and moments a common base, in front.
const EACH: u8 = 2;
/// A bit for each record that says whether it has a value, then the values as before.
const SOME: u8 = 3;
/// The bits, then the numbers, each with its exponent: their exponents are too different for a common one.
const UNLIKE: u8 = 4;

/// What the cells of a column are.
#[derive(Clone, Copy)]
enum Form {
    Number,
    Hash,
    Moment,
}

impl Form {
    fn of(aggregate: Aggregate) -> Form {
        match aggregate {
            Aggregate::Sum | Aggregate::Max | Aggregate::Min | Aggregate::Quantile => Form::Number,
            Aggregate::Distinct { .. } => Form::Hash,
            Aggregate::First | Aggregate::Latest => Form::Moment,
        }
    }
}

impl Column {
    /// The simplest column with these values.
    pub fn new(cells: Vec<Option<Cell>>) -> Column {
        match cells.first() {
            None => Column::None,
            Some(first) if cells.iter().any(|cell| cell != first) => Column::Each(cells),
            Some(first) => first.clone().map_or(Column::None, Column::Same),
        }
    }

    /// The value of the record at `row`.
    pub fn value(&self, row: usize) -> Option<&Cell> {
        match self {
            Column::None => None,
            Column::Same(value) => Some(value),
            Column::Each(cells) => cells.get(row)?.as_ref(),
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
                return write_cell(value, 0, writer);
            }
            Column::Each(cells) => cells,
        };
        let numbers: Vec<Decimal> = cells.iter().flatten().filter_map(Cell::number).collect();
        if !numbers.is_empty() {
            return write_numbers(cells, numbers, rows, writer);
        }
        let is_each = cells.iter().flatten().count() == rows;
        writer.byte(if is_each { EACH } else { SOME });
        if !is_each {
            write_bits(writer, cells);
        }
        let base = base(cells);
        writer.int(base.into());
        cells.iter().flatten().for_each(|cell| write_cell(cell, base, writer));
    }

    pub(super) fn read(aggregate: Aggregate, reader: &mut Reader<'_>, rows: usize) -> Result<Column, Damaged> {
        let form = Form::of(aggregate);
        let kind = reader.byte()?;
        let has_value = match kind {
            NONE => return Ok(Column::None),
            SAME => return read_cell(form, 0, reader).map(Column::Same),
            EACH => vec![true; rows],
            SOME | UNLIKE => read_bits(reader, rows)?,
            _ => return Err(Damaged("a newer release wrote it: it has an unknown column")),
        };
        let in_front = if kind == UNLIKE { 0 } else { reader.int()? };
        if matches!(form, Form::Number) && kind != UNLIKE {
            return read_numbers(in_front, has_value, reader);
        }
        let base = i64::try_from(in_front).map_err(|_| Damaged("a time is out of range"))?;
        let mut cell = |has_value: bool| has_value.then(|| read_cell(form, base, reader)).transpose();
        has_value.into_iter().map(&mut cell).collect::<Result<_, _>>().map(Column::Each)
    }
}

/// The earliest time of the moments, in microseconds since the epoch.
fn base(cells: &[Option<Cell>]) -> i64 {
    let at = |cell: &Cell| match cell {
        Cell::Moment(moment) => Some(moment.at.micros()),
        Cell::Number(_) | Cell::Hash(_) => None,
    };
    cells.iter().flatten().filter_map(at).min().unwrap_or_default()
}

fn write_cell(cell: &Cell, base: i64, writer: &mut Writer) {
    match cell {
        Cell::Number(number) => writer.decimal(*number),
        Cell::Hash(hash) => writer.raw(&hash.to_be_bytes()),
        Cell::Moment(moment) => write_moment(moment, base, writer),
    }
}

fn read_cell(form: Form, base: i64, reader: &mut Reader<'_>) -> Result<Cell, Damaged> {
    match form {
        Form::Number => reader.decimal().map(Cell::Number),
        Form::Hash => reader.hash().map(Cell::Hash),
        Form::Moment => read_moment(base, reader).map(Cell::Moment),
    }
}

fn write_numbers(cells: &[Option<Cell>], numbers: Vec<Decimal>, rows: usize, writer: &mut Writer) {
    let exponent = numbers.iter().map(|value| value.parts().1).min().unwrap_or_default();
    let mantissas: Option<Vec<i128>> = numbers.iter().map(|value| value.mantissa_at(exponent)).collect();
    writer.byte(match &mantissas {
        None => UNLIKE,
        Some(_) if numbers.len() < rows => SOME,
        Some(_) => EACH,
    });
    if mantissas.is_none() || numbers.len() < rows {
        write_bits(writer, cells);
    }
    match mantissas {
        Some(mantissas) => {
            writer.int(i128::from(exponent));
            mantissas.into_iter().for_each(|mantissa| writer.int(mantissa));
        }
        None => numbers.into_iter().for_each(|value| writer.decimal(value)),
    }
}

fn read_numbers(exponent: i128, has_value: Vec<bool>, reader: &mut Reader<'_>) -> Result<Column, Damaged> {
    let exponent = i32::try_from(exponent).map_err(|_| Damaged("an exponent is out of range"))?;
    let mut cell = |has_value: bool| match has_value {
        true => {
            let value = Decimal::from_parts(reader.int()?, exponent);
            value.map(Cell::Number).map(Some).map_err(|_| Damaged("a number is out of range"))
        }
        false => Ok(None),
    };
    has_value.into_iter().map(&mut cell).collect::<Result<_, _>>().map(Column::Each)
}

fn write_bits(writer: &mut Writer, cells: &[Option<Cell>]) {
    for eight in cells.chunks(8) {
        let bits = eight.iter().enumerate().map(|(place, cell)| u8::from(cell.is_some()) << place);
        writer.byte(bits.fold(0, |all, bit| all | bit));
    }
}

fn read_bits(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<bool>, Damaged> {
    let bits = reader.raw(rows.div_ceil(8))?;
    Ok(bits.iter().flat_map(|byte| (0..8).map(move |place| byte >> place & 1 == 1)).take(rows).collect())
}
