//! The event source mapping and what else operations rely on: the settings without which records are lost or counted late.

use std::collections::BTreeSet;

use serde_json::json;
use usage_aggregator::pipeline::shipped_names;

use super::{file, members, properties, resources, template, text};

#[test]
fn the_mapping_loses_nothing_and_blocks_on_nothing() {
    let mapping = properties("EventSourceMapping");
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["MetricsConfig"]["Metrics"], json!(["EventCount"]));
    assert_eq!(members(&mapping["DestinationConfig"]["OnFailure"]["Destination"]).len(), 2);
    // Lambda's pauses: 200 ms, doubled up to 30 s (docs/mapping.md). An hour's outage must not use the retries up.
    let retries: u32 = text(&mapping["MaximumRetryAttempts"]).parse().unwrap();
    let pauses = (0..retries).map(|retry| (0.2 * 2_f64.powi(i32::try_from(retry).unwrap())).min(30.0));
    assert!(pauses.sum::<f64>() > 3_600.0, "{retries} retries");
    let age: u32 = text(&mapping["MaximumRecordAgeInSeconds"]).parse().unwrap();
    let retention: u32 = text(&json!({ "Ref": "SourceRetentionSeconds" })).parse().unwrap();
    assert!(age < retention, "records would be trimmed before they reach the failure destination");
}

#[test]
fn the_ledger_mapping_settles_every_notice_in_the_end() {
    let mapping = properties("LedgerMapping");
    assert_eq!(mapping["EventSourceArn"], json!({ "Fn::GetAtt": ["LedgerTable", "StreamArn"] }));
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(mapping["BatchSize"], 10_000);
    assert_eq!(mapping["ParallelizationFactor"], 1);
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["MetricsConfig"]["Metrics"], json!(["EventCount"]));
    // Until the record is older than that; the stream keeps it for 86,400 s.
    assert_eq!((&mapping["MaximumRetryAttempts"], &mapping["MaximumRecordAgeInSeconds"]), (&json!(-1), &json!(79_200)));
    let destination = |mapping: &serde_json::Value| mapping["DestinationConfig"]["OnFailure"]["Destination"].clone();
    assert_eq!(destination(mapping), destination(properties("EventSourceMapping")));
    assert_eq!(properties("FoldFunction")["Timeout"], 300);
    let table = properties("LedgerTable");
    assert_eq!(table["StreamSpecification"]["StreamViewType"], "KEYS_ONLY");
}

#[test]
fn the_ledger_mapping_reads_pages_only() {
    let filters = members(&properties("LedgerMapping")["FilterCriteria"]["Filters"]);
    let [filter] = filters[..] else { panic!("one filter: {filters:?}") };
    let pattern = filter["Pattern"]["Fn::Sub"].as_str().unwrap();
    for name in shipped_names() {
        let pattern: serde_json::Value = serde_json::from_str(&pattern.replace("${Pipeline}", name)).unwrap();
        let prefixes = [format!("p#{name}#"), format!("a#{name}#")].map(|prefix| json!({ "prefix": prefix }));
        let expected = json!({ "eventName": ["INSERT"], "dynamodb": { "Keys": { "pk": { "S": prefixes } } } });
        assert_eq!(pattern, expected);
    }
}

#[test]
fn sweeps_are_events_that_the_function_reads() {
    let mut ago = Vec::new();
    for (name, schedule) in resources("AWS::Scheduler::Schedule").into_iter().filter(|(name, _)| name.contains("Sweep"))
    {
        assert_eq!(schedule["ScheduleExpression"], "rate(1 minute)", "{name}");
        // Scheduler replaces the keyword by a time such as 2026-11-28T10:00:00Z.
        let event = schedule["Target"]["Input"]["Fn::Sub"].as_str().unwrap().replace("${FoldWindowSeconds}", "30");
        let event: serde_json::Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["sweep"]["at"], "<aws.scheduler.scheduled-time>", "{name}");
        assert_eq!(event["sweep"]["fold_window_seconds"], 30, "{name}");
        ago.push(event["sweep"]["minutes_ago"].as_i64().unwrap());
    }
    ago.sort_unstable();
    assert_eq!(ago, [90, 1_500]);
}

