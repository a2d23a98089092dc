//! The faults that each check finds.

mod ledger;
mod projection;

use serde_json::json;

use super::super::check::Check;
use super::super::check::Check as C;
use super::super::facts::*;
use super::super::finding::Verdict;
use super::super::finding::Verdict::{NoData, Problem, Unknown, Warning};
use super::good::{BUCKET_ARN, STREAM, ago, role, topic, variables};
use crate::stack::BlockedShard;

/// A fault, the check that finds it, and its verdict.
pub(crate) type Case = (&'static str, Check, Verdict, fn(&mut Facts));

pub(crate) fn set_mapping(facts: &mut Facts, change: impl FnOnce(&mut Mapping)) {
    change(facts.mapping.as_mut().unwrap());
}

pub(crate) fn filter(facts: &mut Facts, patterns: &[&str]) {
    set_mapping(facts, |mapping| mapping.filters = patterns.iter().map(|text| (*text).to_owned()).collect());
}

pub(crate) fn numbers(facts: &mut Facts) -> &mut RecentMetrics {
    facts.measured.as_mut().unwrap()
}

pub(crate) fn stream(facts: &mut Facts, on: bool, view: Option<&str>, latest: &str) {
    let (view, latest_arn) = (view.map(str::to_owned), Some(latest.to_owned()));
    facts.source.as_mut().unwrap().stream = Stream::Table { on, view, latest_arn };
}

pub(crate) fn waiting(facts: &mut Facts, count: u64, age: i64, keeps: Stored) {
    facts.waiting = Ok(FailedBatches { count, more: false, oldest: Some(ago(age)), keeps, ..FailedBatches::default() });
}

pub(crate) fn earlier(facts: &mut Facts, count: u64, age: i64) {
    let earlier = Documents { count, more: false, oldest: Some(ago(age)) };
    facts.waiting.as_mut().unwrap().earlier = Some(earlier);
}

pub(crate) fn quarantined(facts: &mut Facts, count: u64, age: i64) {
    let quarantined = Documents { count, more: false, oldest: Some(ago(age)) };
    facts.waiting.as_mut().unwrap().quarantined = Some(quarantined);
}

pub(crate) const QUEUE: Stored = Stored::Positions { retention_seconds: 1_209_600 };

pub(crate) fn broken() -> Vec<Case> {
    [
        mapping_cases(),
        destination_and_filter_cases(),
        function_cases(),
        delivery_cases(),
        storage_cases(),
        projection::cases(),
        monitoring_cases(),
        ledger::cases(),
    ]
    .concat()
}

fn mapping_cases() -> Vec<Case> {
    vec![
        ("the stream is off", C::StreamOn, Problem, |f| stream(f, false, None, STREAM)),
        ("a newer stream exists", C::StreamOn, Problem, |f| stream(f, true, Some("NEW_AND_OLD_IMAGES"), "arn:newer")),
        ("a Kinesis stream is being deleted", C::StreamOn, Problem, |f| {
            f.source.as_mut().unwrap().stream = Stream::Kinesis { status: "DELETING".into() }
        }),
        ("the table is gone", C::StreamOn, Problem, |f| {
            f.source = Err(Unavailable::Missing(Part::Table("orders".into())))
        }),
        ("new images only", C::ViewType, Problem, |f| stream(f, true, Some("NEW_IMAGE"), STREAM)),
        ("keys only", C::ViewType, Problem, |f| stream(f, true, Some("KEYS_ONLY"), STREAM)),
        ("disabled", C::MappingState, Problem, |f| set_mapping(f, |m| m.state = "Disabled".into())),
        ("the function can't be called", C::MappingState, Problem, |f| {
            set_mapping(f, |m| m.last_result = Some("PROBLEM: Function call failed".into()))
        }),
        ("being changed", C::MappingState, Warning, |f| set_mapping(f, |m| m.state = "Updating".into())),
        ("permission denied", C::MappingState, Unknown, |f| {
            f.mapping = Err(Unavailable::Denied { action: "lambda:GetEventSourceMapping" })
        }),
        ("LATEST", C::StartingPosition, Problem, |f| set_mapping(f, |m| m.starting_position = Some("LATEST".into()))),
        ("AT_TIMESTAMP", C::StartingPosition, Warning, |f| {
            set_mapping(f, |m| m.starting_position = Some("AT_TIMESTAMP".into()))
        }),
    ]
}

fn destination_and_filter_cases() -> Vec<Case> {
    vec![
        ("no destination", C::Destination, Problem, |f| set_mapping(f, |m| m.on_failure = None)),
        ("the role can't write", C::DestinationAccepts, Problem, |f| {
            f.role = Ok(role(json!([{ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*" }])))
        }),
        ("the role can't list", C::DestinationAccepts, Problem, |f| {
            f.role = Ok(role(json!([{ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*" }])))
        }),
        ("the role can write conditionally", C::DestinationAccepts, Warning, |f| {
            f.role =
                Ok(role(json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": {} } }])))
        }),
        ("the bucket is gone", C::DestinationAccepts, Problem, |f| {
            f.destination = Err(Unavailable::Missing(Part::Bucket("usage-failed".into())))
        }),
        ("the role can't send", C::DestinationAccepts, Problem, |f| {
            set_mapping(f, |m| m.on_failure = Some("arn:aws:sqs:us-east-1:1:failed".into()))
        }),
        ("the probe is refused", C::DestinationAccepts, Problem, |f| {
            f.destination = Ok(Destination { probe: Some(Err("AccessDenied".into())) })
        }),
        ("partial responses are off", C::PartialResponses, Problem, |f| {
            set_mapping(f, |m| m.reports_item_failures = false)
        }),
        ("never split", C::Bisect, Warning, |f| set_mapping(f, |m| m.bisects = false)),
        ("retried without limit", C::Retries, Problem, |f| set_mapping(f, |m| m.retries = -1)),
        ("rejected records are retried for hours", C::Retries, Warning, |f| {
            set_mapping(f, |m| m.retries = 200);
            f.function.as_mut().unwrap().variables = variables([("REJECTED_RECORDS", "fail")]);
        }),
        ("never retried", C::Retries, Warning, |f| set_mapping(f, |m| m.retries = 0)),
        ("never too old", C::RecordAge, Warning, |f| set_mapping(f, |m| m.record_age_seconds = -1)),
        ("as old as the stream", C::RecordAge, Warning, |f| set_mapping(f, |m| m.record_age_seconds = 86_400)),
        ("a number instead of a string", C::FiltersMatch, Problem, |f| {
            filter(f, &[r#"{"dynamodb":{"NewImage":{"total":{"N":[{"numeric":[">",5]}]}}}}"#])
        }),
        ("another key than the pipeline's", C::FiltersMatch, Problem, |f| {
            filter(f, &[r#"{"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"USER#"}]}}}}"#])
        }),
        ("exists above the value", C::FiltersMatch, Problem, |f| {
            filter(f, &[r#"{"dynamodb":{"NewImage":{"total":[{"exists":true}]}}}"#])
        }),
        ("one of two can't", C::FiltersMatch, Warning, |f| {
            filter(f, &[r#"{"eventName":["INSERT"]}"#, r#"{"eventName":["UPDATE"]}"#])
        }),
        ("always true", C::FiltersMatch, Warning, |f| {
            filter(f, &[r#"{"dynamodb":{"NewImage":{"resource":[{"exists":false}]}}}"#])
        }),
        ("no pattern at all", C::FiltersMatch, Problem, |f| filter(f, &[r#"{"eventName":"INSERT"}"#])),
        ("own writes come back", C::OwnWrites, Problem, |f| {
            f.names.usage_table = Some("orders".into());
            filter(f, &[]);
        }),
    ]
}

fn function_cases() -> Vec<Case> {
    vec![
        ("loops are allowed", C::Recursion, Warning, |f| f.recursion = Ok(Recursion::Allowed)),
        ("nothing polled", C::Traffic, Warning, |f| numbers(f).polled = None),
        ("all filtered out", C::Traffic, Warning, |f| {
            (numbers(f).invoked, numbers(f).filtered_out) = (None, Some(60_000.0))
        }),
        ("polled and not delivered", C::Traffic, Problem, |f| numbers(f).invoked = Some(0.0)),
        ("some fail", C::Errors, Warning, |f| numbers(f).errors = Some(3.0)),
        ("many fail", C::Errors, Problem, |f| numbers(f).errors = Some(300.0)),
        ("some records fail", C::Errors, Warning, |f| numbers(f).failed_deliveries = Some(3.0)),
        ("many records fail", C::Errors, Problem, |f| {
            (numbers(f).failed_deliveries, numbers(f).discarded) = (Some(9_000.0), Some(40.0))
        }),
        ("a shard is blocked", C::BlockedShard, Problem, |f| {
            numbers(f).blocked = Some(BlockedShard { age_seconds: 421.0, growing_seconds: 420.0 })
        }),
        ("no batch is read", C::BlockedShard, NoData, |f| numbers(f).iterator_age_ms = None),
        ("records are late because batches fail", C::IteratorAge, Problem, |f| {
            (numbers(f).iterator_age_ms, numbers(f).failed_deliveries) = (Some(200_000.0), Some(3.0))
        }),
        ("nothing was invoked", C::Errors, NoData, |f| numbers(f).invocations = None),
        ("half of the timeout", C::Timeout, Warning, |f| numbers(f).p99_duration_ms = Some(31_000.0)),
        ("near the timeout", C::Timeout, Problem, |f| numbers(f).p99_duration_ms = Some(59_000.0)),
        ("behind", C::IteratorAge, Warning, |f| numbers(f).iterator_age_ms = Some(31_000.0)),
        ("far behind", C::IteratorAge, Problem, |f| numbers(f).iterator_age_ms = Some(7_200_000.0)),
        ("the kill switch", C::Concurrency, Problem, |f| f.function.as_mut().unwrap().reserved = Some(0)),
        ("fewer than shards × factor", C::Concurrency, Warning, |f| set_mapping(f, |m| m.factor = 4)),
        ("throttled", C::Throttles, Warning, |f| numbers(f).throttles = Some(7.0)),
        ("throttled with nothing reserved", C::Throttles, Warning, |f| {
            f.function.as_mut().unwrap().reserved = None;
            numbers(f).throttles = Some(7.0);
        }),
        ("Kinesis throttles", C::Throttles, Warning, |f| {
            f.source.as_mut().unwrap().stream = Stream::Kinesis { status: "ACTIVE".into() };
            numbers(f).source_throttles = Some(3.0);
        }),
    ]
}

fn delivery_cases() -> Vec<Case> {
    vec![
        ("dropped", C::Dropped, Problem, |f| numbers(f).dropped = Some(1.0)),
        ("refused", C::Dropped, Problem, |f| numbers(f).destination_failures = Some(1.0)),
        ("one failed batch", C::Failures, Warning, |f| waiting(f, 1, 3_600, Stored::Records)),
        ("failed batches for days", C::Failures, Problem, |f| waiting(f, 5, 4 * 86_400, Stored::Records)),
        ("quarantined records", C::Quarantine, Warning, |f| quarantined(f, 3, 3_600)),
        ("quarantined records for days", C::Quarantine, Problem, |f| quarantined(f, 1, 4 * 86_400)),
        ("the role can't quarantine", C::DestinationAccepts, Problem, |f| {
            let both = json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": [format!("{BUCKET_ARN}/aws/lambda/*"), BUCKET_ARN] }]);
            f.role = Ok(role(both));
        }),
        ("positions in a queue", C::Failures, Problem, |f| waiting(f, 2, 3_600, QUEUE)),
        ("positions trimmed", C::Failures, Problem, |f| waiting(f, 2, 25 * 3_600, QUEUE)),
        ("batches of before the queue", C::Failures, Warning, |f| {
            waiting(f, 0, 0, QUEUE);
            earlier(f, 2, 3_600);
        }),
        ("positions, and batches of before the queue", C::Failures, Problem, |f| {
            waiting(f, 1, 3_600, QUEUE);
            earlier(f, 1, 7_200);
        }),
        ("positions that were just sent", C::Failures, Problem, |f| {
            waiting(f, 1, 0, QUEUE);
            f.waiting.as_mut().unwrap().oldest = None;
        }),
        ("a record was rejected", C::Rejected, Warning, |f| numbers(f).rejected = Some(1.0)),
        ("a record was too old", C::Rejected, Warning, |f| numbers(f).too_old = Some(1.0)),
        ("none succeeds", C::LastSnapshot, Problem, |f| numbers(f).last_success = Some(ago(7_200))),
        ("none has succeeded", C::LastSnapshot, Problem, |f| numbers(f).last_success = None),
    ]
}

fn storage_cases() -> Vec<Case> {
    vec![
        ("provisioned", C::TableCapacity, Warning, |f| f.usage_table.as_mut().unwrap().on_demand = false),
        ("the table throttles", C::TableCapacity, Warning, |f| numbers(f).write_throttles = Some(40.0)),
        ("no recovery", C::TableProtection, Warning, |f| {
            f.usage_table.as_mut().unwrap().point_in_time_recovery = Ok(false)
        }),
        ("no deletion protection", C::TableProtection, Warning, |f| {
            f.ledger_table.as_mut().unwrap().deletion_protection = false
        }),
        ("a short horizon", C::Horizon, Warning, |f| f.horizon_days = Ok(10)),
        ("a short horizon of a ledger that is kept longer", C::Horizon, Warning, |f| {
            f.horizon_days = Ok(10);
            let variables = &mut f.function.as_mut().unwrap().variables;
            variables.insert("KEEP_DAYS".to_owned(), "16".to_owned());
        }),
        ("a queue that keeps for two weeks", C::Horizon, Warning, |f| {
            f.horizon_days = Ok(15);
            waiting(f, 0, 0, QUEUE);
        }),
        ("files can't be written", C::ArchiveAccess, Problem, |f| {
            f.role = Ok(role(
                json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": [BUCKET_ARN, format!("{BUCKET_ARN}/*")] }]),
            ))
        }),
        ("the archive is gone", C::ArchiveAccess, Problem, |f| {
            f.archive = Err(Unavailable::Missing(Part::Bucket("usage-archive".into())))
        }),
        ("files can be written conditionally", C::ArchiveAccess, Warning, |f| {
            f.role =
                Ok(role(json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": {} } }])))
        }),
        ("no file is written", C::Files, Warning, |f| {
            numbers(f).files = Some(0.0);
            f.newest_file = Err(Unavailable::NoData("none".into()));
        }),
        ("in the clear", C::BucketPolicy, Warning, |f| f.archive.as_mut().unwrap().policy = Ok(None)),
        ("a policy of another kind", C::BucketPolicy, Warning, |f| {
            f.archive.as_mut().unwrap().policy =
                Ok(Some(json!({ "Version": "2012-10-17", "Statement": { "Sid": "Mine", "Effect": "Allow" } })))
        }),
        ("public", C::BucketLocks, Problem, |f| f.archive.as_mut().unwrap().blocks_public = Ok(false)),
        ("not encrypted", C::BucketLocks, Warning, |f| f.archive.as_mut().unwrap().encryption = Ok(None)),
        ("an old schema", C::GlueSchema, Problem, |f| {
            f.glue.as_mut().unwrap()[0].schema_literal = Some(r#"{"type":"record","name":"order","fields":[]}"#.into())
        }),
        ("no table", C::GlueSchema, Problem, |f| f.glue = Ok(Vec::new())),
    ]
}

fn monitoring_cases() -> Vec<Case> {
    vec![
        ("no alarms", C::AlarmActions, Warning, |f| f.alarms = Ok(Vec::new())),
        ("actions are disabled", C::AlarmActions, Problem, |f| f.alarms.as_mut().unwrap()[0].actions_enabled = false),
        ("no action", C::AlarmActions, Problem, |f| f.alarms.as_mut().unwrap()[1].actions = 0),
        ("no one subscribes", C::AlarmSubscribers, Problem, |f| {
            f.topics.as_mut().unwrap().iter_mut().for_each(|topic| topic.confirmed = 0)
        }),
        ("the subscription is not confirmed", C::AlarmSubscribers, Problem, |f| {
            f.topics = Ok(vec![Topic { pending: 1, ..topic(("AlarmTopic", 0)) }])
        }),
        ("no one is paged", C::AlarmSubscribers, Warning, |f| f.topics.as_mut().unwrap()[1].confirmed = 0),
        ("an alarm is firing", C::AlarmState, Problem, |f| f.alarms.as_mut().unwrap()[1].state = AlarmState::Alarm),
        ("an alarm has no data", C::AlarmState, Warning, |f| {
            f.alarms.as_mut().unwrap()[0].state = AlarmState::InsufficientData
        }),
        ("logs never expire", C::LogRetention, Warning, |f| f.log_group.as_mut().unwrap().retention_days = None),
        ("metrics of something else", C::OwnMetrics, Warning, |f| f.own_metrics = Ok(40)),
        ("small batches", C::Batches, Warning, |f| numbers(f).invoked = Some(2_400.0)),
        ("another version", C::Version, Warning, |f| f.function.as_mut().unwrap().version = Some("0.0.9".into())),
        ("no version", C::Version, Warning, |f| f.function.as_mut().unwrap().version = None),
        ("another runtime", C::Version, Problem, |f| f.function.as_mut().unwrap().runtime = "provided.al2".into()),
    ]
}
