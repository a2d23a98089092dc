//! Requests and answers as the SDK has them: Smithy RPC v2 in CBOR, gzip for larger bodies.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use ciborium::Value;
use ciborium::tag::Required;
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::DataPoint;
use super::history::{MetricId, Sample};

/// 1 MB: CloudWatch's limit of a request, which bounds what a compressed body may become.
const MAX_BODY_BYTES: u64 = 1_000_000;
/// CBOR's tag of a time in seconds since the epoch.
const TIME: u64 = 1;

/// Reads a request.
pub fn decode<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> anyhow::Result<T> {
    let compressed = headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    if !compressed {
        return Ok(ciborium::from_reader(body)?);
    }
    let mut plain = Vec::new();
    GzDecoder::new(body).take(MAX_BODY_BYTES).read_to_end(&mut plain)?;
    Ok(ciborium::from_reader(plain.as_slice())?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutMetricData {
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
    timestamp: Option<Value>,
    value: Option<f64>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    counts: Vec<f64>,
    unit: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetMetricData {
    #[serde(default)]
    pub metric_data_queries: Vec<Query>,
    start_time: Value,
    end_time: Value,
    scan_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Query {
    pub id: String,
    pub metric_stat: Option<MetricStat>,
    pub label: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricStat {
    metric: Metric,
    pub period: i64,
    pub stat: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMetrics {
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
pub struct MetricData {
    pub metric_data_results: Vec<MetricDataResult>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricDataResult {
    id: String,
    label: String,
    timestamps: Vec<Required<i64, TIME>>,
    values: Vec<f64>,
    status_code: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metrics {
    pub metrics: Vec<Metric>,
}

#[derive(Serialize)]
pub struct Refusal {
    #[serde(rename = "__type")]
    kind: &'static str,
    message: String,
}

impl PutMetricData {
    /// The data points, each with its second where it names one.
    pub fn into_points(self) -> impl Iterator<Item = (DataPoint, Option<i64>)> {
        let namespace = self.namespace;
        self.metric_data.into_iter().map(move |datum| {
            let point = DataPoint {
                namespace: namespace.clone(),
                name: datum.metric_name,
                dimensions: named(datum.dimensions),
                values: datum.value.into_iter().chain(datum.values).collect(),
                counts: datum.counts,
                unit: datum.unit,
            };
            (point, datum.timestamp.as_ref().and_then(second))
        })
    }
}

impl DataPoint {
    /// Its values, each with how often it occurred.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        let counts = self.counts.iter().copied().chain(std::iter::repeat(1.0));
        self.values.iter().zip(counts).map(|(value, count)| Sample { value: *value, count })
    }
}

impl GetMetricData {
    /// The first second, and the first behind the last.
    pub fn times(&self) -> Option<(i64, i64)> {
        Some((second(&self.start_time)?, second(&self.end_time)?))
    }

    /// CloudWatch gives the newest first unless it is asked for the other way.
    pub fn oldest_first(&self) -> bool {
        self.scan_by.as_deref() == Some("TimestampAscending")
    }
}

impl Metric {
    pub fn into_id(self) -> MetricId {
        MetricId { namespace: self.namespace, name: self.metric_name, dimensions: named(self.dimensions) }
    }

    pub fn of(id: &MetricId) -> Metric {
        let dimension = |(name, value): (&String, &String)| Dimension { name: name.clone(), value: value.clone() };
        let dimensions = id.dimensions.iter().map(dimension).collect();
        Metric { namespace: id.namespace.clone(), metric_name: id.name.clone(), dimensions }
    }
}

impl MetricStat {
    /// What is asked for, its period and its statistic.
    pub fn into_parts(self) -> (MetricId, i64, String) {
        (self.metric.into_id(), self.period, self.stat)
    }
}

impl ListMetrics {
    pub fn matches(&self, id: &MetricId) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
        let has =
            |filter: &DimensionFilter| id.dimensions.get(&filter.name).is_some_and(|value| is(&filter.value, value));
        is(&self.namespace, &id.namespace) && is(&self.metric_name, &id.name) && self.dimensions.iter().all(has)
    }
}

impl MetricDataResult {
    pub fn new(id: String, label: String, numbers: Vec<(i64, f64)>) -> MetricDataResult {
        let (timestamps, values) = numbers.into_iter().map(|(second, value)| (Required(second), value)).unzip();
        MetricDataResult { id, label, timestamps, values, status_code: "Complete" }
    }
}

impl Refusal {
    pub fn new(message: String) -> Refusal {
        Refusal { kind: "com.amazonaws.cloudwatch#InvalidParameterValueException", message }
    }
}

fn named(dimensions: Vec<Dimension>) -> BTreeMap<String, String> {
    dimensions.into_iter().map(|dimension| (dimension.name, dimension.value)).collect()
}

/// The second of a time, its fraction cut off.
fn second(time: &Value) -> Option<i64> {
    let Value::Tag(TIME, number) = time else { return None };
    match &**number {
        Value::Integer(second) => i64::try_from(*second).ok(),
        Value::Float(seconds) => i64::try_from(Duration::try_from_secs_f64(*seconds).ok()?.as_secs()).ok(),
        _ => None,
    }
}
