//! A queue against a stand-in for SQS that delivers, holds back and fails as the real one may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use laptop::emulators::sdk_config;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(60);

/// SQS with one queue.
#[derive(Clone)]
struct Sqs {
    /// What each receive delivers, without end.
    delivers: fn(usize) -> Vec<usize>,
    receives: Arc<AtomicUsize>,
    /// Changes of visibility wait until this many are under way.
    at_once: Arc<Barrier>,
    /// The messages whose visibility can't be changed.
    fails: fn(&str) -> bool,
}

/// More than a listing may need: the stand-in fails, and with it the test.
const MAXIMUM_RECEIVES: usize = 50;

impl Sqs {
    fn new(delivers: fn(usize) -> Vec<usize>) -> Sqs {
        Sqs { delivers, receives: Arc::default(), at_once: Arc::new(Barrier::new(1)), fails: |_| false }
    }

    async fn queue(&self) -> Queue {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/", post(respond)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = aws_sdk_sqs::config::Builder::from(&sdk_config(None)).endpoint_url(&url);
        Queue::new(Client::from_conf(config.build()), format!("{url}/queue"), TIMEOUT)
    }

    fn receive(&self) -> Option<Value> {
        let receive = self.receives.fetch_add(1, Ordering::Relaxed);
        let message = |number: usize| {
            let receipt = format!("receipt of {number} in {receive}");
            json!({ "MessageId": number.to_string(), "ReceiptHandle": receipt, "Body": "{}" })
        };
        let messages: Vec<Value> = (self.delivers)(receive).into_iter().map(message).collect();
        (receive < MAXIMUM_RECEIVES).then(|| json!({ "Messages": messages }))
    }

    async fn change_visibility(&self, request: &Value) -> Option<Value> {
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, self.at_once.wait()).await.ok()?;
        let entries = request["Entries"].as_array().unwrap();
        let fails = |entry: &&Value| (self.fails)(entry["ReceiptHandle"].as_str().unwrap());
        let failed = entries.iter().filter(fails).map(
            |entry| json!({ "Id": entry["Id"], "Code": "InternalError", "Message": "try later", "SenderFault": false }),
        );
        Some(json!({ "Successful": [], "Failed": failed.collect::<Vec<_>>() }))
    }
}

async fn respond(State(sqs): State<Sqs>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let response = match headers["x-amz-target"].to_str().unwrap() {
        "AmazonSQS.ReceiveMessage" => sqs.receive(),
        "AmazonSQS.ChangeMessageVisibilityBatch" => sqs.change_visibility(&request).await,
        other => panic!("unexpected request {other}"),
    };
    // Not a server error, which the client would retry.
    response.map_or((StatusCode::BAD_REQUEST, "{}".to_owned()), |response| (StatusCode::OK, response.to_string()))
}

/// 400 messages, ten for each receive.
fn four_hundred(receive: usize) -> Vec<usize> {
    if receive < 40 { (receive * 10..receive * 10 + 10).collect() } else { Vec::new() }
}

/// Issue 13, bug 6: every delivery of a held message made the listing start counting from the beginning.
#[tokio::test]
async fn regression_listing_ends_although_held_messages_are_delivered_again() {
    let sqs = Sqs::new(|receive| if receive < 3 { (receive..10 + receive).collect() } else { (0..10).collect() });
    let queue = sqs.queue().await;
    let messages = queue.receive(|| ()).await.unwrap();
    assert_eq!(messages.len(), 12);
    assert_eq!(sqs.receives.load(Ordering::Relaxed), 5, "3 with new messages, 2 without");
    let receipt = queue.lock()["7"].clone();
    assert_eq!(receipt, "receipt of 7 in 4", "only the latest receipt handle is valid");
}

/// Issue 13, bug 6: hiding thousands of messages took longer than they stay hidden.
#[tokio::test]
async fn regression_messages_are_kept_hidden_by_concurrent_requests() {
    let sqs = Sqs { at_once: Arc::new(Barrier::new(20)), ..Sqs::new(four_hundred) };
    let queue = sqs.queue().await;
    assert_eq!(queue.receive(|| ()).await.unwrap().len(), 400);
    let unchanged = queue.change_visibility(60).await;
    assert_eq!((unchanged.messages, unchanged.first_reason), (0, None));
}

/// Issue 13, bug 6: a batch of changes was taken for done when SQS reported that some of its entries had failed.
#[tokio::test]
async fn regression_messages_that_cannot_be_hidden_are_reported() {
    let sqs = Sqs { fails: |receipt| receipt.starts_with("receipt of 7"), ..Sqs::new(four_hundred) };
    let queue = sqs.queue().await;
    queue.receive(|| ()).await.unwrap();
    let unchanged = queue.change_visibility(60).await;
    // 7 and 70 to 79.
    assert_eq!((unchanged.messages, unchanged.first_reason.as_deref()), (11, Some("InternalError: try later")));
}
