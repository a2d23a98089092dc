//! The live page of `usagectl local`: over HTTP, as another page would try to use it, and in headless Chromium, where
//! tests/page.py holds the checks.

use std::path::PathBuf;
use std::process::Command;

use axum::http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::local::Background;
use crate::readers::venv;

type Http = HttpClient<HttpConnector, Full<axum::body::Bytes>>;

/// A client of the port of a page.
pub struct Client {
    url: String,
    http: Http,
}

/// A run, and a client of its control port.
struct Page {
    client: Client,
    local: Background,
    fixture: Fixture,
}

pub struct Answer {
    pub status: StatusCode,
    headers: axum::http::HeaderMap,
    pub text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Page {
    fn open(arguments: &[&str]) -> Page {
        let fixture = Fixture::new();
        let local = Background::start(&fixture, arguments);
        let client = Client::new(local.started["page"].as_str().unwrap().trim_end_matches('/'));
        Page { client, local, fixture }
    }
}

/// What a client of the page can do.
impl std::ops::Deref for Page {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    pub fn new(url: &str) -> Client {
        Client { url: url.to_owned(), http: HttpClient::builder(TokioExecutor::new()).build_http() }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let answer = self.http.request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// The first events of these names, as `(name, data)`.
    pub async fn events(&self, count: usize) -> Vec<(String, Value)> {
        let request = Request::builder().uri(format!("{}/page/events", self.url)).body(Full::default()).unwrap();
        let mut body = self.http.request(request).await.unwrap().into_body();
        let (mut text, mut events) = (String::new(), Vec::new());
        while events.len() < count {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            while let Some((event, rest)) = text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                events.push((field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap()));
                text = rest.to_owned();
            }
        }
        events
    }

