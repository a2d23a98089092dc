//! The embedded CloudWatch: PutMetricData as the SDK sends it (Smithy RPC v2 CBOR, gzip for larger bodies), kept for
//! the tests and the laptop's tool to read. There is no other operation.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use flate2::read::GzDecoder;
use serde::Deserialize;
use tokio::net::TcpListener;

const PUT_METRIC_DATA: &str = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
/// An empty map in CBOR: what PutMetricData answers.
const EMPTY_MAP: [u8; 1] = [0xa0];
/// 1 MB: CloudWatch's limit of a request, which bounds what a compressed body may become.
const MAX_BODY_BYTES: u64 = 1_000_000;

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

/// What the embedded CloudWatch was sent, in the order of its arrival.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Vec<DataPoint>>>);

impl Metrics {
    /// All data points since the start or the last [`Metrics::clear`].
    pub fn points(&self) -> Vec<DataPoint> {
        self.lock().clone()
    }

    /// All data points since the start or the last time; they are forgotten.
    pub fn take(&self) -> Vec<DataPoint> {
        std::mem::take(&mut *self.lock())
    }

    /// Forgets all data points.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<DataPoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves PutMetricData over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, metrics: Metrics) {
    let service = Router::new().route(PUT_METRIC_DATA, post(put_metric_data)).with_state(metrics);
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the embedded CloudWatch ended");
    }
}

async fn put_metric_data(State(metrics): State<Metrics>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let status = match decode(&headers, &body) {
        Ok(request) => {
            metrics.lock().extend(request.into_points());
            StatusCode::OK
        }
        Err(error) => {
            tracing::warn!(%error, "the embedded CloudWatch can't read a request");
            StatusCode::BAD_REQUEST
        }
    };
    (status, [("smithy-protocol", "rpc-v2-cbor"), (header::CONTENT_TYPE.as_str(), "application/cbor")], EMPTY_MAP)
}

fn decode(headers: &HeaderMap, body: &[u8]) -> anyhow::Result<Request> {
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
struct Request {
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
    value: Option<f64>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    counts: Vec<f64>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

impl Request {
    fn into_points(self) -> impl Iterator<Item = DataPoint> {
        let namespace = self.namespace;
        self.metric_data.into_iter().map(move |datum| DataPoint {
            namespace: namespace.clone(),
            name: datum.metric_name,
            dimensions: datum.dimensions.into_iter().map(|dimension| (dimension.name, dimension.value)).collect(),
            values: datum.value.into_iter().chain(datum.values).collect(),
            counts: datum.counts,
            unit: datum.unit,
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types as sdk;
    use aws_sdk_cloudwatch::types::{MetricDatum, StandardUnit};

    use super::*;
    use crate::local::{Services, sdk_config};

    #[tokio::test]
    async fn cloudwatch_keeps_small_and_compressed_data_points() {
        let services = Services::start(None).unwrap();
        let client = services.cloudwatch_client(&sdk_config(None));
        let datum = |number: usize| {
            let dimension = sdk::Dimension::builder().name("Pipeline").value("orders").build();
            let datum = MetricDatum::builder().metric_name(format!("RecordsCommitted{number}")).dimensions(dimension);
            datum.unit(StandardUnit::Count).value(1.5)
        };
        let put =
            |data: Vec<MetricDatum>| client.put_metric_data().namespace("Usage").set_metric_data(Some(data)).send();
        let timed = datum(0).timestamp(std::time::SystemTime::now().into()).build();
        put(vec![timed]).await.unwrap();
        // Well over the 10 KiB from which the SDK compresses.
        put((1..=500).map(|number| datum(number).build()).collect()).await.unwrap();
        let points = services.metrics().points();
        assert_eq!(points.len(), 501);
        let expected = DataPoint {
            namespace: "Usage".into(),
            name: "RecordsCommitted500".into(),
            dimensions: BTreeMap::from([("Pipeline".into(), "orders".into())]),
            values: vec![1.5],
            counts: vec![],
            unit: Some("Count".into()),
        };
        assert_eq!(points.last(), Some(&expected));
        services.metrics().clear();
        let distinct = MetricDatum::builder().metric_name("Latency").set_values(Some(vec![1.0, 2.0]));
        put(vec![distinct.set_counts(Some(vec![3.0, 1.0])).build()]).await.unwrap();
        let points = services.metrics().points();
        assert_eq!((&points[0].values, &points[0].counts, &points[0].unit), (&vec![1.0, 2.0], &vec![3.0, 1.0], &None));
    }
}
