//! Adds up the amounts of one record by key and measure.

use std::sync::Arc;

use super::super::cell::Cell;
use super::super::group::Addition;
use super::event_hour::Counts;
use super::pending::PendingAmount;
use super::{Counting, Delta, Image, RoutedImage, not_carried};
use crate::outline::OutlinedRecord;
use crate::pipeline::{Amount, Bindings, Counter, Measure, Removal, Route, Routed, Weight, adjusted_name};
use crate::record::{Event, Fault, ImageOf};
use crate::time::Timestamp;

/// Whether a difference adds or subtracts an image.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Plus,
    Minus { removed: bool, expired: bool },
}

/// What a record adds of a quantity that one of its images has.
#[derive(Clone, Copy)]
enum Share<'p> {
    Plus,
    Minus,
    /// Times the time that it stood.
    Standing(&'p Weight),
}

/// The counting of one record.
pub(super) struct Deltas<'c, 'p> {
    counting: &'c mut Counting<'p>,
    event: Event,
    /// The time of the record.
    at: Timestamp,
}

impl<'c, 'p> Deltas<'c, 'p> {
    pub(super) fn new(counting: &'c mut Counting<'p>, record: &OutlinedRecord<'_>) -> Self {
        counting.pending.clear();
        Deltas { counting, event: record.change.event(), at: record.created_at }
    }

    /// The deltas by key, in the order of first appearance. Sums without zeros.
    ///
    /// # Errors
    /// If amounts of several counters add up to more than 38 digits, or can't be combined.
    pub(super) fn nonzero(self) -> Result<Vec<Delta>, Fault> {
        if self.counting.pending.iter().any(|sum| sum.position > 0) {
            self.counting.pending.merge_counters()?;
        }
        let mut deltas: Vec<Delta> = Vec::new();
        for sum in self.counting.pending.iter() {
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
            Amount::Each { events, along_with: None } if events.contains(&event) => Some(Share::Plus),
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
        let changed: Vec<&Measure> = changes.map(|sum| sum.measure).collect();
        let event = self.event;
        self.add(routed, bindings, |counter, measure| match &measure.amount {
            Amount::Each { events, along_with: Some(other) } if events.contains(&event) => {
                let name = &counter.measures.get(*other)?.name;
                // If several measures of the counter have this name, their amounts are added up in the first that found something.
                let mut own = counter.measures.iter().filter(|own| own.name == *name);
                own.any(|own| changed.iter().any(|changed| std::ptr::eq(*changed, own))).then_some(Share::Plus)
            }
            _ => None,
        })
    }

    /// Adds or subtracts the value of an image for each delta, and weighs one that no longer stands.
    pub(super) fn add_difference<'s>(
        &mut self,
        routed: &RoutedImage<'p, 's>,
        bindings: &Bindings<'s>,
        sign: Sign,
    ) -> Result<(), Fault> {
        self.add(routed, bindings, |_, measure| match (&measure.amount, sign) {
            (Amount::Each { .. }, _) | (Amount::Standing(_), Sign::Plus) => None,
            (Amount::Standing(weight), Sign::Minus { .. }) => Some(Share::Standing(weight)),
            (Amount::Difference { .. }, Sign::Plus) => Some(Share::Plus),
            (Amount::Difference { removed, expired, .. }, Sign::Minus { removed: gone, expired: by_ttl }) => {
                let rule = if by_ttl { expired } else { removed };
                (!gone || *rule == Removal::Subtract).then_some(Share::Minus)
            }
        })
    }

    /// Adds the value of an image for each measure with a baseline, and for no other.
    pub(super) fn add_baseline<'s>(
        &mut self,
        routed: &RoutedImage<'p, 's>,
        bindings: &Bindings<'s>,
    ) -> Result<(), Fault> {
        self.add(routed, bindings, |_, measure| measure.baseline.then_some(Share::Plus))
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

    /// Adds what `share` says of the quantities of each measure.
    fn add<'s>(
        &mut self,
        routed: &RoutedImage<'p, 's>,
        bindings: &Bindings<'s>,
        share: impl Fn(&'p Counter, &'p Measure) -> Option<Share<'p>>,
    ) -> Result<(), Fault> {
        let (mut bound, mut counts_at) = (None, None);
        let mut found = std::mem::take(&mut self.counting.found);
        for (position, counter) in routed.route.counters.iter().enumerate() {
            let mut known_key = None;
            for measure in &counter.measures {
                let Some(share) = share(counter, measure) else { continue };
                found.clear();
                self.counting.quantities(measure, routed, &mut found)?;
                for (name, cell) in found.drain(..) {
                    let counts_at = match counts_at {
                        Some(counts_at) => counts_at,
                        None => *counts_at.insert(self.counting.counts(routed)?),
                    };
                    let Some(counts) = counts_at.of(measure) else { continue };
                    let key = match known_key {
                        Some((key, of_counts)) if of_counts == counts => key,
                        _ => self.counting.key_of(counter, (routed, counts), bindings, &mut bound)?,
                    };
                    known_key = Some((key, counts));
                    let cell = match (cell, share) {
                        (Cell::Number(quantity), Share::Minus) => Cell::Number(-quantity),
                        (Cell::Number(quantity), Share::Standing(weight)) => {
                            Cell::Number(routed.stood(quantity, weight, &name, self.at)?)
                        }
                        (cell, _) => cell,
                    };
                    if counts == Counts::Adjusted {
                        self.counting.is_adjusted = true;
                        let (name, cell) = (adjusted_name(&name).into(), Some(cell.clone()));
                        self.counting.pending.add(PendingAmount { key, position, measure, name, cell }, routed.name)?;
                    }
                    let amount = PendingAmount { key, position, measure, name, cell: Some(cell) };
                    self.counting.pending.add(amount, routed.name)?;
                }
            }
        }
        self.counting.found = found;
        Ok(())
    }
}

fn needs_old_image(route: &Route) -> bool {
    route.measures().any(|measure| measure.amount.needs_old_image())
}
