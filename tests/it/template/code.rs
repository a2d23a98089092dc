//! The function's variables and permissions: what the template gives is what the code asks for, no more and no less.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use usage_aggregator::config::VARIABLES;

use super::{file, members, properties, template, text};
use crate::calls::MAY_CALL;

/// The two deployments of the function's binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deployed {
    Append,
    /// The append function of a pipeline that has indicators.
    Keep,
    Fold,
    /// The fold function when the ledger's stream delivers alerts. With FRESHNESS=now, the append function folds, but doesn't
    /// send.
    Send,
}
use Deployed::{Append, Fold, Keep, Send};

/// What each call of an SDK client needs, and who makes it.
const CALLS: [(&str, &str, Option<&str>, &[Deployed]); 19] = [
    // Only open a connection, by requests that need no permission.
    ("ledger/table.rs", "get_item", None, &[]),
    ("ledger/table.rs", "put_item", Some("dynamodb:PutItem"), &[Append]),
    ("ledger/table.rs", "query", Some("dynamodb:Query"), &[Fold]),
    // Only `usagectl watch` reads the first alerts, with the permissions of whoever runs it.
    ("ledger/table/alerts.rs", "query", None, &[]),
    // Only the compaction function keeps since when the pipeline counts what it counts now.
    ("ledger/table/definition.rs", "put_item", None, &[]),
    // Alerts. Only usagectl corrects, with the permissions of whoever runs it.
    ("ledger/table/register.rs", "put_item", Some("dynamodb:PutItem"), &[Fold]),
    ("ledger/table/swap.rs", "put_item", Some("dynamodb:PutItem"), &[Fold]),
    // A transaction needs what its actions do, and this one only puts.
    ("ledger/table/swap.rs", "transact_write_items", Some("dynamodb:PutItem"), &[Fold]),
    // Limits of alerts, and snapshots.
    ("fold/limits.rs", "get_item", Some("dynamodb:GetItem"), &[Fold]),
    ("fold/publish/stored.rs", "get_item", Some("dynamodb:GetItem"), &[Fold]),
    ("fold/publish.rs", "update_item", Some("dynamodb:UpdateItem"), &[Fold]),
    // Targets and items of the source table.
    ("indicator/table.rs", "get_item", Some("dynamodb:GetItem"), &[Keep]),
    ("indicator/table.rs", "query", Some("dynamodb:Query"), &[Keep]),
    ("indicator/table.rs", "update_item", Some("dynamodb:UpdateItem"), &[Keep]),
    ("archive/bucket.rs", "head_bucket", None, &[]),
    ("archive/bucket.rs", "put_object", Some("s3:PutObject"), &[Append, Fold]),
    ("alerts.rs", "put_events", Some("events:PutEvents"), &[Send]),
    ("alerts.rs", "publish", Some("sns:Publish"), &[Send]),
    ("metrics/cloudwatch.rs", "put_metric_data", Some("cloudwatch:PutMetricData"), &[Append, Fold]),
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

/// The calls in the files that may name a service's client.
fn calls_of_the_code() -> BTreeSet<(&'static str, String)> {
    let mut calls = BTreeSet::new();
    for (name, _) in MAY_CALL {
        let whole = file(&format!("src/{name}"));
        let code = whole.split("#[cfg(test)]").next().unwrap();
        for rest in code.split("client").skip(1) {
            let Some(call) = rest.trim_start().strip_prefix('.') else { continue };
            let call: String = call.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if call != "clone" {
                calls.insert((*name, call));
            }
        }
        for other in ["Update::builder()", "Delete::builder()", "ConditionCheck::builder()"] {
            assert!(!code.contains(&format!(" {other}")), "{name}: a transaction that does more than put");
        }
    }
    calls
}

fn actions_of(deployed: Deployed) -> BTreeSet<&'static str> {
    CALLS.iter().filter(|(_, _, _, by)| by.contains(&deployed)).filter_map(|(_, _, action, _)| *action).collect()
}

/// What the fold function calls.
pub(super) fn actions_of_fold() -> BTreeSet<&'static str> {
    actions_of(Fold).union(&actions_of(Send)).copied().collect()
}

