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

/// What operators have, by both of their policies.
fn allowed_to_operators() -> BTreeSet<&'static str> {
    ["OperatorPolicy", "OperatorReadPolicy"].into_iter().flat_map(allowed).collect()
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
    let allowed = allowed_to_operators();
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
}

/// The permission that a command of the AWS CLI needs, if it needs one.
fn needed(service: &str, operation: &str) -> Option<String> {
    let action = match (service, operation) {
        (_, "wait") | ("sts", _) => return None,
        ("s3" | "s3api", "ls" | "head-bucket" | "list-objects-v2") => "s3:ListBucket",
        ("s3", "cp") => "s3:GetObject",
        ("s3", "rm") => "s3:DeleteObject",
        ("s3api", "put-bucket-lifecycle-configuration") => "s3:PutLifecycleConfiguration",
        ("lambda", "invoke") => "lambda:InvokeFunction",
        _ => {
            let service = match service {
                "dynamodbstreams" => "dynamodb",
                "s3api" => "s3",
                other => other,
            };
            let words = operation.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
            return Some(format!("{service}:{}", words.collect::<String>()));
        }
    };
    Some(action.to_owned())
}

/// What the commands of docs/operations.md need: those that begin with `aws`, a service and an operation.
fn needed_by_runbooks() -> BTreeSet<String> {
    let is_name =
        |word: &str| word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-' || letter.is_ascii_digit());
    let document = super::file("docs/operations.md");
    let words: Vec<&str> = document.split_whitespace().collect();
    let commands = words.windows(3).filter(|words| words[0].trim_start_matches(['`', '(', '"', '$']).ends_with("aws"));
    let commands = commands.map(|words| (words[1], words[2].trim_end_matches(['`', ',', '.', ')'])));
    commands
        .filter(|(service, operation)| is_name(service) && is_name(operation))
        .filter_map(|(a, b)| needed(a, b))
        .collect()
}

#[test]
fn the_document_names_the_steps_of_the_runbooks_that_need_an_administrator() {
    let (operators, analysts) = (allowed_to_operators(), allowed("AnalystPolicy"));
    let needed = needed_by_runbooks();
    assert!(needed.len() > 50 && needed.contains("lambda:PutFunctionConcurrency"), "{needed:?}");
    let is_allowed =
        |action: &str| operators.contains(action) || action.starts_with("athena:") && analysts.contains(action);
    let denied: BTreeSet<String> = needed.into_iter().filter(|action| !is_allowed(action)).collect();
    let document = super::file("docs/operations.md");
    let (_, section) = document.split_once("### Steps for an administrator\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    let named: BTreeSet<String> =
        section.split('`').filter(|text| text.contains(':') && !text.contains(' ')).map(str::to_owned).collect();
    assert_eq!(named, denied);
}

/// `make destroy DATA=delete` deletes what the stack leaves behind, by its outputs.
#[test]
fn everything_that_outlives_the_stack_can_be_deleted_with_it() {
    let script = super::file(".deploy/destroy.py");
    let outputs = super::template()["Outputs"].as_object().unwrap();
    for (name, resource) in super::template()["Resources"].as_object().unwrap() {
        // The versions of a function go with it.
        if resource["DeletionPolicy"] != "Retain" || resource["Type"] == "AWS::Lambda::Version" {
            continue;
        }
        let mut named = outputs
            .iter()
            .filter(|(_, output)| members(&output["Value"]).into_iter().any(|value| value["Ref"] == name.as_str()));
        assert!(named.any(|(output, _)| script.contains(&format!("\"{output}\""))), "{name}");
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
    for policy in ["OperatorPolicy", "OperatorReadPolicy", "AnalystPolicy", "TestPolicy"] {
        for statement in statements(policy) {
            assert!(actions(statement).iter().all(|action| !action.contains('*')), "{policy}: {statement}");
            let unbounded = members(&statement["Resource"]).iter().any(|resource| **resource == "*");
            assert_eq!(unbounded, statement["Sid"] == "ReadAccount", "{policy}: {statement}");
            if actions(statement)[0].starts_with("kms:") {
                assert!(statement["Condition"]["StringEquals"]["kms:ViaService"].is_array(), "{policy}: {statement}");
            }
        }
        // 6,144: IAM's limit of characters without white space. What is written here is longer than what it stands for.
        let size = statements(policy).iter().map(|statement| statement.to_string().len()).sum::<usize>();
        assert!(size < 6_144, "{policy}: {size}");
        assert_eq!(super::template()["Resources"][policy]["Condition"], json!("MakesPolicies"));
    }
}
