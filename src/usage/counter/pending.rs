//! The amounts of one record, by key, counter, and name of the measure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::super::cell::Cell;
use super::super::key::KeyNumber;
use crate::decimal::DecimalError;
use crate::pipeline::{Aggregate, Measure};
use crate::record::{Code, Fault};

/// What was found so far for one key and name of a measure, from one counter of a record type.
#[derive(Debug)]
pub(super) struct PendingAmount<'p> {
    pub key: KeyNumber,
    /// The position of the counter in its record type.
    pub position: usize,
    pub measure: &'p Measure,
    pub name: Arc<str>,
    /// None once it was added to that of another counter.
    pub cell: Option<Cell>,
}

/// What was found so far, in the order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Pending<'p> {
    amounts: Vec<PendingAmount<'p>>,
    /// The indexes of the amounts by key, position, and name, once there are many.
    indexes: HashMap<(KeyNumber, usize, Arc<str>), usize>,
}

/// So few amounts are searched one by one.
const FEW: usize = 32;

impl<'p> Pending<'p> {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.amounts.clear();
        self.indexes.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PendingAmount<'p>> {
        self.amounts.iter()
    }

    /// Adds an amount to the one with the same key, position, and name.
    pub(super) fn add(&mut self, more: PendingAmount<'p>, image: &str) -> Result<(), Fault> {
        let index = self.index(&more);
        match index.and_then(|index| self.amounts.get_mut(index)) {
            Some(sum) => sum.add(more.cell, image)?,
            None => self.amounts.push(more),
        }
        Ok(())
    }

    fn index(&mut self, more: &PendingAmount<'p>) -> Option<usize> {
        if self.amounts.len() <= FEW {
            return self.amounts.iter().position(|sum| sum.position == more.position && sum.is_like(more));
        }
        for (index, sum) in self.amounts.iter().enumerate().skip(self.indexes.len()) {
            self.indexes.insert((sum.key, sum.position, Arc::clone(&sum.name)), index);
        }
        self.indexes.get(&(more.key, more.position, Arc::clone(&more.name))).copied()
    }

    /// Adds the amounts of different counters that have the same key and name to the first of them.
    pub(super) fn merge_counters(&mut self) -> Result<(), Fault> {
        let mut firsts = HashMap::new();
        let is_few = self.amounts.len() <= FEW;
        for index in 0..self.amounts.len() {
            let Some((before, [sum, ..])) = self.amounts.split_at_mut_checked(index) else { continue };
            let first = if is_few {
                before.iter().position(|first| first.is_like(sum))
            } else {
                match firsts.entry((sum.key, Arc::clone(&sum.name))) {
                    Entry::Occupied(first) => Some(*first.get()),
                    Entry::Vacant(none) => {
                        none.insert(index);
                        None
                    }
                }
            };
            if let Some(first) = first.and_then(|first| before.get_mut(first)) {
                first.add(sum.cell.take(), "Images")?;
            }
        }
        Ok(())
    }
}

impl PendingAmount<'_> {
    /// Whether both have the same key and name.
    fn is_like(&self, other: &PendingAmount<'_>) -> bool {
        #[cfg(test)]
        crate::steps::count();
        self.key == other.key && self.name == other.name
    }

    /// What it adds, if it changes anything.
    pub(super) fn effect(&self) -> Option<&Cell> {
        let changes_nothing = |cell: &&Cell| match cell {
            Cell::Number(amount) => amount.is_zero() && self.measure.aggregate == Aggregate::Sum,
            Cell::Hash(_) | Cell::Moment(_) => false,
        };
        self.cell.as_ref().filter(|cell| !changes_nothing(cell))
    }

    /// Combines it with what the same record says elsewhere.
    fn add(&mut self, more: Option<Cell>, image: &str) -> Result<(), Fault> {
        let (Some(cell), Some(more)) = (&mut self.cell, more) else { return Ok(()) };
        match (self.measure.aggregate, cell, more) {
            (Aggregate::Sum, Cell::Number(sum), Cell::Number(more)) => {
                *sum = sum.checked_add(more).map_err(|error| inexact(image, &self.name, error))?;
            }
            (Aggregate::Max, Cell::Number(greatest), Cell::Number(more)) => *greatest = more.max(*greatest),
            (Aggregate::Min, Cell::Number(least), Cell::Number(more)) => *least = more.min(*least),
            (Aggregate::First, Cell::Moment(first), Cell::Moment(more)) if more < *first => *first = more,
            (Aggregate::Latest, Cell::Moment(latest), Cell::Moment(more)) if more > *latest => *latest = more,
            (Aggregate::First | Aggregate::Latest, ..) => {}
            (_, cell, more) if *cell == more => {}
            _ => {
                let message = format!("has two values for measure `{}`, which takes one from each record", self.name);
                return Err(Fault::new(Code::InvalidValue, image, message));
            }
        }
        Ok(())
    }
}

fn inexact(image: &str, measure: &str, error: DecimalError) -> Fault {
    Fault::new(Code::InvalidValue, image, format!("the difference for measure `{measure}` {error}"))
}
