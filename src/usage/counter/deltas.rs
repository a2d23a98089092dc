//! Adds up the amounts of one record by key and measure.

use std::sync::Arc;

use super::super::cell::Cell;
use super::super::group::Addition;
use super::super::key::KeyNumber;
use super::{Counting, Delta, Image, RoutedImage, not_carried};
use crate::decimal::DecimalError;
use crate::outline::OutlinedRecord;
use crate::pipeline::{Aggregate, Amount, Bindings, Counter, Measure, Removal, Route, Routed};
use crate::record::{Code, Event, Fault, ImageOf};

/// Whether a difference adds or subtracts an image.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Plus,
    Minus { removed: bool, expired: bool },
}

/// The counting of one record.
pub(super) struct Deltas<'c, 'p> {
    counting: &'c mut Counting<'p>,
    event: Event,
}

/// What was found so far for one key and name of a measure, from one counter of a record type.
#[derive(Debug)]
pub(super) struct PendingAmount<'p> {
    key: KeyNumber,
    /// The position of the counter in its record type.
    position: usize,
    measure: &'p Measure,
    name: Arc<str>,
    /// None once it was added to that of another counter.
    cell: Option<Cell>,
}

impl<'c, 'p> Deltas<'c, 'p> {
    pub(super) fn new(counting: &'c mut Counting<'p>, event: Event) -> Self {
        counting.pending.clear();
        Deltas { counting, event }
    }

    /// The deltas by key, in the order of first appearance. Sums without zeros.
    ///
    /// # Errors
    /// If amounts of several counters add up to more than 38 digits, or can't be combined.
    pub(super) fn nonzero(self) -> Result<Vec<Delta>, Fault> {
        if self.counting.pending.iter().any(|sum| sum.position > 0) {
            merge_counters(&mut self.counting.pending)?;
        }
        let mut deltas: Vec<Delta> = Vec::new();
        for sum in &self.counting.pending {
            let index = deltas.iter().position(|delta| delta.key == sum.key).unwrap_or_else(|| {
                deltas.push(Delta { key: sum.key, amounts: Vec::new() });
                deltas.len() - 1
            });
            if let (Some(delta), Some(cell)) = (deltas.get_mut(index), sum.effect()) {
                let (measure, aggregate) = (Arc::clone(&sum.name), sum.measure.aggregate);
                delta.amounts.push(Addition { measure, aggregate, cell: cell.clone() });
            }
        }
        deltas.retain(|delta| !delta.amounts.is_empty());
        Ok(deltas)
    }

