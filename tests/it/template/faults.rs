//! Faults that alarms once missed: each test names the fault and the alarm or the query that now finds it.

use serde_json::{Value, json};

use super::alarms::{alarms, composite, widgets};
use super::{file, members, properties, template, text};

/// Alarms on an age. A function that stalls completely has no age, which must not clear them.
pub(super) const AGES: [&str; 7] = [
    "IteratorAgeWarning",
    "IteratorAgeHigh",
    "RetentionBurn",
    "KinesisIteratorAge",
    "KinesisRetentionBurn",
    "FoldAge",
    "FoldIteratorAge",
];

/// The metrics of an alarm, by their ids.
fn stat(alarm: &Value, id: &str) -> Value {
    let metrics = alarm["Metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["Id"] == id).unwrap_or_else(|| panic!("no {id}: {alarm}"))["MetricStat"].clone()
}

fn condition(name: &str) -> &'static Value {
    &template()["Conditions"][name]
}

#[test]
fn a_disabled_or_deleted_mapping_pages_by_default_and_an_idle_one_does_not() {
    assert_eq!(template()["Parameters"]["NoTrafficAlarm"]["Default"], "true");
    for (alarm, mapping) in [("NoTraffic", "EventSourceMapping"), ("FoldNoTraffic", "LedgerMapping")] {
        let properties = properties(alarm);
        assert_eq!(
            properties["Dimensions"],
            json!([{ "Name": "EventSourceMappingUUID", "Value": { "Ref": mapping } }])
        );
        // An empty poll is a sample of 0, so samples are counted, not summed up.
        assert_eq!(
            (&properties["MetricName"], &properties["Statistic"]),
            (&json!("PolledEventCount"), &json!("SampleCount"))
        );
        assert_eq!(properties["TreatMissingData"], "breaching", "{alarm}");
        assert!(composite("Page").contains(alarm), "{alarm}");
    }
    // A mapping that the stack itself disables is silent on purpose.
    let enabled = json!({ "Fn::Equals": [{ "Ref": "MappingEnabled" }, "true"] });
    assert!(condition("WatchesTraffic")["Fn::And"].as_array().unwrap().contains(&enabled));
    assert!(!condition("WatchesFoldTraffic").to_string().contains("MappingEnabled"));
}

#[test]
fn a_function_that_stalls_completely_clears_no_alarm_on_an_age() {
    let ages = alarms().into_iter().filter(|(_, alarm)| {
        let text = alarm.to_string();
        ["\"IteratorAge\"", "IteratorAgeMilliseconds", "\"FoldAge\""].iter().any(|metric| text.contains(metric))
    });
    let mut names: Vec<&str> = ages.map(|(name, _)| name).collect();
    names.sort_unstable();
    let mut expected = AGES;
    expected.sort_unstable();
    assert_eq!(names, expected);
    for name in AGES {
        assert_eq!(properties(name)["TreatMissingData"], "ignore", "{name}");
    }
}

#[test]
fn kinesis_itself_says_how_much_of_the_retention_is_used() {
    let alarm = properties("KinesisRetentionBurn");
    assert_eq!(alarm["Metrics"][0]["Expression"], properties("RetentionBurn")["Metrics"][0]["Expression"]);
    let age = stat(alarm, "age");
    assert_eq!(
        (&age["Metric"]["Namespace"], &age["Metric"]["MetricName"]),
        (&json!("AWS/Kinesis"), &json!("GetRecords.IteratorAgeMilliseconds"))
    );
    assert_eq!(text(&alarm["Threshold"]), "50");
    assert!(composite("Page").contains("KinesisRetentionBurn"));
}

#[test]
fn partial_failures_count_as_errors_for_both_mappings() {
    for (alarm, mapping) in [("RecordsFailed", "EventSourceMapping"), ("NoticesFailed", "LedgerMapping")] {
        let properties = properties(alarm);
        for (id, metric) in [("failed", "FailedInvokeEventCount"), ("invoked", "InvokedEventCount")] {
            let stat = stat(properties, id);
            assert_eq!(stat["Metric"]["MetricName"], metric, "{alarm}");
            assert_eq!(stat["Metric"]["Dimensions"][0]["Value"]["Ref"], mapping, "{alarm}");
        }
        assert_eq!(
            properties["Metrics"][0]["Expression"],
            "IF(FILL(failed, 0) > FILL(invoked, 0), 100, 100 * FILL(failed, 0) / invoked)"
        );
    }
    assert!(composite("Page").contains("RecordsFailed") && composite("Ticket").contains("NoticesFailed"));
}

