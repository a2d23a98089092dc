//! What is printed of an export of traces, for the fuzzer.

use super::receive::decoded;
use super::waterfall::waterfall;

/// A trace as it is printed.
#[derive(Debug)]
pub struct Printed {
    /// How many spans it has.
    pub spans: usize,
    /// Its lines.
    pub lines: Vec<String>,
    /// With `--json`.
    pub json: String,
}

/// The traces of an export, if it is one.
pub fn printed(export: &[u8]) -> Option<Vec<Printed>> {
    let printed = decoded(export)?.into_iter().map(|trace| Printed {
        spans: trace.spans.len(),
        lines: waterfall(&trace),
        json: serde_json::to_string(&trace).unwrap_or_default(),
    });
    Some(printed.collect())
}

/// How many spans an export has.
pub fn spans(export: &[u8]) -> Option<usize> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    let export = ExportTraceServiceRequest::decode(export).ok()?;
    let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    Some(scopes.map(|scope| scope.spans.len()).sum())
}
