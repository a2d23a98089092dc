//! CONCURRENCY limits the transactions in flight, whatever goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use laptop::emulators::{Fault, FaultPlan};
use serde_json::{Value, json};

use crate::world::{Function, World, at};

const LIMIT: usize = 2;

/// An HTTP client that counts the transactions in flight.
#[derive(Debug, Clone)]
struct InFlight {
    inner: SharedHttpClient,
    current: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl InFlight {
    fn around(inner: SharedHttpClient) -> InFlight {
        InFlight { inner, current: Arc::default(), peak: Arc::default() }
    }
}

impl HttpClient for InFlight {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(CountingConnector { inner, counts: self.clone() })
    }
}

#[derive(Debug)]
struct CountingConnector {
    inner: SharedHttpConnector,
    counts: InFlight,
}

impl HttpConnector for CountingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if !target.ends_with(".TransactWriteItems") {
            return self.inner.call(request);
        }
        let counts = self.counts.clone();
        counts.peak.fetch_max(counts.current.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let call = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let response = call.await;
            counts.current.fetch_sub(1, Ordering::SeqCst);
            response
        })
    }
}

/// An event with orders of 60 customers: three transactions of up to 100 actions.
fn orders() -> Vec<u8> {
    let record = |number: usize| -> Value {
        json!({
            "eventID": format!("{number:032}"), "eventName": "INSERT", "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_772_366_400,
                "Keys": { "pk": { "S": format!("CUSTOMER#{number}") }, "sk": { "S": "ORDER#1" } },
                "NewImage": {
                    "pk": { "S": format!("CUSTOMER#{number}") }, "sk": { "S": "ORDER#1" },
                    "status": { "S": "OPEN" }, "total": { "N": "1" },
                },
                "SequenceNumber": format!("{}", 100_000_000_000_000_000_000_u128 + number as u128),
                "SizeBytes": 80, "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
        })
    };
    serde_json::to_vec(&json!({ "Records": (0..60).map(record).collect::<Vec<_>>() })).unwrap()
}

/// Handles the orders while the first `faults` transactions fail with `fault`. Returns the peak number of transactions
/// in flight and the total number.
async fn transactions(name: &str, fault: Fault, faults: usize) -> (usize, usize) {
    let world = World::new(name, "orders").await.with("CONCURRENCY", &LIMIT.to_string());
    let counted = std::sync::Mutex::new(None);
    let Function { handler, http } = world.function_through(|http| {
        let client = InFlight::around(http);
        *counted.lock().unwrap() = Some(client.clone());
        SharedHttpClient::new(client)
    });
    let mut seen = 0;
    http.set_plan(FaultPlan::new(move |call| {
        let fails = call.operation == "TransactWriteItems" && seen < faults;
        seen += usize::from(fails);
        if fails { fault } else { Fault::None }
    }));
    let outcome = handler.handle(&orders(), &at("2026-03-01T12:00:30Z")).await.unwrap();
    assert_eq!((outcome.durable, outcome.applied), (60, 60));
    let calls = http.calls().iter().filter(|(call, _)| call.operation == "TransactWriteItems").count();
    (counted.into_inner().unwrap().unwrap().peak.load(Ordering::SeqCst), calls)
}

/// Regression: the number of transactions was CONCURRENCY squared, for bundles and again for the groups of a split
/// bundle.
#[tokio::test(flavor = "multi_thread")]
async fn splitting_bundles_after_conflicts_respects_the_limit() {
    let (peak, calls) = transactions("split-limit", Fault::TransactionConflict, 6).await;
    assert!(calls > 9, "the bundles were not split: {calls} transactions");
    assert!(peak <= LIMIT, "{peak} transactions in flight");
}

/// Regression: throttling split bundles, so the function became more parallel exactly when it shouldn't.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_never_increases_parallelism() {
    let (peak, calls) = transactions("throttled", Fault::Throttle, 9).await;
    assert_eq!(calls, 3 + 9, "a bundle was split");
    assert!(peak <= LIMIT, "{peak} transactions in flight");
}
