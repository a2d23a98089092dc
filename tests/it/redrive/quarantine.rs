//! Quarantined records, redriven: at any time a record is in its document or durable, wherever a redrive is killed and
//! however many of them run.

use axum::extract::Request;
use serde_json::json;

use super::crash::kill_after;
use super::lambda::Lost;
use super::stack::{RejectedRecords, Stack};
use crate::world::services;

/// A stack with a quarantine document for each of these orders. The function accepts those whose total is a number, as after
/// a fix, and would quarantine the others again.
async fn quarantined(name: &str, totals: &[&str]) -> (Stack, Vec<String>) {
    let stack = Stack::with(name, &[], RejectedRecords::Quarantine).await;
    let records = stack.orders(totals).await;
    let keys = stack.quarantine(&records).await;
    (stack, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_record_is_counted_after_a_fix_and_kept_if_it_is_rejected_again() {
    let (stack, names) = quarantined("rd-quarantine", &["1", "free", "3", "4"]).await;
    let listed = stack.redrive(&[&stack.bucket_options()[..], &["--dry-run"]].concat()).await;
    assert_eq!((listed.code, listed.sum("documents"), listed.sum("records")), (Some(0), 4, 4), "{}", listed.stderr);
    let waiting =
        listed.all("waiting").into_iter().find(|waiting| waiting["document"].as_str().unwrap().ends_with(&names[1]));
    let waiting = waiting.unwrap();
    assert_eq!((&waiting["condition"], &waiting["response"]), (&json!("RecordRejected"), &json!(null)));
    let reason = json!({
        "pipeline": "orders", "code": "invalid_value", "field": "NewImage.total", "reason": "expected N, found S",
    });
    assert_eq!(waiting["rejection"], reason);
    assert!(waiting["age_seconds"].as_i64() < Some(600) && waiting["left_seconds"].as_i64() > Some(8 * 86_400));
    assert_eq!((stack.counted().await, stack.keys().await.len()), (Vec::new(), 4), "nothing was changed");

    let output = stack.redrive(&stack.bucket_options()).await;
    let sums = ["documents", "deleted", "kept", "records_redriven", "records_remaining"].map(|name| output.sum(name));
    assert_eq!((output.code, sums), (Some(1), [4, 3, 1, 3, 1]), "{}", output.stderr);
    assert_eq!((stack.keys().await, stack.counted().await), (vec![names[1].clone()], vec!["3".to_owned(); 3]));
    let remaining = output.all("remaining")[0];
    assert_eq!((&remaining["code"], &remaining["field"]), (&json!("invalid_value"), &json!("NewImage.total")));
    assert!(remaining["document"].as_str().unwrap().ends_with(&names[1]), "{remaining}");

    let again = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((again.code, again.sum("kept"), again.sum("records_redriven")), (Some(1), 1, 0), "{}", again.stderr);
    assert_eq!((stack.keys().await.len(), stack.counted().await), (1, vec!["3".to_owned(); 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantined_records_are_delivered_together_and_limited() {
    let (stack, _) = quarantined("rd-together", &["1", "2", "3", "4", "5"]).await;
    let output = stack.redrive(&[&stack.bucket_options()[..], &["--limit", "2"]].concat()).await;
    assert_eq!((output.code, output.sum("deleted"), stack.keys().await.len()), (Some(0), 2, 3), "{}", output.stderr);
    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((output.code, output.sum("deleted"), stack.keys().await.len()), (Some(0), 3, 0), "{}", output.stderr);
    assert_eq!(*stack.lambda.invocations.lock().unwrap(), [2, 3]);
    assert_eq!(stack.counted().await, ["5", "5", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_other_functions_are_skipped_and_those_of_unreadable_records_are_not() {
    let (stack, names) = quarantined("rd-others", &["1"]).await;
    let change = async |key: &str, change: fn(&mut serde_json::Value)| {
        let mut document = stack.documents().await.into_iter().find(|(found, _)| *found == names[0]).unwrap().1;
        change(&mut document);
        stack.put(key, document.to_string()).await;
    };
    change("quarantine/orders/function", |document| document["requestContext"]["functionArn"] = json!("another")).await;
    change("quarantine/orders/garbage", |document| *document = json!("secret")).await;
    // The stream has been replaced since, and a record that can't be read has none.
    change("quarantine/orders/stream", |document| document["DDBStreamBatchInfo"]["streamArn"] = json!("")).await;
    change("quarantine/orders/time", |document| document["timestamp"] = json!(null)).await;
    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((output.code, output.sum("deleted"), output.sum("skipped")), (Some(1), 3, 2), "{}", output.stderr);
    assert_eq!(stack.keys().await, ["quarantine/orders/function", "quarantine/orders/garbage"]);
    assert!(!output.lines.iter().any(|line| line.to_string().contains("secret")));
    assert_eq!(stack.counted().await, ["1", "1", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_redrives_of_quarantined_records_count_nothing_twice_and_lose_nothing() {
    let totals: Vec<String> = (0..60).map(|n| if n % 10 == 0 { "free".to_owned() } else { n.to_string() }).collect();
    let totals: Vec<&str> = totals.iter().map(String::as_str).collect();
    let (stack, _) = quarantined("rd-parallel", &totals).await;
    let options = stack.bucket_options();
    let outputs = tokio::join!(stack.redrive(&options), stack.redrive(&options), stack.redrive(&options));
    for output in [outputs.0, outputs.1, outputs.2] {
        assert_eq!((output.code, output.sum("records_remaining")), (Some(1), 6), "{}", output.stderr);
    }
    assert_eq!((stack.counted().await, stack.keys().await.len()), (vec!["54".to_owned(); 3], 6));
    assert_eq!(stack.world.appended().await.len(), 54);
}

fn is_read(request: &Request) -> bool {
    request.method() == axum::http::Method::GET && request.uri().path().contains("/quarantine/")
}

fn is_invocation(request: &Request) -> bool {
    request.uri().path().ends_with("/invocations")
}

fn is_delete(request: &Request) -> bool {
    request.method() == axum::http::Method::DELETE
}

/// Every request of a redrive, lost on its way there or back, with how many documents are left.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_killed_at_any_request_leaves_each_quarantined_record_in_its_document_or_durable() {
    let s3 = ("AWS_ENDPOINT_URL_S3", services().s3_url());
    let points = [
        ("read", is_read as fn(&Request) -> bool, Lost::Request, 2),
        ("read", is_read, Lost::Response, 2),
        ("invocation", is_invocation, Lost::Request, 2),
        ("invocation", is_invocation, Lost::Response, 2),
        ("delete", is_delete, Lost::Request, 2),
        ("delete", is_delete, Lost::Response, 1),
    ];
    for (index, (what, stops_at, lost, documents_left)) in points.into_iter().enumerate() {
        let at = format!("{what}, {lost:?} lost");
        let (stack, names) = quarantined(&format!("rd-point-{index}"), &["1", "free"]).await;
        let lambda_url = stack.lambda_url.clone();
        let service = if what == "invocation" { ("AWS_ENDPOINT_URL_LAMBDA", lambda_url.as_str()) } else { s3 };
        kill_after(&stack, &stack.bucket_options(), service, stops_at, lost).await;
        let left = stack.keys().await;
        let is_durable = stack.world.appended().await.len() == 1;
        assert!(is_durable || left.contains(&names[0]), "{at}: {left:?}");
        assert!(is_durable || what != "delete", "{at}: deleted before it was durable");
        assert!(left.len() == documents_left && left.contains(&names[1]), "{at}: {left:?}");

        let output = stack.redrive(&stack.bucket_options()).await;
        assert_eq!((output.code, output.sum("records_remaining")), (Some(1), 1), "{at}: {}", output.stderr);
        assert_eq!(
            (stack.keys().await, stack.counted().await),
            (vec![names[1].clone()], vec!["1".to_owned(); 3]),
            "{at}"
        );
    }
}
