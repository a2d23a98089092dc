//! `usagectl doctor` on the stack that moto creates from template.yaml, once without faults and once broken on purpose, and
//! on the embedded services.
//!
//! moto emulates CloudFormation, DynamoDB and its streams, Lambda (function and mapping), IAM, S3, Logs and Glue;
//! `cloudwatch` and `lambda` emulate the rest: alarms, metrics, the function's recursion setting, tags and reserved
//! concurrency. The unit tests of the command cover each check.

mod alias;
mod blocked;
pub mod cloudwatch;
mod drill;
mod here;
mod lambda;
pub mod place;
mod queue;

use std::process::Command;

use aws_sdk_dynamodb::types::StreamSpecification;
use aws_sdk_lambda::types::{DestinationConfig, Filter, FilterCriteria, OnFailure};
use serde_json::Value;

use crate::fixture::Fixture;
use crate::readers::python;
use crate::template::{properties, resources, root};
use cloudwatch::Answers;
use place::{Place, front};

/// The alarms of the stack `moto`, all in one state.
fn alarms(state: &'static str, actions: usize) -> Vec<cloudwatch::Alarm> {
    let alarms = resources("AWS::CloudWatch::Alarm").into_iter().map(|(name, _)| name);
    alarms.map(|name| (format!("moto-{name}"), state, actions)).collect()
}

pub fn healthy() -> Answers {
    let numbers = [
        ("Invocations", 1_200.0),
        ("Errors", 0.0),
        ("Duration", 900.0),
        ("IteratorAge", 400.0),
        ("PolledEventCount", 60_000.0),
        ("InvokedEventCount", 60_000.0),
        ("RecordsProcessed", 60_000.0),
        ("FilesWritten", 1_200.0),
        ("PagesWritten", 1_200.0),
        ("NoticesFolded", 1_200.0),
        ("FoldErrors", 0.0),
        ("FoldAge", 31_000.0),
        ("PagesInMinute", 20.0),
    ];
    Answers { alarms: alarms("OK", 1), own_metrics: 15, numbers: numbers.into(), ..Answers::default() }
}

