//! Requests and responses, whatever the protocol. Numbers and times may come as strings, because the query protocol has
//! nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::DataPoint;
use super::history::{MetricId, Sample};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMetricData {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<Seconds>,
    value: Option<Number>,
    #[serde(default)]
    values: Vec<Number>,
    #[serde(default)]
    counts: Vec<Number>,
    unit: Option<String>,
    /// An aggregate without its values, which isn't supported.
    statistic_values: Option<serde::de::IgnoredAny>,
}

/// A number, or a string with one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number(f64);

/// A period, or a time since the epoch, which may also be in ISO 8601. Fractions are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seconds(i64);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricData {
    #[serde(default)]
    pub metric_data_queries: Vec<Query>,
    start_time: Seconds,
    end_time: Seconds,
    scan_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Query {
    pub id: String,
    pub metric_stat: Option<MetricStat>,
    pub label: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricStat {
    metric: Metric,
    period: Seconds,
    stat: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<DimensionFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricData {
    pub metric_data_results: Vec<MetricDataResult>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricDataResult {
    id: String,
    label: String,
    /// In seconds since the epoch.
    timestamps: Vec<i64>,
    values: Vec<f64>,
    status_code: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metrics {
    pub metrics: Vec<Metric>,
}

impl PutMetricData {
    /// The name of a datum that isn't supported.
    pub(super) fn unsupported(&self) -> Option<&str> {
        let datum = self.metric_data.iter().find(|datum| datum.statistic_values.is_some());
        datum.map(|datum| datum.metric_name.as_str())
    }

    /// The data points, each with its time in seconds if it has one.
    pub(super) fn into_points(self) -> impl Iterator<Item = (DataPoint, Option<i64>)> {
        let namespace = self.namespace;
        self.metric_data.into_iter().map(move |datum| {
            let point = DataPoint {
                namespace: namespace.clone(),
                name: datum.metric_name,
                dimensions: named(datum.dimensions),
                values: datum.value.into_iter().chain(datum.values).map(|Number(value)| value).collect(),
                counts: datum.counts.into_iter().map(|Number(count)| count).collect(),
                unit: datum.unit,
            };
            (point, datum.timestamp.map(|Seconds(second)| second))
        })
    }
}

impl DataPoint {
    /// The values, and how often each occurred.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        let counts = self.counts.iter().copied().chain(std::iter::repeat(1.0));
        self.values.iter().zip(counts).map(|(value, count)| Sample { value: *value, count })
    }
}

impl GetMetricData {
    /// The start, and the end, which is exclusive; in seconds since the epoch.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.start_time.0, self.end_time.0)
    }

    /// CloudWatch returns the newest first unless the request says otherwise.
    pub(super) fn oldest_first(&self) -> bool {
        self.scan_by.as_deref() == Some("TimestampAscending")
    }
}

impl Metric {
    pub(super) fn into_id(self) -> MetricId {
        MetricId { namespace: self.namespace, name: self.metric_name, dimensions: named(self.dimensions) }
    }

    pub(super) fn of(id: &MetricId) -> Metric {
        let dimension = |(name, value): (&String, &String)| Dimension { name: name.clone(), value: value.clone() };
        let dimensions = id.dimensions.iter().map(dimension).collect();
        Metric { namespace: id.namespace.clone(), metric_name: id.name.clone(), dimensions }
    }
}

impl MetricStat {
    /// The metric, the period in seconds, and the statistic.
    pub(super) fn into_parts(self) -> (MetricId, i64, String) {
        (self.metric.into_id(), self.period.0, self.stat)
    }
}

impl ListMetrics {
    pub(super) fn matches(&self, id: &MetricId) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
        let has =
            |filter: &DimensionFilter| id.dimensions.get(&filter.name).is_some_and(|value| is(&filter.value, value));
        is(&self.namespace, &id.namespace) && is(&self.metric_name, &id.name) && self.dimensions.iter().all(has)
    }
}

impl MetricDataResult {
    pub(super) fn new(id: String, label: String, numbers: Vec<(i64, f64)>) -> MetricDataResult {
        let (timestamps, values) = numbers.into_iter().unzip();
        MetricDataResult { id, label, timestamps, values, status_code: "Complete" }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Ok(Number(number)),
            NumberOrText::Text(text) => {
                text.parse().map(Number).map_err(|_| serde::de::Error::custom(format!("`{text}` is not a number")))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
        let (time, text) = match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(seconds) => (from_seconds(seconds), seconds.to_string()),
            NumberOrText::Text(text) => {
                let seconds = text.parse().ok().and_then(from_seconds);
                (seconds.or_else(|| text.parse().ok()), text)
            }
        };
        let time = time.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time")))?;
        Ok(Seconds(time.as_millisecond().div_euclid(1_000)))
    }
}

fn from_seconds(seconds: f64) -> Option<jiff::Timestamp> {
    let since_epoch = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    jiff::Timestamp::from_duration(since_epoch).ok()
}

fn named(dimensions: Vec<Dimension>) -> BTreeMap<String, String> {
    dimensions.into_iter().map(|dimension| (dimension.name, dimension.value)).collect()
}
