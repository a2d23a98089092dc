//! An alarm as the template defines it.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::expression::{self, Expression};
use super::intrinsics::{Scope, text_of};
use super::missing::{MORE, Missing, Periods};
use crate::emulators::cloudwatch::{MetricId, Metrics, Series, Statistic};

/// Properties that decide when an alarm fires. Those that only say whom it notifies are ignored, and others are refused.
const DECIDING: [&str; 12] = [
    "Namespace",
    "MetricName",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "ComparisonOperator",
    "Threshold",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "TreatMissingData",
    "Metrics",
];
const IGNORED: [&str; 7] =
    ["AlarmName", "AlarmDescription", "AlarmActions", "OKActions", "InsufficientDataActions", "ActionsEnabled", "Tags"];

/// When an alarm fires.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition {
    /// The metrics by the IDs that the expression names.
    series: BTreeMap<String, Series>,
    expression: Expression,
    comparison: Comparison,
    pub threshold: f64,
    pub periods: Periods,
    pub missing: Missing,
    /// In seconds.
    pub period: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Definition {
    /// Reads the properties of an `AWS::CloudWatch::Alarm`.
    ///
    /// # Errors
    /// If something is missing, or isn't supported.
    pub(super) fn read(properties: &Value, scope: &Scope<'_>) -> anyhow::Result<Definition> {
        let named = properties.as_object().context("it has no properties")?;
        let unknown = named.keys().find(|name| !DECIDING.iter().chain(&IGNORED).any(|known| known == name));
        ensure!(unknown.is_none(), "the property {} isn't supported", unknown.map_or("", String::as_str));
        let mut resolved = BTreeMap::new();
        for name in DECIDING {
            let value = named.get(name).map(|value| scope.resolve(value)).transpose();
            resolved.extend(
                value.with_context(|| name.to_owned())?.filter(|value| !value.is_null()).map(|value| (name, value)),
            );
        }
        let (series, expression) = match resolved.get("Metrics") {
            Some(metrics) => of_metrics(metrics)?,
            None => {
                let series = series(&Value::Object(
                    resolved.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
                ))?;
                (BTreeMap::from([("metric".to_owned(), series)]), Expression::Metric("metric".to_owned()))
            }
        };
        let period = series.values().next().map(|series| series.period).context("it has no metric")?;
        ensure!(series.values().all(|series| series.period == period), "its metrics have different periods");
        let evaluated = number(&resolved, "EvaluationPeriods")?;
        let has_own = resolved.contains_key("DatapointsToAlarm");
        let to_alarm = if has_own { number(&resolved, "DatapointsToAlarm")? } else { evaluated };
        let missing = resolved.get("TreatMissingData").map_or(Ok("missing".to_owned()), text_of)?;
        let comparison = text_of(resolved.get("ComparisonOperator").context("ComparisonOperator is missing")?)?;
        Ok(Definition {
            series,
            expression,
            comparison: Comparison::parse(&comparison)?,
            threshold: number(&resolved, "Threshold")?,
            periods: Periods { to_alarm, evaluated },
            missing: Missing::parse(&missing).with_context(|| format!("TreatMissingData can't be {missing}"))?,
            period,
        })
    }

    /// The values of the retrieved periods that end at `end`, oldest first.
    pub(super) fn values(&self, metrics: &Metrics, end: i64) -> Vec<Option<f64>> {
        let retrieved = self.periods.evaluated + MORE;
        let read = |series| metrics.before(series, end, retrieved);
        let values: BTreeMap<&str, Vec<Option<f64>>> =
            self.series.iter().map(|(id, series)| (id.as_str(), read(series))).collect();
        let of = |period: usize| self.expression.value(&|id| values.get(id)?.get(period).copied()?);
        (0..retrieved).map(of).collect()
    }

    /// Whether a value breaches the threshold.
    pub(super) fn is_breaching(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Greater => value > self.threshold,
            Comparison::GreaterOrEqual => value >= self.threshold,
            Comparison::Less => value < self.threshold,
            Comparison::LessOrEqual => value <= self.threshold,
        }
    }

    /// The comparison with the threshold, such as `> 0`.
    pub(super) fn condition(&self) -> String {
        let sign = match self.comparison {
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => "≥",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "≤",
        };
        format!("{sign} {}", self.threshold)
    }
}

