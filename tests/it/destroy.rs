//! `make destroy`: what it deletes with a stack on moto, and what it reports if CloudFormation can't delete one.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use axum::Router;
use laptop::emulators::sdk_config;
use serde_json::json;

use crate::readers::python;
use crate::redrive::lambda::listen;
use crate::redrive::moto::Moto;

const STACK: &str = "zae-usage";

/// Runs the script and answers its prompt.
fn destroy(url: &str, data: &str, answer: &str) -> Output {
    let mut child = Command::new(python())
        .args([".deploy/destroy.py", STACK, "--data", data])
        .current_dir(crate::repository())
        .envs([("AWS_ENDPOINT_URL", url), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_MAX_ATTEMPTS", "1")])
        .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The limiter's table, which somebody else protects from being deleted.
async fn create_limits(dynamodb: &aws_sdk_dynamodb::Client) {
    let key = AttributeDefinition::builder().attribute_name("PK").attribute_type(ScalarAttributeType::S);
    let hash = KeySchemaElement::builder().attribute_name("PK").key_type(KeyType::Hash);
    let create = dynamodb.create_table().table_name("limits").billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(key.build().unwrap()).key_schema(hash.build().unwrap());
    create.deletion_protection_enabled(true).send().await.unwrap();
}

/// A stack of the zae-limiter pipeline names the limiter's table as its usage table, and `make destroy DATA=delete` turned off the
/// protection of that table and deleted it.
#[tokio::test(flavor = "multi_thread")]
async fn regression_only_what_the_stack_made_is_deleted_with_it() {
    let moto = Moto::start();
    let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    create_limits(&dynamodb).await;
    let table = json!({
        "TableName": "ledger", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
    });
    let template = json!({
        "Resources": {
            "LedgerTable": { "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": table },
            "ArchiveBucket": { "Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": { "BucketName": "archive" } },
        },
        "Outputs": {
            "UsageTableName": { "Value": "limits" },
            "LedgerTableName": { "Value": { "Ref": "LedgerTable" } },
            "ArchiveBucketName": { "Value": { "Ref": "ArchiveBucket" } },
        },
    });
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    cloudformation.create_stack().stack_name(STACK).template_body(template.to_string()).send().await.unwrap();

    // The names are shown before the question.
    let refused = destroy(&moto.url, "delete", "usage");
    let said = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let listed =
        "These will be deleted with the stack zae-usage, and everything in them:\n  ledger\n  archive\nType zae-usage";
    assert!(said.starts_with(listed), "{said}");

    let deleted = destroy(&moto.url, "delete", STACK);
    let said = String::from_utf8(deleted.stdout.clone()).unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    assert!(said.ends_with("deleted the stack zae-usage\ndeleted ledger\ndeleted archive\n"), "{said}");
    let tables = dynamodb.list_tables().send().await.unwrap();
    assert_eq!(tables.table_names(), ["limits"]);
    let limits = dynamodb.describe_table().table_name("limits").send().await.unwrap().table.unwrap();
    assert_eq!(limits.deletion_protection_enabled, Some(true));
}

/// CloudFormation, whose stack can't be deleted because a policy of it is attached to a role. moto deletes it anyway.
async fn serve_attached_policy() -> String {
    const DESCRIBED: &str = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>zae-usage</StackName>\
        <StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/zae-usage/1</StackId><CreationTime>2026-11-01T00:00:00Z</CreationTime>\
        <StackStatus>DELETE_FAILED</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
    const LISTED: &str = "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries><member>\
        <LogicalResourceId>OperatorPolicy</LogicalResourceId><ResourceType>AWS::IAM::ManagedPolicy</ResourceType>\
        <ResourceStatus>DELETE_FAILED</ResourceStatus><ResourceStatusReason>Cannot delete a policy attached to entities.</ResourceStatusReason>\
        </member></StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>";
    const DELETED: &str = "<DeleteStackResponse><ResponseMetadata/></DeleteStackResponse>";
    let answer = async |body: String| match body.as_str() {
        body if body.contains("Action=DescribeStacks") => DESCRIBED,
        body if body.contains("Action=ListStackResources") => LISTED,
        _ => DELETED,
    };
    listen(Router::new().fallback(answer)).await
}

/// It ended in a traceback that named no resource.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_stack_that_cannot_be_deleted_is_reported_with_the_reason() {
    let url = serve_attached_policy().await;
    let run = tokio::task::spawn_blocking(move || destroy(&url, "keep", "")).await.unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    let expected = "could not delete the stack zae-usage; its tables, buckets, queue, and log groups are all still there:\n  \
        OperatorPolicy: Cannot delete a policy attached to entities.\n";
    assert!(said.starts_with(expected) && said.ends_with("Then run make destroy STACK=zae-usage again.\n"), "{said}");
}
