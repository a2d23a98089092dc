//! Requests to the services that are embedded on a laptop. What would write files is refused before it does.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use event_source_mapping::Timestamp;
use laptop::emulators::fuzzing;
use laptop::emulators::kinesis::Streams;

const RPC: &str = "/service/GraniteServiceVersion20100801/operation/";

/// A request to CloudWatch in CBOR: the name of an operation, and its body on the lines after it.
pub(crate) fn cloudwatch_cbor(data: &[u8]) {
    let Some((operation, body)) = operation(data) else { return };
    let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    answered(fuzzing::cloudwatch(&format!("{RPC}{operation}"), &headers, body));
}

/// A form for CloudWatch.
pub(crate) fn cloudwatch_form(data: &[u8]) {
    answered(fuzzing::cloudwatch("/", &[("content-type", "application/x-www-form-urlencoded")], data));
}

/// A request to CloudWatch in JSON that is compressed.
pub(crate) fn cloudwatch_gzip(data: &[u8]) {
    let target = ("x-amz-target", "GraniteServiceVersion20100801.GetMetricData");
    let headers = [target, ("content-type", "application/x-amz-json-1.0"), ("content-encoding", "gzip")];
    answered(fuzzing::cloudwatch("/", &headers, data));
}

/// PutEvents of EventBridge.
pub(crate) fn event_bus(data: &[u8]) {
    answered(fuzzing::event_bus(data));
}

/// Streams to read from, and none to write to.
static STREAMS: LazyLock<[Option<Streams>; 2]> = LazyLock::new(|| {
    let open = |name: &str| Streams::open(&std::env::temp_dir().join("usage-aggregator-fuzz").join(name)).ok();
    let streams = open("streams");
    if let (Some(streams), Some(now)) = (&streams, Timestamp::from_seconds(1_795_230_305))
        && let Err(error) = streams.ensure_stream("a", NonZeroU32::MIN.saturating_add(1), now)
    {
        panic!("failed to create a stream: {error}");
    }
    [streams, open("none")]
});

/// A request to Kinesis: the name of an operation, and its body on the lines after it.
pub(crate) fn kinesis_request(data: &[u8]) {
    let Some((operation, body)) = operation(data) else { return };
    let is_read = ["Describe", "Get", "List"].iter().any(|verb| operation.starts_with(verb));
    let [streams, none] = &*STREAMS;
    match if is_read { streams } else { none } {
        Some(streams) if operation != "CreateStream" => answered(fuzzing::kinesis(streams, operation, body)),
        _ => {}
    }
}

/// A body for S3 in aws-chunked encoding.
pub(crate) fn s3_chunks(data: &[u8]) {
    assert!(fuzzing::s3_chunks(data).is_none_or(|bytes| bytes < data.len()));
}

fn operation(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let (operation, body) = data.split_at(end);
    Some((std::str::from_utf8(operation).ok()?, &body[1..]))
}

/// Checks that a service answers, and doesn't report a failure of its own.
fn answered(status: u16) {
    assert!((200..500).contains(&status), "the status is {status}");
}