/// The statements of a role's policy: each with the condition under which it is there.
pub(super) fn conditional(role: &str, policy: &str) -> Vec<(Option<&'static str>, &'static Value)> {
    let policies = members(&properties(role)["Policies"]);
    let policy = policies.into_iter().find(|found| found["PolicyName"] == policy).expect("the policy");
    let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    let conditional = |statement: &'static Value| {
        let condition = statement["Fn::If"][0].as_str();
        members(statement).into_iter().map(move |member| (condition, member))
    };
    statements.iter().flat_map(conditional).collect()
}

pub(super) fn statements(role: &str, policy: &str) -> Vec<&'static Value> {
    conditional(role, policy).into_iter().map(|(_, statement)| statement).collect()
}

/// What a role may do by itself, and what it may do in addition with FRESHNESS=now.
fn allowed(role: &str) -> [BTreeSet<&'static str>; 2] {
    let of = |at_once: bool| {
        let statements = conditional(role, "function").into_iter();
        let statements = statements
            .filter(|(condition, _)| condition.is_none_or(|condition| !condition.starts_with(KEEPS_INDICATORS)))
            .filter(|(condition, _)| condition.is_some_and(|condition| condition.ends_with("AtOnce")) == at_once);
        let actions = statements.flat_map(|(_, statement)| actions(statement));
        actions.filter(|action| !OF_LAMBDA.contains(action)).collect()
    };
    [of(false), of(true)]
}

/// What the conditions of permissions for indicators start with.
const KEEPS_INDICATORS: &str = "KeepsIndicators";

