//! What one item gives the target that its own captures name. Records ask for a target if this changes, and the values of a
//! target are made of nothing else, so that no change which matters is missed.

use std::cmp::Ordering;

use crate::decimal::Decimal;
use crate::outline::{Entry, Outline, Tag};
use crate::pipeline::{Bindings, Indicator, IndicatorKind, IndicatorValue, Pipeline, Routed};
use crate::record::ImageOf;

/// The names and texts of the key of a target.
pub type TargetKey = Vec<(String, String)>;

/// What an item gives its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The key of the target.
    pub target: TargetKey,
    /// What the item gives each value of the indicator. At least one of them gets something.
    pub inputs: Vec<Option<Input>>,
}

/// What an item gives a target that its captures don't name: another item's captures could make the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unnamed {
    /// The captures.
    pub variables: Vec<String>,
    /// What the item gives each value of the indicator.
    pub inputs: Vec<Option<Input>>,
}

/// What an item gives one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// That there is such an item.
    Present,
    /// That an item doesn't meet the conditions of [`IndicatorKind::All`].
    Unmet,
    /// The value of an attribute.
    Value(Scalar),
    /// The value of an attribute, and that by which items are ordered.
    Ordered {
        /// What orders the items.
        by: Scalar,
        /// The value.
        value: Scalar,
    },
}

/// A value that can be compared. Numbers come before strings, and strings are compared byte by byte, as DynamoDB does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A number.
    Number(Decimal),
    /// A string.
    Text(String),
    /// A boolean.
    Bool(bool),
}

impl Scalar {
    /// The value of an attribute, if it is a number, a string, or a boolean.
    pub fn of(value: Entry<'_>) -> Option<Scalar> {
        match value.tag() {
            Tag::N => value.number().map(Scalar::Number),
            Tag::S => value.string().map(|text| Scalar::Text(text.into_owned())),
            Tag::True => Some(Scalar::Bool(true)),
            Tag::False => Some(Scalar::Bool(false)),
            Tag::B | Tag::Null | Tag::M | Tag::L | Tag::Ss | Tag::Ns | Tag::Bs => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Scalar::Number(_) => 0,
            Scalar::Text(_) => 1,
            Scalar::Bool(_) => 2,
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Scalar) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Scalar) -> Ordering {
        match (self, other) {
            (Scalar::Number(number), Scalar::Number(of_other)) => number.cmp(of_other),
            (Scalar::Text(text), Scalar::Text(of_other)) => text.cmp(of_other),
            (Scalar::Bool(value), Scalar::Bool(of_other)) => value.cmp(of_other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// The record type of an item, and its variables.
#[derive(Debug)]
pub(super) struct ItemRoute<'r> {
    index: usize,
    keys: Outline<'r>,
    bindings: Bindings<'r>,
}

impl<'r> ItemRoute<'r> {
    /// The record type of an item with these keys, which may also be attributes of the item; `None` if it has none.
    pub(super) fn of(pipeline: &Pipeline, keys: Outline<'r>, item: Outline<'r>) -> Option<ItemRoute<'r>> {
        let Routed::To(route, mut bindings) = pipeline.route_outline(keys, ImageOf::Carried(item)) else { return None };
        let index = pipeline.routes.iter().position(|known| std::ptr::eq(known, route))?;
        route.bind_present(&mut bindings, item);
        Some(ItemRoute { index, keys, bindings })
    }
}

/// What an item, which has all of its key attributes, gives the target of an indicator; `None` if that is nothing.
///
/// # Errors
/// If its captures don't name one target.
pub fn contribution(
    pipeline: &Pipeline,
    indicator: &Indicator,
    item: Outline<'_>,
) -> Result<Option<Contribution>, Unnamed> {
    match ItemRoute::of(pipeline, item, item) {
        Some(route) => of_routed(indicator, &route, item),
        None => Ok(None),
    }
}

/// As [`contribution`], for an item whose record type is known.
pub(super) fn of_routed(
    indicator: &Indicator,
    route: &ItemRoute<'_>,
    item: Outline<'_>,
) -> Result<Option<Contribution>, Unnamed> {
    let Some(record) = indicator.records.iter().find(|record| record.route == route.index) else { return Ok(None) };
    let variables: Vec<&str> = record.slots.iter().map(|slot| route.bindings.value(*slot)).collect();
    // An item without the attribute that names its target has none.
    if variables.iter().any(|value| value.is_empty()) || !is_found(indicator, &variables, route.keys, item) {
        return Ok(None);
    }
    let inputs: Vec<Option<Input>> = indicator.values.iter().map(|value| input(value, item)).collect();
    if inputs.iter().all(Option::is_none) {
        return Ok(None);
    }
    match indicator.target_key(&variables) {
        Some(target) => Ok(Some(Contribution { target, inputs })),
        None => Err(Unnamed { variables: variables.into_iter().map(str::to_owned).collect(), inputs }),
    }
}

/// Whether the query of the target with these variables finds the item.
fn is_found(indicator: &Indicator, variables: &[&str], keys: Outline<'_>, item: Outline<'_>) -> bool {
    let (partition, prefix) = indicator.query_key(variables);
    let text = |name: &str| item.attribute(name).or_else(|| keys.attribute(name)).and_then(Entry::string);
    let (name, _) = &indicator.query.partition;
    let has_prefix = match (&indicator.query.sort, prefix) {
        (Some((name, _)), Some(prefix)) => text(name).is_some_and(|text| text.starts_with(&prefix)),
        _ => true,
    };
    has_prefix && text(name).is_some_and(|text| text == partition)
}

/// What an item gives a value.
fn input(value: &IndicatorValue, item: Outline<'_>) -> Option<Input> {
    let meets = value.conditions.iter().all(|condition| condition.holds(item));
    if value.kind == IndicatorKind::All {
        return (!meets).then_some(Input::Unmet);
    }
    let scalar = |path: &str| item.value_at(path).and_then(Scalar::of);
    let number = |path: &str| scalar(path).filter(|scalar| matches!(scalar, Scalar::Number(_)));
    let order = |path: &str| scalar(path).filter(|scalar| !matches!(scalar, Scalar::Bool(_)));
    let input = match &value.kind {
        IndicatorKind::Count | IndicatorKind::Any => Some(Input::Present),
        IndicatorKind::All => None,
        // A map can't have an entry without a name.
        IndicatorKind::CountBy(path) => {
            scalar(path).filter(|scalar| *scalar != Scalar::Text(String::new())).map(Input::Value)
        }
        IndicatorKind::Distinct(path) => scalar(path).map(Input::Value),
        IndicatorKind::Sum(path) | IndicatorKind::Min(path) | IndicatorKind::Max(path) => {
            number(path).map(Input::Value)
        }
        IndicatorKind::Newest(path) | IndicatorKind::Oldest(path) => order(path).map(Input::Value),
        IndicatorKind::Latest { attribute, by } => {
            order(by).zip(scalar(attribute)).map(|(by, value)| Input::Ordered { by, value })
        }
    };
    input.filter(|_| meets)
}
