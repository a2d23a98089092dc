//! The documents of rejected records.

use serde_json::Value;

use super::*;
use crate::pipeline::{Pipeline, shipped};
use crate::plan::{OnRejection, PlanContext, Recent, plan_event};

fn documents_of(event: &[u8], pipeline: &str) -> Vec<Document> {
    let pipeline = Pipeline::parse(&shipped(pipeline).unwrap()).unwrap();
    let context = PlanContext {
        on_rejection: OnRejection::Quarantine { limit_percent: 100, recent: Recent::default() },
        ..PlanContext::default()
    };
    let (event, plan) = plan_event(event, &pipeline, &context).unwrap();
    documents(&event, &plan.quarantined, &pipeline.name, "usage-aggregator")
}

fn poison() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/events/poison.json")).unwrap()
}

#[test]
fn a_document_has_the_record_and_the_reason() {
    let documents = documents_of(&poison(), "orders");
    let shown: Vec<(usize, &str, Value)> = documents
        .iter()
        .map(|document| (document.record, document.key.as_str(), serde_json::from_slice(&document.body).unwrap()))
        .collect();
    insta::assert_json_snapshot!(shown);
    // The payload is an event of that one record, which is rejected again for the same reason.
    for (_, key, body) in &shown {
        let again = documents_of(body["payload"].as_str().unwrap().as_bytes(), "orders");
        assert_eq!((again.len(), again[0].key.as_str()), (1, *key));
    }
}

/// However a batch is cut and whatever came before the record: one name, so one document.
#[test]
fn a_name_depends_on_the_record_alone() {
    let event: Value = serde_json::from_slice(&poison()).unwrap();
    let keys = |records: &[Value]| -> Vec<String> {
        let event = serde_json::json!({ "Records": records }).to_string();
        documents_of(event.as_bytes(), "orders").into_iter().map(|document| document.key).collect()
    };
    let records = event["Records"].as_array().unwrap();
    let whole = keys(records);
    assert!(!whole.is_empty());
    for cut in 0..records.len() {
        let (first, second) = records.split_at(cut);
        assert_eq!([keys(first), keys(second)].concat(), whole, "cut at {cut}");
    }
}

#[test]
fn a_message_of_kinesis_names_its_shard() {
    let event = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/events/kinesis-plain.json")).unwrap();
    let mut event: Value = serde_json::from_str(&event).unwrap();
    event["Records"][0]["kinesis"]["data"] = "!".into();
    let documents = documents_of(event.to_string().as_bytes(), "alleycat");
    let body: Value = serde_json::from_slice(&documents[0].body).unwrap();
    assert_eq!(body["rejection"]["code"], "malformed");
    assert_eq!(body["KinesisBatchInfo"]["shardId"], "shardId-000000000000");
    assert_eq!(body["KinesisBatchInfo"]["streamArn"], event["Records"][0]["eventSourceARN"]);
    assert!(body["timestamp"].as_str().is_some_and(|time| time.starts_with("20")), "{body}");
}

/// The document of an aggregated record has the whole record, so that it can be replayed: the ids of its messages keep them
/// from being counted again.
#[test]
fn an_aggregated_record_has_one_document_with_the_reason_of_its_first_rejected_message() {
    use base64::Engine as _;
    let event = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/events/kinesis-plain.json")).unwrap();
    let mut event: Value = serde_json::from_str(&event).unwrap();
    let data = crate::decode::tests::aggregate::aggregated(&["{}", r#"{"racerId":3,"competitionId":1}"#, "[]", "7"]);
    event["Records"][1]["kinesis"]["data"] = base64::engine::general_purpose::STANDARD.encode(data).into();
    event["Records"][2]["kinesis"]["data"] = "!".into();
    let documents = documents_of(event.to_string().as_bytes(), "alleycat");
    let bodies: Vec<Value> = documents.iter().map(|document| serde_json::from_slice(&document.body).unwrap()).collect();
    let reasons: Vec<_> = bodies
        .iter()
        .map(|body| {
            (&body["rejection"]["userRecord"], &body["rejection"]["reason"], &body["KinesisBatchInfo"]["batchSize"])
        })
        .collect();
    insta::assert_json_snapshot!(reasons);
    let payload: Value = serde_json::from_str(bodies[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, serde_json::json!({ "Records": [event["Records"][1]] }));
}
