//! The values of an indicator, from the contributions of items in any order.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::contribution::{Contribution, Input, Scalar};
use crate::decimal::Decimal;
use crate::pipeline::{Indicator, IndicatorKind};
use crate::record::{Item, Value};

/// 65,535 bytes: DynamoDB's limit for the names of attributes.
pub(super) const MAX_NAME_BYTES: usize = 65_535;

/// The values of an indicator.
#[derive(Debug, Clone)]
pub struct Values<'p> {
    indicator: &'p Indicator,
    values: Vec<Accumulated>,
}

/// What the items so far give one value.
#[derive(Debug, Clone)]
enum Accumulated {
    Count(i64),
    CountBy(BTreeMap<String, i64>),
    Sum(Decimal),
    Least(Option<Scalar>),
    Greatest(Option<Scalar>),
    Distinct(BTreeSet<Scalar>),
    Any(bool),
    All(bool),
    Latest(Option<(Scalar, Scalar)>),
}

impl Accumulated {
    fn of(kind: &IndicatorKind) -> Accumulated {
        match kind {
            IndicatorKind::Count => Accumulated::Count(0),
            IndicatorKind::CountBy(_) => Accumulated::CountBy(BTreeMap::new()),
            IndicatorKind::Sum(_) => Accumulated::Sum(Decimal::ZERO),
            IndicatorKind::Min(_) | IndicatorKind::Oldest(_) => Accumulated::Least(None),
            IndicatorKind::Max(_) | IndicatorKind::Newest(_) => Accumulated::Greatest(None),
            IndicatorKind::Distinct(_) => Accumulated::Distinct(BTreeSet::new()),
            IndicatorKind::Any => Accumulated::Any(false),
            IndicatorKind::All => Accumulated::All(true),
            IndicatorKind::Latest { .. } => Accumulated::Latest(None),
        }
    }

    /// Adds what an item gives. Returns false if a sum would need more than 38 digits.
    fn add(&mut self, input: Input) -> bool {
        match (self, input) {
            (Accumulated::Count(count), _) => *count += 1,
            (Accumulated::Any(any), _) => *any = true,
            (Accumulated::All(all), _) => *all = false,
            (Accumulated::CountBy(counts), Input::Value(value)) => *counts.entry(name(value)).or_default() += 1,
            (Accumulated::Sum(sum), Input::Value(Scalar::Number(number))) => match sum.checked_add(number) {
                Ok(total) => *sum = total,
                Err(_) => return false,
            },
            (Accumulated::Least(least), Input::Value(value)) => {
                *least = Some(least.take().map_or(value.clone(), |known| known.min(value)));
            }
            (Accumulated::Greatest(greatest), Input::Value(value)) => *greatest = greatest.take().max(Some(value)),
            (Accumulated::Distinct(values), Input::Value(value)) => {
                values.insert(value);
            }
            // Of several items with the same order, the one with the greatest value counts, whatever comes first.
            (Accumulated::Latest(latest), Input::Ordered { by, value }) => {
                *latest = latest.take().max(Some((by, value)));
            }
            // `contribution` gives each kind only what it takes.
            (
                Accumulated::CountBy(_)
                | Accumulated::Sum(_)
                | Accumulated::Least(_)
                | Accumulated::Greatest(_)
                | Accumulated::Distinct(_)
                | Accumulated::Latest(_),
                _,
            ) => {}
        }
        true
    }

    /// The value; `None` if no item gives one.
    fn value(&self) -> Option<Value<'static>> {
        Some(match self {
            Accumulated::Count(count) => Value::N(Decimal::from(*count)),
            Accumulated::CountBy(counts) => {
                let entry =
                    |(name, count): (&String, &i64)| (Cow::Owned(name.clone()), Value::N(Decimal::from(*count)));
                Value::M(Item(counts.iter().map(entry).collect()))
            }
            Accumulated::Sum(sum) => Value::N(*sum),
            Accumulated::Least(value) | Accumulated::Greatest(value) => scalar(value.as_ref()?),
            Accumulated::Distinct(values) => Value::N(Decimal::from(i64::try_from(values.len()).unwrap_or(i64::MAX))),
            Accumulated::Any(value) | Accumulated::All(value) => Value::Bool(*value),
            Accumulated::Latest(latest) => scalar(latest.as_ref().map(|(_, value)| value)?),
        })
    }
}

impl<'p> Values<'p> {
    /// The values without any items.
    pub fn new(indicator: &'p Indicator) -> Values<'p> {
        let values = indicator.values.iter().map(|value| Accumulated::of(&value.kind)).collect();
        Values { indicator, values }
    }

    /// Adds the contribution of an item to this target.
    ///
    /// # Errors
    /// The name of a sum that would need more than 38 digits.
    pub fn add(&mut self, contribution: Contribution) -> Result<(), &'p str> {
        let named = self.indicator.values.iter().zip(&mut self.values);
        for ((value, accumulated), input) in named.zip(contribution.inputs) {
            if let Some(input) = input
                && !accumulated.add(input)
            {
                return Err(&value.name);
            }
        }
        Ok(())
    }

    /// The name of a value that would have an entry with a name that DynamoDB doesn't allow, and how many bytes that has.
    pub fn too_long_name(&self) -> Option<(&'p str, usize)> {
        let named = self.indicator.values.iter().zip(&self.values);
        named.into_iter().find_map(|(value, accumulated)| {
            let Accumulated::CountBy(counts) = accumulated else { return None };
            let length = counts.keys().map(String::len).max().filter(|length| *length > MAX_NAME_BYTES)?;
            Some((value.name.as_str(), length))
        })
    }

    /// The entries of the map. A value that no item gives has none.
    pub fn entries(&self) -> Item<'static> {
        let named = self.indicator.values.iter().zip(&self.values);
        let entry = |(value, accumulated): (&crate::pipeline::IndicatorValue, &Accumulated)| {
            Some((Cow::Owned(value.name.clone()), accumulated.value()?))
        };
        Item(named.filter_map(entry).collect())
    }
}

/// The value of an attribute as the name of an entry.
fn name(value: Scalar) -> String {
    match value {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
        Scalar::Bool(value) => value.to_string(),
    }
}

fn scalar(value: &Scalar) -> Value<'static> {
    match value {
        Scalar::Number(number) => Value::N(*number),
        Scalar::Text(text) => Value::S(Cow::Owned(text.clone())),
        Scalar::Bool(value) => Value::Bool(*value),
    }
}

#[cfg(test)]
mod tests;
