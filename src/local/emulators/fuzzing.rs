//! Requests to the embedded services without HTTP, for the fuzzer.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::cloudwatch::Metrics;
use super::event_bus::EventBus;
use super::kinesis::{Streams, answer_status};

/// The status of the response of the embedded CloudWatch to a request to `path` with these headers.
pub fn cloudwatch(path: &str, headers: &[(&'static str, &'static str)], body: &[u8]) -> u16 {
    Metrics::default().answer(path, &header_map(headers), body).status().as_u16()
}

/// The status of the response of the embedded Kinesis to an operation.
pub fn kinesis(streams: &Streams, operation: &str, body: &[u8]) -> u16 {
    answer_status(streams, operation, body).as_u16()
}

/// The status of the response of the embedded EventBridge to PutEvents.
pub fn event_bus(body: &[u8]) -> u16 {
    EventBus::default().answer("AWSEvents.PutEvents", body).0
}

/// The size of a body in aws-chunked encoding, if it is one.
pub fn s3_chunks(body: &[u8]) -> Option<usize> {
    super::s3::chunked_bytes(body)
}

fn header_map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
