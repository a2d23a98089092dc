//! A deployment without faults.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::time::Timestamp;

use super::super::facts::*;
use crate::stack::Names;

pub(crate) const BUCKET_ARN: &str = "arn:aws:s3:::usage-failed";
pub(crate) const STREAM: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000";

const LEDGER_STREAM: &str =
    "arn:aws:dynamodb:us-east-1:123456789012:table/usage-LedgerTable/stream/2026-01-01T00:00:00.000";

pub(crate) fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(Timestamp::parse("2026-11-26T21:00:00Z").unwrap().seconds() - seconds).unwrap()
}

pub(crate) fn absent(name: &str) -> String {
    json!({ "dynamodb": { "NewImage": { name: { "S": [{ "exists": false }] } } } }).to_string()
}

pub(crate) fn role(statements: Value) -> Role {
    Role { name: "usage-role".into(), policies: vec![json!({ "Version": "2012-10-17", "Statement": statements })] }
}

pub(crate) fn table(name: &str) -> Table {
    Table {
        name: name.into(),
        on_demand: true,
        stream_view: None,
        stream_arn: None,
        time_to_live: Ok(Some("expires_at".into())),
        point_in_time_recovery: Ok(true),
        deletion_protection: true,
    }
}

pub(crate) fn glue(pipeline: &Pipeline) -> Vec<GlueTable> {
    let parameters = [("projection.enabled", "true"), ("projection.partition_date.range", "2026-01-01,NOW+1DAYS")];
    let parameters: BTreeMap<String, String> = parameters.map(|(name, value)| (name.into(), value.into())).into();
    let table = |name: &str, schema_literal: Option<String>| GlueTable {
        name: name.into(),
        parameters: parameters.clone(),
        schema_literal,
    };
    let both = pipeline
        .schemas()
        .map(|(name, schema)| [table(name, Some(schema.json().into())), table(&format!("{name}_compacted"), None)]);
    both.flatten().collect()
}

pub(crate) fn mapping() -> Mapping {
    Mapping {
        uuid: "0f1e".into(),
        state: "Enabled".into(),
        reason: None,
        last_result: Some("OK".into()),
        function_arn: "arn:aws:lambda:us-east-1:123456789012:function:usage".into(),
        source_arn: STREAM.into(),
        starting_position: Some("TRIM_HORIZON".into()),
        window_seconds: 1,
        factor: 1,
        retries: 10,
        record_age_seconds: 79_200,
        bisects: true,
        reports_item_failures: true,
        on_failure: Some(BUCKET_ARN.into()),
        filters: ["resource", "window", "window_start"].map(absent).into(),
    }
}

pub(crate) fn measured() -> RecentMetrics {
    RecentMetrics {
        invocations: Some(1_200.0),
        errors: Some(0.0),
        throttles: Some(0.0),
        p99_duration_ms: Some(900.0),
        iterator_age_ms: Some(800.0),
        polled: Some(60_000.0),
        invoked: Some(60_000.0),
        filtered_out: Some(0.0),
        dropped: Some(0.0),
        destination_failures: None,
        read_throttles: None,
        write_throttles: Some(0.0),
        source_throttles: None,
        failed_deliveries: Some(0.0),
        discarded: None,
        blocked: None,
        rejected: None,
        too_old: None,
        files: Some(2_400.0),
        records: Some(60_000.0),
        last_success: Some(ago(60)),
        fold: FoldMetrics {
            errors: Some(0.0),
            unsettled: Some(0.0),
            notices: Some(2_400.0),
            pages_written: Some(2_400.0),
            pages_in_minute: Some(60.0),
            age_ms: Some(31_000.0),
            iterator_age_ms: Some(30_200.0),
            ..FoldMetrics::default()
        },
    }
}

/// A function with these variables.
fn function(name: &str) -> Function {
    Function {
        name: name.into(),
        role_arn: "arn:aws:iam::123456789012:role/usage-role".into(),
        runtime: "provided.al2023".into(),
        architecture: "arm64".into(),
        timeout_seconds: 60,
        reserved: Some(10),
        variables: variables([
            ("REJECTED_RECORDS", "quarantine"),
            ("FAILURE_BUCKET", "usage-failed"),
            ("LEDGER_TABLE", "usage-LedgerTable"),
        ]),
        version: Some("0.1.0".into()),
        code_sha256: "c0de".into(),
    }
}

