//! CONCURRENCY bounds the transactions in flight, whatever goes wrong.

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

const BOUND: usize = 2;

/// Counts the transactions in flight, around another client.
#[derive(Debug, Clone)]
struct InFlight {
    inner: SharedHttpClient,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl InFlight {
    fn around(inner: SharedHttpClient) -> InFlight {
        InFlight { inner, now: Arc::default(), most: Arc::default() }
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
        counts.most.fetch_max(counts.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let call = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let response = call.await;
            counts.now.fetch_sub(1, Ordering::SeqCst);
            response
        })
    }
}

/// An event of orders by 60 customers: three transactions of up to 100 actions.
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

/// Handles the orders while the first transactions suffer `fault`; gives the most transactions in flight, and how many
/// there were in all.
async fn transactions(name: &str, fault: Fault, faults: usize) -> (usize, usize) {
    let world = World::new(name, "orders").await.with("CONCURRENCY", &BOUND.to_string());
    let counted = std::sync::Mutex::new(None);
    let Function { handler, http } = world.function_through(|http| {
        let client = InFlight::around(http);
        *counted.lock().unwrap() = Some(client.clone());
        SharedHttpClient::new(client)
    });
    let mut seen = 0;
    http.set_plan(FaultPlan::new(move |call| {
        let suffers = call.operation == "TransactWriteItems" && seen < faults;
        seen += usize::from(suffers);
        if suffers { fault } else { Fault::None }
    }));
    let outcome = handler.handle(&orders(), &at("2026-03-01T12:00:30Z")).await.unwrap();
    assert_eq!((outcome.durable, outcome.applied), (60, 60));
    let calls = http.calls().iter().filter(|(call, _)| call.operation == "TransactWriteItems").count();
    (counted.into_inner().unwrap().unwrap().most.load(Ordering::SeqCst), calls)
}

/// CONCURRENCY was squared: bundles times the groups that a bundle had been split into.
#[tokio::test(flavor = "multi_thread")]
async fn splitting_bundles_after_conflicts_keeps_to_the_bound() {
    let (most, calls) = transactions("split-bound", Fault::TransactionConflict, 6).await;
    assert!(calls > 9, "the bundles were split: {calls} transactions");
    assert!(most <= BOUND, "{most} transactions in flight");
}

/// Throttling split bundles, so that the function became more parallel exactly then.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_never_increases_parallelism() {
    let (most, calls) = transactions("throttled", Fault::Throttle, 9).await;
    assert_eq!(calls, 3 + 9, "no bundle was split");
    assert!(most <= BOUND, "{most} transactions in flight");
}
