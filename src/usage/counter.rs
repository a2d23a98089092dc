//! Computes what one record adds to which counters.
//!
//! A record type lists measures, and every measure has one of three kinds. A `count` adds 1 for each record and a `sum`
//! adds the value of an attribute; both look only at the newest image and only at the events that they list. A `delta`
//! adds the value in the new image and subtracts the value in the old image, so that its counters of all windows
//! together equal the total over the items that exist. An inserted item has no old image and a removed item no new one,
//! and a measure can choose to keep what removed or expired items have added.
//!
//! Each image is matched against the record types by itself. If an update moves an item from one entity to another, its
//! old value is therefore subtracted from the first entity and its new value added to the second. If the new image
//! matches no record type at all, only the subtraction remains: that is the [`reversal`].
//!
//! [`Counting`] adds up the amounts of one record by key and measure and returns one [`Delta`] for each key whose
//! amounts aren't all zero. It lives as long as the batch, because records of a batch share keys and names: each is
//! built once and then referred to by number. All of this is pure, exact and independent of the clock.

use std::sync::Arc;

use super::group::Amounts;
use super::key::{CounterKey, CounterKeys, KeyNumber, MeasureNames};
use crate::decimal::{Decimal, DecimalError};
use crate::outline::{Entry, Outline, OutlinedRecord, WrittenItems};
use crate::pipeline::{
    Amount, Bindings, Measure, MeasureName, Missing, Pipeline, Quantity, Removal, Route, Routed, Usage,
};
use crate::record::{ChangeOf, ChangeRecord, Code, Event, Fault, ImageOf, Remover};

type Image<'r> = ImageOf<Outline<'r>>;

/// One record's contribution to the counters of one entity and resource, for tools and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    /// The entity and resource.
    pub key: CounterKey,
    /// The amounts by measure, in the order of first appearance, without zeros.
    pub amounts: Vec<(String, Decimal)>,
}

/// What `record`, whose newest image takes `route`, adds to counters; zeros are left out.
///
/// # Errors
/// If an image or attribute that a measure needs is missing or invalid.
pub fn deltas(
    pipeline: &Pipeline,
    record: &ChangeRecord<'_>,
    route: &Route,
    bindings: &Bindings<'_>,
) -> Result<Vec<UsageDelta>, Fault> {
    let (mut written, mut counting) = (WrittenItems::default(), Counting::new(pipeline));
    let deltas = counting.deltas(&written.record(record.clone()), route, bindings)?;
    Ok(counting.named(deltas))
}

/// What `record`, whose newest image takes no route, subtracts again because its old image was counted.
///
/// # Errors
/// If the old image or an attribute that a measure needs is missing or invalid.
pub fn reversal(pipeline: &Pipeline, record: &ChangeRecord<'_>) -> Result<Vec<UsageDelta>, Fault> {
    let (mut written, mut counting) = (WrittenItems::default(), Counting::new(pipeline));
    let deltas = counting.reversal(&written.record(record.clone()))?;
    Ok(counting.named(deltas))
}

/// One record's contribution to the counters of one key.
#[derive(Debug)]
pub struct Delta {
    /// The number of the key; see [`Counting::key`].
    pub key: KeyNumber,
    /// The amounts by measure, in the order of first appearance, without zeros.
    pub amounts: Amounts,
}

/// Counts the records of a batch, one after the other.
#[derive(Debug)]
pub struct Counting<'p> {
    pipeline: &'p Pipeline,
    keys: CounterKeys,
    names: MeasureNames<'p>,
    /// The amounts of the current record.
    pending: Vec<PendingAmount<'p>>,
    /// A buffer for the names and numbers that one measure finds in an image.
    found: Vec<(Arc<str>, Decimal)>,
}

impl<'p> Counting<'p> {
    /// Starts a batch that is counted by the rules of `pipeline`.
    pub fn new(pipeline: &'p Pipeline) -> Self {
        let (keys, names) = (CounterKeys::default(), MeasureNames::new(pipeline));
        Counting { pipeline, keys, names, pending: Vec::new(), found: Vec::new() }
    }

