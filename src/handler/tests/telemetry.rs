//! What telemetry collects of panics.

use std::panic::catch_unwind;
use std::sync::LazyLock;

use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level};

use super::*;
use crate::logs;
use crate::telemetry::Settings;

/// tracing remembers for each place in the code whether a subscriber wants it. While the process has a single subscriber, the
/// thread that comes there first decides, and that may be one of another test, without any. This is a second one.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// A telemetry that collects, but whose endpoint nobody serves.
fn telemetry() -> Arc<Telemetry> {
    LazyLock::force(&SECOND);
    let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:9".to_owned());
    Telemetry::new(Settings::read(endpoint).unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_panic_is_an_exception_with_its_backtrace_of_the_span_in_which_it_occurred() {
    let event = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/events/batch-1000.json")).unwrap();
    let now = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
    let telemetry = telemetry();
    let _collecting = tracing::subscriber::set_default(logs::observed(Level::INFO, std::io::sink, telemetry.layers()));
    let handler = handler(&Services::answering(200));
    let sequence = Event::read(&event).unwrap().records()[500].sequence.to_string();
    let outcome = panicking_at(&[sequence], handler.dispatch(&event, &invocation)).await.unwrap();
    assert!(outcome.response().batch_item_failures.is_empty());
    let (spans, records) = telemetry.collected();
    let planning = spans.iter().find(|span| span.contains("decode and plan")).unwrap();
    for part in ["panicked", "src/plan/tests.rs:", "a test asks for a panic", "exception.stacktrace", "panic_if_asked"]
    {
        assert!(planning.contains(part), "{part}: {planning}");
    }
    assert!(
        records.iter().any(|record| record.contains("function panicked") && record.contains("exception.stacktrace"))
    );
}

#[test]
fn a_panic_with_a_formatted_message_is_reported_without_it() {
    let telemetry = telemetry();
    let _collecting = tracing::subscriber::set_default(logs::observed(Level::INFO, std::io::sink, telemetry.layers()));
    tracing::info_span!(target: "telemetry", "work").in_scope(|| {
        catch_unwind(|| "naïve canary".split_at(3)).unwrap_err();
    });
    let (spans, records) = telemetry.collected();
    assert!(spans[0].contains("a formatted message is not reported") && !spans[0].contains("canary"), "{}", spans[0]);
    assert!(records.iter().all(|record| !record.contains("canary")), "{records:?}");
}
