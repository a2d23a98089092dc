//! Adds up the amounts of one record by key and measure.

use std::sync::Arc;

use super::super::group::Addition;
use super::super::key::KeyNumber;
use super::{Counting, Delta, Image, RoutedImage, not_carried};
use crate::decimal::{Decimal, DecimalError};
use crate::outline::OutlinedRecord;
use crate::pipeline::{Amount, Bindings, Measure, Removal, Route, Routed};
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

/// The amount so far for one key and name of a measure.
#[derive(Debug)]
pub(super) struct PendingAmount<'p> {
    key: KeyNumber,
    measure: &'p Measure,
    name: Arc<str>,
    amount: Decimal,
}

impl<'c, 'p> Deltas<'c, 'p> {
    pub(super) fn new(counting: &'c mut Counting<'p>, event: Event) -> Self {
        counting.pending.clear();
        Deltas { counting, event }
    }

    /// The deltas by key, in the order of first appearance, without zeros.
    pub(super) fn nonzero(self) -> Vec<Delta> {
        let mut deltas: Vec<Delta> = Vec::new();
        for sum in &self.counting.pending {
            let index = deltas.iter().position(|delta| delta.key == sum.key).unwrap_or_else(|| {
                deltas.push(Delta { key: sum.key, amounts: Vec::new() });
                deltas.len() - 1
            });
            if let Some(delta) = deltas.get_mut(index).filter(|_| !sum.amount.is_zero()) {
                delta.amounts.push(Addition::sum(Arc::clone(&sum.name), sum.amount));
            }
        }
        deltas.retain(|delta| !delta.amounts.is_empty());
        deltas
    }

    /// Adds the counts and sums, except those with `along_with`.
    pub(super) fn add_each<'s>(&mut self, routed: &RoutedImage<'p, 's>, bindings: &Bindings<'s>) -> Result<(), Fault> {
        let event = self.event;
        self.add(routed, bindings, |measure| match &measure.amount {
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
        let measures = routed.route.usage.iter().flat_map(|usage| &usage.measures).enumerate();
        if !measures.clone().any(|(_, measure)| matches!(measure.amount, Amount::Each { along_with: Some(_), .. })) {
            return Ok(());
        }
        let changes = |measure: &Measure| {
            self.counting.pending.iter().any(|sum| std::ptr::eq(sum.measure, measure) && !sum.amount.is_zero())
        };
        let changed: Vec<usize> = measures.filter(|(_, measure)| changes(measure)).map(|(index, _)| index).collect();
        let event = self.event;
        self.add(routed, bindings, |measure| match &measure.amount {
            Amount::Each { events, along_with: Some(other) } if events.contains(&event) => {
                changed.contains(other).then_some(false)
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
        self.add(routed, bindings, |measure| match (&measure.amount, sign) {
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
            Routed::NeedsImage(_) => Err(not_carried("OldImage")),
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
        negate: impl Fn(&Measure) -> Option<bool>,
    ) -> Result<(), Fault> {
        let Some(usage) = &routed.route.usage else { return Ok(()) };
        let mut key = None;
        let mut found = std::mem::take(&mut self.counting.found);
        for measure in &usage.measures {
            let Some(is_negative) = negate(measure) else { continue };
            found.clear();
            self.counting.quantities(measure, routed, &mut found)?;
            for (name, quantity) in found.drain(..) {
                let key = match key {
                    Some(key) => key,
                    None => *key.insert(self.counting.key_of(usage, routed, bindings)?),
                };
                self.sum(key, measure, name, if is_negative { -quantity } else { quantity }, routed.name)?;
            }
        }
        self.counting.found = found;
        Ok(())
    }

    fn sum(
        &mut self,
        key: KeyNumber,
        measure: &'p Measure,
        name: Arc<str>,
        amount: Decimal,
        image: &str,
    ) -> Result<(), Fault> {
        match self.counting.pending.iter_mut().find(|sum| sum.key == key && sum.name == name) {
            Some(sum) => sum.amount = sum.amount.checked_add(amount).map_err(|error| inexact(image, &name, error))?,
            None => self.counting.pending.push(PendingAmount { key, measure, name, amount }),
        }
        Ok(())
    }
}

fn needs_old_image(route: &Route) -> bool {
    let difference = |measure: &Measure| matches!(measure.amount, Amount::Difference { .. });
    route.usage.as_ref().is_some_and(|usage| usage.measures.iter().any(difference))
}

fn inexact(image: &str, measure: &str, error: DecimalError) -> Fault {
    Fault::new(Code::InvalidValue, image, format!("the difference for measure `{measure}` {error}"))
}
