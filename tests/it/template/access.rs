//! Streams and keys that others own: what the roles need to read them, and nothing that is used through another service.

use serde_json::{Value, json};

use super::code::{actions, conditional, statements};
use super::{file, members, properties, resources, template};

/// The statements with this Sid, each with the condition under which it is there.
fn by_sid(role: &str, policy: &str, sid: &str) -> Vec<(Option<&'static str>, &'static Value)> {
    conditional(role, policy).into_iter().filter(|(_, statement)| statement["Sid"] == sid).collect()
}

fn stream_of_source() -> Value {
    json!({ "Fn::Select": [0, { "Fn::Split": ["/consumer/", { "Ref": "SourceArn" }] }] })
}

/// Issue 16: SourceArn refused the ARN of a consumer, and the role had none of its permissions.
#[test]
fn regression_a_consumer_can_be_read_with_enhanced_fan_out() {
    let pattern = template()["Parameters"]["SourceArn"]["AllowedPattern"].as_str().unwrap();
    assert!(pattern.ends_with("stream/[A-Za-z0-9_.-]+(/consumer/[A-Za-z0-9_.-]+:[0-9]+)?$"), "{pattern}");
    let subscribe = by_sid("FunctionRole", "event-source-mapping", "SubscribeToStream");
    let [(Some("IsFanOut"), subscribe)] = subscribe[..] else { panic!("{subscribe:?}") };
    assert_eq!(actions(subscribe), ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"]);
    assert_eq!(subscribe["Resource"], json!({ "Ref": "SourceArn" }));
    // The stream's own permissions are still on the stream.
    let read = by_sid("FunctionRole", "event-source-mapping", "ReadStream");
    let kinesis = read.iter().find(|(_, statement)| actions(statement)[0].starts_with("kinesis:")).unwrap();
    assert_eq!(kinesis.1["Resource"], stream_of_source());
    let differs = json!({ "Fn::Not": [{ "Fn::Equals": [stream_of_source(), { "Ref": "SourceArn" }] }] });
    assert_eq!(template()["Conditions"]["IsFanOut"], json!({ "Fn::And": [{ "Condition": "IsKinesis" }, differs] }));
}

fn through(statement: &Value) -> String {
    statement["Condition"]["StringEquals"]["kms:ViaService"].to_string()
}

/// Issue 16: a source that was encrypted with a key of its own couldn't be read.
#[test]
fn regression_a_source_with_a_key_of_its_own_is_decrypted() {
    for (role, policy, condition) in [
        ("FunctionRole", "event-source-mapping", "HasSourceKey"),
        // The fold function writes into the limiter's table, and reads limits.
        ("FoldRole", "function", "FoldsUnderSourceKey"),
    ] {
        let found = by_sid(role, policy, "DecryptSource");
        let [(Some(given), decrypt)] = found[..] else { panic!("{role}: {found:?}") };
        assert_eq!((given, actions(decrypt)), (condition, vec!["kms:Decrypt"]), "{role}");
        assert_eq!(decrypt["Resource"], json!({ "Ref": "SourceKeyArn" }), "{role}");
        assert!(through(decrypt).contains("dynamodb.${AWS::Region}"), "{role}: {}", through(decrypt));
    }
    let reads = by_sid("FunctionRole", "event-source-mapping", "DecryptSource")[0].1;
    assert!(through(reads).contains("kinesis.${AWS::Region}"), "{}", through(reads));
}

#[test]
fn keys_are_used_through_the_services_that_need_them_only() {
    let mut keys = 0;
    for (role, policy) in
        [("FunctionRole", "function"), ("FunctionRole", "event-source-mapping"), ("FoldRole", "function")]
    {
        for statement in statements(role, policy) {
            if !actions(statement).iter().any(|action| action.starts_with("kms:")) {
                continue;
            }
            keys += 1;
            assert!(through(statement).contains(".${AWS::Region}.${AWS::URLSuffix}"), "{role}: {statement}");
        }
    }
    assert_eq!(keys, 4);
}

#[test]
fn every_bucket_blocks_public_access_and_accepts_tls_only() {
    let policies = resources("AWS::S3::BucketPolicy");
    for (bucket, properties) in resources("AWS::S3::Bucket") {
        let block = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];
        let block: Value = block.iter().map(|setting| ((*setting).to_owned(), json!(true))).collect();
        assert_eq!(properties["PublicAccessBlockConfiguration"], block, "{bucket}");
        let everything = json!([{ "Fn::GetAtt": [bucket, "Arn"] }, { "Fn::Sub": format!("${{{bucket}.Arn}}/*") }]);
        let denies = json!({
            "Sid": "OnlyByTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything,
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        });
        let of_bucket = policies.iter().find(|(_, policy)| policy["Bucket"] == json!({ "Ref": bucket }));
        let (_, policy) = of_bucket.unwrap_or_else(|| panic!("{bucket} has no policy"));
        let statements = members(&policy["PolicyDocument"]["Statement"]);
        assert!(statements.contains(&&denies), "{bucket}: {statements:#?}");
    }
}

