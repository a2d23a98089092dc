//! The three protocols that clients speak to CloudWatch: Smithy RPC v2 in CBOR, awsJson 1.0, and the AWS query protocol.
//! Requests of all three become JSON here, and each gets a response in its own protocol.

use std::io::Read;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ciborium::Value as Cbor;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use super::query;

/// 1 MB: CloudWatch's limit of a request, which bounds what a compressed body may become.
const MAX_BODY_BYTES: u64 = 1_000_000;
/// What the paths of Smithy RPC v2 begin with; the operation's name follows.
const RPC_PATH: &str = "/service/GraniteServiceVersion20100801/operation/";
const JSON_TARGET: &str = "GraniteServiceVersion20100801.";
const JSON: &str = "application/x-amz-json-1.0";
const FORM: &str = "application/x-www-form-urlencoded";
/// CBOR's tag of a time in seconds since the epoch.
const TIME_TAG: u64 = 1;

/// How a client writes requests and reads responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Smithy RPC v2 in CBOR: the SDKs for Rust and Node, newer ones for Python.
    Cbor,
    /// awsJson 1.0.
    Json,
    /// Forms in, XML out: older SDKs and the aws CLI.
    Query,
}

/// A request, whatever its protocol.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// How it was written.
    pub protocol: Protocol,
    /// The operation's name.
    pub operation: String,
    /// The parameters.
    pub body: Value,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The name that AWS has for it.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Refusal {
    /// A parameter that can't be accepted.
    pub(super) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal { code: "InvalidParameterValue", message: message.into() }
    }
}

/// The protocol of a request to `path` with these headers, if it is one of the three.
pub(super) fn protocol(path: &str, headers: &HeaderMap) -> Option<Protocol> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = text(header::CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default().trim();
    match content_type {
        _ if path.starts_with(RPC_PATH) && text("smithy-protocol") == "rpc-v2-cbor" => Some(Protocol::Cbor),
        JSON if !text("x-amz-target").is_empty() => Some(Protocol::Json),
        FORM => Some(Protocol::Query),
        _ => None,
    }
}

/// Reads a request of `protocol`.
pub(super) fn read(protocol: Protocol, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Request, Refusal> {
    let unreadable = |error: anyhow::Error| Refusal::invalid(format!("the request can't be read: {error:#}"));
    let body = plain(headers, body).map_err(unreadable)?;
    let (operation, body) = match protocol {
        Protocol::Cbor => {
            let body =
                if body.is_empty() { Value::Object(Map::new()) } else { from_cbor_bytes(&body).map_err(unreadable)? };
            (path.strip_prefix(RPC_PATH).unwrap_or_default().to_owned(), body)
        }
        Protocol::Json => {
            let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
            let body = serde_json::from_slice(&body).map_err(|error| unreadable(error.into()))?;
            (target.strip_prefix(JSON_TARGET).unwrap_or(target).to_owned(), body)
        }
        Protocol::Query => query::read(&String::from_utf8_lossy(&body)),
    };
    Ok(Request { protocol, operation, body })
}

/// The response to a request, in its protocol.
pub(super) fn respond(protocol: Protocol, operation: &str, answer: Result<Value, Refusal>) -> Response {
    let status = if answer.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    match protocol {
        Protocol::Cbor => {
            let answer = answer.unwrap_or_else(|refusal| error(&refusal));
            let mut body = Vec::new();
            if let Err(error) = ciborium::into_writer(&to_cbor(&answer, false), &mut body) {
                return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
            }
            let headers = [("smithy-protocol", "rpc-v2-cbor"), (header::CONTENT_TYPE.as_str(), "application/cbor")];
            (status, headers, body).into_response()
        }
        Protocol::Json => {
            let answer = answer.unwrap_or_else(|refusal| error(&refusal));
            (status, [(header::CONTENT_TYPE, JSON)], answer.to_string()).into_response()
        }
        Protocol::Query => {
            let body = match answer {
                Ok(answer) => query::answer(operation, &answer),
                Err(refusal) => query::error(refusal.code, &refusal.message),
            };
            (status, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
        }
    }
}

/// The response to a request in an unsupported protocol.
pub(super) fn unknown_protocol(operations: &str) -> Response {
    let message = format!(
        "the embedded CloudWatch speaks Smithy RPC v2 CBOR, awsJson 1.0 and the AWS query protocol; it supports {operations}"
    );
    let body = json!({ "__type": "UnknownOperationException", "message": message });
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

/// The query protocol leaves out the `Exception` at the end of the code.
fn error(Refusal { code, message }: &Refusal) -> Value {
    json!({ "__type": format!("com.amazonaws.cloudwatch#{code}Exception"), "message": message })
}

/// The body as it was before the client compressed it.
fn plain(headers: &HeaderMap, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body.to_vec());
    }
    let mut plain = Vec::new();
    GzDecoder::new(body).take(MAX_BODY_BYTES).read_to_end(&mut plain)?;
    Ok(plain)
}

fn from_cbor_bytes(body: &[u8]) -> anyhow::Result<Value> {
    Ok(from_cbor(ciborium::from_reader(body)?))
}

/// A time becomes its number.
fn from_cbor(value: Cbor) -> Value {
    match value {
        Cbor::Tag(_, value) => from_cbor(*value),
        Cbor::Integer(number) => i64::try_from(number).map_or(Value::Null, Value::from),
        Cbor::Float(number) => Value::from(number),
        Cbor::Text(text) => Value::from(text),
        Cbor::Bool(truth) => Value::from(truth),
        Cbor::Array(items) => items.into_iter().map(from_cbor).collect(),
        Cbor::Map(fields) => {
            let field = |(name, value): (Cbor, Cbor)| Some((name.into_text().ok()?, from_cbor(value)));
            Value::Object(fields.into_iter().filter_map(field).collect())
        }
        _ => Value::Null,
    }
}

/// Every number within `Timestamps` is a time.
fn to_cbor(value: &Value, is_time: bool) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(truth) => Cbor::Bool(*truth),
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor(item, is_time)).collect()),
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| (Cbor::Text(name.clone()), to_cbor(value, name == "Timestamps"));
            Cbor::Map(fields.iter().map(field).collect())
        }
        Value::Number(number) => {
            let float = || Cbor::Float(number.as_f64().unwrap_or_default());
            let number = number.as_i64().map_or_else(float, |whole| Cbor::Integer(whole.into()));
            if is_time { Cbor::Tag(TIME_TAG, Box::new(number)) } else { number }
        }
    }
}