    /// What `record`, whose newest image takes `route`, adds to counters; zeros are left out.
    ///
    /// # Errors
    /// If an image or attribute that a measure needs is missing or invalid.
    pub fn deltas(
        &mut self,
        record: &OutlinedRecord<'_>,
        route: &'p Route,
        bindings: &Bindings<'_>,
    ) -> Result<Vec<Delta>, Fault> {
        if route.usage.is_none() && !matches!(record.change, ChangeOf::Modify { .. }) {
            return Ok(Vec::new());
        }
        let mut deltas = Deltas::new(self, record.change.event());
        let newest =
            RoutedImage { route, image: *record.newest_image(), name: newest_name(&record.change), next: None };
        deltas.add_each(&newest, bindings)?;
        match &record.change {
            ChangeOf::Insert { .. } => deltas.add_difference(&newest, bindings, Sign::Plus)?,
            ChangeOf::Modify { old, .. } => {
                deltas.add_difference(&newest, bindings, Sign::Plus)?;
                deltas.subtract_old(record, *old, Some((route, bindings)))?;
            }
            ChangeOf::Remove { by, .. } => {
                let expired = *by == Remover::TimeToLive;
                deltas.add_difference(&newest, bindings, Sign::Minus { expired, removed: true })?;
            }
        }
        deltas.add_companions(&newest, bindings)?;
        Ok(deltas.nonzero())
    }

    /// What `record`, whose newest image takes no route, subtracts again because its old image was counted.
    ///
    /// # Errors
    /// If the old image or an attribute that a measure needs is missing or invalid.
    pub fn reversal(&mut self, record: &OutlinedRecord<'_>) -> Result<Vec<Delta>, Fault> {
        let ChangeOf::Modify { old, .. } = &record.change else { return Ok(Vec::new()) };
        let mut deltas = Deltas::new(self, record.change.event());
        deltas.subtract_old(record, *old, None)?;
        Ok(deltas.nonzero())
    }

    /// The key with this number.
    pub fn key(&self, number: KeyNumber) -> Option<&CounterKey> {
        self.keys.key(number)
    }

    fn named(&self, deltas: Vec<Delta>) -> Vec<UsageDelta> {
        let named = |delta: Delta| UsageDelta {
            key: self.key(delta.key).cloned().unwrap_or_default(),
            amounts: delta.amounts.iter().map(|(name, amount)| (name.to_string(), *amount)).collect(),
        };
        deltas.into_iter().map(named).collect()
    }
}

fn newest_name<I>(change: &ChangeOf<I>) -> &'static str {
    match change {
        ChangeOf::Insert { .. } | ChangeOf::Modify { .. } => "NewImage",
        ChangeOf::Remove { .. } => "OldImage",
    }
}

/// One image of a record, with the route that it takes.
struct RoutedImage<'p, 's> {
    route: &'p Route,
    image: Image<'s>,
    /// The name of the image in the stream.
    name: &'static str,
    /// For an old image of an item that still exists, the image that replaced it.
    next: Option<Image<'s>>,
}

impl RoutedImage<'_, '_> {
    /// Whether `measure` ignores cleared attributes and the next image no longer has this one.
    fn ignores(&self, measure: &Measure, attribute: &str) -> bool {
        let ignores = matches!(measure.amount, Amount::Difference { cleared: Removal::Ignore, .. });
        let next = self.next.as_ref().filter(|_| ignores).and_then(ImageOf::item);
        next.is_some_and(|next| next.at_path(attribute).is_none())
    }
}

/// Whether a difference adds or subtracts an image.
#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus { removed: bool, expired: bool },
}

/// The counting of one record.
struct Deltas<'c, 'p> {
    counting: &'c mut Counting<'p>,
    event: Event,
}

/// The amount so far for one key and name of a measure.
#[derive(Debug)]
struct PendingAmount<'p> {
    key: KeyNumber,
    measure: &'p Measure,
    name: Arc<str>,
    amount: Decimal,
}

impl<'c, 'p> Deltas<'c, 'p> {
    fn new(counting: &'c mut Counting<'p>, event: Event) -> Self {
        counting.pending.clear();
        Deltas { counting, event }
    }

    /// The deltas by key, in the order of first appearance, without zeros.
    fn nonzero(self) -> Vec<Delta> {
        let mut deltas: Vec<Delta> = Vec::new();
        for sum in &self.counting.pending {
            let index = deltas.iter().position(|delta| delta.key == sum.key).unwrap_or_else(|| {
                deltas.push(Delta { key: sum.key, amounts: Vec::new() });
                deltas.len() - 1
            });
            if let Some(delta) = deltas.get_mut(index).filter(|_| !sum.amount.is_zero()) {
                delta.amounts.push((Arc::clone(&sum.name), sum.amount));
            }
        }
        deltas.retain(|delta| !delta.amounts.is_empty());
        deltas
    }

