//! The embedded DynamoDB over HTTP: dynoxide's server behind a layer that adds operations that dynoxide lacks, and that
//! names resources as AWS does.

use std::net::Ipv4Addr;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use dynoxide::{Database, DynoxideError};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{names, streams};
use crate::emulators::programs_only;

const PROTOCOL: &str = "application/x-amz-json-1.0";
/// 16 MiB: DynamoDB's limit of a request.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// A response is never longer than this: 16 MiB of items in DynamoDB's JSON.
const MAX_RESPONSE_BYTES: usize = 128 << 20;
/// The operations that are answered without dynoxide's server.
const WITHOUT_DYNOXIDE: [&str; 5] =
    ["ListStreams", "DescribeStream", "GetShardIterator", "GetRecords", "DescribeContinuousBackups"];
/// The operations whose requests or responses name resources by their ARN.
const WITH_ARNS: [&str; 7] = [
    "CreateTable",
    "DeleteTable",
    "DescribeTable",
    "ListTagsOfResource",
    "TagResource",
    "UntagResource",
    "UpdateTable",
];

/// Serves `database` until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, database: Database) {
    if let Err(error) = try_to_serve(listener, database).await {
        tracing::error!(error = format!("{error:#}"), "the embedded DynamoDB stopped");
    }
}

async fn try_to_serve(listener: TcpListener, database: Database) -> anyhow::Result<()> {
    let inner = listen_inside().await?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let endpoint = Endpoint {
        database: database.clone(),
        dynoxide: format!("http://{}", inner.local_addr()?),
        client: Client::builder(TokioExecutor::new()).build(connector),
    };
    let outer = programs_only(Router::new().fallback(answer).with_state(endpoint));
    let listener = listener.tap_io(|connection| {
        // Without it a small response may wait for an acknowledgment.
        let _ = connection.set_nodelay(true);
    });
    tokio::select! {
        served = axum::serve(listener, outer).into_future() => served.context("serve DynamoDB"),
        // No shutdown signal: the end of the runtime drops the server and its connections.
        served = dynoxide::server::serve_with_shutdown(inner, database, std::future::pending()) => {
            served.map_err(anyhow::Error::msg)
        }
    }
}

/// A listener for dynoxide's own server, which lets every web page that finds it read and write. On Linux, all of 127.0.0.0/8 is
/// this machine, so it gets an address that no page can guess. Elsewhere only its port is unknown.
async fn listen_inside() -> anyhow::Result<TcpListener> {
    let hidden = Ipv4Addr::new(127, fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255));
    match TcpListener::bind((hidden, 0)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on 127.0.0.1"),
    }
}

#[derive(Clone)]
struct Endpoint {
    database: Database,
    /// The URL of dynoxide's own server.
    dynoxide: String,
    client: Client<HttpConnector, Body>,
}

async fn answer(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let operation = operation(request.headers()).to_owned();
    let answered = match operation.as_str() {
        operation if WITHOUT_DYNOXIDE.contains(&operation) => endpoint.answer(operation, request).await,
        operation if WITH_ARNS.contains(&operation) => endpoint.translate(request).await,
        _ => endpoint.pass_on(&operation, request).await,
    };
    answered.unwrap_or_else(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response())
}

/// `DynamoDB_20120810.PutItem` -> `PutItem`
fn operation(headers: &HeaderMap) -> &str {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

impl Endpoint {
    /// Answers an operation without dynoxide's server.
    async fn answer(&self, operation: &str, request: Request) -> anyhow::Result<Response> {
        let body = to_bytes(request.into_body(), MAX_REQUEST_BYTES).await?;
        let (status, body) = answer_here(&self.database, operation, &body);
        Ok((status, [(header::CONTENT_TYPE, PROTOCOL)], body).into_response())
    }

    /// Forwards a request and its response, with ARNs translated.
    async fn translate(&self, request: Request) -> anyhow::Result<Response> {
        let (mut head, body) = request.into_parts();
        let body = to_bytes(body, MAX_REQUEST_BYTES).await?;
        let body = names::to_dynoxide(std::str::from_utf8(&body).unwrap_or_default());
        head.headers.remove(header::CONTENT_LENGTH);
        let response = self.send(Request::from_parts(head, Body::from(body))).await?;
        rewrite(response, rename).await
    }

    /// Forwards a request and its response as they are, but explains errors.
    async fn pass_on(&self, operation: &str, request: Request) -> anyhow::Result<Response> {
        let response = self.send(request).await?;
        if response.status() != StatusCode::BAD_REQUEST {
            return Ok(response);
        }
        rewrite(response, |body| explain(body, operation)).await
    }

    async fn send(&self, mut request: Request) -> anyhow::Result<Response> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("{}{path}", self.dynoxide).parse::<Uri>().context("read the request's URL")?;
        Ok(self.client.request(request).await.context("reach the embedded database")?.into_response())
    }
}

