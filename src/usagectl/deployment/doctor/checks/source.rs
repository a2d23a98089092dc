//! Checks of the stream that the mapping reads.

use usage_aggregator::pipeline::{Amount, ArchivedImage, Pipeline, Quantity, Route};
use usage_aggregator::record::Event;

use super::super::facts::{Facts, Stream, Unavailable};
use super::super::finding::{CheckResult, ok, problem};

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
    let (new, old) = needs(&facts.pipeline);
    let carries = match view.as_str() {
        "NEW_AND_OLD_IMAGES" => (true, true),
        "NEW_IMAGE" => (true, false),
        "OLD_IMAGE" => (false, true),
        _ => (false, false),
    };
    if (new && !carries.0) || (old && !carries.1) {
        let name = &source.name;
        return problem(
            format!(
                "the stream's view type is {view}, but the pipeline needs {}: records are rejected as image_not_carried",
                wanted(new, old)
            ),
            format!(
                "aws dynamodb update-table --table-name {name} --stream-specification StreamEnabled=false && aws dynamodb wait table-exists --table-name {name} && {} && {}",
                switch_on(name),
                read_newest(facts, name)
            ),
        );
    }
    ok(format!("the stream's view type is {view}; the pipeline needs {}", wanted(new, old)))
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

fn wanted(new: bool, old: bool) -> &'static str {
    match (new, old) {
        (true, true) => "new and old images",
        (true, false) => "new images",
        (false, true) => "old images",
        (false, false) => "only keys",
    }
}

/// Whether a pipeline needs new images, and old ones.
fn needs(pipeline: &Pipeline) -> (bool, bool) {
    pipeline.routes.iter().map(route_needs).fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1))
}

fn route_needs(route: &Route) -> (bool, bool) {
    let removals = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Remove | Event::Expire));
    let changes = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Insert | Event::Modify));
    let looks = route.is_conditional() || route.needs_binding();
    let (mut new, mut old) = (looks && changes(&route.events), looks && removals(&route.events));
    for measure in route.usage.iter().flat_map(|usage| &usage.measures) {
        match &measure.amount {
            Amount::Difference { .. } => (new, old) = (true, true),
            Amount::Each { events, .. } => {
                let reads = measure.quantity != Quantity::One || !measure.conditions.is_empty();
                new |= reads && changes(events);
                old |= reads && removals(events);
            }
        }
    }
    if let Some(archive) = &route.archive {
        new |= archive.image != ArchivedImage::Old && changes(&archive.events);
        old |= archive.image == ArchivedImage::Old || removals(&archive.events);
    }
    (new, old)
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
