//! The plain model: the values of each target, from lists of all the items that name it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value as Json, json};
use stream_types::Decimal;
use usage_aggregator::outline::{Entry, Tag, WrittenItems};
use usage_aggregator::pipeline::{Indicator, IndicatorKind, IndicatorValue, Pipeline, Routed};
use usage_aggregator::record::{Image, Item, Value};

use super::{Key, SdkItem, Values};

/// A value of an attribute. Numbers come before strings, and strings before booleans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plain {
    Number(Decimal),
    Text(String),
    Truth(bool),
}

/// The values of all targets that items name.
///
/// # Errors
/// If an item can't be read.
pub(super) fn expected(
    pipeline: &Pipeline,
    indicator: &Indicator,
    items: &[SdkItem],
) -> anyhow::Result<BTreeMap<Key, Values>> {
    let mut by_target: BTreeMap<Key, Vec<WrittenItems>> = BTreeMap::new();
    for item in items {
        let item = read(item).with_context(|| format!("read an item of the indicator {}", indicator.name))?;
        if let Some(target) = target(pipeline, indicator, &item) {
            by_target.entry(target).or_default().push(WrittenItems::of(&item));
        }
    }
    Ok(by_target.into_iter().map(|(target, items)| (target, values(indicator, &items))).collect())
}

/// The target that an item names, if it is of the right type and in the right partition.
fn target(pipeline: &Pipeline, indicator: &Indicator, item: &Item<'static>) -> Option<Key> {
    let image = Image::Carried(item.clone());
    let keys = Item::default();
    let Routed::To(route, mut bindings) = pipeline.route(&keys, &image) else { return None };
    let is_route = |index: usize| pipeline.routes.get(index).is_some_and(|known| std::ptr::eq(known, route));
    let record = indicator.records.iter().find(|record| is_route(record.route))?;
    // An item without the attributes that name its target has none.
    route.bind(&mut bindings, item).ok()?;
    let variables: Vec<&str> = record.slots.iter().map(|slot| bindings.value(*slot)).collect();
    let text = |name: &str| match item.attribute(name) {
        Some(Value::S(text)) => Some(&**text),
        _ => None,
    };
    let (partition, prefix) = indicator.query_key(&variables);
    let is_there = text(&indicator.query.partition.0) == Some(&*partition);
    let is_prefixed = match (&indicator.query.sort, prefix) {
        (Some((name, _)), Some(prefix)) => text(name).is_some_and(|text| text.starts_with(&prefix)),
        _ => true,
    };
    if is_there && is_prefixed { indicator.target_key(&variables) } else { None }
}

/// The values of a target with these items.
pub(super) fn values(indicator: &Indicator, items: &[WrittenItems]) -> Values {
    let entry = |value: &IndicatorValue| Some((value.name.clone(), value_of(value, items)?));
    indicator.values.iter().filter_map(entry).collect()
}

