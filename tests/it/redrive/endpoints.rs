//! What a deployed function's documents become: durable, narrowed, kept, lost or left alone.

use serde_json::{Value, json};

use super::lambda::{MAPPING, Mood};
use super::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_function_gets_the_payloads_and_poison_is_left_by_itself() {
    let stack = Stack::new("rd-s3", &[]).await;
    let records = stack.orders(&["1", "2", "free", "4", "5"]).await;
    stack.give_up(&records, 1).await;
    stack.give_up(&records[3..], 2).await;
    stack.give_up(&records[2..3], 3).await;
    let told = stack.redrive(&stack.bucket_options()).await;
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert_eq!(
        ["emptied", "narrowed", "kept", "records_redriven", "records_remaining"].map(|name| told.sum(name)),
        [1, 1, 1, 6, 2]
    );
    assert_eq!(told.summary()["duplicates"], Value::Null, "the deployed function doesn't tell");
    assert_eq!(stack.counted().await, ["4", "4", "4"]);
    assert_eq!(*stack.lambda.invocations.lock().unwrap(), [5, 1, 2, 2, 1]);
    // The function's own HORIZON_DAYS.
    assert!(told.all("waiting").iter().all(|waiting| waiting["left_seconds"].as_i64().unwrap() <= 9 * 86_400));
    let remaining = told.all("remaining");
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
async fn a_deployed_function_gets_the_records_of_positions_that_its_mapping_let_through() {
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
    let told = stack.redrive(&stack.queue_options()).await;
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert_eq!(
        ["documents", "emptied", "narrowed", "records_redriven", "records_remaining", "records_lost"]
            .map(|name| told.sum(name)),
        [3, 2, 1, 3, 2, 0]
    );
    assert_eq!(stack.counted().await, ["3", "3", "3"], "what the filter keeps out was never meant for the function");
    assert_eq!(stack.queue.messages().await, (2, 0), "all can be seen again");
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
async fn what_is_lost_is_said_with_its_range_and_stays_until_it_is_acknowledged() {
    let mut stack = Stack::new("rd-lost", &[]).await;
    let records = stack.orders(&["1", "2"]).await;
    // A position before the first record there is, as after trimming.
    let mut trimmed: Value = serde_json::from_str(&stack.document(&records).metadata().unwrap()).unwrap();
    trimmed["DDBStreamBatchInfo"]["startSequenceNumber"] = "100000000000000000001".into();
    trimmed["DDBStreamBatchInfo"]["batchSize"] = 5.into();
    stack.queue.send(&trimmed.to_string()).await;
    let told = stack.redrive(&stack.queue_options()).await;
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert_eq!(["kept", "records_redriven", "records_lost"].map(|name| told.sum(name)), [1, 2, 3]);
    let lost = told.all("lost")[0];
    assert_eq!(lost["first_sequence_number"], "100000000000000000001");
    assert_eq!((&lost["stream_arn"], &lost["shard_id"]), (&json!(stack.source_arn), &json!(stack.shard())));
    assert_eq!(stack.counted().await, ["2", "2", "2"], "what is still there is redriven");
    assert_eq!(stack.queue.messages().await, (1, 0));
    let acknowledge = [&stack.queue_options()[..], &["--acknowledge-lost"]].concat();
    let told = stack.redrive(&acknowledge).await;
    assert_eq!((told.code, told.sum("emptied"), told.sum("records_lost")), (Some(0), 1, 3), "{}", told.stderr);
    assert_eq!((stack.queue.messages().await, stack.counted().await), ((0, 0), vec!["2".to_owned(); 3]));

    // A stream that isn't there any more.
    stack.source_arn = stack.source_arn.replace(&stack.table, "gone");
    trimmed["DDBStreamBatchInfo"]["streamArn"] = stack.source_arn.as_str().into();
    stack.queue.send(&trimmed.to_string()).await;
    let told = stack.redrive(&stack.queue_options()).await;
    assert_eq!((told.code, told.sum("kept"), told.sum("records_lost")), (Some(1), 1, 5), "{}", told.stderr);
    assert_eq!(told.all("lost")[0]["reason"], "their shard or stream is gone");
    assert_eq!(stack.queue.messages().await, (1, 0));
}

/// Found while reading the diff: the message of what was left had the ends of the whole one, so it was taken for sent.
#[tokio::test(flavor = "multi_thread")]
async fn regression_what_remains_stays_although_it_has_the_ends_of_what_is_acknowledged_as_lost() {
    let filter = r#"{"dynamodb":{"NewImage":{"sk":{"S":[{"anything-but":["ORDER#1"]}]}}}}"#;
    let stack = Stack::new("rd-ends", &[filter]).await;
    let records = stack.orders(&["free", "2", "free"]).await;
    // The filter has been changed since: it keeps out what it let through.
    stack.queue.send(&stack.document(&records).metadata().unwrap()).await;
    let told = stack.redrive(&[&stack.queue_options()[..], &["--acknowledge-lost"]].concat()).await;
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert_eq!(["narrowed", "records_remaining", "records_lost"].map(|name| told.sum(name)), [1, 2, 1]);
    assert!(told.all("lost")[0]["reason"].as_str().unwrap().contains("filter"), "{}", told.all("lost")[0]);
    assert_eq!(stack.queue.messages().await, (1, 0));
    assert_eq!(stack.queue.documents().await[0]["DDBStreamBatchInfo"]["batchSize"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_the_function_fails_or_babbles_or_cant_be_invoked() {
    let stack = Stack::new("rd-broken", &[]).await;
    let records = stack.orders(&["1", "2", "3"]).await;
    stack.give_up(&records, 1).await;
    let before = stack.documents().await;
    for (mood, told_as) in [(Mood::Broken, "no bucket"), (Mood::Babbling, "names no record of the batch")] {
        *stack.lambda.mood.lock().unwrap() = mood;
        let told = stack.redrive(&stack.bucket_options()).await;
        assert_eq!((told.code, told.sum("kept"), told.sum("records_remaining")), (Some(1), 1, 3), "{}", told.stderr);
        let reasons: Vec<&str> =
            told.all("remaining").iter().map(|record| record["reason"].as_str().unwrap()).collect();
        assert!(reasons.iter().all(|reason| reason.contains(told_as) && reason.contains("no fault")), "{reasons:?}");
    }
    // Enough documents, and it is no use to go on.
    for unique in 2..20 {
        stack.give_up(&records, unique).await;
    }
    let told = stack.redrive(&stack.bucket_options()).await;
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("has failed 20 times in a row"), "{}", told.stderr);
    *stack.lambda.mood.lock().unwrap() = Mood::Refused;
    let told = stack.redrive(&[&stack.bucket_options()[..], &["--limit", "1"]].concat()).await;
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("can't be invoked (lambda:InvokeFunction)"), "{}", told.stderr);
    assert!(stack.counted().await.is_empty());
    assert_eq!((stack.documents().await.len(), &stack.documents().await[0]), (19, &before[0]));

    *stack.lambda.mood.lock().unwrap() = Mood::Well;
    let told = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((told.code, told.sum("emptied")), (Some(0), 19), "{}", told.stderr);
    assert_eq!((stack.documents().await.len(), stack.counted().await), (0, vec!["3".to_owned(); 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_named_and_left_alone() {
    let stack = Stack::new("rd-else", &[]).await;
    let records = stack.orders(&["1"]).await;
    let document = stack.document(&records);
    let (key, with_payload) = (document.object_key("1"), document.with_payload().unwrap());
    stack.put(&key, with_payload.clone()).await;
    stack.put(&key.replace(MAPPING, "another"), with_payload).await;
    stack.put("aws/lambda/garbage", "secret".to_owned()).await;
    stack.put(&document.object_key("2"), document.metadata().unwrap()).await;
    stack.put("notes.txt", "none of Lambda's".to_owned()).await;
    let told = stack.redrive(&stack.bucket_options()).await;
    assert_eq!((told.code, told.sum("left_alone"), told.sum("emptied")), (Some(1), 3, 1), "{}", told.stderr);
    let mut reasons: Vec<&str> = told.all("left_alone").iter().map(|left| left["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert!(reasons[0].starts_with("has no payload") && reasons[1].starts_with("is no document"), "{reasons:?}");
    assert!(reasons[2].starts_with("is of the mapping another: redrive it with --mapping another"), "{reasons:?}");
    assert!(told.lines.iter().all(|line| !line.to_string().contains("secret")));
    assert_eq!(stack.documents().await.len(), 4);
    assert_eq!(stack.counted().await, ["1", "1", "1"]);
}
