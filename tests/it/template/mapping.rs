//! The event source mapping and what else operations rely on: the settings without which records are lost or counted late.

use serde_json::json;
use usage_aggregator::pipeline::{Pipeline, shipped, shipped_names};

use super::{file, members, properties, resources, template, text};

#[test]
fn the_mapping_loses_nothing_and_blocks_on_nothing() {
    let mapping = properties("EventSourceMapping");
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["MetricsConfig"]["Metrics"], json!(["EventCount"]));
    assert_eq!(members(&mapping["DestinationConfig"]["OnFailure"]["Destination"]).len(), 2);
    assert_eq!(text(&mapping["MaximumRetryAttempts"]), "10");
    let age: u32 = text(&mapping["MaximumRecordAgeInSeconds"]).parse().unwrap();
    let retention: u32 = text(&json!({ "Ref": "SourceRetentionSeconds" })).parse().unwrap();
    assert!(age < retention, "records would be trimmed before they reach the failure destination");
}

/// The patterns of the first or the second of the choices of FilterCriteria.
fn patterns(choice: usize) -> Vec<String> {
    let criteria = members(&properties("EventSourceMapping")["FilterCriteria"]);
    let filters = criteria[choice]["Filters"].as_array().unwrap();
    filters.iter().map(|filter| filter["Pattern"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_limiters_filter_is_that_of_its_pipeline() {
    let patterns: Vec<serde_json::Value> =
        patterns(0).iter().map(|pattern| serde_json::from_str(pattern).unwrap()).collect();
    let expected: serde_json::Value = serde_json::from_str(&file("schemas/zae-limiter/filters.json")).unwrap();
    assert_eq!(json!(patterns), expected);
}

#[test]
fn the_filter_leaves_out_snapshots_and_nothing_else() {
    let filters = patterns(1);
    let attribute = |pattern: &String| {
        let pattern: serde_json::Value = serde_json::from_str(pattern).unwrap();
        let image = pattern["dynamodb"]["NewImage"].as_object().unwrap().clone();
        let (name, wanted) = image.into_iter().next().unwrap();
        // "One of these is absent": a record is left out only when it has them all.
        assert_eq!(wanted, json!({ "S": [{ "exists": false }] }));
        name
    };
    let attributes: Vec<String> = filters.iter().map(attribute).collect();
    assert!(attributes.len() > 1);
    for name in shipped_names() {
        let pipeline = Pipeline::parse(&shipped(name).unwrap()).unwrap();
        let Some(snapshot) = &pipeline.snapshot else { continue };
        // That pipeline has a filter of its own.
        if name == "zae-limiter" {
            continue;
        }
        for attribute in &attributes {
            let written = snapshot.attributes.iter().any(|(name, _)| name == attribute);
            assert!(written, "snapshots of {name} have no attribute {attribute}, so they would come back");
        }
    }
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
        assert_eq!(table.get("StreamSpecification").is_some(), name == "SourceTable", "{name}");
    }
}

#[test]
fn names_are_the_stacks_own() {
    for (of_type, property) in [
        ("AWS::DynamoDB::Table", "TableName"),
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::SNS::Topic", "TopicName"),
    ] {
        for (name, properties) in resources(of_type) {
            assert!(properties.get(property).is_none(), "{name}: a fixed name would collide with another stack's");
        }
    }
    for (name, properties) in resources("AWS::CloudWatch::Alarm") {
        assert_eq!(properties["AlarmName"]["Fn::Sub"], format!("${{AWS::StackName}}-{name}"));
    }
}
