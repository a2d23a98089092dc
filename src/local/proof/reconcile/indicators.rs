//! Indicators: each must be what a plain model computes from all items of the table, read by one scan.
//!
//! The model shares with the function how an item is routed, what a condition means, and how a key is written. It finds the items
//! of a target by looking at every item instead of by a query, and computes the values from lists of items. The table is kept in memory.

mod model;

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde_json::{Map, Value, json};
use stream_types::Decimal;
use usage_aggregator::pipeline::{INDICATOR_PREVIOUS, INDICATOR_VERSION, Indicator, MissingTarget, Pipeline};

use super::report::{Difference, LISTED_DIFFERENCES, Report};

/// An item as the SDK reads it.
type SdkItem = HashMap<String, AttributeValue>;

/// The names and texts of a target's key.
type Key = Vec<(String, String)>;

/// The values of a target by name, in DynamoDB's notation.
type Values = BTreeMap<String, Value>;

/// The targets of indicators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Indicators {
    /// Targets that exist, or that must exist.
    pub targets: u64,
    /// How many of them have exactly the values that the model computes.
    pub agreeing_targets: u64,
}

/// Compares the indicators in a table with the model. If records wait, what differs isn't listed: they may explain it.
///
/// # Errors
/// If the table can't be read.
pub(super) async fn compare(
    client: &Client,
    table: &str,
    pipeline: &Pipeline,
    report: &mut Report,
) -> anyhow::Result<()> {
    let items = read(client, table).await?;
    let mut indicators = report.indicators.unwrap_or_default();
    for indicator in &pipeline.indicators {
        let found = stored(indicator, &items);
        let mut expected = model::expected(pipeline, indicator, &items)?;
        if indicator.missing_target == MissingTarget::Skip {
            expected.retain(|target, _| found.contains_key(target));
        }
        for target in found.keys() {
            expected.entry(target.clone()).or_insert_with(|| model::values(indicator, &[]));
        }
        for (target, values) in expected {
            indicators.targets += 1;
            let found = found.get(&target).cloned().unwrap_or_default();
            if found == values {
                indicators.agreeing_targets += 1;
            } else if report.waiting.is_none() {
                differ(indicator, &target, &values, &found, report);
            }
        }
    }
    report.indicators = Some(indicators);
    Ok(())
}

async fn read(client: &Client, table: &str) -> anyhow::Result<Vec<SdkItem>> {
    let items = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    let items: Result<Vec<SdkItem>, _> = items.collect().await;
    items.with_context(|| format!("scan {table} (dynamodb:Scan)"))
}

/// The values that the targets have, without the function's bookkeeping.
fn stored(indicator: &Indicator, items: &[SdkItem]) -> BTreeMap<Key, Values> {
    let target = |item: &SdkItem| -> Option<(Key, Values)> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
        let variables = indicator.target_variables(text)?;
        let key = indicator.target_key(&variables.iter().map(String::as_str).collect::<Vec<_>>())?;
        let map = item.get(&indicator.attribute).and_then(|map| map.as_m().ok());
        let is_value = |name: &str| name != INDICATOR_VERSION && name != INDICATOR_PREVIOUS;
        let values = map.into_iter().flatten().filter(|(name, _)| is_value(name));
        Some((key, values.map(|(name, value)| (name.clone(), notation(value))).collect()))
    };
    items.iter().filter_map(target).collect()
}

/// A value in DynamoDB's notation, with numbers in one form.
fn notation(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::N(text) => json!({ "N": Decimal::parse(text).unwrap_or_default().to_string() }),
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::Bool(truth) => json!({ "BOOL": truth }),
        AttributeValue::M(entries) => {
            let entries: Map<String, Value> =
                entries.iter().map(|(name, value)| (name.clone(), notation(value))).collect();
            json!({ "M": entries })
        }
        other => json!({ "other": format!("{other:?}") }),
    }
}

/// Reports each value that differs.
fn differ(indicator: &Indicator, target: &Key, expected: &Values, found: &Values, report: &mut Report) {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for name in names {
        let (expected, found) = (expected.get(name), found.get(name));
        if expected == found {
            continue;
        }
        report.difference_count += 1;
        if report.differences.len() < LISTED_DIFFERENCES {
            report.differences.push(Difference::Indicator {
                indicator: indicator.name.clone(),
                target: target.iter().map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", "),
                value: name.clone(),
                expected: expected.map(Value::to_string),
                found: found.map(Value::to_string),
            });
        }
    }
}

#[cfg(test)]
mod tests;
