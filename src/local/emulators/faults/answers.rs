//! Error responses that AWS sends but the embedded services never do by themselves, in each service's own format.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Service};

type InjectedResponse = Result<HttpResponse, ConnectorError>;

/// A load balancer's 503, which has no error code.
pub(super) fn unavailable() -> InjectedResponse {
    response(503, "text/plain", Vec::new())
}

/// The throttling error of `service`.
pub(super) fn throttled(service: Service) -> InjectedResponse {
    match service {
        Service::DynamoDb => dynamodb_error(json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "injected: the level of configured provisioned throughput for the table was exceeded",
        })),
        Service::S3 => s3_error(503, "SlowDown"),
        Service::CloudWatch => cloudwatch_error("Throttling"),
        Service::EventBridge => events_error("ThrottlingException"),
    }
}

/// The error of `service` for a missing permission.
pub(super) fn denied(service: Service) -> InjectedResponse {
    match service {
        Service::DynamoDb => dynamodb_error(json!({
            "__type": "com.amazon.coral.service#AccessDeniedException",
            "Message": "injected: not authorized to perform this operation",
        })),
        Service::S3 => s3_error(403, "AccessDenied"),
        Service::CloudWatch => cloudwatch_error("AccessDenied"),
        Service::EventBridge => events_error("AccessDeniedException"),
    }
}

/// The error of the service of `call` for a conflict with a concurrent writer.
pub(super) fn conflict(call: &Call, request: &HttpRequest) -> InjectedResponse {
    match (call.service, call.operation.as_str()) {
        (Service::DynamoDb, "TransactWriteItems") => transaction_cancelled(request),
        (Service::DynamoDb, _) => dynamodb_error(json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
            "message": "Transaction is ongoing for the item",
        })),
        (Service::S3, _) => s3_error(409, "ConditionalRequestConflict"),
        (Service::CloudWatch, _) => cloudwatch_error("ConflictException"),
        (Service::EventBridge, _) => events_error("ConcurrentModificationException"),
    }
}

/// A cancelled transaction with one reason per action, as DynamoDB reports it: the first one conflicted.
fn transaction_cancelled(request: &HttpRequest) -> InjectedResponse {
    let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default())
        .map_err(|error| ConnectorError::user(error.into()))?;
    let actions = body.get("TransactItems").and_then(Value::as_array).map_or(1, Vec::len);
    let conflict = json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    let reasons: Vec<Value> =
        std::iter::once(conflict).chain(std::iter::repeat(json!({ "Code": "None" }))).take(actions).collect();
    dynamodb_error(json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": reasons,
    }))
}

fn dynamodb_error(body: Value) -> InjectedResponse {
    response(400, "application/x-amz-json-1.0", body.to_string().into_bytes())
}

fn events_error(code: &str) -> InjectedResponse {
    events(400, &json!({ "__type": code, "message": "injected" }))
}

/// An answer of EventBridge.
pub(super) fn events(status: u16, body: &Value) -> InjectedResponse {
    response(status, "application/x-amz-json-1.1", body.to_string().into_bytes())
}

fn s3_error(status: u16, code: &str) -> InjectedResponse {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    response(status, "application/xml", body.into_bytes())
}

fn cloudwatch_error(code: &str) -> InjectedResponse {
    let mut body = Vec::new();
    ciborium::into_writer(&json!({ "__type": code, "message": "injected" }), &mut body)
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = response(400, "application/cbor", body)?;
    answer.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
    Ok(answer)
}

fn response(status: u16, content_type: &'static str, body: Vec<u8>) -> InjectedResponse {
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, body.into());
    response.headers_mut().insert("content-type", content_type);
    Ok(response)
}
