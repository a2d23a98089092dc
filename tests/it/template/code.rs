//! The function's variables and permissions: what the template gives is what the code asks for, no more and no less.

use std::collections::BTreeSet;

use serde_json::Value;
use usage_aggregator::config::VARIABLES;

use super::{file, members, properties, text};
use crate::calls::MAY_CALL;

/// What each call of an SDK client needs. A transaction needs what its actions do.
const CALLS: [(&str, Option<&str>); 5] = [
    ("batch_get_item", Some("dynamodb:BatchGetItem")),
    ("transact_write_items", None),
    ("put_object", Some("s3:PutObject")),
    // Only opens a connection; a refusal is as good as an answer.
    ("head_bucket", None),
    ("put_metric_data", Some("cloudwatch:PutMetricData")),
];

const TRANSACTION_ACTIONS: [(&str, &str); 4] = [
    (" Put::builder()", "dynamodb:PutItem"),
    (" Update::builder()", "dynamodb:UpdateItem"),
    (" Delete::builder()", "dynamodb:DeleteItem"),
    (" ConditionCheck::builder()", "dynamodb:ConditionCheckItem"),
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

/// The actions that the sources need: those of the files that may name a service's client.
fn actions_of_the_code() -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    for (name, _) in MAY_CALL {
        let whole = file(&format!("src/{name}"));
        let code = whole.split("#[cfg(test)]").next().unwrap();
        for rest in code.split("client").skip(1) {
            let Some(call) = rest.trim_start().strip_prefix('.') else { continue };
            let call: String = call.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let known = CALLS.iter().find(|(known, _)| *known == call);
            let (_, action) = known.unwrap_or_else(|| panic!("{name} calls {call}: say here what it needs"));
            actions.extend(action.map(str::to_owned));
        }
        let code = code.replace(['(', '\n'], " ");
        let used = TRANSACTION_ACTIONS.iter().filter(|(builder, _)| code.contains(&builder.replace('(', " ")));
        actions.extend(used.map(|(_, action)| (*action).to_owned()));
    }
    actions
}

fn statements(policy: &str) -> Vec<&'static Value> {
    let policies = members(&properties("FunctionRole")["Policies"]);
    let policy = policies.into_iter().find(|found| found["PolicyName"] == policy).expect("the policy");
    members(&policy["PolicyDocument"]["Statement"])
}

fn actions(statement: &Value) -> Vec<&str> {
    members(&statement["Action"]).into_iter().map(|action| action.as_str().unwrap()).collect()
}

#[test]
fn the_function_is_given_every_variable_that_it_reads_and_no_other() {
    let given = properties("Function")["Environment"]["Variables"].as_object().unwrap();
    let read: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert_eq!(given.keys().map(String::as_str).collect::<BTreeSet<_>>(), read);
    for name in [
        "QUARANTINE_LIMIT_PERCENT",
        "ARCHIVE_CODEC",
        "METRICS_SINK",
        "HORIZON_DAYS",
        "DEADLINE_MARGIN_MS",
        "CONCURRENCY",
    ] {
        let variable = VARIABLES.iter().find(|variable| variable.name == name).unwrap();
        assert_eq!(text(&given[name]), variable.default, "{name}");
    }
}

#[test]
fn the_role_may_do_what_the_code_does_and_nothing_else() {
    let allowed: BTreeSet<String> = statements("function")
        .into_iter()
        .flat_map(actions)
        .filter(|action| !OF_LAMBDA.contains(action))
        .map(str::to_owned)
        .collect();
    assert_eq!(allowed, actions_of_the_code());
}

#[test]
fn every_permission_is_on_its_resource() {
    for statement in [statements("function"), statements("event-source-mapping")].concat() {
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
    let put = statements("function").into_iter().find(|statement| actions(statement) == ["cloudwatch:PutMetricData"]);
    let bound = &put.unwrap()["Condition"]["StringEquals"]["cloudwatch:namespace"];
    assert_eq!(*bound, properties("Function")["Environment"]["Variables"]["METRICS_NAMESPACE"]);
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
