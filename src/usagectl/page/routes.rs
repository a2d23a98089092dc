//! The page's part of a port on the loopback interface: its files, its document, the stream of events, and what its buttons do. All
//! files are in the binary, so that the page works without a network.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use laptop::emulators::unavailable;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Page;
use super::guard::{Guard, guarded};
use super::tasks::Refused;

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
pub(crate) fn routes(page: Arc<Page>) -> Router {
    let router = Router::new()
        .route("/page/view", get(view))
        .route("/page/events", get(events))
        .route("/page/tasks/{name}", get(task).post(start));
    let with_files = FILES.into_iter().fold(router, |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }))
    });
    with_files.with_state(page)
}

/// Serves `routes` on the port of the loopback interface that an option names, or on a free one if it is 0, to nobody but the
/// page with this token and programs of this machine. Returns the URL.
///
/// # Errors
/// If the port is in use.
pub(crate) async fn serve(routes: Router, (option, port): (&str, u16), token: &str) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|error| unavailable(error, port, option))?;
    let address = listener.local_addr()?;
    let routes = behind_guard(routes, address.port(), token);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the page is no longer served");
        }
    });
    Ok(format!("http://{address}"))
}

/// `routes` for nobody but the page with this token and programs of this machine.
pub(crate) fn behind_guard(routes: Router, port: u16, token: &str) -> Router {
    routes.layer(from_fn_with_state(Guard::new(port, token.to_owned()), guarded))
}

async fn view(State(page): State<Arc<Page>>) -> Response {
    let latest = page.latest.borrow().clone();
    ([(header::CONTENT_TYPE, "application/json")], latest.to_string()).into_response()
}

/// First what doesn't change and the history, then the document whenever it is new.
async fn events(State(page): State<Arc<Page>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut documents = page.latest.subscribe();
    page.seen.notify_waiters();
    documents.mark_changed();
    let mut updates = documents.clone();
    let first = async move {
        // The browser gets them only once. The first update sets them, and then publishes; this can't fail while the page is here.
        let _ = updates.wait_for(|_| page.constants.get().is_some()).await;
        Ok(Event::default().event("hello").retry(RECONNECT).data(hello(&page).to_string()))
    };
    let views = stream::unfold(documents, |mut documents| async move {
        documents.changed().await.ok()?;
        let event = Event::default().event("view").data(&*documents.borrow_and_update().clone());
        Some((Ok(event), documents))
    });
    Sse::new(stream::once(first).chain(views))
}

fn hello(page: &Page) -> Value {
    let mut hello = json!({ "run": page.id, "token": page.token, "history": page.history().columns() });
    if let (Value::Object(hello), Some(Value::Object(constants))) = (&mut hello, page.constants.get()) {
        hello.extend(constants.clone());
    }
    hello
}

async fn task(State(page): State<Arc<Page>>, Path(name): Path<String>) -> Response {
    let Some(task) = page.tasks.one(&name) else {
        return (StatusCode::NOT_FOUND, error(&format!("unknown command `{name}`"))).into_response();
    };
    let output = task.ended.as_ref().map(|ended| ended.output.clone());
    Json(json!({ "task": task, "output": output })).into_response()
}

async fn start(State(page): State<Arc<Page>>, Path(name): Path<String>) -> Response {
    let (status, text) = match page.tasks.start(&name) {
        Ok(()) => return StatusCode::ACCEPTED.into_response(),
        Err(Refused::Unknown { expected }) => {
            (StatusCode::NOT_FOUND, format!("unknown command `{name}`; expected one of {expected}"))
        }
        Err(Refused::NotAllowed(reason)) => (StatusCode::FORBIDDEN, reason),
        Err(Refused::Running) => (StatusCode::CONFLICT, format!("{name} is running: wait until it ends")),
    };
    (status, error(&text)).into_response()
}

fn error(text: &str) -> Json<Value> {
    Json(json!({ "error": text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Source;
    use crate::page::tasks::Tasks;

    struct Figures;

    impl Source for Figures {
        const INTERVAL: Duration = Duration::from_secs(1);
        const IS_ON_DEMAND: bool = false;

        fn constants(&self) -> Value {
            json!({ "facts": { "pipeline": "orders" }, "switches": [] })
        }

        async fn read(&self, _: &Page) -> anyhow::Result<String> {
            Ok(r#"{"at":"now"}"#.to_owned())
        }
    }

    /// A page that reconnected in the first milliseconds of a run had no facts and no switches until it was reloaded.
    #[tokio::test]
    async fn regression_a_page_that_connects_before_the_first_update_waits_for_the_facts() {
        let page = Page::new(Tasks::new([])).unwrap();
        let body = events(State(page.clone())).await.into_response().into_body();
        let mut stream = body.into_data_stream();
        assert!(futures::poll!(stream.next()).is_pending());
        page.update(&Figures).await.unwrap();
        // With the page, the stream ends.
        drop(page);
        let mut text = String::new();
        while let Some(part) = stream.next().await {
            text.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
        }
        assert!(text.contains(r#""facts":{"pipeline":"orders"}"#), "{text}");
        assert!(text.contains("data: {\"at\":\"now\"}") && !text.contains("data: {}"), "{text}");
    }
}
