//! A deployment with which all is well, and for each check what makes it fire.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::time::Timestamp;

use super::check::Check;
use super::facts::*;
use super::finding::{Finding, Verdict};
use super::show::{self, Tally};
use super::symptom::Symptom;
use super::walk::walk;
use crate::stack::Names;
use clap::ValueEnum;

const BUCKET_ARN: &str = "arn:aws:s3:::usage-failed";
const STREAM: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000";

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(Timestamp::parse("2026-11-26T21:00:00Z").unwrap().seconds() - seconds).unwrap()
}

fn absent(name: &str) -> String {
    json!({ "dynamodb": { "NewImage": { name: { "S": [{ "exists": false }] } } } }).to_string()
}

fn role(statements: Value) -> Role {
    Role { name: "usage-role".into(), policies: vec![json!({ "Version": "2012-10-17", "Statement": statements })] }
}

fn table(name: &str) -> Table {
    Table {
        name: name.into(),
        on_demand: true,
        stream_on: false,
        time_to_live: Ok(Some("expires_at".into())),
        point_in_time_recovery: Ok(true),
        deletion_protection: true,
    }
}

fn glue(pipeline: &Pipeline) -> Vec<GlueTable> {
    let parameters = [("projection.enabled", "true"), ("projection.partition_date.range", "2026-01-01,NOW+1DAYS")];
    let parameters: BTreeMap<String, String> = parameters.map(|(name, value)| (name.into(), value.into())).into();
    let schemas = pipeline.schemas();
    schemas
        .map(|(name, schema)| GlueTable {
            name: name.into(),
            parameters: parameters.clone(),
            schema_literal: Some(schema.json().into()),
        })
        .collect()
}

fn mapping() -> Mapping {
    Mapping {
        uuid: "0f1e".into(),
        state: "Enabled".into(),
        reason: None,
        last_result: Some("OK".into()),
        source_arn: STREAM.into(),
        starting_position: Some("TRIM_HORIZON".into()),
        factor: 1,
        retries: 10,
        record_age_seconds: 79_200,
        bisects: true,
        reports_item_failures: true,
        on_failure: Some(BUCKET_ARN.into()),
        filters: ["resource", "window", "window_start"].map(absent).into(),
    }
}

fn measured() -> Measured {
    Measured {
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
        rejected: None,
        too_old: None,
        files: Some(2_400.0),
        records: Some(60_000.0),
        last_success: Some(ago(60)),
    }
}

/// All is well.
fn good() -> Facts {
    let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let names = Names {
        function: text("usage"),
        mapping: text("0f1e"),
        source_arn: text(STREAM),
        usage_table: text("usage-UsageTable"),
        claims_table: text("usage-ClaimsTable"),
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
        source: Ok(Source {
            name: "orders".into(),
            stream: Stream::Table { on: true, view: text("NEW_AND_OLD_IMAGES"), latest_arn: text(STREAM) },
            shards: Ok(4),
            retention_seconds: 86_400,
        }),
        mapping: Ok(mapping()),
        function: Ok(Function {
            name: "usage".into(),
            role_arn: "arn:aws:iam::123456789012:role/usage-role".into(),
            runtime: "provided.al2023".into(),
            architecture: "arm64".into(),
            timeout_seconds: 60,
            reserved: Some(10),
            variables: BTreeMap::new(),
            version: text("0.1.0"),
            code_sha256: "c0de".into(),
        }),
        recursion: Ok(Recursion::Terminates),
        role: Ok(role(json!([
            { "Effect": "Allow", "Action": "s3:PutObject", "Resource": [format!("{BUCKET_ARN}/aws/lambda/*"), "arn:aws:s3:::usage-archive/data-pipeline/avro/*"] },
            { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET_ARN },
        ]))),
        destination: Ok(Destination { probe: None }),
        waiting: Ok(Waiting::default()),
        usage_table: Ok(table("usage-UsageTable")),
        claims_table: Ok(table("usage-ClaimsTable")),
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
        newest_snapshot: Err(Unseen::LeftOut("the metrics say it")),
        glue: Ok(glue(&pipeline)),
        log_group: Ok(LogGroup { name: "/aws/lambda/usage".into(), retention_days: Some(30) }),
        alarms: Ok(["usage-AnyError", "usage-Page"].map(alarm).into()),
        measured: Ok(measured()),
        own_metrics: Ok(10),
        horizon_days: Ok(18),
        pipeline,
    }
}