/// Each finding on one line. Where it is wrapped depends on the numbers in it.
fn unwrapped(text: &str) -> String {
    let continues = |line: &str| {
        let start = line.trim_start();
        line.len() - start.len() >= 12 && !start.starts_with(['→', '$'])
    };
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut().filter(|_| continues(line)) {
            Some(last) => *last += &format!(" {}", line.trim_start()),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// Replaces what differs from run to run.
fn shown(place: &Place, text: &str) -> String {
    let mut text = unwrapped(text);
    let (uuid, ledger_uuid) = (place.output("EventSourceMappingId"), place.output("LedgerMappingId"));
    let stream = place.output("SourceStreamArn");
    let names = ["SourceTableName", "UsageTableName", "LedgerTableName", "ArchiveBucketName", "FailureBucketName"];
    let mut known: Vec<(String, String)> = names
        .iter()
        .filter(|name| place.stack.report["outputs"][**name].is_string())
        .map(|name| (place.output(name).to_owned(), format!("[{name}]")))
        .collect();
    known.push((uuid.to_owned(), "[mapping]".to_owned()));
    known.push((ledger_uuid.to_owned(), "[ledger mapping]".to_owned()));
    known.insert(0, (stream.to_owned(), "[stream]".to_owned()));
    for (value, shown) in known {
        text = text.replace(&value, &shown);
    }
    text
}

macro_rules! assert_shown {
    ($place:expr, $name:expr, $text:expr) => {
        insta::with_settings!({ filters => vec![
            (r"code [A-Za-z0-9+/=]{43,44}", "code [sha256]"),
            (r"moto-FunctionRole-[A-Z0-9]+", "[role]"),
            (r"moto-(Function|Fold)Logs-[A-Za-z0-9]+", "moto-${1}Logs-[id]"),
            (r"\b\d+ (s|min) old", "[age] old"),
            (r"old; (5 d|4 d 23 h) left", "old; 5 d left"),
            (r"usagectl-doctor-probe-\d+", "usagectl-doctor-probe-[time]"),
            (r"today, \d{4}-\d{2}-\d{2}", "today, [date]"),
        ] }, { insta::assert_snapshot!($name, shown($place, &$text)) });
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_faults() {
    let mut place =
        Place::new(&["Pipeline=orders"], front("Terminate", 10, env!("CARGO_PKG_VERSION")), healthy()).await;
    place.complete().await;
    let run = place.doctor(&["--stack", "moto"]).await;
    assert_shown!(&place, "good", run.stdout);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
    let json = place.doctor(&["--stack", "moto", "--json"]).await;
    assert_shown!(&place, "good_json", json.stdout);
    let verdicts: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), unwrapped(&run.stdout).lines().count());
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains("arn:")), "{}", run.stdout);

    // With only the function's name, and for a symptom.
    let by_function = place.doctor(&["--function", place.output("FunctionName"), "no-invocations"]).await;
    assert_eq!(by_function.code, Some(0), "{by_function:?}");
    assert_shown!(&place, "good_diagnosis", by_function.stdout);

    let probed = place.doctor(&["--stack", "moto", "--probe", "failure-destination"]).await;
    assert_eq!(probed.code, Some(0), "{probed:?}");
    assert!(
        unwrapped(&probed.stdout).contains("a probe with your credentials was written and deleted again"),
        "{probed:?}"
    );
    let left = place.s3().list_object_versions().bucket(place.output("FailureBucketName")).send().await.unwrap();
    assert!(left.versions().is_empty() && left.delete_markers().is_empty(), "{left:?}");

    let denied = Answers { denied: vec!["GetMetricData", "DescribeAlarms"], ..healthy() }.serve().await;
    place.environment.insert("AWS_ENDPOINT_URL_CLOUDWATCH", denied);
    let blind = place.doctor(&["--stack", "moto"]).await;
    assert_eq!(blind.code, Some(1), "{blind:?}");
    for action in ["GetMetricData", "DescribeAlarms"] {
        assert!(unwrapped(&blind.stdout).contains(&format!("permission denied: cloudwatch:{action}")), "{blind:?}");
    }

    let missing = place.doctor(&["--stack", "elsewhere"]).await;
    assert_eq!((missing.code, &*missing.stdout), (Some(1), ""), "{missing:?}");
    assert!(missing.stderr.starts_with("error: describe the stack elsewhere"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_broken_on_purpose() {
    let ill = Answers {
        alarms: alarms("INSUFFICIENT_DATA", 0),
        own_metrics: 14,
        numbers: [
            ("Invocations", 1_200.0),
            ("Errors", 300.0),
            ("Throttles", 9.0),
            ("Duration", 59_500.0),
            ("IteratorAge", 7_200_000.0),
            ("PolledEventCount", 60_000.0),
            ("FilteredOutEventCount", 1_000.0),
            ("InvokedEventCount", 4_000.0),
            ("DroppedEventCount", 12.0),
            ("DestinationDeliveryFailures", 1.0),
            ("WriteThrottleEvents", 40.0),
            ("RecordsRejected", 3.0),
            ("UsageTooOld", 1.0),
            ("RecordsProcessed", 0.0),
            ("PagesWritten", 900.0),
            ("PagesInMinute", 12_000.0),
            ("FoldAge", 900_000.0),
            ("LedgerBehind", 3.0),
            ("SweepRepaired", 2.0),
        ]
        .into(),
        denied: vec!["ListMetrics"],
        ..Answers::default()
    };
    let place = Place::new(&["Pipeline=orders", "HorizonDays=5"], front("Allow", 0, "0.0.9"), ill).await;
    break_all(&place).await;
    let run = place.doctor(&["--stack", "moto"]).await;
    assert_shown!(&place, "broken", run.stdout);
    assert_eq!((run.code, &*run.stderr), (Some(2), ""), "{run:?}");
    let json = place.doctor(&["--stack", "moto", "--json"]).await;
    assert_eq!(json.code, Some(2));
    assert_shown!(&place, "broken_json", json.stdout);
    let diagnosis = place.doctor(&["--stack", "moto", "iterator-age"]).await;
    assert_eq!(diagnosis.code, Some(2));
    assert_shown!(&place, "broken_diagnosis", diagnosis.stdout);
    let diagnosis = place.doctor(&["--stack", "moto", "iterator-age", "--json"]).await;
    assert_shown!(&place, "broken_diagnosis_json", diagnosis.stdout);
}

/// Breaks the stack in ways that someone could by hand.
async fn break_all(place: &Place) {
    let lambda = aws_sdk_lambda::Client::new(&place.config);
    let nothing = OnFailure::builder().destination("arn:aws:sqs:us-east-1:123456789012:nobodys").build();
    let never = r#"{"dynamodb":{"NewImage":{"total":{"N":[{"numeric":[">",5]}]}}}}"#;
    let filters = FilterCriteria::builder().filters(Filter::builder().pattern(never).build()).build();
    let changed = lambda
        .update_event_source_mapping()
        .uuid(place.output("EventSourceMappingId"))
        .destination_config(DestinationConfig::builder().on_failure(nothing).build())
        .filter_criteria(filters)
        .maximum_retry_attempts(-1)
        .maximum_record_age_in_seconds(-1)
        .bisect_batch_on_function_error(false)
        .set_function_response_types(Some(Vec::new()))
        .send();
    changed.await.unwrap();
    let dynamodb = aws_sdk_dynamodb::Client::new(&place.config);
    let off = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    let source = dynamodb.update_table().table_name(place.output("SourceTableName"));
    source.stream_specification(off).send().await.unwrap();
    let usage = dynamodb.update_table().table_name(place.output("UsageTableName"));
    usage.deletion_protection_enabled(false).send().await.unwrap();
    let s3 = place.s3();
    let failed = s3.put_object().bucket(place.output("FailureBucketName")).key("aws/lambda/0f1e/shard/2026/x");
    failed.body(b"{}".to_vec().into()).send().await.unwrap();
    let disabled = lambda.update_event_source_mapping().uuid(place.output("LedgerMappingId")).enabled(false);
    disabled.send().await.unwrap();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&place.config);
    logs.delete_retention_policy().log_group_name(place.output("FunctionLogGroup")).send().await.unwrap();
}

#[test]
fn the_template_has_the_version() {
    let tags = properties("Function")["Tags"].as_array().unwrap();
    let tag = tags.iter().find(|tag| tag["Key"] == "usage-aggregator-version").unwrap();
    assert_eq!(tag["Value"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_suggested_command_exists() {
    let output = Command::new(python())
        .args([
            "tests/commands.py",
            "src/usagectl/deployment/doctor/snapshots/usagectl__deployment__doctor__tests__broken.snap",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let (wrong, count) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && wrong.is_empty(), "{wrong}{count}");
    let count: usize = count.split(' ').next().unwrap().parse().unwrap();
    assert!(count > 30, "only {count} commands were found");
}

#[test]
fn help_and_mistakes() {
    let fixture = Fixture::new();
    let help = fixture.run(&["doctor", "--help"]);
    assert_eq!((help.code, &*help.stderr), (Some(0), ""));
    insta::assert_snapshot!("help", help.stdout);
    let wrong = [
        &["doctor"][..],
        &["doctor", "hiccups", "--stack", "x"],
        &["doctor", "--local", "--stack", "x"],
        &["doctor", "--local", "--probe"],
        &["doctor", "--drill"],
        &["doctor", "--drill", "--local"],
        &["doctor", "--stack", "x", "--dry-run"],
    ];
    let transcript: Vec<String> = wrong
        .iter()
        .map(|wrong| {
            let run = fixture.run(wrong);
            assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{wrong:?}: {run:?}");
            format!("{}\n{}", wrong.join(" "), run.stderr)
        })
        .collect();
    insta::assert_snapshot!("mistakes", transcript.join("\n"));
}
