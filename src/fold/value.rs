//! What a state holds for one group and measure. Each aggregate has a file of its own; children hold disjoint records, so
//! merging their values is right for each of them, in any order.

mod distinct;
mod edge;
mod extreme;
mod quantile;
mod sum;

use crate::decimal::Decimal;
use crate::ledger::{Aggregate, Damaged, Reader, Writer};
use crate::pipeline::Quantile;
use crate::usage::{Cell, Scalar};
use distinct::Distinct;
use edge::Edge;
use extreme::Extreme;
use quantile::Distribution;
pub(super) use sum::Sum;

/// The value of a group for one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The sum of the amounts.
    Sum(Sum),
    /// The greatest number.
    Max(Extreme),
    /// The least number.
    Min(Extreme),
    /// The value of the first record.
    First(Edge),
    /// The value of the latest record.
    Latest(Edge),
    /// The different values.
    Distinct(Box<Distinct>),
    /// The distribution of the numbers.
    Quantile(Box<Distribution>),
    /// It isn't known: a sum needed more than 38 digits, or the group has more bytes than an item. It stays so, because
    /// what was added isn't known any more.
    Overflow,
}

/// An attribute of a snapshot and its value; none if no record feeds it.
pub(super) type Attribute = (String, Option<Scalar>);

impl Value {
    /// The value without any record.
    pub(super) fn empty(aggregate: Aggregate) -> Value {
        match aggregate {
            Aggregate::Sum => Value::Sum(Sum::default()),
            Aggregate::Max => Value::Max(Extreme::default()),
            Aggregate::Min => Value::Min(Extreme::default()),
            Aggregate::First => Value::First(Edge::default()),
            Aggregate::Latest => Value::Latest(Edge::default()),
            Aggregate::Distinct { exact } => Value::Distinct(Box::new(Distinct::new(exact))),
            Aggregate::Quantile => Value::Quantile(Box::default()),
        }
    }

    /// Adds the value of one record.
    pub(super) fn insert(&mut self, cell: &Cell) {
        let mut is_known = true;
        match (&mut *self, cell) {
            (Value::Sum(sum), Cell::Number(amount)) => is_known = sum.insert(*amount),
            (Value::Max(extreme), Cell::Number(number)) => extreme.raise(*number),
            (Value::Min(extreme), Cell::Number(number)) => extreme.lower(*number),
            (Value::First(edge), Cell::Moment(moment)) => edge.earlier(moment),
            (Value::Latest(edge), Cell::Moment(moment)) => edge.later(moment),
            (Value::Distinct(distinct), Cell::Hash(hash)) => distinct.insert(*hash),
            (Value::Quantile(distribution), Cell::Number(number)) => distribution.insert(*number),
            // A page's cells are what its aggregates need.
            _ => is_known = false,
        }
        if !is_known {
            *self = Value::Overflow;
        }
    }

    /// Adds the value of other records.
    pub(super) fn merge(&mut self, other: &Value) {
        let mut is_known = true;
        match (&mut *self, other) {
            (Value::Sum(sum), Value::Sum(other)) => is_known = sum.merge(other),
            (Value::Max(extreme), Value::Max(other)) => other.0.iter().for_each(|number| extreme.raise(*number)),
            (Value::Min(extreme), Value::Min(other)) => other.0.iter().for_each(|number| extreme.lower(*number)),
            (Value::First(edge), Value::First(other)) => other.0.iter().for_each(|moment| edge.earlier(moment)),
            (Value::Latest(edge), Value::Latest(other)) => other.0.iter().for_each(|moment| edge.later(moment)),
            (Value::Distinct(distinct), Value::Distinct(other)) => distinct.merge(other),
            (Value::Quantile(distribution), Value::Quantile(other)) => distribution.merge(other),
            // One of them isn't known; values of one measure have one aggregate.
            _ => is_known = false,
        }
        if !is_known {
            *self = Value::Overflow;
        }
    }

