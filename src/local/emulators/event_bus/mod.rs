//! The embedded EventBridge. It takes what PutEvents sends, keeps it for the views of `usagectl`, and appends each event to a
//! file, a line of JSON per event, in the form in which rules and targets see it. Nothing is deduplicated, so that an event
//! that was sent twice shows twice. Every bus exists, and there are no rules.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stream_types::Timestamp;
use tokio::net::TcpListener;

use super::{ACCOUNT, REGION, programs_only};

/// How clients speak to EventBridge: the content type of both sides.
pub(super) const PROTOCOL: &str = "application/x-amz-json-1.1";
const TARGET: &str = "AWSEvents.PutEvents";
/// 10: PutEvents's limit of entries per request.
const MAX_ENTRIES: usize = 10;
/// 256 KiB: PutEvents's limit of a request.
const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// An event as the target of a rule receives it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BusEvent {
    version: &'static str,
    /// EventBridge's own id, which is new each time an event is sent.
    pub id: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// What sent it.
    pub source: String,
    account: &'static str,
    /// When it happened, to the second.
    pub time: String,
    region: &'static str,
    resources: Vec<String>,
    /// The sender's own object, as it was sent: its numbers have all their digits.
    pub detail: Box<RawValue>,
}

/// The event buses, which share their events. So do clones.
#[derive(Debug, Clone, Default)]
pub struct EventBus(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    events: Vec<BusEvent>,
    file: Option<File>,
}

/// One entry of PutEvents. What is missing is an error of the entry, not of the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    /// In seconds.
    time: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

/// Why an entry or a request fails, with EventBridge's name for it.
struct Failure {
    code: &'static str,
    message: String,
}

impl EventBus {
    /// Buses that append their events to `file`.
    ///
    /// # Errors
    /// If the file can't be opened.
    pub fn open(file: &Path) -> anyhow::Result<EventBus> {
        let opened = File::options().create(true).append(true).open(file);
        let opened = opened.with_context(|| format!("open {}", file.display()))?;
        Ok(EventBus(Arc::new(Mutex::new(Received { events: Vec::new(), file: Some(opened) }))))
    }

    /// The events since the start, in order of arrival.
    pub fn events(&self) -> Vec<BusEvent> {
        self.received().events.clone()
    }

    /// The events that arrived after the first `known`.
    pub fn events_after(&self, known: usize) -> Vec<BusEvent> {
        self.received().events.get(known..).unwrap_or_default().to_vec()
    }

    /// Puts one event, and returns its id.
    ///
    /// # Errors
    /// If `detail` isn't a JSON object, or the file can't be written.
    pub fn put(&self, source: &str, detail_type: &str, detail: &str) -> anyhow::Result<String> {
        let texts = [source, detail_type, detail].map(|text| Some(text.to_owned()));
        let [source, detail_type, detail] = texts;
        let taken = self.take(Entry { source, detail_type, detail, resources: Vec::new(), time: None });
        taken.map_err(|Failure { code, message }| anyhow::anyhow!("put an event: {code}: {message}"))
    }

    /// Answers a request to the operation `target`: the HTTP status, and the body.
    pub(super) fn answer(&self, target: &str, body: &[u8]) -> (u16, Value) {
        match self.operate(target, body) {
            Ok(answer) => (200, answer),
            Err(Failure { code, message }) => {
                tracing::warn!(code, message, "the embedded EventBridge refused a request");
                (400, json!({ "__type": code, "message": message }))
            }
        }
    }

    fn operate(&self, target: &str, body: &[u8]) -> Result<Value, Failure> {
        let invalid = |message: String| Failure { code: "ValidationException", message };
        if target != TARGET {
            let message = format!("the embedded EventBridge supports PutEvents only, not {target}");
            return Err(Failure { code: "UnknownOperationException", message });
        }
        if body.len() > MAX_REQUEST_BYTES {
            return Err(invalid(format!("the request has {} bytes; the limit is {MAX_REQUEST_BYTES}", body.len())));
        }
        let PutEvents { entries } = serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        if entries.is_empty() || entries.len() > MAX_ENTRIES {
            return Err(invalid(format!("the request has {} entries; expected 1 to {MAX_ENTRIES}", entries.len())));
        }
        let results: Vec<Result<String, Failure>> = entries.into_iter().map(|entry| self.take(entry)).collect();
        let failed = results.iter().filter(|result| result.is_err()).count();
        let result = |result: Result<String, Failure>| match result {
            Ok(id) => json!({ "EventId": id }),
            Err(Failure { code, message }) => json!({ "ErrorCode": code, "ErrorMessage": message }),
        };
        Ok(json!({ "FailedEntryCount": failed, "Entries": results.into_iter().map(result).collect::<Vec<_>>() }))
    }

    /// Takes one entry, and returns the event's id.
    fn take(&self, entry: Entry) -> Result<String, Failure> {
        let required = |name: &str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).ok_or_else(|| Failure {
                code: "InvalidArgument",
                message: format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
            })
        };
        let internal = |error: String| Failure { code: "InternalFailure", message: error };
        let detail = required("Detail", entry.detail)?;
        let malformed = || Failure { code: "MalformedDetail", message: "Detail is malformed.".to_owned() };
        let is_object = serde_json::from_str::<Value>(&detail).is_ok_and(|detail| detail.is_object());
        // A line of the file is an event, and a line break within JSON is white space.
        let detail = RawValue::from_string(detail.replace(['\n', '\r'], " "))
            .ok()
            .filter(|_| is_object)
            .ok_or_else(malformed)?;
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a time in seconds")]
        let seconds = entry.time.map(|time| time as i64);
        let now = event_source_mapping::now().map_err(|error| internal(error.to_string()))?;
        let time = seconds.and_then(Timestamp::from_seconds).unwrap_or(now);
        let event = BusEvent {
            version: "0",
            id: event_source_mapping::uuid(fastrand::u128(..)),
            detail_type: required("DetailType", entry.detail_type)?,
            source: required("Source", entry.source)?,
            account: ACCOUNT,
            time: Timestamp::from_seconds(time.seconds()).unwrap_or(time).to_string(),
            region: REGION,
            resources: entry.resources,
            detail,
        };
        let mut received = self.received();
        if let Some(file) = &mut received.file {
            let line = serde_json::to_string(&event).map_err(|error| internal(error.to_string()))?;
            // One write: a process that is killed leaves whole lines.
            file.write_all(format!("{line}\n").as_bytes()).map_err(|error| internal(error.to_string()))?;
        }
        let id = event.id.clone();
        received.events.push(event);
        Ok(id)
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves PutEvents over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, bus: EventBus) {
    let service = programs_only(Router::new().route("/", post(answer)).with_state(bus));
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the embedded EventBridge stopped");
    }
}

async fn answer(State(bus): State<EventBus>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let (status, body) = bus.answer(target, &body);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, PROTOCOL)], body.to_string())
}

#[cfg(test)]
mod tests;