fn ledger_mapping() -> Mapping {
    Mapping {
        uuid: "1ed9".into(),
        source_arn: LEDGER_STREAM.into(),
        window_seconds: 30,
        retries: -1,
        filters: vec![r#"{"eventName":["INSERT"],"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"p#orders#"},{"prefix":"a#orders#"}]}}}}"#.into()],
        ..mapping()
    }
}

/// Nothing is wrong.
pub(crate) fn good() -> Facts {
    let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let names = Names {
        function: text("usage"),
        mapping: text("0f1e"),
        source_arn: text(STREAM),
        usage_table: text("usage-UsageTable"),
        ledger_table: text("usage-LedgerTable"),
        fold_function: text("usage-fold"),
        ledger_mapping: text("1ed9"),
        fold_log_group: text("/aws/lambda/usage-fold"),
        archive_bucket: text("usage-archive"),
        archive_prefix: text("data-pipeline"),
        failure_bucket: text("usage-failed"),
        log_group: text("/aws/lambda/usage"),
        metrics_namespace: text("UsageAggregator/usage"),
        database: text("usage"),
        pipeline: text("orders"),
        ..Names::default()
    };
    Facts {
        now: ago(0),
        here: false,
        stack: text("usage"),
        names,
        version: "0.1.0",
        source: Ok(SourceFacts {
            name: "orders".into(),
            stream: Stream::Table { on: true, view: text("NEW_AND_OLD_IMAGES"), latest_arn: text(STREAM) },
            shards: Ok(4),
            retention_seconds: 86_400,
        }),
        mapping: Ok(mapping()),
        function: Ok(function("usage")),
        fold: Ok(Function { timeout_seconds: 300, ..function("usage-fold") }),
        ledger_mapping: Ok(ledger_mapping()),
        recursion: Ok(Recursion::Terminates),
        role: Ok(role(json!([
            { "Effect": "Allow", "Action": "s3:PutObject", "Resource": [format!("{BUCKET_ARN}/aws/lambda/*"), format!("{BUCKET_ARN}/quarantine/*"), "arn:aws:s3:::usage-archive/data-pipeline/avro/*"] },
            { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET_ARN },
        ]))),
        destination: Ok(Destination { probe: None }),
        waiting: Ok(FailedBatches { quarantined: Some(Documents::default()), ..FailedBatches::default() }),
        usage_table: Ok(table("usage-UsageTable")),
        ledger_table: Ok(Table {
            stream_view: text("KEYS_ONLY"),
            stream_arn: Some(LEDGER_STREAM.into()),
            ..table("usage-LedgerTable")
        }),
        ledger_contents: Ok(LedgerContents {
            minutes: 15,
            stuck: Vec::new(),
            largest: Some(LargestState { window: "2026-09".into(), bytes: 34_000, parts: 1 }),
        }),
        alert_target: Ok(AlertTarget::Bus {
            name: "default".into(),
            rules: vec![AlertRule {
                name: "usage-AlertRule".into(),
                is_enabled: true,
                targets: 1,
                topics: vec![topic(("Alerts", 1))],
            }],
        }),
        archive: Ok(Bucket {
            name: "usage-archive".into(),
            policy: Ok(Some(
                json!({ "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
                "Condition": { "Bool": { "aws:SecureTransport": "false" } } }] }),
            )),
            blocks_public: Ok(true),
            encryption: Ok(Some("AES256".into())),
        }),
        newest_file: Ok(ago(60)),
        partition_dates: Ok(vec![("order".into(), ago(86_400).date(), ago(0).date())]),
        newest_snapshot: Err(Unavailable::NotApplicable("the metrics show it")),
        glue: Ok(glue(&pipeline)),
        log_group: Ok(LogGroup { name: "/aws/lambda/usage".into(), retention_days: Some(30) }),
        alarms: Ok(["usage-AnyError", "usage-Page"].map(alarm).into()),
        topics: Ok([("AlarmTopic", 1), ("PageTopic", 1)].map(topic).into()),
        measured: Ok(measured()),
        local: Err(Unavailable::NotApplicable("only a local run has it")),
        own_metrics: Ok(15),
        horizon_days: Ok(18),
        pipeline,
    }
}

pub(crate) fn variables<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub(crate) fn alarm(name: &str) -> Alarm {
    let topics = vec![topic(("AlarmTopic", 1)).arn];
    Alarm { name: name.into(), state: AlarmState::Ok, actions_enabled: true, actions: 1, topics }
}

pub(crate) fn topic((name, confirmed): (&str, usize)) -> Topic {
    Topic { arn: format!("arn:aws:sns:us-east-1:123456789012:usage-{name}"), confirmed, pending: 0 }
}
