//! Messages to a stream that refuses some of them, throttles, or doesn't answer. The test knows which ones arrived.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router, extract::State, routing::post};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::emulators::{http_client, sdk_config};
use crate::proof::load::{Amount, Entry, Load, ProfileName, Simulation, Target, Unsure, Written, read_entries};
use stream_types::Decimal;

/// How a request ends. The last answer is repeated.
#[derive(Debug, Clone, Copy)]
enum StreamBehavior {
    All,
    /// Every other message is refused.
    Half,
    Throttled,
    /// All arrive, but the response is lost.
    Lost,
}

/// A stream that expects PutRecords requests as in the Kinesis API reference.
#[derive(Debug, Default)]
struct Stream {
    answers: Vec<StreamBehavior>,
    arrived: Vec<Value>,
}

type Shared = Arc<Mutex<Stream>>;

async fn put_records(State(stream): State<Shared>, body: String) -> (StatusCode, Json<Value>) {
    let mut stream = stream.lock().unwrap();
    let answer = if stream.answers.len() > 1 { stream.answers.remove(0) } else { stream.answers[0] };
    let request: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(request["StreamName"], json!("alleycat"));
    let records = request["Records"].as_array().unwrap();
    assert!(records.len() <= 500);
    let mut results = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let refused =
            matches!(answer, StreamBehavior::Throttled) || (matches!(answer, StreamBehavior::Half) && index % 2 == 1);
        if refused {
            results.push(json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down" }));
            continue;
        }
        let data: Value =
            serde_json::from_slice(&BASE64_STANDARD.decode(record["Data"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(record["PartitionKey"].as_str().unwrap(), data["racerId"].to_string());
        stream.arrived.push(data);
        results.push(json!({ "SequenceNumber": stream.arrived.len().to_string(), "ShardId": "shardId-000000000000" }));
    }
    match answer {
        StreamBehavior::Throttled => (StatusCode::BAD_REQUEST, Json(json!({ "__type": "LimitExceededException" }))),
        StreamBehavior::Lost => {
            (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "__type": "InternalFailureException" })))
        }
        StreamBehavior::All | StreamBehavior::Half => {
            let refused = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
            (StatusCode::OK, Json(json!({ "FailedRecordCount": refused, "Records": results })))
        }
    }
}

/// Serves a stream until the test ends.
async fn serve(answers: &[StreamBehavior]) -> (Shared, String) {
    let stream = Shared::new(Mutex::new(Stream { answers: answers.to_vec(), arrived: Vec::new() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(put_records)).with_state(stream.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (stream, url)
}

async fn run(url: &str, ledger: &Path, records: u64) -> anyhow::Result<Written> {
    // Longer than any test takes on a busy machine.
    run_for(Duration::from_secs(600), url, ledger, records).await
}

async fn run_for(patience: Duration, url: &str, ledger: &Path, records: u64) -> anyhow::Result<Written> {
    let simulation = Simulation {
        rate_per_second: 0,
        amount: Amount::Records(records),
        patience,
        ..Simulation::new(Load::Shipped(ProfileName::Alleycat))
    };
    let config = sdk_config(Some(http_client())).into_builder().endpoint_url(url).build();
    let target = Target::Stream { client: aws_sdk_kinesis::Client::new(&config), name: "alleycat".to_owned() };
    simulation.run(&target, ledger, &|_| {}, pending()).await
}

fn entries(ledger: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let each = |entry| {
        entries.push(entry);
        Ok(())
    };
    read_entries(ledger, each).unwrap();
    entries
}

/// Metres by racer.
fn add(sums: &mut BTreeMap<String, Decimal>, racer: &str, metres: &str) {
    let sum = sums.entry(racer.to_owned()).or_default();
    *sum = sum.checked_add(Decimal::parse(metres).unwrap()).unwrap();
}

#[tokio::test]
async fn each_message_arrives_once_although_some_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("race.jsonl");
    let (stream, url) =
        serve(&[StreamBehavior::Half, StreamBehavior::Throttled, StreamBehavior::Half, StreamBehavior::All]).await;
    let written = run(&url, &ledger, 900).await.unwrap();
    assert_eq!((written.records, written.unsure, written.stream_records), (900, 0, 900));
    assert!(written.retries >= 2, "{written:?}");
    let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
    for entry in entries(&ledger) {
        for sum in entry.meaning.adds.iter().filter(|sum| sum.measure == "metres") {
            add(&mut expected, &sum.group["entity"], &sum.amount);
        }
    }
    for message in &stream.lock().unwrap().arrived {
        add(&mut found, &message["racerId"].to_string(), &message["distance"].to_string());
    }
    assert_eq!(expected, found);
    assert_eq!(expected.len(), 900);
}

#[tokio::test]
async fn a_message_that_may_have_arrived_is_marked_and_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("race.jsonl");
    let (stream, url) = serve(&[StreamBehavior::Lost, StreamBehavior::All]).await;
    let written = run(&url, &ledger, 300).await.unwrap();
    assert!(written.unsure > 0 && written.unsure < 300, "{written:?}");
    let unsure = entries(&ledger).iter().filter(|entry| entry.unsure == Some(Unsure::Arrival)).count();
    assert_eq!(unsure, usize::try_from(written.unsure).unwrap());
    assert_eq!(written.stream_records, 300 - written.unsure, "those that certainly arrived");
    assert_eq!(stream.lock().unwrap().arrived.len(), 300);
}

#[tokio::test]
async fn a_run_without_a_server_fails_and_the_next_one_marks_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("race.jsonl");
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    let error = run_for(Duration::from_millis(400), &closed, &ledger, 10).await.unwrap_err();
    assert!(error.to_string().contains("write to the stream alleycat"), "{error:#}");
    let (stream, url) = serve(&[StreamBehavior::All]).await;
    let written = run(&url, &ledger, 5).await.unwrap();
    assert_eq!(written.unsure, written.finished_for_earlier_run);
    assert!(written.unsure > 0, "{written:?}");
    assert_eq!((stream.lock().unwrap().arrived.len(), written.stream_records), (5, 5));
}
