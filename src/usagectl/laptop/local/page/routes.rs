//! The page's part of the control port: its files, its document, the stream of events, and what its buttons do. All files are in
//! the binary, so that the page works without a network.

use std::convert::Infallible;
use std::sync::PoisonError;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Page;
use super::switches;
use super::tasks::Refused;
use crate::laptop::local::control::Control;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// How long a browser waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// The files of the page, by path.
const FILES: [(&str, &str, &str); 7] = [
    ("/", HTML, include_str!("files/index.html")),
    ("/page/page.css", CSS, include_str!("files/page.css")),
    ("/page/page.js", JAVASCRIPT, include_str!("files/page.js")),
    ("/page/icon.svg", SVG, include_str!("files/icon.svg")),
    ("/page/uplot.js", JAVASCRIPT, include_str!("files/uplot/uPlot.iife.min.js")),
    ("/page/uplot.css", CSS, include_str!("files/uplot/uPlot.min.css")),
    ("/page/uplot.txt", TEXT, include_str!("files/uplot/LICENSE")),
];

/// The routes of the page.
pub(in crate::laptop::local) fn routes() -> Router<Control> {
    let router = Router::new()
        .route("/page/view", get(view))
        .route("/page/events", get(events))
        .route("/page/faults", post(set_fault))
        .route("/page/tasks/{name}", get(task).post(start));
    FILES.into_iter().fold(router, |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }))
    })
}

async fn view(State(control): State<Control>) -> Response {
    let latest = control.page.latest.borrow().clone();
    ([(header::CONTENT_TYPE, "application/json")], latest.to_string()).into_response()
}

/// First what doesn't change and the history, then the document whenever it is new.
async fn events(State(control): State<Control>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let page = &control.page;
    let mut documents = page.latest.subscribe();
    page.seen.notify_waiters();
    documents.mark_changed();
    let first = Event::default().event("hello").retry(RECONNECT).data(hello(&control, page).to_string());
    let views = stream::unfold(documents, |mut documents| async move {
        documents.changed().await.ok()?;
        let event = Event::default().event("view").data(&*documents.borrow_and_update().clone());
        Some((Ok(event), documents))
    });
    Sse::new(stream::iter([Ok(first)]).chain(views))
}

fn hello(control: &Control, page: &Page) -> Value {
    let history = page.history.lock().unwrap_or_else(PoisonError::into_inner).columns();
    json!({
        "run": page.id,
        "token": page.token,
        "facts": page.facts.get(),
        "switches": switches::offered(&control.reach),
        "history": history,
    })
}

#[derive(Deserialize)]
struct SwitchedFault {
    name: String,
    on: bool,
}

async fn set_fault(State(control): State<Control>, body: String) -> Response {
    let switched = serde_json::from_str::<SwitchedFault>(&body)
        .map_err(|error| format!("expected {{\"name\": \"crash\", \"on\": true}}: {error}"));
    let profile = switched.and_then(|SwitchedFault { name, on }| {
        switches::switched(&control.faults.profile(), &control.reach, &name, on)
    });
    match profile {
        Ok(profile) => {
            control.faults.set(profile.clone());
            Json(json!({ "faults": profile.to_string() })).into_response()
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, Json(json!({ "error": mistake }))).into_response(),
    }
}

async fn task(State(control): State<Control>, Path(name): Path<String>) -> Response {
    let Some(task) = control.page.tasks.one(&name) else { return unknown(&name) };
    let output = task.ended.as_ref().map(|ended| ended.output.clone());
    Json(json!({ "task": task, "output": output })).into_response()
}

async fn start(State(control): State<Control>, Path(name): Path<String>) -> Response {
    match control.page.tasks.start(&name) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(Refused::Unknown) => unknown(&name),
        Err(Refused::Running) => {
            let error = format!("{name} is running: wait until it ends");
            (StatusCode::CONFLICT, Json(json!({ "error": error }))).into_response()
        }
    }
}

fn unknown(name: &str) -> Response {
    let error = format!("unknown command `{name}`; expected reconcile, redrive, or compact");
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}
