//! The receiver: takes exports over HTTP and hands on their traces.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::sync::mpsc::UnboundedSender;

use super::span::{Trace, traces};

/// 64 MB: what an OTLP exporter sends at most (OpenTelemetry's specification).
const MAX_BYTES: usize = 64 << 20;

/// The routes of OTLP over HTTP. An empty body is a valid answer: nothing was rejected.
pub(super) fn routes(traces: UnboundedSender<Trace>) -> Router {
    Router::new()
        .route("/v1/traces", post(receive))
        .route("/v1/logs", post(async || StatusCode::OK))
        .route("/v1/metrics", post(async || StatusCode::OK))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(traces)
}

async fn receive(State(sender): State<UnboundedSender<Trace>>, body: Bytes) -> (StatusCode, &'static str) {
    let Some(traces) = decoded(&body) else {
        return (StatusCode::BAD_REQUEST, "expected traces as protobuf; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf");
    };
    // The command may have ended.
    traces.into_iter().for_each(|trace| drop(sender.send(trace)));
    (StatusCode::OK, "")
}

/// The traces in an export, if it is one.
pub(super) fn decoded(export: &[u8]) -> Option<Vec<Trace>> {
    ExportTraceServiceRequest::decode(export).ok().map(traces)
}
