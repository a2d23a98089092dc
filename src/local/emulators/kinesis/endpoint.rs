//! The embedded Kinesis over HTTP: operations that put and get records and manage shards, in the JSON protocol that SDKs
//! and the AWS CLI speak. A mapping reads streams in this process.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::streams::{StreamError, Streams};
use crate::emulators::programs_only;
use stream_types::Timestamp;

mod operations;
mod reads;
mod records;

const PROTOCOL: &str = "application/x-amz-json-1.1";
const TARGET: &str = "Kinesis_20131202.";
/// 15 MiB: 10 MiB of one PutRecords request in base64, and room for its keys.
const MAXIMUM_BODY_BYTES: usize = 15 * 1024 * 1024;

/// Serves `streams` until the runtime ends. File access blocks the runtime's threads.
pub(crate) async fn serve(listener: TcpListener, streams: Streams) {
    let service = Router::new().route("/", post(answer)).layer(DefaultBodyLimit::max(MAXIMUM_BODY_BYTES));
    if let Err(error) = axum::serve(listener, programs_only(service.with_state(streams))).await {
        tracing::error!(%error, "the embedded Kinesis stopped");
    }
}

/// Why a request is refused, with AWS's name for it.
#[derive(Debug)]
struct Refusal {
    code: &'static str,
    message: String,
}

async fn answer(State(streams): State<Streams>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let (status, body) = match operate(&streams, &headers, &body) {
        Ok(answer) => (StatusCode::OK, answer),
        Err(Refusal { code, message }) => {
            tracing::debug!(code, message, "the embedded Kinesis refused a request");
            let status =
                if code == INTERNAL_FAILURE { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
            (status, Some(json!({ "__type": code, "message": message })))
        }
    };
    // Some operations answer with an empty body.
    (status, [(header::CONTENT_TYPE, PROTOCOL)], body.map(|body| body.to_string()).unwrap_or_default())
}

/// The status of the response to an operation, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn answer_status(streams: &Streams, operation: &str, body: &[u8]) -> StatusCode {
    let answer = now().and_then(|now| operations::run(streams, operation, body, now));
    answer.map_or(StatusCode::BAD_REQUEST, |_| StatusCode::OK)
}

fn operate(streams: &Streams, headers: &HeaderMap, body: &[u8]) -> Result<Option<Value>, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let protocol = text(header::CONTENT_TYPE.as_str());
    if protocol != PROTOCOL {
        let message = format!("the embedded Kinesis supports {PROTOCOL} only, not {protocol:?}");
        return Err(Refusal { code: "SerializationException", message });
    }
    let target = text("x-amz-target");
    operations::run(streams, target.strip_prefix(TARGET).unwrap_or(target), body, now()?)
}

fn now() -> Result<Timestamp, Refusal> {
    event_source_mapping::now().map_err(|error| Refusal { code: INTERNAL_FAILURE, message: error.to_string() })
}

/// Reads a request: the stream, given by name or ARN, and the operation's own parameters.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<(String, T), Refusal> {
    let refused = |error: serde_json::Error| Refusal {
        code: "ValidationException",
        message: format!("the embedded Kinesis can't read this request: {error}"),
    };
    let mut parameters: Map<String, Value> = serde_json::from_slice(body).map_err(refused)?;
    let stream = match (parameters.remove("StreamName"), parameters.remove("StreamARN")) {
        (Some(Value::String(name)), _) => name,
        (None, Some(Value::String(arn))) => match arn.rsplit_once(":stream/") {
            Some((_, name)) => name.to_owned(),
            None => return Err(invalid(format!("{arn:?} is not a valid stream ARN"))),
        },
        _ => return Err(invalid("the request needs a StreamName or StreamARN")),
    };
    Ok((stream, serde_json::from_value(Value::Object(parameters)).map_err(refused)?))
}

fn hash_key_of(text: &str) -> Result<u128, Refusal> {
    text.parse().map_err(|_| invalid(format!("{text:?} is not a valid hash key; expected 0 to 2^128 - 1")))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal { code: "InvalidArgumentException", message: message.into() }
}

const INTERNAL_FAILURE: &str = "InternalFailure";

impl From<StreamError> for Refusal {
    fn from(error: StreamError) -> Refusal {
        let code = match &error {
            StreamError::NotFound(_) | StreamError::NoShard(_) => "ResourceNotFoundException",
            StreamError::InUse(_) => "ResourceInUseException",
            StreamError::Invalid(_) | StreamError::TooLarge { .. } => "InvalidArgumentException",
            StreamError::Storage(_) => INTERNAL_FAILURE,
        };
        let message = match error {
            StreamError::Storage(error) => format!("{error:#}"),
            error => error.to_string(),
        };
        Refusal { code, message }
    }
}

#[cfg(test)]
mod tests;
