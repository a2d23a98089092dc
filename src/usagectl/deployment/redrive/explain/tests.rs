//! Explanations of records that fail again.

use clap::Parser;
use serde_json::{Value, json};
use usage_aggregator::record::SequenceNumber;

use super::*;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Sample;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn explainer(arguments: &[&str]) -> Explainer {
    let line = Line::parse_from([&["usagectl"], arguments].concat());
    Explainer::new(
        &Variables::new(&line.options, &Sample::default()),
        Some("/aws/lambda/f"),
        Some("/aws/lambda/f-fold"),
    )
    .unwrap()
}

/// An order that was placed just now, after `change`.
fn order(change: impl FnOnce(&mut Value)) -> Arc<SourceRecord> {
    let created_at = Clock::system().unwrap().now();
    let keys = json!({ "pk": { "S": "CUSTOMER#7" }, "sk": { "S": "ORDER#1" } });
    let mut image = keys.clone();
    image["status"] = json!({ "S": "NEW" });
    image["total"] = json!({ "N": "12.5" });
    let mut record = json!({
        "eventID": "1", "eventName": "INSERT", "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": created_at.seconds(), "Keys": keys, "NewImage": image,
            "SequenceNumber": "100000000000000000001", "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    });
    change(&mut record);
    let sequence = SequenceNumber::parse("100000000000000000001").unwrap();
    Arc::new(SourceRecord { sequence, item: 0, created_at, json: record.to_string() })
}

#[test]
fn the_change_depends_on_the_fault() {
    let explainer = explainer(&["--pipeline", "orders"]);
    let explain = |record: Arc<SourceRecord>, why: Failure| explainer.explain(Target::Append, &record, &why);
    let image = |record: &mut Value, name: &str, value: Value| record["dynamodb"]["NewImage"][name] = value;
    for (record, code, change) in [
        // The archive needs the status; the counters and the archive need the total.
        (
            order(|record| image(record, "status", json!({ "N": "7" }))),
            "invalid_value",
            "schemas/orders/order.avsc, or",
        ),
        (
            order(|record| image(record, "total", json!({ "S": "7" }))),
            "invalid_value",
            "schemas/orders/pipeline.toml, or",
        ),
        (
            order(|record| {
                record["dynamodb"]["StreamViewType"] = "KEYS_ONLY".into();
                record["dynamodb"].as_object_mut().unwrap().remove("NewImage");
            }),
            "image_not_carried",
            "the stream's view type",
        ),
        (
            order(|record| record["dynamodb"]["ApproximateCreationDateTime"] = 1_500_000_000.into()),
            "too_old",
            "nothing: it is older",
        ),
        (
            order(|record| record["dynamodb"]["ApproximateCreationDateTime"] = 4_000_000_000_u64.into()),
            "too_new",
            "the clock of the program",
        ),
        (order(|record| record["eventName"] = "UPSERT".into()), "unknown_event_name", "nothing: it isn't a valid"),
    ] {
        let explained = explain(record, Failure::Named);
        assert_eq!(explained.code, Some(code), "{explained:?}");
        assert!(explained.change.starts_with(change), "{explained:?}");
    }
}

#[test]
fn the_log_is_named_where_planning_finds_no_fault() {
    let explained = explainer(&["--pipeline", "orders"]).explain(
        Target::Append,
        &order(|_| {}),
        &Failure::Failed("timed out".to_owned()),
    );
    assert_eq!(explained.reason, "the function failed: timed out; planning it on this machine succeeds");
    assert_eq!(explained.change, "look for its sequence number in the log group /aws/lambda/f");
    let unknown = explainer(&["--pipeline", "ours"]).explain(Target::Append, &order(|_| {}), &Failure::Named);
    assert!(unknown.change.contains("--pipeline-dir") && unknown.code.is_none(), "{unknown:?}");
    let notice = explainer(&[]).explain(Target::Fold, &order(|_| {}), &Failure::Named);
    assert_eq!(
        notice.change,
        "look for its sequence number in the log group /aws/lambda/f-fold, or sweep its minute with `usagectl ledger sweep`"
    );
    let large = explainer(&[]).explain(Target::Append, &order(|_| {}), &Failure::TooLarge);
    assert!(large.reason.contains("6 MB"), "{large:?}");
}
