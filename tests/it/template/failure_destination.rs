//! The failure destination: what is redriven stops counting as pending, and its alarms fire while something can still be done.

use serde_json::json;

use super::alarms::composite;
use super::code::{actions, statements};
use super::{members, properties, template, text};

#[test]
fn what_is_deleted_stops_counting_as_pending_after_a_day() {
    let rules = properties("FailureBucket")["LifecycleConfiguration"]["Rules"].as_array().unwrap();
    let rule = |property: &str| {
        let found = rules.iter().find(|rule| !rule[property].is_null() && rule["Prefix"].is_null());
        let rule = found.unwrap_or_else(|| panic!("no rule of the failure bucket has {property}"));
        assert_eq!(rule["Status"], "Enabled", "{property}");
        // S3 refuses a rule with both.
        assert!(property == "ExpirationInDays" || rule["ExpirationInDays"].is_null(), "{property}");
        &rule[property]
    };
    assert_eq!(*rule("ExpiredObjectDeleteMarker"), true);
    assert_eq!(rule("NoncurrentVersionExpiration")["NoncurrentDays"], 1);
    assert_eq!(*rule("ExpirationInDays"), 90);
}

/// With RejectedRecords=fail and a queue, the bucket left the stack with everything in it: its alarms and its output were gone.
#[test]
fn regression_no_parameter_takes_the_failure_bucket_out_of_sight() {
    let (resources, output) = (&template()["Resources"], &template()["Outputs"]["FailureBucketName"]);
    for part in [&resources["FailureBucket"], &resources["FailureBucketPolicy"], output] {
        assert!(part.is_object() && part.get("Condition").is_none(), "{part}");
    }
    for alarm in ["FailureObjects", "FailureObjectsOld"] {
        assert_eq!(resources[alarm]["Condition"], "WithAlarms", "{alarm}");
    }
}

/// docs/security.md says that the fold function's role can't make a redrive append records. It could put documents with the key of the
/// source's mapping, and with one that names no mapping.
#[test]
fn regression_the_fold_role_cannot_put_documents_that_a_redrive_appends() {
    let policies = ["function", "event-source-mapping"].into_iter().flat_map(|policy| statements("FoldRole", policy));
    let puts = policies.filter(|statement| actions(statement) == ["s3:PutObject"]);
    let keys: Vec<&str> = puts.map(|statement| statement["Resource"]["Fn::Sub"].as_str().unwrap()).collect();
    assert_eq!(keys, ["${FailureBucket.Arn}/notices/*", "${FailureBucket.Arn}/aws/lambda/*/*"]);
    let policy = members(&properties("FailureBucketPolicy")["PolicyDocument"]["Statement"]);
    let denied = policy.into_iter().find(|statement| statement["Sid"] == "NoSourceRecordsByFold").expect("a denial");
    assert_eq!((&denied["Effect"], &denied["Action"]), (&json!("Deny"), &json!("s3:PutObject")));
    assert_eq!(denied["Resource"], json!({ "Fn::Sub": "${FailureBucket.Arn}/aws/lambda/${EventSourceMapping}/*" }));
    let fold = json!({ "ArnEquals": { "aws:PrincipalArn": { "Fn::GetAtt": ["FoldRole", "Arn"] } } });
    assert_eq!(denied["Condition"], fold);
}

/// Issue 16: SQS counts the age of a message from when it was sent, and the last alarm fired after the loss.
#[test]
fn regression_the_queues_alarms_fire_at_least_an_hour_before_the_records_are_trimmed() {
    const TABLE_STREAM_SECONDS: u64 = 86_400;
    let number = |value: &serde_json::Value| text(value).parse::<u64>().unwrap();
    let age_when_sent = ["EventSourceMapping", "LedgerMapping"]
        .map(|mapping| number(&properties(mapping)["MaximumRecordAgeInSeconds"]))
        .into_iter()
        .max()
        .unwrap();
    let left_when_sent = TABLE_STREAM_SECONDS - age_when_sent;
    let mut pages = 0;
    for (name, alarm) in template()["Resources"].as_object().unwrap() {
        let alarm = &alarm["Properties"];
        if alarm["Namespace"] != "AWS/SQS" {
            continue;
        }
        let period = number(&alarm["Period"]) * number(&alarm["EvaluationPeriods"]);
        let fires_after = match alarm["MetricName"].as_str() {
            Some("ApproximateNumberOfMessagesVisible") if number(&alarm["Threshold"]) == 1 => period,
            Some("ApproximateAgeOfOldestMessage") => number(&alarm["Threshold"]),
            other => panic!("{name}: {other:?}"),
        };
        assert!(left_when_sent >= fires_after + 3_600, "{name}: fires after {fires_after} of {left_when_sent} s");
        assert!(composite("Page").contains(name), "{name} doesn't page");
        pages += usize::from(fires_after <= 60);
    }
    assert_eq!(pages, 1, "a message pages within a minute");
}