fn number<T: FromStr>(properties: &BTreeMap<&str, Value>, name: &str) -> anyhow::Result<T> {
    let value = properties.get(name).with_context(|| format!("{name} is missing"))?;
    let text = text_of(value)?;
    text.parse().ok().with_context(|| format!("{name} is {text}, which is not a valid number"))
}

impl Comparison {
    fn parse(text: &str) -> anyhow::Result<Comparison> {
        Ok(match text {
            "GreaterThanThreshold" => Comparison::Greater,
            "GreaterThanOrEqualToThreshold" => Comparison::GreaterOrEqual,
            "LessThanThreshold" => Comparison::Less,
            "LessThanOrEqualToThreshold" => Comparison::LessOrEqual,
            other => bail!("the comparison {other} isn't supported"),
        })
    }
}

/// The metrics of `Metrics`, and the expression whose result the alarm evaluates.
fn of_metrics(metrics: &Value) -> anyhow::Result<(BTreeMap<String, Series>, Expression)> {
    let (mut all, mut expressions) = (BTreeMap::new(), Vec::new());
    for metric in metrics.as_array().context("Metrics is not a list")? {
        let id = text_of(metric.get("Id").context("a metric has no Id")?)?;
        let returned = metric.get("ReturnData").map_or(Ok("true".to_owned()), text_of)? == "true";
        match (metric.get("Expression"), metric.get("MetricStat")) {
            (Some(expression), None) => {
                let text = text_of(expression)?;
                let parsed = expression::parse(&text).with_context(|| format!("the expression `{text}`"))?;
                ensure!(returned, "the expression {id} isn't returned, which isn't supported");
                expressions.push(parsed);
            }
            (None, Some(stat)) => {
                all.insert(id.clone(), of_stat(stat).with_context(|| format!("the metric {id}"))?);
                expressions.extend(returned.then_some(Expression::Metric(id)));
            }
            _ => bail!("{id} needs either an Expression or a MetricStat"),
        }
    }
    let (1, Some(expression)) = (expressions.len(), expressions.pop()) else {
        bail!("an alarm returns exactly one result")
    };
    let unknown = expression.metrics().into_iter().find(|id| !all.contains_key(*id));
    ensure!(unknown.is_none(), "the expression names {}, which is not a metric", unknown.unwrap_or_default());
    Ok((all, expression))
}

/// A `MetricStat`: a metric, and beside it the period and the statistic.
fn of_stat(stat: &Value) -> anyhow::Result<Series> {
    let mut fields = stat.get("Metric").and_then(Value::as_object).context("it has no Metric")?.clone();
    for (from, to) in [("Stat", "Statistic"), ("Period", "Period")] {
        fields.extend(stat.get(from).map(|value| (to.to_owned(), value.clone())));
    }
    series(&Value::Object(fields))
}

fn series(fields: &Value) -> anyhow::Result<Series> {
    let text = |name: &str| text_of(fields.get(name).with_context(|| format!("{name} is missing"))?);
    let mut dimensions = BTreeMap::new();
    for dimension in fields.get("Dimensions").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| text_of(dimension.get(name).with_context(|| format!("a dimension has no {name}"))?);
        dimensions.insert(part("Name")?, part("Value")?);
    }
    let statistic = text("Statistic").or_else(|_| text("ExtendedStatistic"))?;
    let period: i64 = text("Period")?.parse().context("Period is not a number")?;
    ensure!(period >= 60 && period % 60 == 0, "Period is {period}; only multiples of 60 are supported");
    Ok(Series {
        metric: MetricId { namespace: text("Namespace")?, name: text("MetricName")?, dimensions },
        statistic: Statistic::parse(&statistic)
            .with_context(|| format!("the statistic {statistic} isn't supported"))?,
        period,
    })
}
