//! The embedded CloudWatch, as the SDK speaks to it (`wire`): PutMetricData, kept for the tests and the laptop's tool to
//! read as it came, and put together by the minute (`history`) for GetMetricData and ListMetrics. There is no other
//! operation, and no metric math.

mod history;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

use history::{History, MetricId, Sample, Statistic, Times};
use wire::{GetMetricData, ListMetrics, Metric, MetricData, MetricDataResult, PutMetricData, Query, Refusal};

const OPERATION: &str = "/service/GraniteServiceVersion20100801/operation";

/// One datum of a PutMetricData request.
#[derive(Debug, Clone, PartialEq)]
pub struct DataPoint {
    pub namespace: String,
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
    /// The single value, or the distinct values.
    pub values: Vec<f64>,
    /// How often each of `values` occurred; empty if once each.
    pub counts: Vec<f64>,
    /// `None` where the sender left it out, which CloudWatch takes as the unit `None`.
    pub unit: Option<String>,
}

/// What the embedded CloudWatch was sent.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// In the order of its arrival.
    points: Arc<Mutex<Vec<DataPoint>>>,
    history: Arc<Mutex<History>>,
}

impl Metrics {
    /// All data points since the start or the last [`Metrics::clear`].
    pub fn points(&self) -> Vec<DataPoint> {
        lock(&self.points).clone()
    }

    /// All data points since the start or the last time; they are forgotten, but not by GetMetricData.
    pub fn take(&self) -> Vec<DataPoint> {
        std::mem::take(&mut *lock(&self.points))
    }

    /// Forgets all data points, but not what GetMetricData answers.
    pub fn clear(&self) {
        lock(&self.points).clear();
    }

    /// Adds a value to a metric of AWS's own, as AWS does: GetMetricData alone knows it.
    pub fn publish(&self, namespace: &str, name: &str, dimension: (&str, &str), value: f64) {
        let dimensions = BTreeMap::from([(dimension.0.to_owned(), dimension.1.to_owned())]);
        let metric = MetricId { namespace: namespace.to_owned(), name: name.to_owned(), dimensions };
        lock(&self.history).add(metric, now(), [Sample { value, count: 1.0 }]);
    }

    fn put(&self, request: PutMetricData) {
        let (mut points, mut history) = (lock(&self.points), lock(&self.history));
        for (point, second) in request.into_points() {
            let DataPoint { namespace, name, dimensions, .. } = point.clone();
            history.add(MetricId { namespace, name, dimensions }, second.unwrap_or_else(now), point.samples());
            points.push(point);
        }
    }

    fn get(&self, request: GetMetricData) -> Result<MetricData, String> {
        let (start, end) = request.times().ok_or("StartTime or EndTime is no time")?;
        let oldest_first = request.oldest_first();
        let history = lock(&self.history);
        let answer = |query: Query| {
            let Some(stat) = query.metric_stat else {
                return Err(format!(
                    "query {}: the embedded CloudWatch knows MetricStat alone, no expressions",
                    query.id
                ));
            };
            let (metric, period, name) = stat.into_parts();
            let statistic =
                Statistic::parse(&name).ok_or_else(|| format!("query {}: no statistic {name}", query.id))?;
            if period < 60 || period % 60 > 0 {
                return Err(format!("query {}: Period {period} is no multiple of 60", query.id));
            }
            let mut numbers = history.read(&metric, Times { start, end, period }, statistic);
            if !oldest_first {
                numbers.reverse();
            }
            let label = query.label.unwrap_or(metric.name);
            Ok(MetricDataResult::new(query.id, label, numbers))
        };
        let results: Result<_, String> = request.metric_data_queries.into_iter().map(answer).collect();
        Ok(MetricData { metric_data_results: results? })
    }

    fn list(&self, request: &ListMetrics) -> wire::Metrics {
        let history = lock(&self.history);
        wire::Metrics { metrics: history.metrics().filter(|id| request.matches(id)).map(Metric::of).collect() }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Serves the operations over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, metrics: Metrics) {
    let service = Router::new()
        .route(&format!("{OPERATION}/PutMetricData"), post(put_metric_data))
        .route(&format!("{OPERATION}/GetMetricData"), post(get_metric_data))
        .route(&format!("{OPERATION}/ListMetrics"), post(list_metrics))
        .with_state(metrics);
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the embedded CloudWatch ended");
    }
}

async fn put_metric_data(State(metrics): State<Metrics>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&headers, &body, |request| {
        metrics.put(request);
        Ok(BTreeMap::<String, String>::new())
    })
}

async fn get_metric_data(State(metrics): State<Metrics>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&headers, &body, |request| metrics.get(request))
}

async fn list_metrics(State(metrics): State<Metrics>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&headers, &body, |request| Ok(metrics.list(&request)))
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    headers: &HeaderMap,
    body: &[u8],
    operation: impl FnOnce(Q) -> Result<A, String>,
) -> Response {
    let read = wire::decode(headers, body).map_err(|error| format!("the request can't be read: {error}"));
    let (status, body) = match read.and_then(operation) {
        Ok(answer) => (StatusCode::OK, encoded(&answer)),
        Err(message) => {
            tracing::warn!(message, "the embedded CloudWatch refuses a request");
            (StatusCode::BAD_REQUEST, encoded(&Refusal::new(message)))
        }
    };
    let headers = [("smithy-protocol", "rpc-v2-cbor"), (header::CONTENT_TYPE.as_str(), "application/cbor")];
    match body {
        Ok(body) => (status, headers, body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn encoded(answer: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    ciborium::into_writer(answer, &mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests;