fn alarm(name: &str) -> Alarm {
    Alarm { name: name.into(), state: AlarmState::Ok, actions_enabled: true, actions: 1 }
}

/// What each case is, the check that must say so, and how.
type Case = (&'static str, Check, Verdict, fn(&mut Facts));

fn set_mapping(facts: &mut Facts, change: impl FnOnce(&mut Mapping)) {
    change(facts.mapping.as_mut().unwrap());
}

fn filter(facts: &mut Facts, patterns: &[&str]) {
    set_mapping(facts, |mapping| mapping.filters = patterns.iter().map(|text| (*text).to_owned()).collect());
}

fn numbers(facts: &mut Facts) -> &mut Measured {
    facts.measured.as_mut().unwrap()
}

fn stream(facts: &mut Facts, on: bool, view: Option<&str>, latest: &str) {
    let (view, latest_arn) = (view.map(str::to_owned), Some(latest.to_owned()));
    facts.source.as_mut().unwrap().stream = Stream::Table { on, view, latest_arn };
}

fn waiting(facts: &mut Facts, count: u64, age: i64, keeps: Keeps) {
    facts.waiting = Ok(Waiting { count, more: false, oldest: Some(ago(age)), keeps });
}

const QUEUE: Keeps = Keeps::Positions { retention_seconds: 1_209_600 };

fn broken() -> Vec<Case> {
    use Check as C;
    use Verdict::{NoData, Problem, Unknown, Warning};
    vec![
        ("the stream is off", C::StreamOn, Problem, |f| stream(f, false, None, STREAM)),
        ("a newer stream than is read", C::StreamOn, Problem, |f| {
            stream(f, true, Some("NEW_AND_OLD_IMAGES"), "arn:newer")
        }),
        ("a Kinesis stream that is going", C::StreamOn, Problem, |f| {
            f.source.as_mut().unwrap().stream = Stream::Kinesis { status: "DELETING".into() }
        }),
        ("the table is gone", C::StreamOn, Problem, |f| f.source = Err(Unseen::Missing(Part::Table("orders".into())))),
        ("new images only", C::ViewType, Problem, |f| stream(f, true, Some("NEW_IMAGE"), STREAM)),
        ("keys only", C::ViewType, Problem, |f| stream(f, true, Some("KEYS_ONLY"), STREAM)),
        ("switched off", C::MappingState, Problem, |f| set_mapping(f, |m| m.state = "Disabled".into())),
        ("the function can't be called", C::MappingState, Problem, |f| {
            set_mapping(f, |m| m.last_result = Some("PROBLEM: Function call failed".into()))
        }),
        ("being changed", C::MappingState, Warning, |f| set_mapping(f, |m| m.state = "Updating".into())),
        ("may not be looked at", C::MappingState, Unknown, |f| {
            f.mapping = Err(Unseen::Denied { action: "lambda:GetEventSourceMapping" })
        }),
        ("LATEST", C::StartingPosition, Problem, |f| set_mapping(f, |m| m.starting_position = Some("LATEST".into()))),
        ("AT_TIMESTAMP", C::StartingPosition, Warning, |f| {
            set_mapping(f, |m| m.starting_position = Some("AT_TIMESTAMP".into()))
        }),
        ("no destination", C::Destination, Problem, |f| set_mapping(f, |m| m.on_failure = None)),
        ("the role may not put", C::DestinationAccepts, Problem, |f| {
            f.role = Ok(role(json!([{ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*" }])))
        }),
        ("the role may not list", C::DestinationAccepts, Problem, |f| {
            f.role = Ok(role(json!([{ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*" }])))
        }),
        ("the role may put sometimes", C::DestinationAccepts, Warning, |f| {
            f.role =
                Ok(role(json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": {} } }])))
        }),
        ("the bucket is gone", C::DestinationAccepts, Problem, |f| {
            f.destination = Err(Unseen::Missing(Part::Bucket("usage-failed".into())))
        }),
        ("the queue isn't the role's", C::DestinationAccepts, Problem, |f| {
            set_mapping(f, |m| m.on_failure = Some("arn:aws:sqs:us-east-1:1:failed".into()))
        }),
        ("the probe is refused", C::DestinationAccepts, Problem, |f| {
            f.destination = Ok(Destination { probe: Some(Err("AccessDenied".into())) })
        }),
        ("answers aren't read", C::PartialResponses, Problem, |f| set_mapping(f, |m| m.reports_item_failures = false)),
        ("never halved", C::Bisect, Warning, |f| set_mapping(f, |m| m.bisects = false)),
        ("retried for ever", C::Retries, Problem, |f| set_mapping(f, |m| m.retries = -1)),
        ("never retried", C::Retries, Warning, |f| set_mapping(f, |m| m.retries = 0)),
        ("never too old", C::RecordAge, Warning, |f| set_mapping(f, |m| m.record_age_seconds = -1)),
        ("as old as the stream", C::RecordAge, Warning, |f| set_mapping(f, |m| m.record_age_seconds = 86_400)),
        ("a number where a text is", C::FiltersMatch, Problem, |f| {
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
        ("loops go on", C::Recursion, Warning, |f| f.recursion = Ok(Recursion::Allowed)),
        ("nothing polled", C::Traffic, Warning, |f| numbers(f).polled = None),
        ("all filtered out", C::Traffic, Warning, |f| {
            (numbers(f).invoked, numbers(f).filtered_out) = (None, Some(60_000.0))
        }),
        ("polled and kept", C::Traffic, Problem, |f| numbers(f).invoked = Some(0.0)),
        ("some fail", C::Errors, Warning, |f| numbers(f).errors = Some(3.0)),
        ("many fail", C::Errors, Problem, |f| numbers(f).errors = Some(300.0)),
        ("nothing was invoked", C::Errors, NoData, |f| numbers(f).invocations = None),
        ("half of the timeout", C::Timeout, Warning, |f| numbers(f).p99_duration_ms = Some(31_000.0)),
        ("near the timeout", C::Timeout, Problem, |f| numbers(f).p99_duration_ms = Some(59_000.0)),
        ("behind", C::IteratorAge, Warning, |f| numbers(f).iterator_age_ms = Some(31_000.0)),
        ("far behind", C::IteratorAge, Problem, |f| numbers(f).iterator_age_ms = Some(7_200_000.0)),
        ("the kill switch", C::Concurrency, Problem, |f| f.function.as_mut().unwrap().reserved = Some(0)),
        ("fewer than shards × factor", C::Concurrency, Warning, |f| set_mapping(f, |m| m.factor = 4)),
        ("throttled", C::Throttles, Warning, |f| numbers(f).throttles = Some(7.0)),
        ("dropped", C::Dropped, Problem, |f| numbers(f).dropped = Some(1.0)),
        ("refused", C::Dropped, Problem, |f| numbers(f).destination_failures = Some(1.0)),
        ("a batch waits", C::Failures, Warning, |f| waiting(f, 1, 3_600, Keeps::Records)),
        ("batches wait for days", C::Failures, Problem, |f| waiting(f, 5, 4 * 86_400, Keeps::Records)),
        ("positions wait", C::Failures, Warning, |f| waiting(f, 2, 3_600, QUEUE)),
        ("positions are nearly forgotten", C::Failures, Problem, |f| waiting(f, 2, 20 * 3_600, QUEUE)),
        ("positions are forgotten", C::Failures, Problem, |f| waiting(f, 2, 25 * 3_600, QUEUE)),
        ("a record was refused", C::Rejected, Warning, |f| numbers(f).rejected = Some(1.0)),
        ("a record was too old", C::Rejected, Warning, |f| numbers(f).too_old = Some(1.0)),
        ("none succeeds", C::LastSnapshot, Problem, |f| numbers(f).last_success = Some(ago(7_200))),
        ("none has succeeded", C::LastSnapshot, Problem, |f| numbers(f).last_success = None),
        ("provisioned", C::TableCapacity, Warning, |f| f.usage_table.as_mut().unwrap().on_demand = false),
        ("the table throttles", C::TableCapacity, Warning, |f| numbers(f).write_throttles = Some(40.0)),
        ("claims never expire", C::ClaimsTable, Warning, |f| f.claims_table.as_mut().unwrap().time_to_live = Ok(None)),
        ("claims have a stream", C::ClaimsTable, Warning, |f| f.claims_table.as_mut().unwrap().stream_on = true),
        ("no recovery", C::TableProtection, Warning, |f| {
            f.usage_table.as_mut().unwrap().point_in_time_recovery = Ok(false)
        }),
        ("may be deleted", C::TableProtection, Warning, |f| {
            f.claims_table.as_mut().unwrap().deletion_protection = false
        }),
        ("a short horizon", C::Horizon, Warning, |f| f.horizon_days = Ok(10)),
        ("a queue that keeps for two weeks", C::Horizon, Warning, |f| {
            f.horizon_days = Ok(15);
            waiting(f, 0, 0, QUEUE);
        }),
        ("files can't be put", C::ArchiveAccess, Problem, |f| {
            f.role = Ok(role(
                json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": [BUCKET_ARN, format!("{BUCKET_ARN}/*")] }]),
            ))
        }),
        ("the archive is gone", C::ArchiveAccess, Problem, |f| {
            f.archive = Err(Unseen::Missing(Part::Bucket("usage-archive".into())))
        }),
        ("files can be put sometimes", C::ArchiveAccess, Warning, |f| {
            f.role =
                Ok(role(json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": {} } }])))
        }),
        ("no file is written", C::Files, Warning, |f| {
            numbers(f).files = Some(0.0);
            f.newest_file = Err(Unseen::NoData("none".into()));
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
        ("no projection", C::Projection, Problem, |f| {
            drop(f.glue.as_mut().unwrap()[0].parameters.remove("projection.enabled"))
        }),
        ("not yet today", C::Projection, Warning, |f| {
            drop(
                f.glue.as_mut().unwrap()[0]
                    .parameters
                    .insert("projection.partition_date.range".into(), "2027-01-01,NOW+1DAYS".into()),
            )
        }),
        ("not today any more", C::Projection, Warning, |f| {
            drop(
                f.glue.as_mut().unwrap()[0]
                    .parameters
                    .insert("projection.partition_date.range".into(), "2026-01-01,2026-11-25".into()),
            )
        }),
        ("no alarms", C::AlarmActions, Warning, |f| f.alarms = Ok(Vec::new())),
        ("actions are off", C::AlarmActions, Problem, |f| f.alarms.as_mut().unwrap()[0].actions_enabled = false),
        ("no action", C::AlarmActions, Problem, |f| f.alarms.as_mut().unwrap()[1].actions = 0),
        ("it rings", C::AlarmState, Problem, |f| f.alarms.as_mut().unwrap()[1].state = AlarmState::Alarm),
        ("it is blind", C::AlarmState, Warning, |f| f.alarms.as_mut().unwrap()[0].state = AlarmState::InsufficientData),
        ("kept for ever", C::LogRetention, Warning, |f| f.log_group.as_mut().unwrap().retention_days = None),
        ("twelve metrics", C::OwnMetrics, Warning, |f| f.own_metrics = Ok(12)),
        ("small batches", C::Batches, Warning, |f| numbers(f).invoked = Some(2_400.0)),
        ("another version", C::Version, Warning, |f| f.function.as_mut().unwrap().version = Some("0.0.9".into())),
        ("no version", C::Version, Warning, |f| f.function.as_mut().unwrap().version = None),
        ("another runtime", C::Version, Problem, |f| f.function.as_mut().unwrap().runtime = "provided.al2".into()),
    ]
}

fn findings(facts: &Facts) -> Vec<Finding> {
    Check::ALL.iter().filter_map(|check| check.find(facts)).collect()
}

#[test]
fn with_a_good_deployment_all_is_well() {
    let found = findings(&good());
    let wrong: Vec<&Finding> = found.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found.len(), Check::ALL.len());
}

#[test]
fn each_case_is_told_by_its_check() {
    for (what, check, verdict, breaks) in broken() {
        let mut facts = good();
        breaks(&mut facts);
        let finding = check.find(&facts).unwrap_or_else(|| panic!("{what}: left out"));
        assert_eq!(finding.verdict, verdict, "{what}: {finding:?}");
        assert_eq!(finding.command.is_some(), verdict >= Verdict::Warning, "{what}: {finding:?}");
    }
}

#[test]
fn every_check_fires_in_some_case_as_gravely_as_its_rule_says() {
    for check in Check::ALL {
        let verdicts: Vec<Verdict> = broken().into_iter().filter(|case| case.1 == check).map(|case| case.2).collect();
        let rule = check.description().rule;
        for (word, verdict) in [("problem:", Verdict::Problem), ("warning:", Verdict::Warning)] {
            assert_eq!(
                rule.contains(word),
                verdicts.contains(&verdict),
                "{}: {rule}; cases {verdicts:?}",
                check.name()
            );
        }
        assert!(!verdicts.is_empty(), "{} has no case", check.name());
    }
}

#[test]
fn checks_are_named_once_and_listed_all() {
    let names: std::collections::BTreeSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), Check::ALL.len());
    assert!(names.iter().all(|name| name.len() <= 19), "{names:?}");
}

#[test]
fn what_can_not_be_looked_at_is_unknown_and_never_fine() {
    let mut facts = good();
    let denied = || Unseen::Denied { action: "some:Action" };
    facts.source = Err(denied());
    facts.mapping = Err(denied());
    facts.function = Err(denied());
    facts.recursion = Err(denied());
    facts.role = Err(denied());
    facts.destination = Err(denied());
    facts.waiting = Err(denied());
    facts.usage_table = Err(denied());
    facts.claims_table = Err(denied());
    facts.archive = Err(denied());
    facts.newest_file = Err(denied());
    facts.newest_snapshot = Err(denied());
    facts.glue = Err(denied());
    facts.log_group = Err(denied());
    facts.alarms = Err(denied());
    facts.measured = Err(denied());
    facts.own_metrics = Err(denied());
    facts.horizon_days = Err(denied());
    for finding in findings(&facts) {
        assert_eq!(finding.verdict, Verdict::Unknown, "{finding:?}");
        assert!(finding.meaning.contains("some:Action"), "{finding:?}");
    }
}

#[test]
fn a_pipeline_that_only_archives_has_no_tables_to_look_at() {
    let mut facts = good();
    facts.pipeline = Pipeline::parse(&shipped("demand").unwrap()).unwrap();
    for check in [Check::OwnWrites, Check::Horizon] {
        assert_eq!(check.find(&facts), None);
    }
    // Rows are made of the newest image, which is the old one of an item that was removed.
    stream(&mut facts, true, Some("KEYS_ONLY"), STREAM);
    assert_eq!(Check::ViewType.find(&facts).unwrap().verdict, Verdict::Problem);
}

#[test]
fn a_walk_ends_at_the_first_problem_with_its_mend() {
    let mut facts = good();
    numbers(&mut facts).iterator_age_ms = Some(200_000.0);
    let only_slow = walk(Symptom::IteratorAge, &facts);
    assert!(only_slow.first_step.contains("--parallelization-factor 2"), "{only_slow:?}");
    numbers(&mut facts).throttles = Some(9.0);
    numbers(&mut facts).errors = Some(300.0);
    let failing = walk(Symptom::IteratorAge, &facts);
    assert!(failing.conclusion.starts_with("errors: "), "{failing:?}");
    assert!(failing.not_asked.contains(&Check::Throttles), "{failing:?}");
    insta::assert_snapshot!("walk", show::walk_text(Symptom::IteratorAge, &failing));
    insta::assert_snapshot!("walk_json", show::walk_json(Symptom::IteratorAge, &failing));
}

#[test]
fn every_symptom_has_a_way_a_runbook_and_a_first_step() {
    let runbooks = include_str!("../../../../docs/operations.md").to_lowercase();
    let facts = good();
    let mut text = String::new();
    for symptom in Symptom::value_variants() {
        let heading = format!("\n## {}\n", symptom.runbook().replace('-', " "));
        assert!(runbooks.contains(&heading), "docs/operations.md has no{heading}");
        let walk = walk(*symptom, &facts);
        assert!(walk.not_asked.is_empty() && walk.stops.len() >= 3, "{walk:?}");
        text.push_str(&format!("{symptom:?}: {}\n  {}\n", walk.conclusion, walk.first_step));
    }
    insta::assert_snapshot!("first_steps", text);
}

#[test]
fn what_a_person_reads() {
    let mut text = String::new();
    for (what, check, _, breaks) in broken() {
        let mut facts = good();
        breaks(&mut facts);
        let found: Vec<Finding> = check.find(&facts).into_iter().collect();
        let shown = show::text(&found, Tally::default());
        text.push_str(&format!("--- {what}\n{}\n", shown.rsplit_once('\n').map_or("", |(lines, _)| lines)));
    }
    insta::assert_snapshot!("broken", text);
    let found = findings(&good());
    insta::assert_snapshot!("good", show::text(&found, Tally::new(&found, 0)));
}

#[test]
fn the_document_has_the_same_checks() {
    let document = include_str!("../../../../docs/operations.md");
    let rows = Check::ALL.map(|check| {
        let description = check.description();
        format!("| `{}` | {} | {} |", description.name, description.looks_at, description.rule)
    });
    let table = rows.join("\n");
    assert!(document.contains(&table), "docs/operations.md should have\n{table}");
}
