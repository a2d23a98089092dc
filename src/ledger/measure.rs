//! Measures: a name and how the values of records are combined.

use std::collections::HashMap;
use std::sync::Arc;

use super::wire::{Damaged, Reader, Writer};
use crate::usage::Aggregate;

fn code(aggregate: Aggregate) -> u8 {
    match aggregate {
        Aggregate::Sum => 1,
        Aggregate::Max => 2,
        Aggregate::Min => 3,
        Aggregate::First => 4,
        Aggregate::Latest => 5,
        Aggregate::Distinct { .. } => 6,
        Aggregate::Quantile => 7,
    }
}

/// Writes the code of an aggregate and, if it has one, its limit.
fn write_aggregate(aggregate: Aggregate, writer: &mut Writer) {
    writer.byte(code(aggregate));
    if let Aggregate::Distinct { exact } = aggregate {
        writer.uint(exact.into());
    }
}

fn read_aggregate(reader: &mut Reader<'_>) -> Result<Aggregate, Damaged> {
    Ok(match reader.byte()? {
        1 => Aggregate::Sum,
        2 => Aggregate::Max,
        3 => Aggregate::Min,
        4 => Aggregate::First,
        5 => Aggregate::Latest,
        6 => {
            let exact = u16::try_from(reader.uint()?).map_err(|_| Damaged("a limit is too large"))?;
            Aggregate::Distinct { exact }
        }
        7 => Aggregate::Quantile,
        _ => return Err(Damaged("a newer release wrote it: it has an unknown aggregate")),
    })
}

/// A measure of a page or state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measure {
    /// The name, which is the attribute of the snapshot or the beginning of its name.
    pub name: Arc<str>,
    /// How values are combined.
    pub aggregate: Aggregate,
}

/// Numbered measures, in the order of first appearance.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    measures: Vec<Measure>,
    /// The numbers by name, once there are many.
    numbers: HashMap<(Arc<str>, u8), usize>,
}

/// So few measures are searched one by one.
const FEW: usize = 16;

impl PartialEq for Measures {
    fn eq(&self, other: &Measures) -> bool {
        self.measures == other.measures
    }
}

impl Eq for Measures {}

impl Measures {
    /// The number of a measure. A new measure gets the next one. Counts of different values that differ only in how many are
    /// counted exactly are one measure, with the greater limit.
    pub fn number(&mut self, name: &Arc<str>, aggregate: Aggregate) -> usize {
        let found = match self.measures.len() {
            ..=FEW => self.measures.iter().position(|measure| {
                measure.aggregate.is_like(aggregate) && (Arc::ptr_eq(&measure.name, name) || measure.name == *name)
            }),
            _ => {
                for (number, measure) in self.measures.iter().enumerate().skip(self.numbers.len()) {
                    self.numbers.insert((Arc::clone(&measure.name), code(measure.aggregate)), number);
                }
                self.numbers.get(&(Arc::clone(name), code(aggregate))).copied()
            }
        };
        if matches!(aggregate, Aggregate::Distinct { .. })
            && let Some(measure) = found.and_then(|number| self.measures.get_mut(number))
        {
            measure.aggregate = measure.aggregate.max(aggregate);
        }
        found.unwrap_or_else(|| {
            self.measures.push(Measure { name: Arc::clone(name), aggregate });
            self.measures.len() - 1
        })
    }

    /// The measure with this number.
    pub fn get(&self, number: usize) -> Option<&Measure> {
        self.measures.get(number)
    }

    /// The measures in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Measure> {
        self.measures.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.measures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.measures.is_empty()
    }

    /// Writes the measures.
    pub fn write(&self, writer: &mut Writer) {
        writer.size(self.measures.len());
        for Measure { name, aggregate } in &self.measures {
            write_aggregate(*aggregate, writer);
            writer.bytes(name.as_bytes());
        }
    }

    /// Reads measures.
    ///
    /// # Errors
    /// If an aggregate is unknown or a name appears twice.
    pub fn read(reader: &mut Reader<'_>) -> Result<Measures, Damaged> {
        let mut measures = Measures::default();
        let count = reader.count()?;
        for number in 0..count {
            let aggregate = read_aggregate(reader)?;
            if measures.number(&reader.text()?.into(), aggregate) != number {
                return Err(Damaged("a measure appears twice"));
            }
        }
        Ok(measures)
    }
}