/// The status and the body of the answer to an operation without dynoxide's server.
fn answer_here(database: &Database, operation: &str, body: &[u8]) -> (StatusCode, String) {
    let answer = match streams::run(database, operation, body) {
        Some(answer) => answer.map(|answer| (StatusCode::OK, answer)),
        None => describe_continuous_backups(database, body),
    };
    match answer {
        Ok((status, answer)) => (status, answer.to_string()),
        Err(error) => (StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST), error.to_json()),
    }
}

/// What becomes of a request to the operation that `target` names, and of an answer with the same body, up to dynoxide: the status and
/// the body. For the fuzzer.
#[cfg(feature = "fuzzing")]
pub(in crate::emulators) fn answered(database: &Database, target: &[u8], body: &[u8]) -> (u16, String) {
    let headers = HeaderMap::from_iter(
        header::HeaderValue::from_bytes(target).map(|target| (header::HeaderName::from_static("x-amz-target"), target)),
    );
    let operation = operation(&headers);
    if WITHOUT_DYNOXIDE.contains(&operation) {
        let (status, answer) = answer_here(database, operation, body);
        return (status.as_u16(), answer);
    }
    let sent = names::to_dynoxide(std::str::from_utf8(body).unwrap_or_default());
    let Ok(mut answer) = serde_json::from_str::<Value>(&sent) else { return (200, sent) };
    if WITH_ARNS.contains(&operation) {
        rename(&mut answer)
    } else {
        explain(&mut answer, operation)
    }
    (200, answer.to_string())
}

/// Changes a JSON body; any other is left as it is.
async fn rewrite(response: Response, change: impl FnOnce(&mut Value)) -> anyhow::Result<Response> {
    let (mut head, body) = response.into_parts();
    let body = to_bytes(body, MAX_RESPONSE_BYTES).await?;
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
        return Ok(Response::from_parts(head, Body::from(body)));
    };
    change(&mut value);
    // Both belong to the previous body.
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove("x-amz-crc32");
    Ok(Response::from_parts(head, Body::from(Bytes::from(value.to_string()))))
}

/// Renames the resources in a table's description as AWS names them.
fn rename(value: &mut Value) {
    match value {
        Value::String(text) => *text = names::StreamName::of(text).map_or_else(|| names::to_aws(text), |name| name.arn),
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_str().and_then(names::label_to_aws)) {
                    ("LatestStreamLabel", Some(label)) => *value = label.into(),
                    _ => rename(value),
                }
            }
        }
        _ => {}
    }
}

/// Adds the message that dynoxide leaves out of some errors.
fn explain(body: &mut Value, operation: &str) {
    let kind = body.get("__type").and_then(Value::as_str).unwrap_or_default();
    if !kind.ends_with("#UnknownOperationException") {
        return;
    }
    let message = match operation {
        "" => "the request has no X-Amz-Target header, which names the operation".to_owned(),
        operation => format!("the embedded DynamoDB doesn't support {operation}"),
    };
    *body = json!({ "__type": kind, "message": message });
}

/// What AWS returns for a table without point-in-time recovery, which the embedded DynamoDB lacks.
fn describe_continuous_backups(database: &Database, body: &[u8]) -> Result<(StatusCode, Value), DynoxideError> {
    let request: Value =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    let named = request.get("TableName").and_then(Value::as_str).unwrap_or_default();
    let table = named.rsplit('/').next().unwrap_or_default();
    if database.get_table_metadata(table)?.is_none() {
        let kind = "com.amazonaws.dynamodb.v20120810#TableNotFoundException";
        let error = json!({ "__type": kind, "message": format!("Table not found: {table}") });
        return Ok((StatusCode::BAD_REQUEST, error));
    }
    let description = json!({
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": "DISABLED" },
    });
    Ok((StatusCode::OK, json!({ "ContinuousBackupsDescription": description })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_server_behind_the_endpoint_has_an_address_of_its_own() {
        let address = listen_inside().await.unwrap().local_addr().unwrap().ip();
        assert!(address.is_loopback());
        assert_eq!(address == Ipv4Addr::LOCALHOST, !cfg!(target_os = "linux"), "{address}");
    }
}
