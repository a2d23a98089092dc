//! The embedded CloudWatch. It keeps what PutMetricData sends, for the tests and for `usagectl` to read as it came, and
//! adds it up by the minute (`history`) for GetMetricData and ListMetrics. There are no other operations, and no metric
//! math. Clients may speak any of CloudWatch's protocols (`protocol`).

mod history;
mod protocol;
mod query;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use event_source_mapping::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stream_types::Timestamp;
use tokio::net::TcpListener;

use super::programs_only;
use history::{History, Sample, Times};
pub(super) use history::{MetricId, Statistic};
use protocol::{Refusal, Request};
use wire::{GetMetricData, ListMetrics, Metric, MetricData, MetricDataResult, PutMetricData, Query};

/// The most data points that are kept as they came: `usagectl serve` never takes them.
const KEPT_POINTS: usize = 50_000;

const OPERATIONS: &str = "GetMetricData, ListMetrics and PutMetricData";

/// One datum of a PutMetricData request.
#[derive(Debug, Clone, PartialEq)]
pub struct DataPoint {
    /// The metric's namespace.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// The metric's dimensions by name.
    pub dimensions: BTreeMap<String, String>,
    /// The single value, or the distinct values.
    pub values: Vec<f64>,
    /// How often each of `values` occurred; empty if each occurred once.
    pub counts: Vec<f64>,
    /// `None` if the sender omitted it, which CloudWatch treats as the unit `None`.
    pub unit: Option<String>,
}

/// The metrics that the embedded CloudWatch received. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// The last ones, in order of arrival.
    points: Arc<Mutex<VecDeque<DataPoint>>>,
    history: Arc<Mutex<History>>,
    /// The system's clock, unless a simulation has its own.
    clock: Option<Clock>,
}

/// A metric, and how an alarm aggregates it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub metric: MetricId,
    pub statistic: Statistic,
    /// In seconds, a multiple of 60.
    pub period: i64,
}

impl Metrics {
    /// Metrics whose time is that of `clock`.
    pub fn with_clock(clock: Clock) -> Metrics {
        Metrics { clock: Some(clock), ..Metrics::default() }
    }

    /// The data points since the start or the last [`Metrics::clear`], or the last 50,000 of them.
    pub fn points(&self) -> Vec<DataPoint> {
        lock(&self.points).iter().cloned().collect()
    }

    /// The data points since the start or the last call, or the last 50,000 of them. GetMetricData still finds them.
    pub fn take(&self) -> Vec<DataPoint> {
        std::mem::take(&mut *lock(&self.points)).into()
    }

    /// Deletes all data points. GetMetricData still finds them.
    pub fn clear(&self) {
        lock(&self.points).clear();
    }

    /// Adds a value to a metric that AWS itself would publish. Only GetMetricData and ListMetrics find it.
    pub fn publish(&self, namespace: &str, name: &str, dimension: (&str, &str), value: f64) {
        self.publish_of(namespace, name, &[dimension], value);
    }

    /// Adds a value to a metric with any number of dimensions, as [`Metrics::publish`] does.
    pub fn publish_of(&self, namespace: &str, name: &str, dimensions: &[(&str, &str)], value: f64) {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let metric = MetricId { namespace: namespace.to_owned(), name: name.to_owned(), dimensions };
        lock(&self.history).add(metric, self.now(), [Sample { value, count: 1.0 }]);
    }

    /// The values of the last periods before `end`, oldest first; `None` where there is no data.
    pub(super) fn before(&self, series: &Series, end: i64, periods: usize) -> Vec<Option<f64>> {
        lock(&self.history).before(&series.metric, end, series.period, periods, series.statistic)
    }

    fn now(&self) -> i64 {
        match &self.clock {
            Some(clock) => clock.now().seconds(),
            None => event_source_mapping::now().map_or(0, Timestamp::seconds),
        }
    }

    fn put(&self, request: PutMetricData) {
        let (mut points, mut history) = (lock(&self.points), lock(&self.history));
        for (point, second) in request.into_points() {
            let DataPoint { namespace, name, dimensions, .. } = point.clone();
            let second = second.unwrap_or_else(|| self.now());
            history.add(MetricId { namespace, name, dimensions }, second, point.samples());
            if points.len() == KEPT_POINTS {
                points.pop_front();
            }
            points.push_back(point);
        }
    }

    fn get(&self, request: GetMetricData) -> Result<MetricData, Refusal> {
        let (start, end) = request.times();
        let oldest_first = request.oldest_first();
        let history = lock(&self.history);
        let answer = |query: Query| {
            let id = query.id;
            let invalid = |what: String| Refusal::invalid(format!("query {id}: {what}"));
            let Some(stat) = query.metric_stat else {
                return Err(invalid("the embedded CloudWatch supports MetricStat, not Expression".to_owned()));
            };
            let (metric, period, name) = stat.into_parts();
            let statistic = Statistic::parse(&name).ok_or_else(|| invalid(format!("`{name}` is not a statistic")))?;
            if period < 60 || period % 60 > 0 {
                return Err(invalid(format!("Period is {period}; it must be a multiple of 60")));
            }
            let mut numbers = history.read(&metric, Times { start, end, period }, statistic);
            if !oldest_first {
                numbers.reverse();
            }
            let label = query.label.unwrap_or(metric.name);
            Ok(MetricDataResult::new(id, label, numbers))
        };
        let results: Result<_, Refusal> = request.metric_data_queries.into_iter().map(answer).collect();
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

/// Serves the operations over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, metrics: Metrics) {
    let service = programs_only(Router::new().fallback(answer).with_state(metrics));
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the embedded CloudWatch stopped");
    }
}

async fn answer(State(metrics): State<Metrics>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    metrics.answer(uri.path(), &headers, &body)
}

impl Metrics {
    /// Answers a request, in this process or over HTTP.
    pub(super) fn answer(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let Some(protocol) = protocol::protocol(path, headers) else {
            return protocol::unknown_protocol(OPERATIONS);
        };
        let request = protocol::read(protocol, path, headers, body);
        let operation = request.as_ref().map(|request| request.operation.clone()).unwrap_or_default();
        let answer = request.and_then(|request| operate(self, request));
        if let Err(Refusal { code, message }) = &answer {
            tracing::warn!(code, message, "the embedded CloudWatch refused a request");
        }
        protocol::respond(protocol, &operation, answer)
    }
}

fn operate(metrics: &Metrics, request: Request) -> Result<Value, Refusal> {
    match request.operation.as_str() {
        "PutMetricData" => {
            let request: PutMetricData = parameters(request.body)?;
            if let Some(name) = request.unsupported() {
                return Err(Refusal::invalid(format!("{name}: send Value or Values instead of StatisticValues")));
            }
            metrics.put(request);
            Ok(json!({}))
        }
        "GetMetricData" => value(&metrics.get(parameters(request.body)?)?),
        "ListMetrics" => value(&metrics.list(&parameters(request.body)?)),
        other => {
            let message = format!("the embedded CloudWatch supports {OPERATIONS}, not `{other}`");
            Err(Refusal { code: "UnknownOperation", message })
        }
    }
}

fn parameters<T: DeserializeOwned>(body: Value) -> Result<T, Refusal> {
    serde_json::from_value(body).map_err(|error| Refusal::invalid(format!("the request can't be read: {error}")))
}

fn value(answer: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(answer).map_err(|error| Refusal { code: "InternalService", message: error.to_string() })
}

#[cfg(test)]
mod tests;
