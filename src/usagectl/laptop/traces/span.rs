//! What an export says about traces, as far as it is shown.

use std::collections::BTreeMap;
use std::fmt::Write;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde::Serialize;

/// The spans of a trace in one export. The function exports an invocation as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Trace {
    pub trace_id: String,
    pub spans: Vec<Span>,
}

/// A span. Its children follow it, those that began first before the others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Span {
    pub name: String,
    pub span_id: String,
    pub parent_span_id: String,
    /// How many spans of this export it is below.
    pub depth: usize,
    pub start_unix_nanos: u64,
    pub end_unix_nanos: u64,
    pub failed: bool,
    pub attributes: BTreeMap<String, String>,
    pub exceptions: Vec<Exception>,
    /// The spans that it links to: earlier deliveries of the same batch.
    pub links: Vec<String>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Exception {
    pub kind: String,
    pub message: String,
}

impl Trace {
    /// Whether something failed or was rejected.
    pub(super) fn has_failed(&self) -> bool {
        self.spans.iter().any(|span| span.failed || !span.exceptions.is_empty())
    }
}

/// The traces of an export, in the order in which they began.
pub(super) fn traces(request: ExportTraceServiceRequest) -> Vec<Trace> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let mut by_trace: BTreeMap<String, Vec<v1::Span>> = BTreeMap::new();
    for span in scopes.flat_map(|scope| scope.spans) {
        by_trace.entry(hex(&span.trace_id)).or_default().push(span);
    }
    let mut traces: Vec<Trace> =
        by_trace.into_iter().map(|(trace_id, spans)| Trace { trace_id, spans: ordered(spans) }).collect();
    traces.sort_by_key(|trace| trace.spans.first().map(|span| span.start_unix_nanos));
    traces
}

/// The spans as a tree: each span before its children.
fn ordered(mut spans: Vec<v1::Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let is_root = |span: &v1::Span| !spans.iter().any(|other| other.span_id == span.parent_span_id);
    let mut waiting: Vec<(usize, &v1::Span)> =
        spans.iter().filter(|span| is_root(span)).rev().map(|span| (0, span)).collect();
    let mut ordered = Vec::with_capacity(spans.len());
    while let Some((depth, span)) = waiting.pop() {
        // Two spans that name each other as their parent are no tree.
        if ordered.len() == spans.len() {
            break;
        }
        ordered.push(shown(span, depth));
        let children = spans.iter().filter(|child| child.parent_span_id == span.span_id);
        waiting.extend(children.rev().map(|child| (depth + 1, child)));
    }
    ordered
}

fn shown(span: &v1::Span, depth: usize) -> Span {
    let exceptions = span.events.iter().filter(|event| event.name == "exception").map(|event| {
        let attributes = attributes(&event.attributes);
        let text = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        Exception { kind: text("exception.type"), message: text("exception.message") }
    });
    Span {
        name: span.name.clone(),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        depth,
        start_unix_nanos: span.start_time_unix_nano,
        end_unix_nanos: span.end_time_unix_nano,
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        attributes: attributes(&span.attributes),
        exceptions: exceptions.collect(),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes
        .iter()
        .map(|KeyValue { key, value, .. }| (key.clone(), value.as_ref().map(text).unwrap_or_default()))
        .collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::ArrayValue(array)) => array.values.iter().map(text).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
