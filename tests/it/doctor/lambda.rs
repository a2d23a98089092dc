//! moto's Lambda, with what moto lacks or returns in a form that the SDK can't parse: the function's recursion setting, its
//! tags, its reserved concurrency, and numbers among its variables, which must be strings.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The values that moto doesn't return.
#[derive(Debug, Clone)]
pub struct Front {
    pub moto: String,
    pub recursive_loop: &'static str,
    pub reserved: u32,
    pub version: &'static str,
    /// Whether the caller may not decrypt the functions' variables: Lambda answers without them.
    pub key_denied: bool,
}

impl Front {
    /// Serves on a loopback port until the runtime ends, and returns the URL.
    pub async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/2024-08-31/functions/{name}/recursion-config", get(recursion))
            .route("/2015-03-31/functions/{name}", get(function))
            .fallback(forward)
            .with_state(self);
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        url
    }
}

async fn recursion(State(front): State<Front>) -> impl IntoResponse {
    Json(json!({ "RecursiveLoop": front.recursive_loop }))
}

async fn function(State(front): State<Front>, request: Request) -> Response {
    let answer = forward(State(front.clone()), request).await;
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let Ok(mut got) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    for (_, value) in got["Configuration"]["Environment"]["Variables"].as_object_mut().into_iter().flatten() {
        *value = value.as_str().map_or_else(|| value.to_string(), str::to_owned).into();
    }
    if front.key_denied {
        let error = json!({ "ErrorCode": "AccessDeniedException", "Message": "the KMS access was denied" });
        got["Configuration"]["Environment"] = json!({ "Error": error });
    }
    got["Tags"] = json!({ "usage-aggregator-version": front.version });
    got["Concurrency"] = json!({ "ReservedConcurrentExecutions": front.reserved });
    (head.status, Json(got)).into_response()
}

async fn forward(State(front): State<Front>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().as_str().to_owned();
    head.uri = format!("{}{path}", front.moto).parse::<Uri>().unwrap();
    let body = Full::new(body.collect().await.unwrap().to_bytes());
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    match client.request(axum::http::Request::from_parts(head, body)).await {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            Response::from_parts(head, Body::from(body.collect().await.unwrap().to_bytes()))
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
