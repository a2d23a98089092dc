//! The pipeline's alerts: where they go, what the fold function may do for that, and the example rule.

use event_source_mapping::{Filters, SourceRecord, StreamKind};
use serde_json::{Value, json};
use usage_aggregator::fold::{ALERT_DETAIL_TYPE, ALERT_SOURCE};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

use super::code::{actions, conditional};
use super::{file, members, properties, template};

fn statement(role: &str, sid: &str) -> Vec<(Option<&'static str>, &'static Value)> {
    conditional(role, "function").into_iter().filter(|(_, statement)| statement["Sid"] == sid).collect()
}

#[test]
fn only_the_fold_function_sends_alerts_and_only_to_the_bus_or_topic_that_is_set() {
    let [(by_topic, topic), (by_bus, bus)] = statement("FoldRole", "SendAlerts")[..] else { panic!("two places") };
    assert_eq!((by_topic, by_bus), (Some("AlertsByTopic"), Some("AlertsByTopic")));
    assert_eq!(actions(topic), ["sns:Publish"]);
    assert_eq!(topic["Resource"], json!({ "Ref": "AlertTopicArn" }));
    assert_eq!(actions(bus), ["events:PutEvents"]);
    let arn = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${AlertBusName}";
    assert_eq!(bus["Resource"], json!({ "Fn::Sub": arn }));
    assert!(statement("FunctionRole", "SendAlerts").is_empty());
    for function in ["Function", "FoldFunction"] {
        let variables = &properties(function)["Environment"]["Variables"];
        assert_eq!(variables["ALERT_BUS"], json!({ "Ref": "AlertBusName" }));
        assert_eq!(variables["ALERT_TOPIC"], json!({ "Ref": "AlertTopicArn" }));
    }
}

#[test]
fn limits_are_read_from_the_table_that_is_set_by_whoever_folds() {
    let arn = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${LimitTableName}";
    for (role, condition) in [("FoldRole", "ReadsLimits"), ("FunctionRole", "ReadsLimitsAtOnce")] {
        let [(found, read)] = statement(role, "ReadLimits")[..] else { panic!("{role}") };
        assert_eq!((found, actions(read)), (Some(condition), vec!["dynamodb:GetItem"]), "{role}");
        assert_eq!(read["Resource"], json!({ "Fn::Sub": arn }), "{role}");
    }
    let at_once = template()["Conditions"]["ReadsLimitsAtOnce"]["Fn::And"].as_array().unwrap();
    assert!(at_once.contains(&json!({ "Condition": "FoldsAtOnce" })), "{at_once:?}");
}

#[test]
fn the_example_rule_matches_the_alerts_that_are_sent_and_exists_only_for_an_address() {
    let rule = properties("AlertRule");
    let detail =
        json!({ "pipeline": [{ "Ref": "Pipeline" }], "function": [{ "Ref": "FoldFunction" }, { "exists": false }] });
    let pattern = json!({ "source": [ALERT_SOURCE], "detail-type": [ALERT_DETAIL_TYPE], "detail": detail });
    assert_eq!(rule["EventPattern"], pattern);
    assert_eq!(rule["EventBusName"], json!({ "Ref": "AlertBusName" }));
    assert_eq!(rule["Targets"][0]["Arn"], json!({ "Ref": "UsageAlertTopic" }));
    for part in ["AlertRule", "UsageAlertTopic", "UsageAlertTopicPolicy", "UsageAlertMail"] {
        assert_eq!(template()["Resources"][part]["Condition"], "MailsAlerts", "{part}");
    }
    let condition = template()["Conditions"]["MailsAlerts"]["Fn::And"].as_array().unwrap();
    assert!(condition.contains(&json!({ "Condition": "Counts" })), "{condition:?}");
    assert!(condition.contains(&json!({ "Fn::Not": [{ "Condition": "AlertsByTopic" }] })), "{condition:?}");
    let patterns = file("docs/alerts.md");
    for text in [format!("\"source\": [\"{ALERT_SOURCE}\"]"), format!("\"detail-type\": [\"{ALERT_DETAIL_TYPE}\"]")] {
        assert!(patterns.contains(&text), "docs/alerts.md: {text}");
    }
}