/// The policies that lead people to the source, and the fold function that reads limits, could not use the key of an existing table.
#[test]
fn regression_whoever_may_read_the_source_or_limits_may_decrypt_them() {
    for policy in ["OperatorPolicy", "OperatorReadPolicy", "AnalystPolicy"] {
        let document = &properties(policy)["PolicyDocument"]["Statement"];
        assert!(document.to_string().contains("SourceArn"), "{policy} doesn't lead to the source");
        let decrypt = document.as_array().unwrap().iter().find(|one| one["Fn::If"][1]["Sid"] == "DecryptSource");
        let decrypt = &decrypt.unwrap_or_else(|| panic!("{policy} can't decrypt the source"))["Fn::If"];
        let condition = if policy == "AnalystPolicy" { "AnalyzesUnderSourceKey" } else { "HasSourceKey" };
        assert_eq!((&decrypt[0], &decrypt[1]["Resource"]), (&json!(condition), &json!({ "Ref": "SourceKeyArn" })));
        assert_eq!(actions(&decrypt[1]), ["kms:Decrypt"]);
        let through = through(&decrypt[1]);
        assert!(through.contains("dynamodb.${AWS::Region}"), "{policy}: {through}");
        assert_eq!(through.contains("kinesis.${AWS::Region}"), condition == "HasSourceKey", "{policy}: {through}");
    }
    // Analysts read the usage table, which is the source of the limiter's pipeline alone.
    let conditions = &template()["Conditions"];
    let limits = json!({ "Fn::Or": [{ "Condition": "IsZaeLimiter" }, { "Condition": "ReadsLimits" }] });
    assert_eq!(conditions["FoldsUnderSourceKey"], json!({ "Fn::And": [{ "Condition": "HasSourceKey" }, limits] }));
    let limiter = json!({ "Fn::And": [{ "Condition": "HasSourceKey" }, { "Condition": "IsZaeLimiter" }] });
    assert_eq!(conditions["AnalyzesUnderSourceKey"], limiter);
}

