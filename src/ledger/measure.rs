//! Measures: a name and how the values of records are combined.

use std::collections::HashMap;
use std::sync::Arc;

use super::wire::{Damaged, Reader, Writer};

/// How the values of records are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregate {
    /// They are added up. A count is a sum of ones.
    Sum,
}

impl Aggregate {
    fn code(self) -> u8 {
        match self {
            Aggregate::Sum => 1,
        }
    }

    fn of(code: u8) -> Result<Aggregate, Damaged> {
        match code {
            1 => Ok(Aggregate::Sum),
            _ => Err(Damaged("a newer release wrote it: it has an unknown aggregate")),
        }
    }
}

/// A measure of a page or state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measure {
    /// The name, which is the attribute of the snapshot.
    pub name: Arc<str>,
    /// How values are combined.
    pub aggregate: Aggregate,
}

/// Numbered measures, in the order of first appearance.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    measures: Vec<Measure>,
    /// The numbers by name, once there are many.
    numbers: HashMap<(Arc<str>, Aggregate), usize>,
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
    /// The number of a measure. A new measure gets the next one.
    pub fn number(&mut self, name: &Arc<str>, aggregate: Aggregate) -> usize {
        let found = match self.measures.len() {
            ..=FEW => self.measures.iter().position(|measure| {
                measure.aggregate == aggregate && (Arc::ptr_eq(&measure.name, name) || measure.name == *name)
            }),
            _ => {
                for (number, measure) in self.measures.iter().enumerate().skip(self.numbers.len()) {
                    self.numbers.insert((Arc::clone(&measure.name), measure.aggregate), number);
                }
                self.numbers.get(&(Arc::clone(name), aggregate)).copied()
            }
        };
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
            writer.byte(aggregate.code());
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
            let aggregate = Aggregate::of(reader.byte()?)?;
            if measures.number(&reader.text()?.into(), aggregate) != number {
                return Err(Damaged("a measure appears twice"));
            }
        }
        Ok(measures)
    }
}