#[test]
fn the_proof_is_an_event_that_the_function_reads_after_the_last_sweep() {
    let schedule = properties("ProofSchedule");
    assert_eq!(schedule["ScheduleExpression"], "rate(1 hour)");
    let event = schedule["Target"]["Input"]["Fn::Sub"].as_str().unwrap().replace("${FoldWindowSeconds}", "30");
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    let prove = &event["prove"];
    assert_eq!((&prove["at"], &prove["fold_window_seconds"]), (&json!("<aws.scheduler.scheduled-time>"), &json!(30)));
    // An hour that ended 26 hours ago: its last minute was swept an hour ago.
    assert_eq!(prove["hours_ago"].as_i64().unwrap() * 60 - 60, 1_500);
}

/// The runbooks said that `make deploy` restores a schedule, which it doesn't. What they give instead is what the template has.
#[test]
fn regression_the_runbook_restores_each_schedule_as_the_template_has_it() {
    let operations = file("docs/operations.md");
    let mut rows = 0;
    for (name, schedule) in resources("AWS::Scheduler::Schedule") {
        let input = &schedule["Target"]["Input"];
        let input = input.as_str().or_else(|| input["Fn::Sub"].as_str()).unwrap();
        let input = input.replace("${FoldWindowSeconds}", "FOLD_WINDOW");
        let row = format!("| {name} | `{}` | `{input}` |", text(&schedule["ScheduleExpression"]));
        assert!(operations.contains(&row), "docs/operations.md has no row {row}");
        rows += 1;
    }
    assert_eq!(rows, 5);
    assert!(!operations.contains("`make deploy` restores"), "CloudFormation doesn't see a change by hand");
}

#[test]
fn a_pipeline_that_counts_nothing_has_no_ledger_and_no_fold() {
    let resources = template()["Resources"].as_object().unwrap();
    let conditions = [
        "Counts",
        "ForwardsFoldLogs",
        "WatchesFold",
        "WatchesFoldMetrics",
        "WatchesFoldTraffic",
        // Each of them includes Counts.
        "ProvesArchive",
        "WatchesArchiveProof",
    ];
    let of_ledger = |name: &str| {
        name.contains("Ledger")
            || name.contains("Fold")
            || name.contains("Sweep")
            || name.contains("Proof")
            || name.starts_with("Notices")
    };
    let found: Vec<&String> = resources.keys().filter(|name| of_ledger(name)).collect();
    assert!(found.len() > 10, "{found:?}");
    for name in found {
        let condition = resources[name]["Condition"].as_str().unwrap_or_default();
        assert!(conditions.contains(&condition), "{name}: {condition}");
    }
}

/// The filter used to be on the mappings of other pipelines as well, where it dropped items of the application that have the
/// attributes of a snapshot.
#[test]
fn only_the_limiters_mapping_has_a_filter_and_it_is_that_of_its_pipeline() {
    let criteria = &properties("EventSourceMapping")["FilterCriteria"]["Fn::If"];
    assert_eq!([&criteria[0], &criteria[2]], [&json!("IsZaeLimiter"), &json!({ "Ref": "AWS::NoValue" })]);
    let filters = criteria[1]["Filters"].as_array().unwrap().iter();
    let patterns: Vec<serde_json::Value> =
        filters.map(|filter| serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap()).collect();
    let expected: serde_json::Value = serde_json::from_str(&file("schemas/zae-limiter/filters.json")).unwrap();
    assert_eq!(json!(patterns), expected);
}

/// Without a filter, a stream of the function's own snapshots would invoke it again with each of them.
#[test]
fn the_usage_table_is_the_source_of_the_limiters_pipeline_alone() {
    let conditions = &template()["Conditions"];
    let is_limiter = json!({ "Fn::Not": [{ "Condition": "IsZaeLimiter" }] });
    assert_eq!(conditions["MakesUsageTable"], json!({ "Fn::And": [{ "Condition": "Counts" }, is_limiter] }));
    assert_eq!(properties("UsageTable").get("StreamSpecification"), None);
}

