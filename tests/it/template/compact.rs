//! The function that compacts past hours: what it may do, when it runs, and what the alarm on it counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::code::{actions, statements};
use super::{file, properties, resources, template, text};

/// What each call of its clients needs.
const CALLS: [(&str, &str, &str); 6] = [
    ("store.rs", "list_objects_v2", "s3:ListBucket"),
    ("store.rs", "get_object", "s3:GetObject"),
    ("store.rs", "put_object", "s3:PutObject"),
    ("store.rs", "delete_object", "s3:DeleteObject"),
    ("function.rs", "invoke", "lambda:InvokeFunction"),
    ("function/prove.rs", "describe_table", "dynamodb:DescribeTable"),
];

/// Permissions that the Lambda service uses in the function's name.
const OF_LAMBDA: [&str; 6] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
    "kms:Decrypt",
    "kms:GenerateDataKey",
];

fn of_role() -> Vec<&'static Value> {
    statements("CompactRole", "function")
}

#[test]
fn the_compact_role_may_compact_and_nothing_else() {
    for (name, call, _) in CALLS {
        assert!(file(&format!("src/compact/{name}")).contains(&format!(".{call}()")), "{name} doesn't call {call}");
    }
    // The proof reads the ledger and sends metrics by the other function's code.
    let shared = ["dynamodb:Query", "dynamodb:PutItem", "cloudwatch:PutMetricData"];
    let needed: BTreeSet<&str> = CALLS.iter().map(|(_, _, action)| *action).chain(shared).collect();
    let allowed = of_role().into_iter().flat_map(actions).filter(|action| !OF_LAMBDA.contains(action));
    assert_eq!(allowed.collect::<BTreeSet<_>>(), needed);
}

#[test]
fn compaction_deletes_raw_files_only_and_writes_parquet_files_only() {
    let places = |action: &str| -> Vec<String> {
        let statements = of_role().into_iter().filter(|statement| actions(statement).contains(&action));
        statements.map(|statement| text(&statement["Resource"]["Fn::Sub"][0])).collect()
    };
    let (raw, compacted) = ("${ArchiveBucket.Arn}/${Prefix}/avro/*", "${ArchiveBucket.Arn}/${Prefix}/parquet/*");
    assert_eq!(places("s3:DeleteObject"), [raw]);
    assert_eq!(places("s3:PutObject"), [compacted]);
    assert_eq!(places("s3:GetObject"), [raw, compacted]);
    let listed = of_role().into_iter().find(|statement| actions(statement) == ["s3:ListBucket"]).unwrap();
    let prefixes = listed["Condition"]["StringLike"]["s3:prefix"].as_array().unwrap();
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| text(&prefix["Fn::Sub"][0])).collect();
    assert_eq!(prefixes, ["${Prefix}/avro/*", "${Prefix}/parquet/*"]);
    // It starts itself, and nothing else.
    let starts = of_role().into_iter().find(|statement| actions(statement) == ["lambda:InvokeFunction"]).unwrap();
    let name = text(&properties("CompactFunction")["FunctionName"]["Fn::Sub"]);
    assert!(text(&starts["Resource"]["Fn::Sub"]).ends_with(&format!(":function:{name}")), "{starts}");
}

#[test]
fn compaction_is_scheduled_with_the_event_that_means_all_units() {
    let schedule = properties("CompactSchedule");
    assert_eq!(schedule["ScheduleExpression"], "rate(15 minutes)");
    assert_eq!(schedule["Target"]["Input"], "{}");
    assert_eq!(schedule["Target"]["Arn"], json!({ "Fn::GetAtt": ["CompactFunction", "Arn"] }));
}

