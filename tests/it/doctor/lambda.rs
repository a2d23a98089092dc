//! moto's Lambda, and before it what moto lacks: the function's recursion setting, and the last result of the mapping.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
struct Front {
    moto: String,
    recursive_loop: &'static str,
}

/// Serves on a port of the loopback interface until the runtime ends; gives the URL.
pub async fn serve(moto: &str, recursive_loop: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let front = Front { moto: moto.to_owned(), recursive_loop };
    let routes = Router::new()
        .route("/2024-08-31/functions/{name}/recursion-config", get(recursion))
        .fallback(forward)
        .with_state(front);
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

async fn recursion(State(front): State<Front>) -> impl IntoResponse {
    Json(json!({ "RecursiveLoop": front.recursive_loop }))
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
