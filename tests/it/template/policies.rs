//! The managed policies for people and CI: they are made of what the tools call, so a tool that calls something new fails here
//! before it fails in somebody's account.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::code::actions;
use super::{members, properties, root};

/// The statements of a managed policy.
fn statements(policy: &str) -> Vec<&'static Value> {
    members(&properties(policy)["PolicyDocument"]["Statement"])
}

fn allowed(policy: &str) -> BTreeSet<&'static str> {
    statements(policy).into_iter().flat_map(actions).collect()
}

/// The sources of `usagectl` in these rooms, without tests.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "tests" {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            into.push_str(text.split("#[cfg(test)]").next().unwrap());
        }
    }
}

/// The permissions that rooms of `usagectl` name: each call names its own, for the error that reports a refusal.
fn named_by(rooms: &[&str]) -> BTreeSet<String> {
    const SERVICES: [&str; 14] = [
        "athena",
        "cloudformation",
        "cloudtrail",
        "cloudwatch",
        "dynamodb",
        "events",
        "glue",
        "iam",
        "kinesis",
        "lambda",
        "logs",
        "s3",
        "sns",
        "sqs",
    ];
    let mut text = String::new();
    rooms.iter().for_each(|room| sources(&root().join("src/usagectl").join(room), &mut text));
    let mut named = BTreeSet::new();
    for service in SERVICES {
        for rest in text.split(&format!("{service}:")).skip(1) {
            let action: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
            if action.starts_with(|first: char| first.is_ascii_uppercase()) {
                named.insert(format!("{service}:{action}"));
            }
        }
    }
    named
}

#[test]
fn operators_may_do_what_the_tools_and_the_runbooks_do() {
    let allowed = allowed("OperatorPolicy");
    let named = named_by(&["deployment", "page", "stack", "ledger", "event"]);
    assert!(named.len() > 25, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|action| !allowed.contains(action.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // A sweep folds.
    for action in super::code::actions_of_fold().into_iter().filter(|action| action.starts_with("dynamodb:")) {
        assert!(allowed.contains(action), "{action}");
    }
    for sid in ["Compact", "DeleteCompacted"] {
        assert!(statements("OperatorPolicy").iter().any(|statement| statement["Sid"] == sid), "{sid}");
    }
    for runbook in
        ["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency", "lambda:UpdateEventSourceMapping"]
    {
        assert!(allowed.contains(runbook), "{runbook}");
    }
}

#[test]
fn analysts_may_read_and_run_queries_and_nothing_else() {
    let allowed = allowed("AnalystPolicy");
    let named = named_by(&["results"]);
    assert!(!named.is_empty());
    // Compaction writes and deletes files, which analysts leave to the schedule.
    let compacts = ["s3:PutObject", "s3:DeleteObject"];
    let missing =
        named.iter().filter(|action| !allowed.contains(action.as_str()) && !compacts.contains(&action.as_str()));
    assert!(missing.clone().next().is_none(), "{:?}", missing.collect::<Vec<_>>());
    let reads = ["Get", "List", "Describe", "Query", "Scan", "BatchGet"];
    for statement in statements("AnalystPolicy") {
        let is_result = statement["Resource"].to_string().contains("/athena-results/*");
        for action in actions(statement) {
            let verb = action.split_once(':').unwrap().1;
            let is_query = action.starts_with("athena:") || action.starts_with("kms:");
            assert!(is_result || is_query || reads.iter().any(|read| verb.starts_with(read)), "{action}: {statement}");
        }
    }
}

#[test]
fn ci_writes_under_the_test_prefix_only() {
    for statement in statements("TestPolicy") {
        let text = statement.to_string();
        assert!(text.contains("/test/*") || actions(statement)[0].starts_with("kms:"), "{statement}");
    }
}

#[test]
fn every_policy_is_on_this_stack_only() {
    for policy in ["OperatorPolicy", "AnalystPolicy", "TestPolicy"] {
        for statement in statements(policy) {
            assert!(actions(statement).iter().all(|action| !action.contains('*')), "{policy}: {statement}");
            let unbounded = members(&statement["Resource"]).iter().any(|resource| **resource == "*");
            assert_eq!(unbounded, statement["Sid"] == "ReadAccount", "{policy}: {statement}");
            if actions(statement)[0].starts_with("kms:") {
                assert!(statement["Condition"]["StringEquals"]["kms:ViaService"].is_array(), "{policy}: {statement}");
            }
        }
        // 6,144: IAM's limit of characters without white space. Names of resources are longer than references to them.
        let size = statements(policy).iter().map(|statement| statement.to_string().len()).sum::<usize>();
        assert!(size < 8_000, "{policy}: {size}");
        assert_eq!(super::template()["Resources"][policy]["Condition"], json!("MakesPolicies"));
    }
}
