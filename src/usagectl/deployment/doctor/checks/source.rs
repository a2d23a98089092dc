//! Checks of the stream that the mapping reads.

use super::super::facts::{Facts, Stream, Unavailable};
use super::super::finding::{CheckResult, ok, problem};
use crate::shell::images::Images;

/// The stream is on, and it is the one that the mapping reads.
pub(crate) fn stream_on(facts: &Facts) -> CheckResult {
    let source = facts.the_source()?;
    let name = &source.name;
    match &source.stream {
        Stream::Kinesis { status } if status == "ACTIVE" => ok(format!("the Kinesis stream {name} is active")),
        Stream::Kinesis { status } => problem(
            format!("the Kinesis stream {name} is {status}"),
            format!("aws kinesis describe-stream-summary --stream-name {name}"),
        ),
        Stream::Table { on: false, .. } => problem(
            format!("the stream of the table {name} is off: its changes don't arrive"),
            format!("{} && {}", switch_on(name), read_newest(facts, name)),
        ),
        Stream::Table { latest_arn, .. } => match (latest_arn, &facts.mapping) {
            (Some(latest), Ok(mapping)) if *latest != mapping.source_arn => problem(
                format!(
                    "the table {name} has a newer stream than the one that is read ({}): new changes don't arrive",
                    mapping.source_arn
                ),
                facts.deploy(&format!("SourceType=DynamoDBStream SourceArn={latest}")),
            ),
            _ => ok(format!("the stream of the table {name} is on")),
        },
    }
}

/// The stream has the images that the pipeline needs.
pub(crate) fn view_type(facts: &Facts) -> CheckResult {
    let source = facts.the_source()?;
    let Stream::Table { view, .. } = &source.stream else {
        return Err(Unavailable::NotApplicable("Kinesis has no view types"));
    };
    let Some(view) = view else {
        return Err(Unavailable::NoData("the stream is off, so it has no view type".to_owned()));
    };
    let needed = Images::needed_by(&facts.pipeline);
    if !Images::of_view_type(view).cover(needed) {
        let name = &source.name;
        return problem(
            format!(
                "the stream's view type is {view}, but the pipeline needs {}: records are rejected as image_not_carried",
                needed.words()
            ),
            format!(
                "aws dynamodb update-table --table-name {name} --stream-specification StreamEnabled=false && aws dynamodb wait table-exists --table-name {name} && {} && {}",
                switch_on(name),
                read_newest(facts, name)
            ),
        );
    }
    ok(format!("the stream's view type is {view}; the pipeline needs {}", needed.words()))
}

fn switch_on(table: &str) -> String {
    format!(
        "aws dynamodb update-table --table-name {table} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    )
}

/// A command that deploys the stack with the newest stream of a table.
fn read_newest(facts: &Facts, table: &str) -> String {
    if facts.here {
        return facts.deploy("");
    }
    let arn =
        format!("$(aws dynamodb describe-table --table-name {table} --query Table.LatestStreamArn --output text)");
    format!("make deploy STACK={} PARAMETERS=\"SourceType=DynamoDBStream SourceArn={arn}\"", facts.stack_name())
}

/// A command that describes the source.
pub(crate) fn look(facts: &Facts) -> String {
    let name = facts.names.source_name().unwrap_or("NAME");
    match &facts.source {
        Ok(source) if matches!(source.stream, Stream::Kinesis { .. }) => {
            format!("aws kinesis describe-stream-summary --stream-name {name}")
        }
        _ => format!(
            "aws dynamodb describe-table --table-name {name} --query 'Table.[StreamSpecification, LatestStreamArn]'"
        ),
    }
}