/// The actions of a statement.
pub(super) fn actions(statement: &'static Value) -> Vec<&'static str> {
    members(&statement["Action"]).into_iter().map(|action| action.as_str().unwrap()).collect()
}

/// Whether a variable is one of OpenTelemetry's.
fn is_standard(name: &str) -> bool {
    name.starts_with("OTEL_") || name.starts_with("OPENTELEMETRY_")
}

#[test]
fn both_functions_are_given_every_variable_that_they_read_and_no_other() {
    for function in ["Function", "FoldFunction"] {
        let given = properties(function)["Environment"]["Variables"].as_object().unwrap();
        let read: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
        // Those of telemetry are standard, and have a test of their own.
        let own = given.keys().map(String::as_str).filter(|name| !is_standard(name));
        assert_eq!(own.collect::<BTreeSet<_>>(), read);
        for name in [
            "LEDGER_BUCKETS",
            "FRESHNESS",
            "COUNT_FROM",
            "FOLD_EPOCH",
            "KEEP_DAYS",
            "QUARANTINE_LIMIT_PERCENT",
            "ARCHIVE_CODEC",
            "ARCHIVE_UNIT",
            "METRICS_SINK",
            "HORIZON_DAYS",
            "DEADLINE_MARGIN_MS",
            "CONCURRENCY",
        ] {
            let variable = VARIABLES.iter().find(|variable| variable.name == name).unwrap();
            assert_eq!(text(&given[name]), variable.default, "{function}: {name}");
        }
    }
}

#[test]
fn different_values_are_hashed_with_the_id_of_the_stack_unless_a_key_is_set() {
    let key = json!({ "Fn::If": ["HasDistinctKey", { "Ref": "DistinctKey" }, { "Ref": "AWS::StackId" }] });
    for function in ["Function", "FoldFunction", "CompactFunction"] {
        assert_eq!(properties(function)["Environment"]["Variables"]["DISTINCT_KEY"], key);
    }
    assert_eq!(text(&template()["Parameters"]["DistinctKey"]["Default"]), "");
}

#[test]
fn record_ids_have_16_bytes_where_a_producer_may_choose_them_and_the_default_elsewhere() {
    assert_eq!(template()["Parameters"]["RecordIdBytes"]["Default"], "auto");
    let chosen = json!({ "Fn::Equals": [{ "Ref": "RecordIdBytes" }, "auto"] });
    assert_eq!(template()["Conditions"]["ChoosesIdBytes"], chosen);
    let kinesis = json!({ "Fn::Equals": [{ "Ref": "SourceType" }, "KinesisStream"] });
    assert_eq!(template()["Conditions"]["IsKinesis"], kinesis);
    let default = VARIABLES.iter().find(|variable| variable.name == "RECORD_ID_BYTES").unwrap().default;
    for function in ["Function", "FoldFunction"] {
        let given = &properties(function)["Environment"]["Variables"]["RECORD_ID_BYTES"];
        let by_source = json!({ "Fn::If": ["IsKinesis", "16", default] });
        assert_eq!(*given, json!({ "Fn::If": ["ChoosesIdBytes", by_source, { "Ref": "RecordIdBytes" }] }));
    }
}

#[test]
fn telemetry_is_off_by_default_and_its_secret_is_only_referred_to() {
    for function in ["Function", "FoldFunction"] {
        let given = properties(function)["Environment"]["Variables"].as_object().unwrap();
        let standard: Vec<&str> = given.keys().map(String::as_str).filter(|name| is_standard(name)).collect();
        assert_eq!(
            standard,
            [
                "OPENTELEMETRY_COLLECTOR_CONFIG_URI",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_EXPORTER_OTLP_HEADERS",
                "OTEL_LOGS_EXPORTER",
                "OTEL_RESOURCE_ATTRIBUTES",
                "OTEL_TRACES_EXPORTER",
                "OTEL_TRACES_SAMPLER",
                "OTEL_TRACES_SAMPLER_ARG",
            ]
        );
        assert_eq!(text(&given["OTEL_EXPORTER_OTLP_ENDPOINT"]), "", "{function}");
        // The rest of the template, with its outputs and permissions, doesn't name the secret's value.
        let headers = given["OTEL_EXPORTER_OTLP_HEADERS"].to_string();
        assert!(headers.contains("{{resolve:secretsmanager:${OtlpHeadersSecretArn}:SecretString}}"), "{headers}");
    }
    let whole = template().to_string();
    assert_eq!(whole.matches("{{resolve:").count(), 2);
}

#[test]
fn every_call_of_the_code_is_listed_here() {
    let listed: BTreeSet<(&str, String)> = CALLS.iter().map(|(file, call, ..)| (*file, (*call).to_owned())).collect();
    assert_eq!(calls_of_the_code(), listed);
}

#[test]
fn the_append_role_may_append_and_nothing_else() {
    let [by_itself, at_once] = allowed("FunctionRole");
    assert_eq!(by_itself, actions_of(Append));
    // With FRESHNESS=now it folds, too.
    let both: BTreeSet<&str> = by_itself.union(&at_once).copied().collect();
    assert_eq!(both, actions_of(Append).union(&actions_of(Fold)).copied().collect());
    assert!(at_once.iter().all(|action| action.starts_with("dynamodb:")), "{at_once:?}");
}

#[test]
fn the_append_role_reads_and_writes_the_source_only_for_indicators() {
    let all = conditional("FunctionRole", "function").into_iter();
    let keeps: Vec<_> = all.filter(|(condition, _)| *condition == Some(KEEPS_INDICATORS)).collect();
    let [(_, statement)] = keeps[..] else { panic!("{keeps:?}") };
    assert_eq!(actions(statement).into_iter().collect::<BTreeSet<_>>(), actions_of(Keep));
    let is_kept =
        json!({ "Fn::Equals": [{ "Fn::FindInMap": ["Pipelines", { "Ref": "Pipeline" }, "Indicators"] }, "true"] });
    assert_eq!(template()["Conditions"][KEEPS_INDICATORS]["Fn::And"][0], is_kept);
    let [table, indexes] = &statement["Resource"].as_array().unwrap()[..] else { panic!("{statement}") };
    assert_eq!(table["Fn::If"][0], "MakesSource");
    assert_eq!(table["Fn::If"][1], json!({ "Fn::GetAtt": ["SourceTable", "Arn"] }));
    assert_eq!(
        table["Fn::If"][2]["Fn::If"][2],
        json!({ "Fn::Select": [0, { "Fn::Split": ["/stream/", { "Ref": "SourceArn" }] }] })
    );
    assert_eq!(indexes["Fn::Sub"], json!(["${Table}/index/*", { "Table": table }]));
    // The fold function never evaluates indicators.
    assert!(
        conditional("FoldRole", "function").iter().all(|(_, statement)| !statement.to_string().contains("SourceTable"))
    );
}

#[test]
fn the_fold_role_may_fold_and_nothing_else() {
    let [by_itself, at_once] = allowed("FoldRole");
    assert_eq!((by_itself, at_once), (actions_of_fold(), BTreeSet::new()));
}

#[test]
fn the_fold_function_keeps_notices_that_are_too_old() {
    let given = &properties("FoldFunction")["Environment"]["Variables"]["FAILURE_BUCKET"];
    assert_eq!(*given, json!({ "Ref": "FailureBucket" }));
    let put = |role| {
        let all = conditional(role, "function").into_iter();
        let puts = all.filter(|(_, statement)| actions(statement) == ["s3:PutObject"]);
        puts.map(|(condition, statement)| (condition, statement["Resource"].to_string())).collect::<Vec<_>>()
    };
    let [(condition, resource)] = &put("FoldRole")[..] else { panic!("one bucket: {:?}", put("FoldRole")) };
    assert_eq!((*condition, resource.as_str()), (None, r#"{"Fn::Sub":"${FailureBucket.Arn}/notices/*"}"#));
    assert!(put("FunctionRole").iter().all(|(_, resource)| !resource.contains("notices")), "append has no notices");
}

#[test]
fn each_role_reads_its_own_stream() {
    let read = |role: &str| {
        let statements = statements(role, "event-source-mapping").into_iter();
        statements.filter(|statement| statement["Sid"] == "ReadStream").collect::<Vec<_>>()
    };
    let [stream] = read("FoldRole")[..] else { panic!("one stream") };
    assert_eq!(stream["Resource"]["Fn::GetAtt"][0], "LedgerTable");
    assert!(read("FunctionRole").iter().all(|statement| statement["Resource"]["Fn::GetAtt"][0] != "LedgerTable"));
}

#[test]
fn every_permission_is_on_its_resource() {
    let roles = ["FunctionRole", "FoldRole"].into_iter();
    let policies = roles.flat_map(|role| ["function", "event-source-mapping"].map(|policy| statements(role, policy)));
    for statement in policies.flatten().chain(statements("SweepRole", "sweep")) {
        assert_eq!(statement["Effect"], "Allow");
        assert!(actions(statement).iter().all(|action| !action.contains('*')), "{statement}");
        let unbounded = members(&statement["Resource"]).iter().any(|resource| **resource == "*");
        // These know no resources.
        let cannot = actions(statement)
            .iter()
            .all(|action| action.starts_with("xray:") || *action == "cloudwatch:PutMetricData");
        assert_eq!(unbounded, cannot, "{statement}");
    }
}

#[test]
fn metrics_may_be_put_into_the_functions_own_namespace_only() {
    for (role, function) in [("FunctionRole", "Function"), ("FoldRole", "FoldFunction")] {
        let mut all = statements(role, "function").into_iter();
        let put = all.find(|statement| actions(statement) == ["cloudwatch:PutMetricData"]);
        let bound = &put.unwrap()["Condition"]["StringEquals"]["cloudwatch:namespace"];
        assert_eq!(*bound, properties(function)["Environment"]["Variables"]["METRICS_NAMESPACE"]);
    }
}

/// An operator can only deploy parameters, and the documents name variables.
#[test]
fn the_readme_names_the_parameter_of_each_variable() {
    let (readme, parameters) = (file("README.md"), template()["Parameters"].as_object().unwrap());
    for variable in VARIABLES {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", variable.name))).unwrap();
        let named = row.split('|').nth(2).unwrap().trim().trim_matches('`');
        let value = &properties("Function")["Environment"]["Variables"][variable.name];
        match value["Ref"].as_str().filter(|name| parameters.contains_key(*name)) {
            Some(parameter) => assert_eq!(named, parameter, "{row}"),
            None if named.is_empty() => {}
            None => assert!(value.to_string().contains(&json!({ "Ref": named }).to_string()), "{row}: {value}"),
        }
    }
}

#[test]
fn every_command_of_the_documents_exists() {
    let output = std::process::Command::new(super::python())
        .args(["tests/commands.py", "docs/operations.md", "docs/tuning.md", "docs/cost.md", "README.md"])
        .current_dir(super::root())
        .output()
        .unwrap();
    let (wrong, count) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && wrong.is_empty(), "{wrong}{count}");
    assert!(!count.starts_with("0 "), "no commands were found");
}
