//! A redrive that is killed halfway, and the next one.

use std::process::Stdio;

use axum::extract::Request;

use super::lambda::{Lost, proxy};
use super::stack::Stack;
use crate::world::services;

fn is_delete_of_an_object(request: &Request) -> bool {
    request.method() == axum::http::Method::DELETE
}

fn is_put_of_an_object(request: &Request) -> bool {
    request.method() == axum::http::Method::PUT
}

fn is_delete_of_a_message(request: &Request) -> bool {
    request.headers().get("x-amz-target").is_some_and(|target| target == "AmazonSQS.DeleteMessage")
}

/// Starts a redrive that reaches the service of `variable` through a proxy, and kills it (-9) when the proxy stops answering.
async fn kill_at(stack: &Stack, arguments: &[&str], variable: &str, upstream: &str, stops_at: fn(&Request) -> bool) {
    kill_after(stack, arguments, (variable, upstream), stops_at, Lost::Request).await;
}

/// The same, where the request or only its response is lost.
pub async fn kill_after(
    stack: &Stack,
    arguments: &[&str],
    (variable, upstream): (&str, &str),
    stops_at: fn(&Request) -> bool,
    lost: Lost,
) {
    let (url, mut stops) = proxy(upstream, stops_at, lost).await;
    let mut command = stack.command(arguments);
    let mut process = command.env(variable, url).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ends = async {
        while process.try_wait().unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let stopped = tokio::select! {
        stopped = stops.recv() => stopped,
        () = ends => None,
    };
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(stopped.is_some(), "the request was never sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_killed_before_or_after_a_put_loses_nothing_and_counts_nothing_twice() {
    let stack = Stack::new("rd-kill", &[]).await;
    let records = stack.orders(&["1", "free", "3"]).await;
    stack.discard(&records, 1).await;
    let s3 = services().s3_url();
    kill_at(&stack, &stack.bucket_options(), "AWS_ENDPOINT_URL_S3", s3, is_put_of_an_object).await;
    assert_eq!((stack.counted().await, stack.documents().await.len()), (vec!["2".to_owned(); 3], 1));
    kill_at(&stack, &stack.bucket_options(), "AWS_ENDPOINT_URL_S3", s3, is_delete_of_an_object).await;
    assert_eq!(stack.documents().await.len(), 2, "the remaining record, and the original");

    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((output.code, output.sum("records_remaining")), (Some(1), 2), "{}", output.stderr);
    assert_eq!((stack.counted().await, stack.documents().await.len()), (vec!["2".to_owned(); 3], 1));
    assert_eq!(stack.documents().await[0].1["DDBStreamBatchInfo"]["batchSize"], 1);
    assert_eq!(stack.world.appended().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_killed_before_a_delete_of_a_message_loses_nothing_and_counts_nothing_twice() {
    let stack = Stack::new("rd-killed", &[]).await;
    let records = stack.orders(&["1", "free", "3"]).await;
    stack.queue.send(&stack.document(&records).metadata().unwrap()).await;
    let arguments = [&stack.queue_options()[..], &["--visibility-timeout", "3s"]].concat();
    kill_at(&stack, &arguments, "AWS_ENDPOINT_URL_SQS", &stack.queue.endpoint, is_delete_of_a_message).await;
    assert_eq!(stack.counted().await, ["2", "2", "2"]);
    let (visible, hidden) = stack.queue.messages().await;
    assert_eq!(visible + hidden, 2, "the remaining record, and the original until its visibility timeout ends");
    while stack.queue.messages().await != (2, 0) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let output = stack.redrive(&stack.queue_options()).await;
    assert_eq!((output.code, output.sum("records_lost")), (Some(1), 0), "{}", output.stderr);
    assert_eq!((stack.counted().await, stack.queue.messages().await), (vec!["2".to_owned(); 3], (1, 0)));
    assert_eq!(stack.queue.documents().await[0]["DDBStreamBatchInfo"]["batchSize"], 1);
}
