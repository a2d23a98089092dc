//! What a measure finds in an image: names and cells.

use std::sync::Arc;

use super::super::cell::{Cell, MAX_TEXT_BYTES, Moment, Scalar, hash_of};
use super::super::key::KeyNumber;
use super::event_hour::{Counts, CountsAt};
use super::{Counting, RoutedImage, not_carried};
use crate::decimal::Decimal;
use crate::outline::{Entry, Lookup, Tag};
use crate::pipeline::{Aggregate, Bindings, Counter, Measure, MeasureName, Missing, Quantity};
use crate::record::{Code, Fault, ImageOf};

impl<'p> Counting<'p> {
    /// What `measure` finds in an image: a name and a cell for each of its counters.
    pub(super) fn quantities(
        &mut self,
        measure: &'p Measure,
        routed: &RoutedImage<'_, '_>,
        found: &mut Vec<(Arc<str>, Cell)>,
    ) -> Result<(), Fault> {
        let item = match routed.image {
            ImageOf::Carried(item) => item,
            ImageOf::NotCarried => {
                return match (&measure.quantity, &measure.name) {
                    (Quantity::One, MeasureName::Fixed(slot)) if measure.conditions.is_empty() => {
                        found.push((self.names.fixed(*slot), Cell::Number(Decimal::from(1))));
                        Ok(())
                    }
                    _ => Err(not_carried(routed.name)),
                };
            }
        };
        if !measure.conditions.iter().all(|condition| condition.holds(item)) {
            return Ok(());
        }
        let next = routed.next_if_cleared_is_ignored(measure);
        match (&measure.quantity, &measure.name) {
            (Quantity::One, MeasureName::Fixed(slot)) => {
                found.push((self.names.fixed(*slot), Cell::Number(Decimal::from(1))));
            }
            (Quantity::Attribute { path, missing }, MeasureName::Fixed(slot)) => match item.value_at(path) {
                Some(_) if next.is_some_and(|next| next.value_at(path).is_none()) => {}
                Some(value) => found.push((self.names.fixed(*slot), self.cell(value, measure, routed.name, path)?)),
                None if *missing != Missing::Reject => {}
                None => {
                    let needs = format!("is missing, but measure `{}` needs it", self.names.fixed(*slot));
                    return Err(Fault::new(Code::MissingAttribute, format!("{}.{path}", routed.name), needs));
                }
            },
            (Quantity::Matching { pattern, except }, MeasureName::Captured(template)) => {
                let next = next.map(Lookup::of);
                let is_cleared = |attribute: &str| next.as_ref().is_some_and(|next| next.value_at(attribute).is_none());
                for (attribute, value) in item.attributes_matching(pattern.name_pattern()) {
                    let mut capture = None;
                    let matched = pattern.matches(attribute, |_, text| capture = Some(text));
                    let capture = capture.filter(|text| matched && !except.iter().any(|except| except == text));
                    let Some(capture) = capture.filter(|_| value.tag() != Tag::Null && !is_cleared(attribute)) else {
                        continue;
                    };
                    let name = self.names.captured(self.pipeline, measure, template, capture);
                    let name = name.map_err(|message| {
                        Fault::new(Code::InvalidKey, format!("{}.{attribute}", routed.name), message)
                    })?;
                    found.push((name, Cell::Number(number(value, measure, routed.name, attribute)?)));
                }
            }
            // Validation allows captured names only together with patterns.
            _ => {}
        }
        Ok(())
    }

    /// What a measure takes from the value of an attribute.
    fn cell(&self, value: Entry<'_>, measure: &Measure, image: &str, path: &str) -> Result<Cell, Fault> {
        let invalid = |message: String| Fault::new(Code::InvalidValue, format!("{image}.{path}"), message);
        match measure.aggregate {
            Aggregate::Sum | Aggregate::Max | Aggregate::Min | Aggregate::Quantile => {
                number(value, measure, image, path).map(Cell::Number)
            }
            Aggregate::Distinct { .. } => {
                let hash = hash_of(value, self.pipeline.distinct_key.as_ref()).map(Cell::Hash);
                hash.ok_or_else(|| invalid(format!("expected S or N, found {}", value.type_name())))
            }
            Aggregate::First | Aggregate::Latest => {
                let is_number = measure.scale.is_some() || measure.factor.is_some();
                let value = match value.string().filter(|_| !is_number) {
                    Some(text) if text.len() > MAX_TEXT_BYTES => {
                        let message =
                            format!("has {} bytes; a first or latest value has at most {MAX_TEXT_BYTES}", text.len());
                        return Err(invalid(message));
                    }
                    Some(text) => Scalar::Text((*text).into()),
                    None if is_number || value.number().is_some() => {
                        Scalar::Number(number(value, measure, image, path)?)
                    }
                    None => return Err(invalid(format!("expected S or N, found {}", value.type_name()))),
                };
                let (at, order) = self.moment.clone().ok_or_else(|| invalid("has no time".to_owned()))?;
                Ok(Cell::Moment(Arc::new(Moment { at, order, value })))
            }
        }
    }

    /// In which windows an image counts.
    pub(super) fn counts(&self, routed: &RoutedImage<'_, '_>) -> Result<CountsAt, Fault> {
        match (&routed.route.window_time, self.created_at, &self.pipeline.snapshot) {
            (Some(time), Some(created_at), Some(snapshot)) => {
                routed.counts(time, (created_at, self.count_from), snapshot)
            }
            _ => Ok(CountsAt { counts: Counts::AtCreation, is_before: false }),
        }
    }

    /// The key of `counter` for an image that counts then. `bound` keeps the variables that were read from the image for the other counters
    /// of the record type.
    pub(super) fn key_of<'s>(
        &mut self,
        counter: &Counter,
        (routed, counts): (&RoutedImage<'_, 's>, Counts),
        bindings: &Bindings<'s>,
        bound: &mut Option<Bindings<'s>>,
    ) -> Result<KeyNumber, Fault> {
        let hour = match counts {
            Counts::At(hour) => Some(hour),
            Counts::AtCreation | Counts::Adjusted => None,
        };
        if !routed.route.needs_binding() {
            return Ok(self.keys.number(&counter.group, bindings, hour));
        }
        let bindings = match bound {
            Some(bound) => bound,
            None => {
                let ImageOf::Carried(item) = routed.image else { return Err(not_carried(routed.name)) };
                let mut bindings = bindings.clone();
                routed.route.bind_outline(&mut bindings, item).map_err(|fault| fault.within(routed.name))?;
                bound.insert(bindings)
            }
        };
        Ok(self.keys.number(&counter.group, bindings, hour))
    }
}

fn number(value: Entry<'_>, measure: &Measure, image: &str, path: &str) -> Result<Decimal, Fault> {
    let invalid = |message: String| Fault::new(Code::InvalidValue, format!("{image}.{path}"), message);
    let Some(number) = value.number() else {
        return Err(invalid(format!("expected N, found {}", value.type_name())));
    };
    match measure.scale {
        Some(scale) if number.scale() > scale => {
            Err(invalid(format!("has {} fraction digits, but the measure has scale = {scale}", number.scale())))
        }
        _ => match measure.factor {
            Some(factor) => number
                .checked_mul(factor)
                .map_err(|error| invalid(format!("multiplied by the measure's factor, {error}"))),
            None => Ok(number),
        },
    }
}
