//! What one record adds to which counters: pure, exact, without a clock. A delta looks at both images, each by the route
//! that it takes itself, so that an item which moves from one entity to another leaves the one and joins the other.

use std::sync::Arc;

use super::group::Amounts;
use super::key::{CounterKey, KeyNumber, Keys, Names};
use crate::decimal::{Decimal, DecimalError};
use crate::outline::{Entry, Outline, OutlinedRecord as Record, WrittenItems};
use crate::pipeline::{
    Amount, Bindings, Measure, MeasureName, Missing, Pipeline, Quantity, Removal, Route, Routed, Usage,
};
use crate::record::{ChangeOf, ChangeRecord, Code, Event, Fault, ImageOf, Remover};

type Image<'r> = ImageOf<Outline<'r>>;

/// One record's contribution to the counters of one entity and resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    pub key: CounterKey,
    /// By measure, in the order of first appearance; none is zero.
    pub amounts: Vec<(String, Decimal)>,
}

/// What `record`, whose newest image takes `route`, adds to counters; zeros are left out.
///
/// # Errors
/// When an image or attribute that a measure needs is missing or doesn't fit.
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

/// What `record`, whose newest image takes no route, takes back of what its old image had counted.
///
/// # Errors
/// When the old image or an attribute that a measure needs is missing or doesn't fit.
pub fn reversal(pipeline: &Pipeline, record: &ChangeRecord<'_>) -> Result<Vec<UsageDelta>, Fault> {
    let (mut written, mut counting) = (WrittenItems::default(), Counting::new(pipeline));
    let deltas = counting.reversal(&written.record(record.clone()))?;
    Ok(counting.named(deltas))
}

/// One record's contribution to the counters of one key.
#[derive(Debug)]
pub struct Delta {
    pub key: KeyNumber,
    /// By measure, in the order of first appearance; none is zero.
    pub amounts: Amounts,
}

/// Counts the records of a batch, one after the other. Keys and names of measures are texts once, and numbers and shared
/// texts from then on.
#[derive(Debug)]
pub struct Counting<'p> {
    pipeline: &'p Pipeline,
    keys: Keys,
    names: Names<'p>,
    /// Emptied for each record.
    sums: Vec<Sum<'p>>,
    found: Vec<(Arc<str>, Decimal)>,
}

impl<'p> Counting<'p> {
    /// Counts by the rules of `pipeline`.
    pub fn new(pipeline: &'p Pipeline) -> Self {
        let (keys, names) = (Keys::default(), Names::new(pipeline));
        Counting { pipeline, keys, names, sums: Vec::new(), found: Vec::new() }
    }

    /// What `record`, whose newest image takes `route`, adds to counters; zeros are left out.
    ///
    /// # Errors
    /// When an image or attribute that a measure needs is missing or doesn't fit.
    pub fn deltas(
        &mut self,
        record: &Record<'_>,
        route: &'p Route,
        bindings: &Bindings<'_>,
    ) -> Result<Vec<Delta>, Fault> {
        if route.usage.is_none() && !matches!(record.change, ChangeOf::Modify { .. }) {
            return Ok(Vec::new());
        }
        let mut deltas = Deltas::new(self, record.change.event());
        let newest = Side { route, image: *record.newest_image(), name: newest_name(&record.change), next: None };
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

    /// What `record`, whose newest image takes no route, takes back of what its old image had counted.
    ///
    /// # Errors
    /// When the old image or an attribute that a measure needs is missing or doesn't fit.
    pub fn reversal(&mut self, record: &Record<'_>) -> Result<Vec<Delta>, Fault> {
        let ChangeOf::Modify { old, .. } = &record.change else { return Ok(Vec::new()) };
        let mut deltas = Deltas::new(self, record.change.event());
        deltas.subtract_old(record, *old, None)?;
        Ok(deltas.nonzero())
    }

    /// The key of a delta.
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

/// One image with the route it takes.
struct Side<'p, 's> {
    route: &'p Route,
    image: Image<'s>,
    /// What the stream calls the image.
    name: &'static str,
    /// The image that came after it, where the item is still there.
    next: Option<Image<'s>>,
}

impl Side<'_, '_> {
    /// Whether the image that came after has lost this attribute, and `measure` ignores that.
    fn ignores(&self, measure: &Measure, attribute: &str) -> bool {
        let ignores = matches!(measure.amount, Amount::Difference { cleared: Removal::Ignore, .. });
        let next = self.next.as_ref().filter(|_| ignores).and_then(ImageOf::item);
        next.is_some_and(|next| next.at_path(attribute).is_none())
    }
}

/// Which way a difference counts an image.
#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus { removed: bool, expired: bool },
}

struct Deltas<'c, 'p> {
    counting: &'c mut Counting<'p>,
    event: Event,
}

/// What is added up so far for one key and measure, under the name that it goes by.
#[derive(Debug)]
struct Sum<'p> {
    key: KeyNumber,
    measure: &'p Measure,
    name: Arc<str>,
    amount: Decimal,
}