    async fn token(&self) -> String {
        let events = self.events(1).await;
        events[0].1["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_has_nothing_inline() {
    let page = Page::open(&[]);
    let html = page.get("/").await;
    assert_eq!(html.status, StatusCode::OK);
    let policy = html.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert!(!html.text.contains(" style=") && !html.text.contains("<style") && !html.text.contains(" onclick="));
    let attributes = |name: &str| {
        let start = format!("{name}=\"");
        let parts = html.text.split(&start).skip(1);
        parts.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let linked = [attributes("src"), attributes("href")].concat();
    for path in linked.iter().filter(|path| !path.starts_with('#')) {
        assert!(path.starts_with('/'), "{path} is elsewhere");
        let file = page.get(path).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.headers["x-content-type-options"], "nosniff", "{path}");
    }
    assert!(html.text.matches("<script").count() == html.text.matches("<script src=").count());
    page.local.stop();
}

#[tokio::test]
async fn another_page_can_neither_read_nor_change_anything() {
    let page = Page::open(&[]);
    let token = page.token().await;
    let body = r#"{"name":"crash","on":true}"#;
    let change = async |headers: &[(&str, &str)]| page.send(Method::POST, "/page/faults", headers, body).await.status;
    let own = ("x-usagectl-token", token.as_str());
    assert_eq!(change(&[]).await, StatusCode::FORBIDDEN);
    assert_eq!(change(&[("x-usagectl-token", "00")]).await, StatusCode::FORBIDDEN);
    assert_eq!(change(&[own, ("origin", "http://evil.example")]).await, StatusCode::FORBIDDEN);
    assert_eq!(change(&[own, ("host", "evil.example")]).await, StatusCode::FORBIDDEN, "DNS rebinding");
    assert_eq!(page.get("/faults").await.text, "none");
    for path in ["/", "/status", "/page/view", "/page/events"] {
        let rebound = page.send(Method::GET, path, &[("host", "evil.example")], "").await;
        assert_eq!(rebound.status, StatusCode::FORBIDDEN, "{path}");
        let foreign = page.send(Method::GET, path, &[("origin", "http://evil.example")], "").await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{path}");
    }
    let stop = page.send(Method::POST, "/stop", &[("origin", "http://evil.example")], "").await;
    assert_eq!(stop.status, StatusCode::FORBIDDEN, "a form of another page would have stopped the run");
    assert_eq!(change(&[own, ("origin", &page.url)]).await, StatusCode::OK);
    assert_eq!(page.get("/faults").await.text, "crash=10");
    assert_eq!(page.fixture.run(&["faults", "none"]).stdout, "none\n", "the command still works");
    page.local.stop();
}

#[tokio::test]
async fn an_unknown_fault_and_one_that_cannot_occur_are_refused_with_the_reason() {
    let page = Page::open(&[]);
    let token = page.token().await;
    let set = async |body: &str| page.send(Method::POST, "/page/faults", &[("x-usagectl-token", &token)], body).await;
    for (body, reason) in [
        (r#"{"name":"crush","on":true}"#, "unknown fault `crush`"),
        (r#"{"name":"poison","on":true}"#, "`poison` needs a load that can be rejected"),
        ("crash", "expected {"),
    ] {
        let refused = set(body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.json()["error"].as_str().unwrap().starts_with(reason), "{}", refused.text);
    }
    assert_eq!(set(r#"{"name":"split","on":true}"#).await.json(), json!({ "faults": "split=5s" }));
    assert_eq!(set(r#"{"name":"split","on":false}"#).await.json(), json!({ "faults": "none" }));
    let task = page.send(Method::POST, "/page/tasks/delete", &[("x-usagectl-token", &token)], "").await;
    assert_eq!((task.status, task.json()["error"].is_string()), (StatusCode::NOT_FOUND, true));
    page.local.stop();
}

#[tokio::test]
async fn events_bring_the_figures_of_the_status_and_the_buttons_prove_them() {
    let page = Page::open(&["--fold-window", "0"]);
    let written = page.fixture.run(&["simulate", "orders", "--records", "60", "--rate", "0"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    assert_eq!(page.fixture.run(&["reconcile", "--wait", "60s"]).code, Some(0));
    let usage = loop {
        let events = page.events(3).await;
        assert_eq!([&*events[0].0, &events[1].0, &events[2].0], ["hello", "view", "view"]);
        let hello = &events[0].1;
        assert_eq!((&hello["facts"]["pipeline"], &hello["facts"]["source"]), (&json!("orders"), &json!("orders")));
        assert_eq!(hello["switches"].as_array().unwrap().len(), 20);
        if let Some(usage) = events[2].1["usage"].as_object().filter(|usage| usage["items"].as_u64() > Some(0)) {
            break usage.clone();
        }
    };
    let measures: Vec<&Value> = usage["measures"].as_array().unwrap().iter().map(|one| &one["measure"]).collect();
    assert_eq!(measures, ["amount", "changes", "orders"]);
    let without_clock = |mut status: Value| {
        for path in ["/seconds", "/mapping/polls", "/fold/mapping/polls"] {
            // There is no fold before the run has started.
            if let Some(clock) = status.pointer_mut(path) {
                *clock = Value::Null;
            }
        }
        status
    };
    // Both are updated once per second.
    let view = loop {
        let (view, status) = (page.get("/page/view").await.json(), page.get("/status").await.json());
        let is_current = status["mapping"]["distinct_processed"].as_u64() >= Some(60);
        if is_current && without_clock(view["status"].clone()) == without_clock(status) {
            break view;
        }
        page.events(3).await;
    };
    assert_eq!(view["summary"]["level"], json!("calm"), "{:#}", view["summary"]);

    let token = page.token().await;
    let started = page.send(Method::POST, "/page/tasks/reconcile", &[("x-usagectl-token", &token)], "").await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    let ended = loop {
        let task = page.get("/page/tasks/reconcile").await.json();
        if task["task"]["is_running"] == json!(false) {
            break task;
        }
    };
    assert_eq!(ended["task"]["ended"]["code"], json!(0), "{ended:#}");
    assert!(ended["output"].as_str().unwrap().contains("60 of 60 archived"), "{ended:#}");
    page.local.stop();
}

/// Chromium, or none with a note: root always has one.
fn chromium() -> Option<PathBuf> {
    let file = crate::repository().join(".tools/chromium");
    let made = Command::new("make").args(["--silent", ".tools/chromium"]).current_dir(crate::repository()).status();
    assert!(made.unwrap().success(), "make .tools/chromium failed");
    let path = std::fs::read_to_string(file).unwrap();
    (!path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}

/// Runs a check of tests/page.py in Chromium.
fn check(name: &str) {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: Chromium is missing");
        return;
    };
    let mut command = Command::new(venv().join("python"));
    command.arg(crate::repository().join("tests/page.py")).arg(name);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    let usagectl = env!("CARGO_BIN_EXE_usagectl");
    let output = command.env("USAGECTL", usagectl).env("CHROMIUM", chromium).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_browser_loads_the_page_at_every_width_without_errors() {
    check("loads");
}

#[test]
fn a_browser_shows_the_figures_of_the_status() {
    check("figures");
}

#[test]
fn a_browser_reads_out_the_latest_figures_after_ten_minutes() {
    check("labels");
}

/// 179.6 s used to be "2 min 60 s".
#[test]
fn a_browser_shows_durations_without_60_seconds() {
    check("durations");
}

#[test]
fn a_browser_switches_a_fault_which_the_figures_show() {
    check("faults");
}

#[test]
fn a_browser_redrives_failed_batches_and_shows_the_proof() {
    check("redrive");
}

#[test]
fn a_browser_reconnects_after_a_restart() {
    check("reconnects");
}

#[test]
fn a_browser_shows_a_stack_with_its_last_hours_and_nothing_to_break() {
    check("stack");
}

#[test]
fn a_browser_shows_80_000_entities_with_events_of_the_same_size() {
    check("entities");
}
