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
use opentelemetry_semantic_conventions::attribute::{AWS_LAMBDA_INVOKED_ARN, FAAS_COLDSTART};

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
    function: String,
    function_arn: Mutex<String>,
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
    pub(super) fn new(capacity: usize, function: String) -> Queue {
        Queue {
            capacity,
            waiting: Mutex::default(),
            function,
            function_arn: Mutex::default(),
            is_warm: AtomicBool::new(false),
            redeliveries: Redeliveries::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Waiting {
        std::mem::take(&mut *self.waiting())
    }

    /// Sets the ARN by which the function was invoked.
    pub(super) fn set_function_arn(&self, arn: &str) {
        arn.clone_into(&mut self.function_arn.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Completes the span of an invocation: by what name and ARN the function was invoked, whether this sandbox is new, and
    /// a link to the last delivery of the same batch.
    fn complete(&self, mut span: SpanData) -> SpanData {
        let arn = self.function_arn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        span.name = Cow::Owned(self.function.clone());
        span.attributes.push(KeyValue::new(FAAS_COLDSTART, !self.is_warm.swap(true, Ordering::Relaxed)));
        if !arn.is_empty() {
            span.attributes.push(KeyValue::new(AWS_LAMBDA_INVOKED_ARN, arn));
        }
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

/// Puts finished spans into the queue.
#[derive(Debug)]
pub(super) struct Spans(pub Arc<Queue>);

impl SpanProcessor for Spans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let span = if span.name == INVOCATION { self.0.complete(span) } else { span };
        let mut waiting = self.0.waiting();
        if waiting.spans.len() < self.0.capacity {
            waiting.spans.push(span);
        } else {
            waiting.dropped += 1;
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Puts log records into the queue.
#[derive(Debug)]
pub(super) struct Records(pub Arc<Queue>);

impl LogProcessor for Records {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let mut waiting = self.0.waiting();
        if waiting.records.len() < self.0.capacity {
            waiting.records.push((record.clone(), scope.clone()));
        } else {
            waiting.dropped += 1;
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