    /// Adds the counts and sums, except those with `along_with`.
    fn add_each<'s>(&mut self, routed: &RoutedImage<'p, 's>, bindings: &Bindings<'s>) -> Result<(), Fault> {
        let event = self.event;
        self.add(routed, bindings, |measure| match &measure.amount {
            Amount::Each { events, along_with: None } if events.contains(&event) => Some(false),
            _ => None,
        })
    }

    /// Adds the counts with `along_with`. Must come last: they count only if the amount of another measure isn't zero.
    fn add_companions<'s>(&mut self, routed: &RoutedImage<'p, 's>, bindings: &Bindings<'s>) -> Result<(), Fault> {
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
    fn add_difference<'s>(
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
    fn subtract_old(
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

impl<'p> Counting<'p> {
    /// What `measure` finds in an image: a name and a number for each of its counters.
    fn quantities(
        &mut self,
        measure: &'p Measure,
        routed: &RoutedImage<'_, '_>,
        found: &mut Vec<(Arc<str>, Decimal)>,
    ) -> Result<(), Fault> {
        let item = match routed.image {
            ImageOf::Carried(item) => item,
            ImageOf::NotCarried => {
                return match (&measure.quantity, &measure.name) {
                    (Quantity::One, MeasureName::Fixed(slot)) if measure.conditions.is_empty() => {
                        found.push((self.names.fixed(*slot), Decimal::from(1)));
                        Ok(())
                    }
                    _ => Err(not_carried(routed.name)),
                };
            }
        };
        if !measure.conditions.iter().all(|condition| condition.holds(item)) {
            return Ok(());
        }
        match (&measure.quantity, &measure.name) {
            (Quantity::One, MeasureName::Fixed(slot)) => {
                found.push((self.names.fixed(*slot), Decimal::from(1)));
            }
            (Quantity::Attribute { path, missing }, MeasureName::Fixed(slot)) => match item.at_path(path) {
                Some(_) if routed.ignores(measure, path) => {}
                Some(value) => found.push((self.names.fixed(*slot), number(value, measure, routed.name, path)?)),
                None if *missing == Missing::Zero => {}
                None => {
                    let needs = format!("is missing, but measure `{}` needs it", self.names.fixed(*slot));
                    return Err(Fault::new(Code::MissingAttribute, format!("{}.{path}", routed.name), needs));
                }
            },
            (Quantity::Matching { pattern, except }, MeasureName::Captured(template)) => {
                for (attribute, value) in item.attributes_matching(pattern.name_pattern()) {
                    let mut capture = None;
                    let matched = pattern.matches(attribute, |_, text| capture = Some(text));
                    let capture = capture.filter(|text| matched && !except.iter().any(|except| except == text));
                    let Some(capture) = capture.filter(|_| !routed.ignores(measure, attribute)) else { continue };
                    let name = self.names.captured(self.pipeline, measure, template, capture).ok_or_else(|| {
                        let message = "would give a counter the name of another attribute; add `if_taken` to [snapshot] in the pipeline";
                        Fault::new(Code::InvalidKey, format!("{}.{attribute}", routed.name), message)
                    })?;
                    found.push((name, number(value, measure, routed.name, attribute)?));
                }
            }
            // Validation allows captured names only together with patterns.
            _ => {}
        }
        Ok(())
    }

    fn key_of<'s>(
        &mut self,
        usage: &Usage,
        routed: &RoutedImage<'_, 's>,
        bindings: &Bindings<'s>,
    ) -> Result<KeyNumber, Fault> {
        if !routed.route.needs_binding() {
            return Ok(self.keys.number(&usage.group, bindings));
        }
        let ImageOf::Carried(item) = routed.image else { return Err(not_carried(routed.name)) };
        let mut bindings = bindings.clone();
        routed.route.bind_outline(&mut bindings, item).map_err(|fault| fault.within(routed.name))?;
        Ok(self.keys.number(&usage.group, &bindings))
    }
}

fn needs_old_image(route: &Route) -> bool {
    let difference = |measure: &Measure| matches!(measure.amount, Amount::Difference { .. });
    route.usage.as_ref().is_some_and(|usage| usage.measures.iter().any(difference))
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

fn not_carried(image: &str) -> Fault {
    Fault::new(Code::ImageNotCarried, image, "isn't in the stream; set the view type to NEW_AND_OLD_IMAGES")
}

fn inexact(image: &str, measure: &str, error: DecimalError) -> Fault {
    Fault::new(Code::InvalidValue, image, format!("the difference for measure `{measure}` {error}"))
}