/// S3 keeps the key of each object. After a change of KmsKeyArn, nobody could read what had been stored before.
#[test]
fn regression_objects_under_earlier_keys_can_be_read_through_s3() {
    let of_role = by_sid("CompactRole", "function", "ReadEarlierObjects");
    let [(Some("HasEarlierKeys"), of_role)] = of_role[..] else { panic!("{of_role:?}") };
    let of_policies = ["OperatorPolicy", "OperatorReadPolicy", "AnalystPolicy"].map(|policy| {
        let statements = properties(policy)["PolicyDocument"]["Statement"].as_array().unwrap();
        let found = statements.iter().find(|one| one["Fn::If"][1]["Sid"] == "ReadEarlierObjects");
        let found = &found.unwrap_or_else(|| panic!("{policy} can't read earlier objects"))["Fn::If"];
        assert_eq!(found[0], "HasEarlierKeys", "{policy}");
        &found[1]
    });
    for statement in [of_role].into_iter().chain(of_policies) {
        assert_eq!(actions(statement), ["kms:Decrypt"]);
        assert_eq!(statement["Resource"], json!({ "Fn::Split": [",", { "Ref": "EarlierKeyArns" }] }));
        assert_eq!(through(statement), r#"[{"Fn::Sub":"s3.${AWS::Region}.${AWS::URLSuffix}"}]"#);
    }
}

/// Lambda answers without the variables if the caller may not decrypt them, so analysts' exports assumed default settings.
#[test]
fn regression_whoever_may_read_the_settings_may_decrypt_them() {
    for policy in ["OperatorPolicy", "OperatorReadPolicy", "AnalystPolicy"] {
        let statements = members(&properties(policy)["PolicyDocument"]["Statement"]);
        let key = statements.into_iter().find(|statement| statement["Sid"] == "UseKey").unwrap();
        assert!(through(key).contains("lambda.${AWS::Region}"), "{policy}: {key}");
    }
}

/// Who reads the source: an existing stream can be encrypted with the key of the stack, and SourceKeyArn is then empty.
#[test]
fn regression_a_kinesis_source_with_the_key_of_the_stack_can_be_read() {
    let kinesis = json!({ "Fn::If": ["IsKinesis", { "Fn::Sub": "kinesis.${AWS::Region}.${AWS::URLSuffix}" }, { "Ref": "AWS::NoValue" }] });
    let of_role = by_sid("FunctionRole", "function", "UseKey").into_iter().map(|(_, statement)| statement);
    let of_policies = ["OperatorPolicy", "OperatorReadPolicy"].into_iter().flat_map(|policy| {
        members(&properties(policy)["PolicyDocument"]["Statement"])
            .into_iter()
            .filter(|statement| statement["Sid"] == "UseKey")
    });
    let uses: Vec<&Value> = of_role.chain(of_policies).collect();
    assert_eq!(uses.len(), 3);
    for statement in uses {
        assert_eq!(statement["Resource"], json!({ "Ref": "KmsKeyArn" }));
        let through = statement["Condition"]["StringEquals"]["kms:ViaService"].as_array().unwrap();
        assert!(through.contains(&kinesis), "{statement}");
    }
}

/// The key policy in docs/operations.md.
fn documented_key_policy() -> Value {
    let text = file("docs/operations.md");
    let section = text.split_once("### A KMS key of your own").expect("the section").1;
    let (_, block) = section.split_once("```json\n").expect("the policy");
    serde_json::from_str(block.split_once("```").unwrap().0).unwrap()
}

/// Issue 16: with the documented policy, CloudWatch Logs couldn't use the key, so the log groups couldn't be created.
#[test]
fn regression_the_documented_key_policy_is_enough_for_every_service() {
    let policy = documented_key_policy();
    let allowed = |service: &str| -> Vec<String> {
        let all = policy["Statement"].as_array().unwrap().iter();
        let of_service = all.filter(|statement| statement["Principal"]["Service"].to_string().contains(service));
        of_service.flat_map(|statement| members(&statement["Action"])).map(super::text).collect()
    };
    for action in ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"] {
        assert!(allowed("logs.").contains(&action.to_owned()), "CloudWatch Logs: {action}");
    }
    assert_eq!(allowed("cloudwatch."), ["kms:Decrypt", "kms:GenerateDataKey*"]);
    assert_eq!(allowed("events."), ["kms:Decrypt", "kms:GenerateDataKey*"]);
    // The budget publishes to no topic, so it needs no key.
    let notified = resources("AWS::Budgets::Budget")[0].1["NotificationsWithSubscribers"].to_string();
    assert!(notified.contains(r#""SubscriptionType":"EMAIL""#) && !notified.contains("SNS"), "{notified}");
    assert!(allowed("budgets.").is_empty());
    let root =
        policy["Statement"].as_array().unwrap().iter().any(|statement| statement["Principal"]["AWS"].is_string());
    assert!(root, "the account's own policies, which the roles have, must count");
}
