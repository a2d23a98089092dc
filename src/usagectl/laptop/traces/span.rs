//! What an export says about traces, as far as it is shown.

use std::collections::{BTreeMap, HashMap, HashSet};
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

/// The spans as a tree: each span before its children. A span whose parent isn't in the export is a root, and so is the first of spans
/// that are below each other in a circle.
fn ordered(mut spans: Vec<v1::Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let ids: HashSet<&[u8]> = spans.iter().map(|span| &*span.span_id).collect();
    let is_root = |span: &v1::Span| span.parent_span_id.is_empty() || !ids.contains(&*span.parent_span_id);
    let mut below: HashMap<&[u8], Vec<(usize, &v1::Span)>> = HashMap::new();
    for (index, span) in spans.iter().enumerate().rev().filter(|(_, span)| !is_root(span)) {
        below.entry(&span.parent_span_id).or_default().push((index, span));
    }
    let roots = spans.iter().enumerate().filter(|(_, span)| is_root(span));
    let (mut ordered, mut seen) = (Vec::with_capacity(spans.len()), HashSet::new());
    for root in roots.chain(spans.iter().enumerate()) {
        let mut waiting = vec![(0, root)];
        while let Some((depth, (index, span))) = waiting.pop() {
            if seen.insert(index) {
                ordered.push(shown(span, depth));
                let children = below.remove(&*span.span_id).into_iter().flatten();
                waiting.extend(children.map(|child| (depth + 1, child)));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, start: u64) -> v1::Span {
        let [span_id, parent_span_id] = [id, parent].map(|id| id.as_bytes().to_vec());
        v1::Span { span_id, parent_span_id, start_time_unix_nano: start, ..v1::Span::default() }
    }

    fn order(spans: Vec<v1::Span>) -> Vec<(usize, u64)> {
        ordered(spans).iter().map(|span| (span.depth, span.start_unix_nanos)).collect()
    }

    #[test]
    fn children_follow_their_parent_in_the_order_in_which_they_began() {
        let spans = [span("c", "a", 3), span("d", "b", 4), span("b", "a", 2), span("a", "elsewhere", 1)];
        assert_eq!(order(spans.into()), [(0, 1), (1, 2), (2, 4), (1, 3)]);
    }

    #[test]
    fn regression_no_span_is_lost_whatever_the_ids_are() {
        // Without ids, every span seemed to have a parent, and nothing was printed.
        assert_eq!(order(vec![span("", "", 1), span("", "", 2)]), [(0, 1), (0, 2)]);
        assert_eq!(order(vec![span("a", "b", 1), span("b", "a", 2)]), [(0, 1), (1, 2)]);
        assert_eq!(order(vec![span("a", "a", 1), span("b", "a", 2)]), [(0, 1), (1, 2)]);
        assert_eq!(order(vec![span("a", "", 1), span("a", "", 2), span("b", "a", 3)]), [(0, 1), (1, 3), (0, 2)]);
    }
}