impl<'c, 'p> Deltas<'c, 'p> {
    fn new(counting: &'c mut Counting<'p>, event: Event) -> Self {
        counting.sums.clear();
        Deltas { counting, event }
    }

    /// One delta for each key, in the order of first appearance.
    fn nonzero(self) -> Vec<Delta> {
        let mut deltas: Vec<Delta> = Vec::new();
        for sum in &self.counting.sums {
            let place = deltas.iter().position(|delta| delta.key == sum.key).unwrap_or_else(|| {
                deltas.push(Delta { key: sum.key, amounts: Vec::new() });
                deltas.len() - 1
            });
            if let Some(delta) = deltas.get_mut(place).filter(|_| !sum.amount.is_zero()) {
                delta.amounts.push((Arc::clone(&sum.name), sum.amount));
            }
        }
        deltas.retain(|delta| !delta.amounts.is_empty());
        deltas
    }

    fn add_each<'s>(&mut self, side: &Side<'p, 's>, bindings: &Bindings<'s>) -> Result<(), Fault> {
        let event = self.event;
        self.add(side, bindings, |measure| match &measure.amount {
            Amount::Each { events, along_with: None } if events.contains(&event) => Some(false),
            _ => None,
        })
    }

    /// Counts what goes along with another measure, once it is clear what that one comes to.
    fn add_companions<'s>(&mut self, side: &Side<'p, 's>, bindings: &Bindings<'s>) -> Result<(), Fault> {
        let measures = side.route.usage.iter().flat_map(|usage| &usage.measures).enumerate();
        if !measures.clone().any(|(_, measure)| matches!(measure.amount, Amount::Each { along_with: Some(_), .. })) {
            return Ok(());
        }
        let changes = |measure: &Measure| {
            self.counting.sums.iter().any(|sum| std::ptr::eq(sum.measure, measure) && !sum.amount.is_zero())
        };
        let changed: Vec<usize> = measures.filter(|(_, measure)| changes(measure)).map(|(place, _)| place).collect();
        let event = self.event;
        self.add(side, bindings, |measure| match &measure.amount {
            Amount::Each { events, along_with: Some(other) } if events.contains(&event) => {
                changed.contains(other).then_some(false)
            }
            _ => None,
        })
    }

    fn add_difference<'s>(&mut self, side: &Side<'p, 's>, bindings: &Bindings<'s>, sign: Sign) -> Result<(), Fault> {
        self.add(side, bindings, |measure| match (&measure.amount, sign) {
            (Amount::Each { .. }, _) => None,
            (Amount::Difference { .. }, Sign::Plus) => Some(false),
            (Amount::Difference { removed, expired, .. }, Sign::Minus { removed: gone, expired: by_ttl }) => {
                let rule = if by_ttl { expired } else { removed };
                (!gone || *rule == Removal::Subtract).then_some(true)
            }
        })
    }

    /// Subtracts what the old image had counted, by the route it took then: the newest image's where the keys alone decide.
    fn subtract_old(
        &mut self,
        record: &Record<'_>,
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
                let side = Side { route, image: old, name: "OldImage", next: Some(*record.newest_image()) };
                self.add_difference(&side, &bindings, Sign::Minus { removed: false, expired: false })
            }
        }
    }

    /// Adds the quantities of the measures that `counts` picks; it tells whether to negate them.
    fn add<'s>(
        &mut self,
        side: &Side<'p, 's>,
        bindings: &Bindings<'s>,
        counts: impl Fn(&Measure) -> Option<bool>,
    ) -> Result<(), Fault> {
        let Some(usage) = &side.route.usage else { return Ok(()) };
        let mut key = None;
        let mut found = std::mem::take(&mut self.counting.found);
        for measure in &usage.measures {
            let Some(negate) = counts(measure) else { continue };
            found.clear();
            self.counting.quantities(measure, side, &mut found)?;
            for (name, quantity) in found.drain(..) {
                let key = match key {
                    Some(key) => key,
                    None => *key.insert(self.counting.key_of(usage, side, bindings)?),
                };
                self.sum(key, measure, name, if negate { -quantity } else { quantity }, side.name)?;
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
        match self.counting.sums.iter_mut().find(|sum| sum.key == key && sum.name == name) {
            Some(sum) => sum.amount = sum.amount.checked_add(amount).map_err(|error| inexact(image, &name, error))?,
            None => self.counting.sums.push(Sum { key, measure, name, amount }),
        }
        Ok(())
    }
}

impl<'p> Counting<'p> {
    /// What `measure` counts of an image: a name and a number for each of its counters.
    fn quantities(
        &mut self,
        measure: &'p Measure,
        side: &Side<'_, '_>,
        found: &mut Vec<(Arc<str>, Decimal)>,
    ) -> Result<(), Fault> {
        let item = match side.image {
            ImageOf::Carried(item) => item,
            ImageOf::NotCarried => {
                return match (&measure.quantity, &measure.name) {
                    (Quantity::One, MeasureName::Fixed(slot)) if measure.conditions.is_empty() => {
                        found.push((self.names.fixed(*slot), Decimal::from(1)));
                        Ok(())
                    }
                    _ => Err(not_carried(side.name)),
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
                Some(_) if side.ignores(measure, path) => {}
                Some(value) => found.push((self.names.fixed(*slot), number(value, measure, side.name, path)?)),
                None if *missing == Missing::Zero => {}
                None => {
                    let needs = format!("is missing, and measure `{}` needs it", self.names.fixed(*slot));
                    return Err(Fault::new(Code::MissingAttribute, format!("{}.{path}", side.name), needs));
                }
            },
            (Quantity::Matching { pattern, except }, MeasureName::Captured(template)) => {
                for (attribute, value) in item.attributes_matching(pattern.like()) {
                    let mut capture = None;
                    let matched = pattern.matches(attribute, |_, text| capture = Some(text));
                    let capture = capture.filter(|text| matched && !except.iter().any(|except| except == text));
                    let Some(capture) = capture.filter(|_| !side.ignores(measure, attribute)) else { continue };
                    let name = self.names.captured(self.pipeline, measure, template, capture).ok_or_else(|| {
                        let message = "gives a counter the name of another attribute; add `if_taken` to the pipeline's [snapshot]";
                        Fault::new(Code::InvalidKey, format!("{}.{attribute}", side.name), message)
                    })?;
                    found.push((name, number(value, measure, side.name, attribute)?));
                }
            }
            // Validation pairs patterns with captured names, and nothing else.
            _ => {}
        }
        Ok(())
    }

    fn key_of<'s>(&mut self, usage: &Usage, side: &Side<'_, 's>, bindings: &Bindings<'s>) -> Result<KeyNumber, Fault> {
        if !side.route.needs_binding() {
            return Ok(self.keys.number(&usage.group, bindings));
        }
        let ImageOf::Carried(item) = side.image else { return Err(not_carried(side.name)) };
        let mut bindings = bindings.clone();
        side.route.bind_outline(&mut bindings, item).map_err(|fault| fault.within(side.name))?;
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
            Err(invalid(format!("has {} fraction digits, the measure's scale is {scale}", number.scale())))
        }
        _ => match measure.factor {
            Some(factor) => number.checked_mul(factor).map_err(|error| invalid(format!("times the factor {error}"))),
            None => Ok(number),
        },
    }
}

fn not_carried(image: &str) -> Fault {
    Fault::new(Code::ImageNotCarried, image, "isn't in the stream; the route needs view type NEW_AND_OLD_IMAGES")
}

fn inexact(image: &str, measure: &str, error: DecimalError) -> Fault {
    Fault::new(Code::InvalidValue, image, format!("the difference for measure `{measure}` {error}"))
}