#[test]
fn data_outlives_the_stack() {
    for of_type in ["AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"] {
        for (name, _) in resources(of_type) {
            let resource = &template()["Resources"][name];
            assert_eq!(
                (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
                (&json!("Retain"), &json!("Retain")),
                "{name}"
            );
        }
    }
    for (name, table) in resources("AWS::DynamoDB::Table") {
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
        assert_eq!(table["DeletionProtectionEnabled"], true, "{name}");
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{name}");
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{name}");
        let is_read = ["SourceTable", "LedgerTable"].contains(&name);
        assert_eq!(table.get("StreamSpecification").is_some(), is_read, "{name}");
    }
}

/// The resource names that the template sets, by type. CloudFormation names all other resources.
const NAMED: [(&str, &str); 6] = [
    ("AWS::Athena::WorkGroup", "/Name"),
    ("AWS::CloudWatch::Alarm", "/AlarmName"),
    ("AWS::CloudWatch::CompositeAlarm", "/AlarmName"),
    ("AWS::CloudWatch::Dashboard", "/DashboardName"),
    ("AWS::Glue::Database", "/DatabaseInput/Name"),
    ("AWS::Lambda::Function", "/FunctionName"),
];
/// These belong to the account, whatever the region.
const WITHOUT_REGION: [&str; 1] = ["AWS::CloudWatch::Dashboard"];

#[test]
fn names_are_the_stacks_own() {
    for (of_type, pointer) in NAMED {
        for (id, properties) in resources(of_type) {
            let name = properties.pointer(pointer).unwrap_or_else(|| panic!("{id} has no {pointer}")).to_string();
            assert!(name.contains("AWS::StackName"), "{id}: {name} would collide with another stack's");
            let regional = !WITHOUT_REGION.contains(&of_type);
            assert!(regional || name.contains("AWS::Region"), "{id}: {name} would collide with another region's");
        }
    }
    // Children of a database, a workgroup, a function or a log group.
    let children = [
        "AWS::Athena::NamedQuery",
        "AWS::Glue::Table",
        "AWS::Lambda::Alias",
        "AWS::Logs::MetricFilter",
        "AWS::Logs::SubscriptionFilter",
    ];
    for (id, resource) in template()["Resources"].as_object().unwrap() {
        let of_type = resource["Type"].as_str().unwrap();
        if NAMED.iter().any(|(named, _)| *named == of_type) || children.contains(&of_type) {
            continue;
        }
        let own = format!("{}Name", of_type.rsplit("::").next().unwrap());
        for property in ["Name", &own] {
            assert!(
                resource["Properties"].get(property).is_none(),
                "{id}: its {property} would collide with another's"
            );
        }
    }
}

#[test]
fn regression_every_output_has_its_own_description() {
    let outputs = template()["Outputs"].as_object().unwrap();
    let descriptions: BTreeSet<&str> = outputs.values().map(|output| output["Description"].as_str().unwrap()).collect();
    assert_eq!(descriptions.len(), outputs.len(), "{descriptions:?}");
}

#[test]
fn every_parameter_is_explained_and_in_one_group() {
    let parameters = template()["Parameters"].as_object().unwrap();
    let groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].as_array().unwrap();
    let grouped: Vec<&str> =
        groups.iter().flat_map(|group| members(&group["Parameters"])).map(|name| name.as_str().unwrap()).collect();
    assert_eq!(grouped.iter().collect::<BTreeSet<_>>().len(), grouped.len());
    assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), parameters.keys().map(String::as_str).collect());
    for (name, parameter) in parameters {
        assert!(parameter["Description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        let bounds = ["AllowedValues", "AllowedPattern", "MinValue"];
        assert!(bounds.iter().any(|bound| parameter.get(bound).is_some()), "{name} takes anything");
    }
}
