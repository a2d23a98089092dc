//! What an account has or asks for: little concurrency when it is new, a client that overwrites functions, and the rules of
//! an organization.

use std::collections::BTreeSet;

use serde_json::json;

use super::{properties, resources, template};

/// Issue 16: the defaults reserved 20, and a new account has 10.
#[test]
fn regression_the_defaults_deploy_in_a_new_account() {
    for (function, parameter, condition) in [
        ("Function", "ReservedConcurrency", "ReservesConcurrency"),
        ("FoldFunction", "FoldReservedConcurrency", "ReservesFoldConcurrency"),
    ] {
        let given = &properties(function)["ReservedConcurrentExecutions"];
        assert_eq!(*given, json!({ "Fn::If": [condition, { "Ref": parameter }, { "Ref": "AWS::NoValue" }] }));
        let equals_none = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": parameter }, "none"] }] });
        assert_eq!(template()["Conditions"][condition], equals_none);
        assert_eq!(template()["Parameters"][parameter]["Default"], "none");
    }
    // The alarm divides by it.
    let watches = template()["Conditions"]["WatchesConcurrency"].to_string();
    assert!(watches.contains("ReservesConcurrency") && watches.contains(r#""0""#), "{watches}");
}

/// Issue 16: ZaeLimiterName offered exactly the name onto which a newer client pushes its own code.
#[test]
fn regression_no_function_has_the_name_that_a_zae_limiter_client_overwrites() {
    assert!(template()["Parameters"].get("ZaeLimiterName").is_none());
    let names = resources("AWS::Lambda::Function").into_iter().map(|(id, function)| (id, &function["FunctionName"]));
    for (id, name) in names {
        // Of a stack that is itself named <table>-aggregator, too.
        let of_limiter = if name["Fn::If"][0] == "IsZaeLimiter" { &name["Fn::If"][1] } else { name };
        let text = of_limiter["Fn::Sub"].as_str().unwrap_or_else(|| panic!("{id}: {name}"));
        assert!(["-append", "-fold", "-compact"].iter().any(|end| text.ends_with(end)), "{id}: {text}");
    }
}

#[test]
fn every_role_has_the_permissions_boundary() {
    for (id, role) in resources("AWS::IAM::Role") {
        let boundary =
            json!({ "Fn::If": ["HasBoundary", { "Ref": "PermissionsBoundaryArn" }, { "Ref": "AWS::NoValue" }] });
        assert_eq!(role["PermissionsBoundary"], boundary, "{id}");
    }
}

#[test]
fn regression_logs_outlive_the_stack_and_their_names_are_never_used_again() {
    for (id, group) in resources("AWS::Logs::LogGroup") {
        let resource = &template()["Resources"][id];
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            (&json!("Retain"), &json!("Retain"))
        );
        // Compaction could not be turned on again: the log group of the first time was still there, and had the same name.
        assert!(group.get("LogGroupName").is_none(), "{id}");
    }
    let days = template()["Parameters"]["LogRetentionDays"]["AllowedValues"].as_array().unwrap();
    assert_eq!(days.last(), Some(&json!(3_653)));
}

#[test]
fn every_log_group_is_forwarded() {
    let forwarded: BTreeSet<&str> = resources("AWS::Logs::SubscriptionFilter")
        .into_iter()
        .map(|(id, filter)| {
            assert_eq!(filter["DestinationArn"], json!({ "Ref": "LogDestinationArn" }), "{id}");
            // Everything.
            assert_eq!(filter["FilterPattern"], "", "{id}");
            filter["LogGroupName"]["Ref"].as_str().unwrap()
        })
        .collect();
    assert_eq!(forwarded, resources("AWS::Logs::LogGroup").into_iter().map(|(id, _)| id).collect());
    let may = &properties("LogForwardRole")["Policies"][0]["PolicyDocument"]["Statement"][0];
    assert_eq!(may["Resource"], json!({ "Ref": "LogDestinationArn" }));
}

#[test]
fn the_trail_records_reads_and_writes_of_all_data_and_not_of_itself() {
    let selector = &properties("Trail")["EventSelectors"][0];
    assert_eq!((&selector["ReadWriteType"], &selector["IncludeManagementEvents"]), (&json!("All"), &json!(false)));
    let data = selector["DataResources"].to_string();
    for recorded in
        ["${ArchiveBucket.Arn}/", "${FailureBucket.Arn}/", r#"["LedgerTable","Arn"]"#, r#"["UsageTable","Arn"]"#]
    {
        assert!(data.contains(recorded), "{recorded}: {data}");
    }
    // Recording what is recorded would never end.
    assert!(!data.contains("TrailBucket"), "{data}");
    assert_eq!(properties("Trail")["EnableLogFileValidation"], true);
    assert_eq!(template()["Parameters"]["AuditTrail"]["Default"], "none");
}
