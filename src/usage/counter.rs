//! What one record adds to which counters: pure, exact, without a clock. A delta looks at both images, each by the route
//! that it takes itself, so that an item which moves from one entity to another leaves the one and joins the other.

use crate::decimal::{Decimal, DecimalError};
use crate::outline::{Entry, Kept, Outline};
use crate::pipeline::{
    Amount, Bindings, Measure, MeasureName, Missing, Pipeline, Quantity, Removal, Route, Routed, Usage,
};
use crate::record::{ChangeOf, ChangeRecord, Code, Event, Fault, ImageOf, RecordOf, Remover};

/// A record as it is counted.
type Record<'r> = RecordOf<'r, Outline<'r>>;
type Image<'r> = ImageOf<Outline<'r>>;

/// The values of a snapshot's group variables: entity, resource, and what else its keys name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey(pub Vec<String>);

impl CounterKey {
    /// Whose usage it is.
    pub fn entity(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// What is used.
    pub fn resource(&self) -> &str {
        self.0.get(1).map_or("", String::as_str)
    }
}

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
    let mut kept = Kept::default();
    outline_deltas(pipeline, &kept.record(record.clone()), route, bindings)
}

/// The same from outlines.
///
/// # Errors
/// As for [`deltas`].
pub fn outline_deltas<'p>(
    pipeline: &'p Pipeline,
    record: &Record<'_>,
    route: &'p Route,
    bindings: &Bindings<'_>,
) -> Result<Vec<UsageDelta>, Fault> {
    let mut deltas = Deltas { pipeline, event: record.change.event(), sums: Vec::new() };
    let newest = Side { route, image: *record.newest_image(), name: newest_name(&record.change), next: None };
    deltas.add_each(&newest, bindings)?;
    match &record.change {
        ChangeOf::Insert { .. } => deltas.add_difference(&newest, bindings, Sign::Plus)?,
        ChangeOf::Modify { old, .. } => {
            deltas.add_difference(&newest, bindings, Sign::Plus)?;
            deltas.subtract_old(record, *old)?;
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
pub fn departure(pipeline: &Pipeline, record: &ChangeRecord<'_>) -> Result<Vec<UsageDelta>, Fault> {
    let mut kept = Kept::default();
    outline_departure(pipeline, &kept.record(record.clone()))
}

/// The same from outlines.
///
/// # Errors
/// As for [`departure`].
pub fn outline_departure(pipeline: &Pipeline, record: &Record<'_>) -> Result<Vec<UsageDelta>, Fault> {
    let mut deltas = Deltas { pipeline, event: record.change.event(), sums: Vec::new() };
    if let ChangeOf::Modify { old, .. } = &record.change {
        deltas.subtract_old(record, *old)?;
    }
    Ok(deltas.nonzero())
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

struct Deltas<'p> {
    pipeline: &'p Pipeline,
    event: Event,
    sums: Vec<Sum<'p>>,
}

/// What is added up so far for one entity and resource: by measure, which also has the name that it goes by.
struct Sum<'p> {
    key: CounterKey,
    amounts: Vec<(&'p Measure, String, Decimal)>,
}

impl<'p> Deltas<'p> {
    fn nonzero(self) -> Vec<UsageDelta> {
        let delta = |sum: Sum<'_>| {
            let amounts = sum.amounts.into_iter().filter(|(_, _, amount)| !amount.is_zero());
            UsageDelta { key: sum.key, amounts: amounts.map(|(_, name, amount)| (name, amount)).collect() }
        };
        self.sums.into_iter().map(delta).filter(|delta| !delta.amounts.is_empty()).collect()
    }

    fn add_each(&mut self, side: &Side<'p, '_>, bindings: &Bindings<'_>) -> Result<(), Fault> {
        let event = self.event;
        self.add(side, bindings, |measure| match &measure.amount {
            Amount::Each { events, along_with: None } if events.contains(&event) => Some(false),
            _ => None,
        })
    }

    /// Counts what goes along with another measure, once it is clear what that one comes to.
    fn add_companions(&mut self, side: &Side<'p, '_>, bindings: &Bindings<'_>) -> Result<(), Fault> {
        let measures = side.route.usage.iter().flat_map(|usage| &usage.measures).enumerate();
        let changes = |measure: &Measure| {
            let amounts = self.sums.iter().flat_map(|sum| &sum.amounts);
            amounts.into_iter().any(|(other, _, amount)| std::ptr::eq(*other, measure) && !amount.is_zero())
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

    fn add_difference(&mut self, side: &Side<'p, '_>, bindings: &Bindings<'_>, sign: Sign) -> Result<(), Fault> {
        self.add(side, bindings, |measure| match (&measure.amount, sign) {
            (Amount::Each { .. }, _) => None,
            (Amount::Difference { .. }, Sign::Plus) => Some(false),
            (Amount::Difference { removed, expired, .. }, Sign::Minus { removed: gone, expired: by_ttl }) => {
                let rule = if by_ttl { expired } else { removed };
                (!gone || *rule == Removal::Subtract).then_some(true)
            }
        })
    }

    /// Subtracts what the old image had counted, by the route it took then.
    fn subtract_old(&mut self, record: &Record<'_>, old: Image<'_>) -> Result<(), Fault> {
        if matches!(old, ImageOf::NotCarried) && !self.pipeline.routes.iter().any(needs_old_image) {
            return Ok(());
        }
        match self.pipeline.route_outline(record.keys, old) {
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
    fn add(
        &mut self,
        side: &Side<'p, '_>,
        bindings: &Bindings<'_>,
        counts: impl Fn(&Measure) -> Option<bool>,
    ) -> Result<(), Fault> {
        let Some(usage) = &side.route.usage else { return Ok(()) };
        let mut place = None;
        for measure in &usage.measures {
            let Some(negate) = counts(measure) else { continue };
            for (name, quantity) in self.quantities(measure, side)? {
                let place = match place {
                    Some(place) => place,
                    None => *place.insert(self.place(counter_key(usage, side, bindings)?)),
                };
                self.sum(place, measure, name, if negate { -quantity } else { quantity }, side.name)?;
            }
        }
        Ok(())
    }

    /// Where the sums of `key` are.
    fn place(&mut self, key: CounterKey) -> usize {
        self.sums.iter().position(|sum| sum.key == key).unwrap_or_else(|| {
            self.sums.push(Sum { key, amounts: Vec::new() });
            self.sums.len() - 1
        })
    }

    fn sum(
        &mut self,
        place: usize,
        measure: &'p Measure,
        name: String,
        amount: Decimal,
        image: &str,
    ) -> Result<(), Fault> {
        let Some(sum) = self.sums.get_mut(place) else { return Ok(()) };
        match sum.amounts.iter_mut().find(|(_, other, _)| *other == name) {
            Some((_, _, sum)) => *sum = sum.checked_add(amount).map_err(|error| inexact(image, &name, error))?,
            None => sum.amounts.push((measure, name, amount)),
        }
        Ok(())
    }

    /// What `measure` counts of an image: a name and a number for each of its counters.
    fn quantities(&self, measure: &Measure, side: &Side<'_, '_>) -> Result<Vec<(String, Decimal)>, Fault> {
        let fixed = |slot: usize| self.pipeline.measures.get(slot).cloned().unwrap_or_default();
        let item = match side.image {
            ImageOf::Carried(item) => item,
            ImageOf::NotCarried => {
                return match (&measure.quantity, &measure.name) {
                    (Quantity::One, MeasureName::Fixed(slot)) if measure.conditions.is_empty() => {
                        Ok(vec![(fixed(*slot), Decimal::from(1))])
                    }
                    _ => Err(not_carried(side.name)),
                };
            }
        };
        if !measure.conditions.iter().all(|condition| condition.holds(item)) {
            return Ok(Vec::new());
        }
        match (&measure.quantity, &measure.name) {
            (Quantity::One, MeasureName::Fixed(slot)) => Ok(vec![(fixed(*slot), Decimal::from(1))]),
            (Quantity::Attribute { path, missing }, MeasureName::Fixed(slot)) => match item.at_path(path) {
                Some(_) if side.ignores(measure, path) => Ok(Vec::new()),
                Some(value) => Ok(vec![(fixed(*slot), number(value, measure, side.name, path)?)]),
                None if *missing == Missing::Zero => Ok(Vec::new()),
                None => {
                    let needs = format!("is missing, and measure `{}` needs it", fixed(*slot));
                    Err(Fault::new(Code::MissingAttribute, format!("{}.{path}", side.name), needs))
                }
            },
            (Quantity::Matching { pattern, except }, MeasureName::Captured(template)) => {
                self.matching(item, measure, side.name, |attribute| {
                    let mut name = None;
                    let matched = pattern.matches(attribute, |_, capture| name = Some(capture));
                    let name = name.filter(|name| matched && !except.iter().any(|except| except == name))?;
                    (!side.ignores(measure, attribute)).then(|| template.render(|_| name))
                })
            }
            // Validation pairs patterns with captured names, and nothing else.
            _ => Ok(Vec::new()),
        }
    }

    fn matching(
        &self,
        item: Outline<'_>,
        measure: &Measure,
        image: &str,
        name_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, Decimal)>, Fault> {
        let mut found = Vec::new();
        for (attribute, value) in item.attributes() {
            let Some(name) = name_of(attribute) else { continue };
            let Some(name) = self.untaken(name) else {
                let message =
                    "gives a counter the name of another attribute; add `if_taken` to the pipeline's [snapshot]";
                return Err(Fault::new(Code::InvalidKey, format!("{image}.{attribute}"), message));
            };
            found.push((name, number(value, measure, image, attribute)?));
        }
        Ok(found)
    }

    /// `name`, or what a counter is called instead where an attribute of every snapshot or a fixed measure has it.
    fn untaken(&self, name: String) -> Option<String> {
        let snapshot = self.pipeline.snapshot.as_ref();
        let reserved = snapshot.is_some_and(|snapshot| snapshot.reserved().any(|reserved| reserved == name));
        if !reserved && !self.pipeline.measures.contains(&name) {
            return Some(name);
        }
        snapshot?.if_taken.as_ref().map(|template| template.render(|_| name.as_str()))
    }
}

fn needs_old_image(route: &Route) -> bool {
    let difference = |measure: &Measure| matches!(measure.amount, Amount::Difference { .. });
    route.usage.as_ref().is_some_and(|usage| usage.measures.iter().any(difference))
}

fn counter_key<'r>(usage: &Usage, side: &Side<'_, 'r>, bindings: &Bindings<'r>) -> Result<CounterKey, Fault> {
    let mut bindings = bindings.clone();
    match side.image {
        ImageOf::Carried(item) => {
            side.route.bind_outline(&mut bindings, item).map_err(|fault| fault.within(side.name))?;
        }
        ImageOf::NotCarried if side.route.needs_binding() => return Err(not_carried(side.name)),
        ImageOf::NotCarried => {}
    }
    Ok(CounterKey(usage.group.iter().map(|template| template.render(|slot| bindings.value(slot))).collect()))
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