#[test]
fn the_archive_is_proven_once_a_day_with_an_event_that_the_function_reads() {
    let schedule = properties("ArchiveProofSchedule");
    assert_eq!(schedule["ScheduleExpression"], "rate(1 day)");
    let event = schedule["Target"]["Input"].as_str().unwrap();
    assert_eq!(event, r#"{"prove":{"at":"<aws.scheduler.scheduled-time>","hours_ago":26}}"#);
    assert!(file("src/compact/event.rs").contains("hours_ago: Option<u32>"));
    assert_eq!(schedule["Target"]["Arn"], json!({ "Fn::GetAtt": ["CompactFunction", "Arn"] }));
    // After the last record of the day has left the stream, as the proof of the fold.
    assert!(properties("ProofSchedule")["Target"]["Input"]["Fn::Sub"].as_str().unwrap().contains("\"hours_ago\":26,"));
    // A day has as many hours as the alarm expects.
    let alarm = properties("ArchiveProofStops");
    assert_eq!((text(&alarm["Threshold"]), text(&alarm["Period"])), ("24".to_owned(), "86400".to_owned()));
    let reads = of_role().into_iter().find(|statement| actions(statement) == ["dynamodb:Query"]).unwrap();
    assert_eq!(reads["Resource"], json!({ "Fn::GetAtt": ["LedgerTable", "Arn"] }));
    let puts = of_role().into_iter().find(|statement| actions(statement) == ["dynamodb:PutItem"]).unwrap();
    let keys = format!("{}*", usage_aggregator::ledger::DEFINITIONS);
    assert_eq!(puts["Condition"], json!({ "ForAllValues:StringLike": { "dynamodb:LeadingKeys": [keys] } }));
    let variables = &properties("CompactFunction")["Environment"]["Variables"];
    let stream =
        json!({ "Fn::If": ["MakesSource", { "Fn::GetAtt": ["SourceTable", "StreamArn"] }, { "Ref": "SourceArn" }] });
    assert_eq!(variables["SOURCE_ARN"], stream);
    let describes = of_role().into_iter().find(|statement| actions(statement) == ["dynamodb:DescribeTable"]).unwrap();
    let table = json!({ "Fn::Select": [0, { "Fn::Split": ["/stream/", { "Ref": "SourceArn" }] }] });
    let source = json!({ "Fn::If": ["MakesSource", { "Fn::GetAtt": ["SourceTable", "Arn"] }, table] });
    assert_eq!(describes["Resource"], source);
    assert_eq!(variables["LEDGER_TABLE"], json!({ "Fn::If": ["Counts", { "Ref": "LedgerTable" }, ""] }));
}

#[test]
fn without_compaction_there_is_nothing_of_it() {
    let off = ["Compacts", "ForwardsCompactLogs", "WatchesCompaction", "ProvesArchive", "WatchesArchiveProof"];
    let mut found = 0;
    for (name, resource) in template()["Resources"].as_object().unwrap() {
        if (name.starts_with("Compact")
            || name.contains("NotCompacted")
            || name == "CompactionStops"
            || name.starts_with("ArchiveProof")
            || name == "ArchiveDiffers"
            || name == "OverdueCount")
            && !name.contains("_")
        {
            let condition = resource["Condition"].as_str().unwrap_or_default();
            assert!(off.contains(&condition), "{name}: {condition}");
            found += 1;
        }
    }
    assert!(found > 8, "{found}");
}

#[test]
fn the_alarm_on_waiting_hours_counts_what_the_function_logs() {
    let (_, filter) = resources("AWS::Logs::MetricFilter").into_iter().find(|(id, _)| *id == "OverdueCount").unwrap();
    assert_eq!(filter["FilterPattern"], "{ $.message = \"unit overdue\" }");
    assert!(file("src/compact/function.rs").contains("\"unit overdue\""));
    assert_eq!(filter["LogGroupName"], json!({ "Ref": "CompactLogs" }));
    assert_eq!(properties("HourNotCompacted")["MetricName"], filter["MetricTransformations"][0]["MetricName"]);
}

#[test]
fn a_schedule_that_stops_is_noticed() {
    let alarm = properties("CompactionStops");
    assert_eq!((&alarm["Namespace"], &alarm["MetricName"]), (&json!("AWS/Lambda"), &json!("Invocations")));
    assert_eq!(alarm["Dimensions"], json!([{ "Name": "FunctionName", "Value": { "Ref": "CompactFunction" } }]));
    // Without any invocation there is no data, which is what it reports.
    assert_eq!(
        (&alarm["ComparisonOperator"], text(&alarm["Threshold"])),
        (&json!("LessThanThreshold"), "1".to_owned())
    );
    assert_eq!(alarm["TreatMissingData"], "breaching");
    // In each of its periods, the schedule runs several times.
    assert_eq!(properties("CompactSchedule")["ScheduleExpression"], "rate(15 minutes)");
    assert_eq!(text(&alarm["Period"]), "1800");
}

#[test]
fn each_serverless_function_has_a_target_that_builds_it() {
    let makefile = file("Makefile");
    for function in ["Function", "FoldFunction", "CompactFunction"] {
        assert!(makefile.contains(&format!("build-{function}")), "{function}");
    }
    assert!(makefile.contains("--package usage-compact --bin usage-compact"));
}
