//! The services of a deployment: Lambda's API in front of the function's own handler, and a proxy in front of a service that
//! logs requests, and never responds to some of them, as if the connection had died.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::runtime::{Received, Sandbox};
use crate::world::{Function, at};

pub const MAPPING: &str = "4f6a1d2b-93d2-47a7-9e0c-5f6f3c1b7a10";
pub const FUNCTION: &str = "usage-aggregator";
/// A mapping that no longer exists.
pub const DELETED_MAPPING: &str = "9d1c7f40-0b1e-4c56-8f0e-2f1f6a7d5c33";

/// How the function responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    Well,
    /// It fails with every event.
    Broken,
    /// Its responses name records that aren't in the batch.
    Unreadable,
    /// It can't be invoked.
    Refused,
}

/// The function's code.
pub enum Code {
    Handler(Box<Function>),
    /// The deployed binary.
    Binary(Box<Sandbox>),
}

/// Lambda with one function.
#[derive(Clone)]
pub struct Lambda {
    code: Arc<tokio::sync::Mutex<Code>>,
    now: &'static str,
    filters: Vec<String>,
    pub behavior: Arc<Mutex<Behavior>>,
    /// The records of each invocation.
    pub invocations: Arc<Mutex<Vec<usize>>>,
    /// The name of the function of each invocation, and its alias, as in `f:live`.
    pub functions: Arc<Mutex<Vec<String>>>,
}

impl Lambda {
    /// A function at this time, whose mapping has these filters.
    pub fn new(code: Code, now: &'static str, filters: &[&str]) -> Lambda {
        Lambda {
            code: Arc::new(tokio::sync::Mutex::new(code)),
            now,
            filters: filters.iter().map(|&filter| filter.to_owned()).collect(),
            behavior: Arc::new(Mutex::new(Behavior::Well)),
            invocations: Arc::default(),
            functions: Arc::default(),
        }
    }

    /// Serves the API and returns its URL.
    pub async fn serve(&self) -> String {
        let routes = Router::new()
            .route("/2015-03-31/functions/{name}/invocations", post(invoke))
            .route("/2015-03-31/functions/{name}/configuration", get(configuration))
            .route("/2015-03-31/event-source-mappings/{uuid}", get(mapping))
            .with_state(self.clone());
        listen(routes).await
    }

    /// Serves Invoke, and forwards all other requests to another Lambda.
    pub async fn serve_before(&self, upstream: &str) -> String {
        let (rest, ..) = Proxy::new(upstream, |_| false);
        let invoke = Router::new().route("/2015-03-31/functions/{name}/invocations", post(invoke));
        listen(invoke.with_state(self.clone()).fallback_service(Router::new().fallback(pass).with_state(rest))).await
    }
}

impl Code {
    async fn run(&mut self, event: &[u8], now: &str) -> Result<String, String> {
        match self {
            Code::Handler(function) => match function.handler.handle(event, &at(now)).await {
                Ok(outcome) => Ok(serde_json::to_string(&outcome.response()).unwrap()),
                Err(error) => Err(error.to_string()),
            },
            Code::Binary(sandbox) => match sandbox.invoke(event).await {
                Received::Response(body) => Ok(body.to_string()),
                other => Err(format!("{other:?}")),
            },
        }
    }
}

/// The environment variables of a function.
pub type Variables = Arc<Mutex<BTreeMap<String, String>>>;

/// Serves these variables as those of every function.
pub async fn serve_variables(variables: Variables) -> String {
    let configuration = async |State(variables): State<Variables>| {
        json!({ "FunctionName": FUNCTION, "Environment": { "Variables": *variables.lock().unwrap() } }).to_string()
    };
    let routes = Router::new().route("/2015-03-31/functions/{name}/configuration", get(configuration));
    listen(routes.with_state(variables)).await
}

/// Serves an API that denies every request.
pub async fn serve_denials() -> String {
    let denied = async || {
        let body = json!({ "Message": "not allowed" }).to_string();
        (StatusCode::FORBIDDEN, [("x-amzn-errortype", "AccessDeniedException")], body)
    };
    listen(Router::new().fallback(denied)).await
}