    /// Adds the counts and sums, except those with `along_with`.
    pub(super) fn add_each<'s>(&mut self, routed: &RoutedImage<'p, 's>, bindings: &Bindings<'s>) -> Result<(), Fault> {
        let event = self.event;
        self.add(routed, bindings, |_, measure| match &measure.amount {
            Amount::Each { events, along_with: None } if events.contains(&event) => Some(false),
            _ => None,
        })
    }

    /// Adds the counts with `along_with`. Must come last: they count only if the amount of another measure isn't zero.
    pub(super) fn add_companions<'s>(
        &mut self,
        routed: &RoutedImage<'p, 's>,
        bindings: &Bindings<'s>,
    ) -> Result<(), Fault> {
        let companion = |measure: &Measure| matches!(measure.amount, Amount::Each { along_with: Some(_), .. });
        if !routed.route.measures().any(companion) {
            return Ok(());
        }
        let changes = self.counting.pending.iter().filter(|sum| sum.effect().is_some());
        let changed: Vec<_> = changes.map(|sum| std::ptr::from_ref(sum.measure)).collect();
        let event = self.event;
        self.add(routed, bindings, |counter, measure| match &measure.amount {
            Amount::Each { events, along_with: Some(other) } if events.contains(&event) => {
                let other = counter.measures.get(*other)?;
                changed.iter().any(|measure| std::ptr::eq(*measure, other)).then_some(false)
            }
            _ => None,
        })
    }

    /// Adds or subtracts the value of an image for each delta.
    pub(super) fn add_difference<'s>(
        &mut self,
        routed: &RoutedImage<'p, 's>,
        bindings: &Bindings<'s>,
        sign: Sign,
    ) -> Result<(), Fault> {
        self.add(routed, bindings, |_, measure| match (&measure.amount, sign) {
            (Amount::Each { .. }, _) => None,
            (Amount::Difference { .. }, Sign::Plus) => Some(false),
            (Amount::Difference { removed, expired, .. }, Sign::Minus { removed: gone, expired: by_ttl }) => {
                let rule = if by_ttl { expired } else { removed };
                (!gone || *rule == Removal::Subtract).then_some(true)
            }
        })
    }

    /// Subtracts the value of the old image, by the route that the old image takes. If the keys alone decide the route,
    /// that is the route of the newest image.
    pub(super) fn subtract_old(
        &mut self,
        record: &OutlinedRecord<'_>,
        old: Image<'_>,
        newest: Option<(&'p Route, &Bindings<'_>)>,
    ) -> Result<(), Fault> {
        let pipeline = self.counting.pipeline;
        if matches!(old, ImageOf::NotCarried) && !pipeline.routes.iter().any(needs_old_image) {
            return Ok(());
        }
        let routed = match newest.filter(|(route, _)| pipeline.keys_decide(record.keys, route)) {
            Some((route, bindings)) => Routed::To(route, bindings.clone()),
            None => pipeline.route_outline(record.keys, old),
        };
        match routed {
            Routed::Nowhere => Ok(()),
            Routed::NeedsImage(_) => {
                let subtracts = |route: &Route| route.events.contains(&self.event) && needs_old_image(route);
                match pipeline.may_take(record.keys, old, subtracts) {
                    true => Err(not_carried("OldImage")),
                    false => Ok(()),
                }
            }
            Routed::To(route, _) if !route.events.contains(&self.event) => Ok(()),
            Routed::To(route, bindings) => {
                let routed = RoutedImage { route, image: old, name: "OldImage", next: Some(*record.newest_image()) };
                self.add_difference(&routed, &bindings, Sign::Minus { removed: false, expired: false })
            }
        }
    }

    /// Adds the quantities of the measures for which `negate` returns `Some`, negated if it is `Some(true)`.
    fn add<'s>(
        &mut self,
        routed: &RoutedImage<'p, 's>,
        bindings: &Bindings<'s>,
        negate: impl Fn(&Counter, &Measure) -> Option<bool>,
    ) -> Result<(), Fault> {
        let mut bound = None;
        let mut found = std::mem::take(&mut self.counting.found);
        for (position, counter) in routed.route.counters.iter().enumerate() {
            let mut key = None;
            for measure in &counter.measures {
                let Some(is_negative) = negate(counter, measure) else { continue };
                found.clear();
                self.counting.quantities(measure, routed, &mut found)?;
                for (name, cell) in found.drain(..) {
                    let key = match key {
                        Some(key) => key,
                        None => *key.insert(self.counting.key_of(counter, routed, bindings, &mut bound)?),
                    };
                    let cell = match cell {
                        Cell::Number(quantity) if is_negative => Cell::Number(-quantity),
                        cell => cell,
                    };
                    self.sum(PendingAmount { key, position, measure, name, cell: Some(cell) }, routed.name)?;
                }
            }
        }
        self.counting.found = found;
        Ok(())
    }

    fn sum(&mut self, more: PendingAmount<'p>, image: &str) -> Result<(), Fault> {
        let same = |sum: &&mut PendingAmount<'p>| {
            sum.key == more.key && sum.position == more.position && sum.name == more.name
        };
        match self.counting.pending.iter_mut().find(same) {
            Some(sum) => sum.add(more.cell, image)?,
            None => self.counting.pending.push(more),
        }
        Ok(())
    }
}

impl PendingAmount<'_> {
    /// What it adds, if it changes anything.
    fn effect(&self) -> Option<&Cell> {
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

/// Adds the amounts of different counters that have the same key and name to the first of them.
fn merge_counters(pending: &mut [PendingAmount<'_>]) -> Result<(), Fault> {
    for index in 1..pending.len() {
        let Some((before, [sum, ..])) = pending.split_at_mut_checked(index) else { continue };
        if let Some(first) = before.iter_mut().find(|first| first.key == sum.key && first.name == sum.name) {
            first.add(sum.cell.take(), "Images")?;
        }
    }
    Ok(())
}

fn needs_old_image(route: &Route) -> bool {
    let difference = |measure: &Measure| matches!(measure.amount, Amount::Difference { .. });
    route.measures().any(difference)
}

fn inexact(image: &str, measure: &str, error: DecimalError) -> Fault {
    Fault::new(Code::InvalidValue, image, format!("the difference for measure `{measure}` {error}"))
}
