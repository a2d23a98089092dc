//! What becomes of a deployed function's documents: deleted, narrowed, kept, lost or skipped.

use serde_json::{Value, json};

use super::Output;
use super::lambda::{Behavior, DELETED_MAPPING, MAPPING, logging_proxy};
use super::stack::Stack;
use crate::fixture::Run;
use crate::world::services;

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_function_gets_the_payloads_and_only_bad_records_remain() {
    let stack = Stack::new("rd-s3", &[]).await;
    let records = stack.orders(&["1", "2", "free", "4", "5"]).await;
    stack.discard(&records, 1).await;
    stack.discard(&records[3..], 2).await;
    stack.discard(&records[2..3], 3).await;
    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(
        ["deleted", "narrowed", "kept", "records_redriven", "records_remaining"].map(|name| output.sum(name)),
        [1, 1, 1, 6, 2]
    );
    assert_eq!(stack.counted().await, ["4", "4", "4"]);
    assert_eq!(*stack.lambda.invocations.lock().unwrap(), [5, 1, 2, 2, 1]);
    // The function's own HORIZON_DAYS.
    assert!(output.all("waiting").iter().all(|waiting| waiting["left_seconds"].as_i64().unwrap() <= 9 * 86_400));
    let remaining = output.all("remaining");
    assert_eq!((&remaining[0]["code"], &remaining[0]["field"]), (&json!("invalid_value"), &json!("NewImage.total")));
    assert!(!remaining[0].to_string().contains("free"), "{}", remaining[0]);
    let documents = stack.documents().await;
    assert_eq!(documents.len(), 2);
    for (key, document) in &documents {
        assert_eq!(document["DDBStreamBatchInfo"]["batchSize"], 1, "{key}");
        assert_eq!(document["DDBStreamBatchInfo"]["startSequenceNumber"], records[2].sequence.as_str());
    }
    // Again: nothing changes.
    let again = stack.redrive(&stack.bucket_options()).await;
    assert_eq!(["kept", "records_redriven"].map(|name| again.sum(name)), [2, 0]);
    assert_eq!((stack.documents().await, stack.counted().await), (documents, vec!["4".to_owned(); 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_function_gets_the_records_that_pass_its_mappings_filter() {
    let filter = r#"{"dynamodb":{"NewImage":{"sk":{"S":[{"anything-but":["ORDER#1"]}]}}}}"#;
    let stack = Stack::new("rd-sqs", &[filter]).await;
    let records = stack.orders(&["1", "2", "free", "4", "never", "6"]).await;
    let delivered: Vec<_> =
        records.iter().enumerate().filter(|(index, _)| *index != 1).map(|(_, record)| record.clone()).collect();
    let body = stack.document(&delivered).metadata().unwrap();
    let notification = json!({ "Type": "Notification", "Message": body });
    for body in [&body, &body, &notification.to_string()] {
        stack.queue.send(body).await;
    }
    let output = stack.redrive(&stack.queue_options()).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(
        ["documents", "deleted", "narrowed", "records_redriven", "records_remaining", "records_lost"]
            .map(|name| output.sum(name)),
        [3, 2, 1, 3, 2, 0]
    );
    assert_eq!(stack.counted().await, ["3", "3", "3"], "records that the filter excludes are not counted");
    assert_eq!(stack.queue.messages().await, (2, 0), "all are visible again");
    let mut left: Vec<Value> = stack.queue.documents().await;
    left.sort_by_key(|document| document["DDBStreamBatchInfo"]["startSequenceNumber"].to_string());
    for (document, record) in left.iter().zip([&records[2], &records[4]]) {
        let batch = &document["DDBStreamBatchInfo"];
        assert_eq!((&batch["startSequenceNumber"], &batch["batchSize"]), (&json!(record.sequence.as_str()), &json!(1)));
        assert_eq!(batch["startSequenceNumber"], batch["endSequenceNumber"]);
    }
    let again = stack.redrive(&stack.queue_options()).await;
    assert_eq!(["kept", "records_redriven"].map(|name| again.sum(name)), [2, 0]);
    assert_eq!((stack.queue.messages().await, stack.counted().await), ((2, 0), vec!["3".to_owned(); 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_records_are_reported_and_kept_until_they_are_acknowledged() {
    let mut stack = Stack::new("rd-lost", &[]).await;
    let records = stack.orders(&["1", "2"]).await;
    // A position before the first record of the stream, as after trimming.
    let mut trimmed: Value = serde_json::from_str(&stack.document(&records).metadata().unwrap()).unwrap();
    trimmed["DDBStreamBatchInfo"]["startSequenceNumber"] = "100000000000000000001".into();
    trimmed["DDBStreamBatchInfo"]["batchSize"] = 5.into();
    stack.queue.send(&trimmed.to_string()).await;
    let output = stack.redrive(&stack.queue_options()).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(["kept", "records_redriven", "records_lost"].map(|name| output.sum(name)), [1, 2, 3]);
    let lost = output.all("lost")[0];
    assert_eq!(lost["first_sequence_number"], "100000000000000000001");
    assert_eq!((&lost["stream_arn"], &lost["shard_id"]), (&json!(stack.source_arn), &json!(stack.shard())));
    assert_eq!(stack.counted().await, ["2", "2", "2"], "the records that still exist are redriven");
    assert_eq!(stack.queue.messages().await, (1, 0));
    let acknowledge = [&stack.queue_options()[..], &["--acknowledge-lost"]].concat();
    let output = stack.redrive(&acknowledge).await;
    assert_eq!((output.code, output.sum("deleted"), output.sum("records_lost")), (Some(0), 1, 3), "{}", output.stderr);
    assert_eq!((stack.queue.messages().await, stack.counted().await), ((0, 0), vec!["2".to_owned(); 3]));

    // A stream that no longer exists.
    stack.source_arn = stack.source_arn.replace(&stack.table, "gone");
    trimmed["DDBStreamBatchInfo"]["streamArn"] = stack.source_arn.as_str().into();
    stack.queue.send(&trimmed.to_string()).await;
    let output = stack.redrive(&stack.queue_options()).await;
    assert_eq!((output.code, output.sum("kept"), output.sum("records_lost")), (Some(1), 1, 5), "{}", output.stderr);
    assert_eq!(output.all("lost")[0]["reason"], "their shard or stream no longer exists");
    assert_eq!(stack.queue.messages().await, (1, 0));
}

/// Found in review: the message of the remaining records had the same positions as the original, and was taken for sent.
#[tokio::test(flavor = "multi_thread")]
async fn regression_remaining_records_are_kept_although_they_have_the_positions_of_the_acknowledged_message() {
    let filter = r#"{"dynamodb":{"NewImage":{"sk":{"S":[{"anything-but":["ORDER#1"]}]}}}}"#;
    let stack = Stack::new("rd-ends", &[filter]).await;
    let records = stack.orders(&["free", "2", "free"]).await;
    // The filter has been changed since: it excludes a record that it let through.
    stack.queue.send(&stack.document(&records).metadata().unwrap()).await;
    let output = stack.redrive(&[&stack.queue_options()[..], &["--acknowledge-lost"]].concat()).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(["narrowed", "records_remaining", "records_lost"].map(|name| output.sum(name)), [1, 2, 1]);
    assert!(output.all("lost")[0]["reason"].as_str().unwrap().contains("filter"), "{}", output.all("lost")[0]);
    assert_eq!(stack.queue.messages().await, (1, 0));
    assert_eq!(stack.queue.documents().await[0]["DDBStreamBatchInfo"]["batchSize"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_the_function_fails_or_cannot_be_invoked() {
    let stack = Stack::new("rd-broken", &[]).await;
    let records = stack.orders(&["1", "2", "3"]).await;
    stack.discard(&records, 1).await;
    let before = stack.documents().await;
    for (behavior, reported) in
        [(Behavior::Broken, "no bucket"), (Behavior::Unreadable, "reports a record that isn't in the batch")]
    {
        *stack.lambda.behavior.lock().unwrap() = behavior;
        let output = stack.redrive(&stack.bucket_options()).await;
        assert_eq!(
            (output.code, output.sum("kept"), output.sum("records_remaining")),
            (Some(1), 1, 3),
            "{}",
            output.stderr
        );
        let reasons: Vec<&str> =
            output.all("remaining").iter().map(|record| record["reason"].as_str().unwrap()).collect();
        assert!(
            reasons
                .iter()
                .all(|reason| reason.contains(reported) && reason.contains("planning it on this machine succeeds")),
            "{reasons:?}"
        );
    }
    // With enough documents, the run ends early.
    for unique in 2..20 {
        stack.discard(&records, unique).await;
    }
    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("has failed 20 times in a row"), "{}", output.stderr);
    *stack.lambda.behavior.lock().unwrap() = Behavior::Refused;
    let output = stack.redrive(&[&stack.bucket_options()[..], &["--limit", "1"]].concat()).await;
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("can't be invoked (lambda:InvokeFunction)"), "{}", output.stderr);
    assert!(stack.counted().await.is_empty());
    assert_eq!((stack.documents().await.len(), &stack.documents().await[0]), (19, &before[0]));

    *stack.lambda.behavior.lock().unwrap() = Behavior::Well;
    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((output.code, output.sum("deleted")), (Some(0), 19), "{}", output.stderr);
    assert_eq!((stack.documents().await.len(), stack.counted().await), (0, vec!["3".to_owned(); 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_others_are_reported_and_skipped() {
    let stack = Stack::new("rd-else", &[]).await;
    let records = stack.orders(&["1"]).await;
    let document = stack.document(&records);
    let (key, with_payload) = (document.object_key("1"), document.with_payload().unwrap());
    stack.put(&key, with_payload.clone()).await;
    stack.put(&key.replace(MAPPING, "another"), with_payload).await;
    stack.put("aws/lambda/garbage", "secret".to_owned()).await;
    stack.put(&document.object_key("2"), document.metadata().unwrap()).await;
    stack.put("notes.txt", "not from Lambda".to_owned()).await;
    let output = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((output.code, output.sum("skipped"), output.sum("deleted")), (Some(1), 3, 1), "{}", output.stderr);
    let mut reasons: Vec<&str> = output.all("skipped").iter().map(|left| left["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert!(reasons[1].starts_with("has no payload") && reasons[2].starts_with("is not a document"), "{reasons:?}");
    assert!(reasons[0].starts_with("belongs to the mapping another: redrive it with --mapping another"), "{reasons:?}");
    assert!(output.lines.iter().all(|line| !line.to_string().contains("secret")));
    assert_eq!(stack.documents().await.len(), 4);
    assert_eq!(stack.counted().await, ["1", "1", "1"]);
}

/// Issue 13, bug 5: every object was downloaded twice, even with `--limit 1`, and once with `--dry-run`.
#[tokio::test(flavor = "multi_thread")]
async fn regression_an_object_is_read_once_and_only_if_its_turn_comes() {
    let stack = Stack::new("rd-lazy", &[]).await;
    let records = stack.orders(&["1", "2", "free"]).await;
    for unique in 1..=5 {
        stack.discard(&records, unique).await;
    }
    let (url, requests) = logging_proxy(services().s3_url()).await;
    let reads = |more: &'static [&'static str]| {
        let mut command = stack.command(&[&stack.bucket_options()[..], more].concat());
        command.env("AWS_ENDPOINT_URL_S3", &url);
        let requests = requests.clone();
        async move {
            requests.lock().unwrap().clear();
            let run: Run = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into();
            assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
            let requests = requests.lock().unwrap();
            let is_read = |request: &&String| request.starts_with("GET ") && request.contains("/aws/lambda/");
            requests.iter().filter(is_read).cloned().collect::<Vec<String>>()
        }
    };
    let dry_run = reads(&["--dry-run"]).await;
    assert_eq!(dry_run.len(), 5, "{dry_run:?}");
    assert!(dry_run.iter().all(|read| read.ends_with(" bytes=0-8191")), "only the beginning: {dry_run:?}");
    assert_eq!(reads(&["--dry-run", "--limit", "1"]).await.len(), 1);
    assert_eq!(reads(&["--limit", "1"]).await.len(), 1);
    assert_eq!(reads(&["--limit", "2"]).await.len(), 2);
    let documents = stack.documents().await.len();
    assert_eq!(reads(&[]).await.len(), documents, "once each");
}

/// Issue 13, bug 10: variables of the operator's shell were taken for those of the deployed function.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_deployed_function_is_not_configured_by_the_operators_shell() {
    let stack = Stack::new("rd-shell", &[]).await;
    let records = stack.orders(&["1", "free"]).await;
    stack.discard(&records, 1).await;
    let mut command = stack.command(&stack.bucket_options());
    command.envs([("HORIZON_DAYS", "soon"), ("CONCURRENCY", "many"), ("ARCHIVE_CODEC", "zip")]);
    let output: Output =
        tokio::task::spawn_blocking(move || Run::from(command.output().unwrap())).await.unwrap().into();
    assert_eq!((output.code, &*output.stderr), (Some(1), ""));
    let remaining = output.all("remaining")[0];
    assert_eq!((&remaining["code"], &remaining["field"]), (&json!("invalid_value"), &json!("NewImage.total")));
    // HORIZON_DAYS of the function is 9.
    let left = output.all("waiting")[0]["left_seconds"].as_i64().unwrap();
    assert!((8 * 86_400..=9 * 86_400).contains(&left), "{left}");
}

/// As after "Restore the ledger" of docs/operations.md, which replaces both mappings: the stack's outputs still name the old ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_redriven_with_the_mapping_that_replaced_a_deleted_one() {
    let stack = Stack::new("rd-replaced", &[]).await;
    let records = stack.orders(&["1", "2"]).await;
    stack.queue.send(&stack.document(&records).metadata().unwrap()).await;
    let redrive =
        async |mapping| stack.redrive(&[&stack.queue_options()[..], &["--ledger-mapping", mapping]].concat()).await;
    let deleted = redrive(DELETED_MAPPING).await;
    let expected = format!(
        "read the filter of the mapping {DELETED_MAPPING} (lambda:GetEventSourceMapping); if another one has replaced it, add --ledger-mapping with its UUID: "
    );
    assert!(deleted.code == Some(1) && deleted.stderr.contains(&expected), "{}", deleted.stderr);
    assert!(stack.world.items("ledger").await.is_empty(), "nothing is redriven without the filter");
    let output = redrive(MAPPING).await;
    assert_eq!((output.code, output.sum("deleted")), (Some(0), 1), "{}", output.stderr);
    assert_eq!(stack.counted().await, ["2", "2", "2"]);

    let runbook = std::fs::read_to_string(crate::repository().join("docs/operations.md")).unwrap();
    let command = r#"usagectl redrive --stack "$stack" --ledger-table ledger-restored --mapping "$mapping" --ledger-mapping "$ledgermapping""#;
    assert!(runbook.lines().any(|line| line.trim() == command), "the runbook has the command");
}