/// Serves these routes and returns their URL.
pub async fn listen(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn invoke(
    State(lambda): State<Lambda>,
    Path(function): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    event: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let records = serde_json::from_slice::<Value>(&event).unwrap()["Records"].as_array().unwrap().len();
    lambda.invocations.lock().unwrap().push(records);
    let alias = query.get("Qualifier").map(|alias| format!(":{alias}")).unwrap_or_default();
    lambda.functions.lock().unwrap().push(function + &alias);
    let behavior = *lambda.behavior.lock().unwrap();
    let mut headers = HeaderMap::new();
    let failed = |headers: &mut HeaderMap, message: &str| {
        headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
        json!({ "errorType": "Error", "errorMessage": message }).to_string()
    };
    let (status, body) = match behavior {
        Behavior::Broken => (StatusCode::OK, failed(&mut headers, "no bucket")),
        Behavior::Unreadable => {
            (StatusCode::OK, json!({ "batchItemFailures": [{ "itemIdentifier": "7" }] }).to_string())
        }
        Behavior::Refused => {
            headers.insert("x-amzn-errortype", "AccessDeniedException".parse().unwrap());
            (StatusCode::FORBIDDEN, json!({ "Message": "not allowed" }).to_string())
        }
        Behavior::Well => match lambda.code.lock().await.run(&event, lambda.now).await {
            Ok(body) => (StatusCode::OK, body),
            Err(message) => (StatusCode::OK, failed(&mut headers, &message)),
        },
    };
    (status, headers, body)
}

async fn configuration() -> String {
    json!({ "FunctionName": FUNCTION, "Environment": { "Variables": { "HORIZON_DAYS": "9" } } }).to_string()
}

async fn mapping(State(lambda): State<Lambda>, Path(uuid): Path<String>) -> (StatusCode, HeaderMap, String) {
    let mut headers = HeaderMap::new();
    if uuid == DELETED_MAPPING {
        headers.insert("x-amzn-errortype", "ResourceNotFoundException".parse().unwrap());
        let body = json!({ "Message": "The resource you requested does not exist." }).to_string();
        return (StatusCode::NOT_FOUND, headers, body);
    }
    let filters: Vec<Value> = lambda.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
    (StatusCode::OK, headers, json!({ "UUID": uuid, "FilterCriteria": { "Filters": filters } }).to_string())
}

/// The requests that a proxy has seen: method, path, and the range that was asked for.
pub type Requests = Arc<Mutex<Vec<String>>>;

/// What a connection loses when it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    Request,
    Response,
}

/// A proxy in front of a service.
#[derive(Clone)]
struct Proxy {
    upstream: String,
    stops_at: fn(&Request) -> bool,
    lost: Lost,
    stopped: mpsc::UnboundedSender<()>,
    requests: Requests,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Proxy {
    fn new(upstream: &str, stops_at: fn(&Request) -> bool) -> (Proxy, mpsc::UnboundedReceiver<()>) {
        let (stopped, stops) = mpsc::unbounded_channel();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (upstream, lost, requests) = (upstream.to_owned(), Lost::Request, Requests::default());
        (Proxy { upstream, stops_at, lost, stopped, requests, client }, stops)
    }
}

/// Forwards requests to `upstream`, except those that `stops_at` selects: they are reported and never answered. If their
/// response is lost, they are forwarded first.
pub async fn proxy(
    upstream: &str,
    stops_at: fn(&Request) -> bool,
    lost: Lost,
) -> (String, mpsc::UnboundedReceiver<()>) {
    let (proxy, stops) = Proxy::new(upstream, stops_at);
    let url = listen(Router::new().fallback(pass).with_state(Proxy { lost, ..proxy })).await;
    (url, stops)
}

/// Forwards all requests to `upstream` and logs them.
pub async fn logging_proxy(upstream: &str) -> (String, Requests) {
    let (proxy, _) = Proxy::new(upstream, |_| false);
    let requests = Arc::clone(&proxy.requests);
    (listen(Router::new().fallback(pass).with_state(proxy)).await, requests)
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> axum::http::Response<Full<Bytes>> {
    let range = request.headers().get("range").map_or("", |range| range.to_str().unwrap());
    proxy.requests.lock().unwrap().push(format!("{} {} {range}", request.method(), request.uri()));
    let stops = (proxy.stops_at)(&request);
    if stops && proxy.lost == Lost::Request {
        proxy.stopped.send(()).unwrap();
        return std::future::pending().await;
    }
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{}{path}", proxy.upstream).parse().unwrap();
    let body = body.collect().await.unwrap().to_bytes();
    let response = proxy.client.request(Request::from_parts(parts, Full::new(body))).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if stops {
        proxy.stopped.send(()).unwrap();
        return std::future::pending().await;
    }
    axum::http::Response::from_parts(parts, Full::new(body))
}
