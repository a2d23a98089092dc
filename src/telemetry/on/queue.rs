//! What waits for the export at the end of the invocation. What doesn't fit is dropped and counted.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{Link, Status};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use opentelemetry_semantic_conventions::attribute::FAAS_COLDSTART;

use super::redelivery::Redeliveries;

/// The name of the span that an invocation begins with. It is exported with the name of the function.
const INVOCATION: &str = "invocation";
const FIRST: &str = "usage_aggregator.batch.first_sequence_number";
const FAILED: &str = "usage_aggregator.batch.failed_sequence_number";

/// Spans and log records that wait for the export.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    waiting: Mutex<Waiting>,
    function_name: String,
    /// What describes the function that was invoked.
    function: Mutex<Vec<KeyValue>>,
    /// Whether an invocation has ended in this sandbox, exported or not.
    is_warm: AtomicBool,
    redeliveries: Redeliveries,
}

/// What is exported together.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub spans: Vec<SpanData>,
    pub records: Vec<(SdkLogRecord, InstrumentationScope)>,
    /// How many of either didn't fit.
    pub dropped: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize, function_name: String) -> Queue {
        Queue {
            capacity,
            waiting: Mutex::default(),
            function_name,
            function: Mutex::default(),
            is_warm: AtomicBool::new(false),
            redeliveries: Redeliveries::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything, at the end of an invocation.
    pub(super) fn take(&self) -> Waiting {
        self.is_warm.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.waiting())
    }

    /// Puts something into one of the lists, unless it is full.
    fn push<T>(&self, list: fn(&mut Waiting) -> &mut Vec<T>, item: T) {
        let waiting = &mut *self.waiting();
        if list(waiting).len() < self.capacity { list(waiting).push(item) } else { waiting.dropped += 1 }
    }

    /// Sets what describes the function that is invoked.
    pub(super) fn set_function(&self, function: Vec<KeyValue>) {
        *self.function.lock().unwrap_or_else(PoisonError::into_inner) = function;
    }

    /// Completes the span of an invocation: which function was invoked, whether this sandbox is new, and a link to the last
    /// delivery of the same batch.
    fn complete(&self, mut span: SpanData) -> SpanData {
        span.name = Cow::Owned(self.function_name.clone());
        span.attributes.push(KeyValue::new(FAAS_COLDSTART, !self.is_warm.load(Ordering::Relaxed)));
        span.attributes.extend_from_slice(&self.function.lock().unwrap_or_else(PoisonError::into_inner));
        let text = |name: &str| {
            let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
            found.map(|attribute| attribute.value.to_string())
        };
        let (first, failed) = (text(FIRST), text(FAILED));
        let earlier = first.as_deref().and_then(|first| self.redeliveries.take(first));
        span.links.links.extend(earlier.map(Link::with_context));
        // If the function fails as a whole, the whole batch is delivered again.
        let again = failed.or(first.filter(|_| matches!(span.status, Status::Error { .. })));
        if let Some(again) = again {
            self.redeliveries.expect(again, span.span_context.clone());
        }
        span
    }
}

/// Puts finished spans and log records into the queue.
#[derive(Debug)]
pub(super) struct Collector(pub Arc<Queue>);

impl SpanProcessor for Collector {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            let span = if span.name == INVOCATION { self.0.complete(span) } else { span };
            self.0.push(|waiting| &mut waiting.spans, span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl LogProcessor for Collector {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.push(|waiting| &mut waiting.records, (record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
}