#[test]
fn timeouts_crashes_and_memory_are_found_in_lambdas_own_reports() {
    let query = |title: &str| {
        let widget = widgets().into_iter().find(|widget| widget["properties"]["title"] == title);
        widget.unwrap_or_else(|| panic!("no widget {title}"))["properties"]["query"].as_str().unwrap().to_owned()
    };
    let crashes = query("Recent timeouts and crashes");
    assert!(crashes.contains("type = 'platform.report' and record.status != 'success'"), "{crashes}");
    let memory = query("Memory used (% of the function's memory)");
    for query in [crashes, memory] {
        assert!(!query.contains("level"), "reports have no level: {query}");
        for field in ["record.metrics.maxMemoryUsedMB", "record.metrics.memorySizeMB", "${FoldSource}"] {
            assert!(query.contains(field), "{query}");
        }
    }
    assert!(file("docs/operations.md").contains(r#"{ $.type = "platform.report" && $.record.status != "success" }"#));
    // Reports are system logs of level INFO, and JSON only if the format says so.
    for function in ["Function", "FoldFunction"] {
        let logging = &properties(function)["LoggingConfig"];
        assert_eq!((&logging["LogFormat"], &logging["SystemLogLevel"]), (&json!("JSON"), &json!("INFO")), "{function}");
    }
}

#[test]
fn a_file_that_is_already_there_triggers_no_alarm_and_a_failing_s3_pages() {
    for (name, alarm) in alarms() {
        assert!(!alarm.to_string().contains("4xxErrors"), "{name} would count 412");
    }
    let alarm = properties("S3Errors");
    assert_eq!(stat(alarm, "server_errors")["Metric"]["MetricName"], "5xxErrors");
    assert_eq!(alarm["Metrics"][0]["Expression"], "100 * FILL(server_errors, 0) / requests");
    assert!(composite("Page").contains("S3Errors"));
}

#[test]
fn small_files_stay_in_standard_and_old_ones_expire_by_parameter() {
    let rules = members(&properties("ArchiveBucket")["LifecycleConfiguration"]["Rules"]);
    let rule = |id: &str| *rules.iter().find(|rule| rule["Id"] == id).unwrap_or_else(|| panic!("no rule {id}"));
    // 128 KB is the least that Glacier Instant Retrieval charges for.
    assert_eq!(rule("archive")["ObjectSizeGreaterThan"], 128 * 1024);
    assert_eq!(rule("expire")["ExpirationInDays"]["Ref"], "ArchiveExpireDays");
    assert_eq!(template()["Parameters"]["ArchiveExpireDays"]["Default"], 0);
    assert_eq!(rule("markers")["ExpiredObjectDeleteMarker"], true);
    let all = properties("ArchiveBucket")["LifecycleConfiguration"]["Rules"].to_string();
    assert_eq!(all.matches(r#""Fn::If":["ExpiresArchive",{"ExpirationInDays""#).count(), 2, "{all}");
    assert_eq!(rule("expire-compacted")["ExpirationInDays"]["Ref"], "ArchiveExpireDays");
    let prefixes = ["expire", "expire-compacted"].map(|id| &rule(id)["Prefix"]["Fn::Sub"][0]);
    assert_eq!(prefixes, ["${Prefix}/avro/", "${Prefix}/parquet/"]);
}

/// CloudFormation replaces a budget whose subscribers change, and creates the new one first: with a name of its own, that failed, and
/// nobody could become the receiver of the alarms.
#[test]
fn regression_the_budget_has_no_name_that_its_replacement_would_need() {
    assert!(properties("MonthlyBudget")["NotificationsWithSubscribers"].to_string().contains("AlarmEmail"));
    assert!(properties("MonthlyBudget")["Budget"].get("BudgetName").is_none());
}

#[test]
fn the_budget_is_the_stacks_own_and_emails_somebody() {
    let budget = properties("MonthlyBudget");
    let tag = json!({ "Fn::Join": ["$", ["aws:cloudformation:stack-name", { "Ref": "AWS::StackName" }]] });
    assert_eq!(budget["Budget"]["CostFilters"], json!({ "TagKeyValue": [tag] }));
    let notifications = budget["NotificationsWithSubscribers"].as_array().unwrap();
    assert_eq!(notifications.len(), 2);
    for notification in notifications {
        let subscriber = json!([{ "SubscriptionType": "EMAIL", "Address": { "Ref": "AlarmEmail" } }]);
        assert_eq!(notification["Subscribers"], subscriber);
    }
    let email = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmEmail" }, ""] }] });
    assert_eq!(template()["Resources"]["MonthlyBudget"]["Condition"], "HasBudget");
    assert!(condition("HasBudget")["Fn::And"].as_array().unwrap().contains(&email));
    // 80% of the default is above the fixed costs of docs/cost.md.
    let cost = file("docs/cost.md");
    let fixed = cost.split_once("in all, $").expect("the sum of the fixed costs").1.split(' ').next().unwrap();
    let dollars = template()["Parameters"]["BudgetDollars"]["Default"].as_f64().unwrap();
    assert!(0.8 * dollars > fixed.parse::<f64>().unwrap(), "{fixed}");
}

#[test]
fn throttles_have_a_reason_a_key_and_a_cap() {
    let reasons = ["KeyRangeThroughput", "AccountLimit", "MaxOnDemandThroughput"];
    let title = "Throttles by reason, and conflicts";
    let widget = widgets().into_iter().find(|widget| widget["properties"]["title"] == title).unwrap().to_string();
    for metric in
        reasons.iter().flat_map(|reason| ["Read", "Write"].map(|kind| format!("{kind}{reason}ThrottleEvents")))
    {
        for table in ["Usage", "Ledger"] {
            assert!(widget.contains(&format!("\"{metric}\",\"TableName\",\"${{{table}}}\"")), "{metric} of {table}");
        }
    }
    let operations = file("docs/operations.md");
    assert!(reasons.iter().all(|reason| operations.contains(&format!("| {reason} |"))));
    for table in ["UsageTable", "LedgerTable"] {
        let table = properties(table);
        assert_eq!(table["ContributorInsightsSpecification"], json!({ "Enabled": true, "Mode": "THROTTLED_KEYS" }));
        let cap = members(&table["OnDemandThroughput"])[0];
        assert_eq!(cap["MaxWriteRequestUnits"]["Fn::If"][1]["Ref"], "MaximumWriteUnits");
        assert_eq!(cap["MaxReadRequestUnits"]["Fn::If"][1]["Ref"], "MaximumReadUnits");
        assert_eq!(members(&table["WarmThroughput"])[0]["WriteUnitsPerSecond"]["Ref"], "WarmWriteUnits");
    }
    let conflicts = properties("TransactionConflicts");
    assert_eq!(conflicts["MetricName"], "TransactionConflict");
    assert_eq!(conflicts["Dimensions"][0]["Value"]["Ref"], "LedgerTable");
}

#[test]
fn the_kill_switch_is_limited_by_the_maximum_record_age_and_restores_the_deployed_value() {
    let operations = file("docs/operations.md");
    let (_, section) = operations.split_once("### Kill switch and restart\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    assert!(section.contains("MaximumRecordAgeSeconds (22 hours by default)"), "{section}");
    assert_eq!(text(&json!({ "Ref": "MaximumRecordAgeSeconds" })), (22 * 3_600).to_string());
    assert!(section.contains("parameter ReservedConcurrency"), "{section}");
    let literal = |rest: &str| rest.starts_with(|first: char| ('1'..='9').contains(&first));
    assert!(!section.split("--reserved-concurrent-executions ").skip(1).any(literal), "{section}");
    assert!(widgets()[0].to_string().contains("at most ${MaximumRecordAgeSeconds} s"));
}

#[test]
fn the_documents_count_the_alarms_that_there_are() {
    let count = alarms().len();
    assert!(file("README.md").contains(&format!(" {count} alarms with\n")), "README.md doesn't say {count}");
    // What a stack with the default parameters and a table as its source is charged for.
    let absent = ["WatchesQueue", "WatchesKinesis", "WatchesBill", "WatchesConcurrency"];
    let present = alarms()
        .into_iter()
        .filter(|(name, _)| !absent.contains(&template()["Resources"][*name]["Condition"].as_str().unwrap()));
    let metrics = present.map(|(_, alarm)| match alarm["Metrics"].as_array() {
        Some(metrics) => metrics.iter().filter(|metric| metric.get("MetricStat").is_some()).count(),
        None => 1,
    });
    let metrics: usize = metrics.sum();
    assert!(
        file("docs/cost.md").contains(&format!("| alarms: {metrics} metrics monitored, 2 composites |")),
        "{metrics}"
    );
}

/// With these sinks, nothing that the function measures reaches CloudWatch, so alarms on it would never have data.
#[test]
fn alarms_on_own_metrics_need_a_sink_that_cloudwatch_gets() {
    let parts = |condition: &str| template()["Conditions"][condition]["Fn::And"].as_array().unwrap();
    for sink in ["none", "otlp"] {
        let is_another = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "MetricsSink" }, sink] }] });
        assert!(parts("WatchesOwn").contains(&is_another), "{sink}: {:?}", parts("WatchesOwn"));
    }
    for condition in ["WatchesFoldMetrics", "WatchesArchiveProof"] {
        assert!(parts(condition).contains(&json!({ "Condition": "WatchesOwn" })), "{condition}");
    }
    assert_eq!(template()["Resources"]["FoldAge"]["Condition"], "WatchesFoldMetrics");
}