/// Both stacks of a pipeline sent the alerts of both to their addresses.
#[test]
fn regression_the_example_rule_leaves_out_the_alerts_of_another_stack() {
    let pattern = properties("AlertRule")["EventPattern"].to_string();
    let pattern =
        pattern.replace(r#"{"Ref":"Pipeline"}"#, r#""orders""#).replace(r#"{"Ref":"FoldFunction"}"#, r#""lake-fold""#);
    let filters = Filters::parse(&[pattern]).unwrap();
    let matches = |detail: Value| {
        let json = json!({ "source": ALERT_SOURCE, "detail-type": ALERT_DETAIL_TYPE, "detail": detail }).to_string();
        let sequence = SequenceNumber::parse("1").unwrap();
        let created_at = Timestamp::from_seconds(1_795_856_220).unwrap();
        filters.matches(StreamKind::DynamoDb, &SourceRecord { sequence, item: 0, created_at, json })
    };
    assert!(matches(json!({ "pipeline": "orders", "function": "lake-fold" })));
    assert!(!matches(json!({ "pipeline": "orders", "function": "staging-fold" })));
    assert!(!matches(json!({ "pipeline": "demand", "function": "lake-fold" })));
    assert!(matches(json!({ "pipeline": "orders" })), "of an earlier version");
    // The name that Lambda gives the function.
    assert_eq!(properties("FoldFunction")["FunctionName"], json!({ "Fn::Sub": "${AWS::StackName}-fold" }));
}

/// An address that nobody confirmed was reported nowhere: no tool knew the topic, and operators may not list its subscriptions.
#[test]
fn regression_the_topic_of_the_example_rule_is_known_to_the_tools() {
    let output = &template()["Outputs"]["UsageAlertTopicArn"];
    assert_eq!((&output["Condition"], &output["Value"]), (&json!("MailsAlerts"), &json!({ "Ref": "UsageAlertTopic" })));
    assert!(file(".deploy/subscribers.py").contains("\"UsageAlertTopicArn\""));
    let statements = members(&properties("OperatorReadPolicy")["PolicyDocument"]["Statement"]);
    let list = statements.into_iter().find(|statement| statement["Sid"] == "ReadAlertMail").expect("a permission");
    assert_eq!(actions(list), ["sns:ListSubscriptionsByTopic"]);
    assert_eq!(list["Resource"], json!({ "Ref": "UsageAlertTopic" }));
}

/// With the AWS managed key for SNS, EventBridge couldn't publish, and alerts would be lost without a trace.
#[test]
fn eventbridge_may_publish_to_the_encrypted_topic_of_the_example_rule() {
    let allows = |statement: &Value, action: &str| {
        statement["Principal"] == json!({ "Service": "events.amazonaws.com" })
            && members(&statement["Action"]).iter().any(|allowed| **allowed == action)
            && statement["Condition"].is_null()
    };
    let policy = &properties("UsageAlertTopicPolicy")["PolicyDocument"]["Statement"];
    // With a condition on the source account, neither the topic nor its key would let EventBridge in.
    assert!(members(policy).into_iter().any(|statement| allows(statement, "sns:Publish")));
    let policy = &properties("TopicKey")["KeyPolicy"]["Statement"];
    for action in ["kms:Decrypt", "kms:GenerateDataKey*"] {
        assert!(members(policy).into_iter().any(|statement| allows(statement, action)), "{action}");
    }
    // The key exists without alarms, too.
    let topics = template()["Conditions"]["HasTopics"].to_string();
    assert!(topics.contains("MailsAlerts") && topics.contains("WithAlarms"), "{topics}");
    let key = properties("UsageAlertTopic")["KmsMasterKeyId"].clone();
    assert_eq!(key, json!({ "Fn::If": ["HasKey", { "Ref": "KmsKeyArn" }, { "Ref": "TopicKey" }] }));
}
