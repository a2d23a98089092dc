//! The embedded services as other people's clients see them: boto3, the aws CLI and Node's SDK.
//!
//! tests/clients.py and tests/node/clients.mjs hold the checks. Node's need packages of npm, which `make test` installs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Services, StreamView, TableSpec, ensure_tables, sdk_config};
use serde_json::Value;

use crate::fixture::Fixture;
use crate::readers::venv;

/// The variables that make a client find `services`.
fn variables(services: &Services) -> Vec<(&'static str, String)> {
    let urls = [
        ("AWS_ENDPOINT_URL_DYNAMODB", services.dynamodb_url()),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", services.dynamodb_url()),
        ("AWS_ENDPOINT_URL_S3", services.s3_url()),
        ("AWS_ENDPOINT_URL_CLOUDWATCH", services.cloudwatch_url()),
        ("AWS_ENDPOINT_URL_KINESIS", services.kinesis_url()),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];
    urls.map(|(name, value)| (name, value.to_owned())).into()
}

/// Runs a check that sees nothing of this machine's own configuration.
fn run(mut program: Command, variables: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        program.env_remove(name);
    }
    for (name, value) in variables {
        program.env(name.as_ref(), value.as_ref());
    }
    program.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn python(check: &str) -> Command {
    let mut command = Command::new(venv().join("python"));
    command.arg(crate::repository().join("tests/clients.py")).arg(check);
    command
}

/// Runs one check of tests/clients.py against new services.
fn check(name: &str) {
    let services = Services::start(None).unwrap();
    run(python(name), variables(&services));
}

#[test]
fn boto3_reads_the_stream_of_a_table_with_a_short_or_a_long_name() {
    check("shard_ids");
}

#[test]
fn boto3_sees_no_ending_sequence_number_of_an_open_shard() {
    check("open_shard");
}

#[test]
fn boto3_sees_the_size_of_a_record_that_aws_counts() {
    check("record_size");
}

#[test]
fn boto3_sees_the_arns_and_the_region_of_us_east_1() {
    check("names");
}

#[test]
fn boto3_sees_no_record_of_a_write_that_changed_nothing() {
    check("unchanged_items");
}

#[tokio::test]
async fn boto3_sees_who_deleted_an_expired_item() {
    let services = Services::start(None).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let table = TableSpec {
        name: "expired",
        partition_key: "pk",
        sort_key: None,
        ttl_attribute: Some("ttl"),
        stream: Some(StreamView::Images),
    };
    ensure_tables(&client, &[table]).await.unwrap();
    let put = client.put_item().table_name("expired").item("pk", AttributeValue::S("a".to_owned()));
    put.item("ttl", AttributeValue::N("1000000000".to_owned())).send().await.unwrap();
    assert_eq!(services.database().sweep_ttl().unwrap(), 1);
    run(python("expired_items"), variables(&services));
}

#[test]
fn boto3_sees_that_a_table_has_no_point_in_time_recovery() {
    check("backups");
}

#[test]
fn boto3_waits_for_kinesis_streams() {
    check("kinesis_waiters");
}

#[test]
fn boto3_puts_and_reads_metrics() {
    check("metrics");
}

#[test]
fn boto3_reads_and_writes_objects_with_any_credentials() {
    check("objects");
}

#[test]
fn the_aws_cli_reads_and_writes() {
    check("cli");
}

#[test]
fn nodes_sdk_reads_and_writes() {
    let folder = crate::repository().join("tests/node");
    if Command::new("node").arg("--version").output().is_err() {
        println!("skipped: node isn't installed");
        return;
    }
    let target = "tests/node/node_modules/made";
    let made = Command::new("make").args(["--silent", target]).current_dir(crate::repository()).status().unwrap();
    assert!(made.success(), "make {target} failed");
    let services = Services::start(None).unwrap();
    let mut node = Command::new("node");
    node.arg(folder.join("clients.mjs"));
    run(node, variables(&services));
}

/// With the variables that `usagectl serve` prints and nothing else, every client finds its service.
#[test]
fn printed_variables_are_all_that_a_client_needs() {
    let fixture = Fixture::new();
    let mut server = fixture.command(&["serve", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let printed: Value = serde_json::from_str(&line).unwrap();
    let printed = printed.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap()));
    let checked = std::panic::catch_unwind(|| run(python("cli"), printed));
    server.kill().unwrap();
    server.wait().unwrap();
    checked.unwrap();
}