/// One value; `None` if no item has what it needs.
fn value_of(value: &IndicatorValue, items: &[WrittenItems]) -> Option<Json> {
    let meeting: Vec<&WrittenItems> =
        items.iter().filter(|item| value.conditions.iter().all(|condition| condition.holds(item.outline()))).collect();
    let all = |path: &str| -> Vec<Plain> {
        meeting.iter().filter_map(|item| plain(item.outline().value_at(path)?)).collect()
    };
    let numbers = |path: &str| -> Vec<Decimal> {
        let number = |plain| if let Plain::Number(number) = plain { Some(number) } else { None };
        all(path).into_iter().filter_map(number).collect()
    };
    let ordered = |path: &str| -> Vec<Plain> {
        all(path).into_iter().filter(|plain| !matches!(plain, Plain::Truth(_))).collect()
    };
    match &value.kind {
        IndicatorKind::Count => Some(count(meeting.len())),
        IndicatorKind::CountBy(path) => Some(counts(all(path))),
        IndicatorKind::Sum(path) => {
            let sum = numbers(path).into_iter().try_fold(Decimal::ZERO, Decimal::checked_add).ok()?;
            Some(json!({ "N": sum.to_string() }))
        }
        IndicatorKind::Min(path) => Some(json!({ "N": numbers(path).into_iter().min()?.to_string() })),
        IndicatorKind::Max(path) => Some(json!({ "N": numbers(path).into_iter().max()?.to_string() })),
        IndicatorKind::Newest(path) => ordered(path).into_iter().max().map(written),
        IndicatorKind::Oldest(path) => ordered(path).into_iter().min().map(written),
        IndicatorKind::Distinct(path) => Some(count(all(path).into_iter().collect::<BTreeSet<_>>().len())),
        IndicatorKind::Any => Some(json!({ "BOOL": !meeting.is_empty() })),
        IndicatorKind::All => Some(json!({ "BOOL": meeting.len() == items.len() })),
        IndicatorKind::Latest { attribute, by } => {
            let both = |item: &&WrittenItems| {
                let order = plain(item.outline().value_at(by)?).filter(|plain| !matches!(plain, Plain::Truth(_)))?;
                Some((order, plain(item.outline().value_at(attribute)?)?))
            };
            meeting.iter().filter_map(both).max().map(|(_, value)| written(value))
        }
    }
}

fn count(number: usize) -> Json {
    json!({ "N": number.to_string() })
}

/// How often each value occurs. An empty string can't be the name of an entry.
fn counts(values: Vec<Plain>) -> Json {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        let name = match value {
            Plain::Number(number) => number.to_string(),
            Plain::Text(text) => text,
            Plain::Truth(truth) => truth.to_string(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts.remove("");
    let entries: Map<String, Json> = counts.into_iter().map(|(name, number)| (name, count(number))).collect();
    json!({ "M": entries })
}

fn plain(entry: Entry<'_>) -> Option<Plain> {
    match entry.tag() {
        Tag::N => entry.number().map(Plain::Number),
        Tag::S => entry.string().map(|text| Plain::Text(text.into_owned())),
        Tag::True | Tag::False => Some(Plain::Truth(entry.tag() == Tag::True)),
        _ => None,
    }
}

fn written(value: Plain) -> Json {
    match value {
        Plain::Number(number) => json!({ "N": number.to_string() }),
        Plain::Text(text) => json!({ "S": text }),
        Plain::Truth(truth) => json!({ "BOOL": truth }),
    }
}

/// An item of the SDK as an item of a record.
fn read(item: &SdkItem) -> anyhow::Result<Item<'static>> {
    let attribute = |(name, value): (&String, &AttributeValue)| Ok((Cow::Owned(name.clone()), read_value(value)?));
    Ok(Item(item.iter().map(attribute).collect::<anyhow::Result<_>>()?))
}

fn read_value(value: &AttributeValue) -> anyhow::Result<Value<'static>> {
    Ok(match value {
        AttributeValue::S(text) => Value::S(Cow::Owned(text.clone())),
        AttributeValue::N(text) => Value::N(Decimal::parse(text).with_context(|| format!("read the number {text}"))?),
        AttributeValue::Bool(truth) => Value::Bool(*truth),
        AttributeValue::M(entries) => Value::M(read(entries)?),
        AttributeValue::L(list) => Value::L(list.iter().map(read_value).collect::<anyhow::Result<_>>()?),
        // No value of an indicator reads sets or bytes, and a condition sees only that they exist.
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::B(bytes) => Value::B(bytes.as_ref().to_vec()),
        AttributeValue::Ss(texts) => Value::Ss(texts.iter().cloned().map(Cow::Owned).collect()),
        AttributeValue::Ns(texts) => {
            Value::Ns(texts.iter().map(|text| Decimal::parse(text)).collect::<Result<_, _>>()?)
        }
        AttributeValue::Bs(all) => Value::Bs(all.iter().map(|bytes| bytes.as_ref().to_vec()).collect()),
        _ => anyhow::bail!("read a value of a type that this version doesn't know"),
    })
}