    /// Whether no record feeds it. A sum is 0 then, which is a value like any other.
    fn is_empty(&self) -> bool {
        match self {
            Value::Sum(_) | Value::Overflow => false,
            Value::Max(extreme) | Value::Min(extreme) => extreme.0.is_none(),
            Value::First(edge) | Value::Latest(edge) => edge.0.is_none(),
            Value::Distinct(distinct) => distinct.is_empty(),
            Value::Quantile(distribution) => distribution.is_empty(),
        }
    }

    /// The attributes of a measure with this name; nothing if the value isn't known. `quantiles` are those that are
    /// published.
    pub(super) fn attributes(&self, name: &str, quantiles: &[Quantile]) -> Vec<Attribute> {
        let number = |number: Option<Decimal>| vec![(name.to_owned(), number.map(Scalar::Number))];
        match self {
            Value::Sum(Sum(sum)) => number(Some(*sum)),
            Value::Max(Extreme(extreme)) | Value::Min(Extreme(extreme)) => number(*extreme),
            Value::First(Edge(edge)) | Value::Latest(Edge(edge)) => {
                vec![(name.to_owned(), edge.as_ref().map(|moment| moment.value.clone()))]
            }
            Value::Distinct(distinct) => number(Some(distinct.count())),
            Value::Quantile(distribution) => {
                let attribute = |quantile: &Quantile| {
                    (quantile.attribute(name), distribution.quantile(*quantile).map(Scalar::Number))
                };
                quantiles.iter().map(attribute).collect()
            }
            Value::Overflow => Vec::new(),
        }
    }

    /// The number that is compared with limits, or none if no record feeds it. Nothing if the value isn't known or isn't a number.
    pub(super) fn number(&self) -> Option<Option<Decimal>> {
        match self.attributes("", &[]).pop()? {
            (_, Some(Scalar::Number(number))) => Some(Some(number)),
            (_, Some(Scalar::Text(_))) => None,
            (_, None) => Some(None),
        }
    }

    /// Writes the value after a mark that says whether it is known.
    pub(super) fn write(&self, writer: &mut Writer) {
        if self.is_empty() {
            return writer.byte(EMPTY);
        }
        writer.byte(if *self == Value::Overflow { OVERFLOW } else { KNOWN });
        match self {
            Value::Sum(sum) => sum.write(writer),
            Value::Max(extreme) | Value::Min(extreme) => extreme.write(writer),
            Value::First(edge) | Value::Latest(edge) => edge.write(writer),
            Value::Distinct(distinct) => distinct.write(writer),
            Value::Quantile(distribution) => distribution.write(writer),
            Value::Overflow => {}
        }
    }

    /// Reads a value after its mark, or none.
    pub(super) fn read(aggregate: Aggregate, reader: &mut Reader<'_>) -> Result<Option<Value>, Damaged> {
        match reader.byte()? {
            NONE => return Ok(None),
            OVERFLOW => return Ok(Some(Value::Overflow)),
            EMPTY => return Ok(Some(Value::empty(aggregate))),
            KNOWN => {}
            _ => return Err(Damaged("a group has an unknown mark")),
        }
        let value = match aggregate {
            Aggregate::Sum => Value::Sum(Sum::read(reader)?),
            Aggregate::Max => Value::Max(Extreme::read(reader)?),
            Aggregate::Min => Value::Min(Extreme::read(reader)?),
            Aggregate::First => Value::First(Edge::read(reader)?),
            Aggregate::Latest => Value::Latest(Edge::read(reader)?),
            Aggregate::Distinct { exact } => Value::Distinct(Box::new(Distinct::read(exact, reader)?)),
            Aggregate::Quantile => Value::Quantile(Box::new(Distribution::read(reader)?)),
        };
        Ok(Some(value))
    }

    /// How many bytes it takes before compression.
    pub(super) fn bytes(&self) -> usize {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.written().len()
    }
}

/// The mark of a measure that no page names for the group.
pub(super) const NONE: u8 = 0;
const KNOWN: u8 = 1;
const OVERFLOW: u8 = 2;
/// The mark of a measure that pages name, but that no counted record feeds.
const EMPTY: u8 = 3;

#[cfg(test)]
mod tests;
