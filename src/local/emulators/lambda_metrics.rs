//! Publishes the metrics of Lambda and of its event source mappings to the embedded CloudWatch, so that alarms and commands read
//! a local run as they read a stack.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event_source_mapping::{Counts, Function, InvocationResult, Meter, RejectionReason, SequenceNumber};
use tokio::time::Instant;

use super::Metrics;

const LAMBDA: &str = "AWS/Lambda";

/// A function whose invocations are published as metrics.
pub struct MeasuredFunction {
    function: Arc<dyn Function>,
    name: String,
    metrics: Metrics,
    /// The counts of the mapping that invokes it.
    meter: Arc<Meter>,
    running: AtomicU32,
}

impl MeasuredFunction {
    /// Wraps `function`, which CloudWatch knows as `name`. `meter` is that of the mapping that invokes it.
    pub fn new(function: Arc<dyn Function>, name: &str, metrics: Metrics, meter: &Arc<Meter>) -> MeasuredFunction {
        let (name, meter) = (name.to_owned(), Arc::clone(meter));
        MeasuredFunction { function, name, metrics, meter, running: AtomicU32::new(0) }
    }

    fn publish(&self, metric: &str, value: f64) {
        self.metrics.publish(LAMBDA, metric, ("FunctionName", &self.name), value);
    }
}

#[async_trait::async_trait]
impl Function for MeasuredFunction {
    fn arn(&self) -> &str {
        self.function.arn()
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
        let age = float(self.meter.counts().iterator_age_ms);
        let running = InProgress::begin(&self.running);
        let started = Instant::now();
        let result = self.function.invoke(event, request_id).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1_000.0;
        // As in Lambda: a throttled request is not an invocation, and each invocation publishes zeros too.
        let (invocations, errors, throttles) = match &result {
            InvocationResult::Returned(_) => (1.0, 0.0, 0.0),
            InvocationResult::FunctionError(_) => (1.0, 1.0, 0.0),
            InvocationResult::NotInvoked(_) => (0.0, 0.0, 1.0),
        };
        self.publish("Throttles", throttles);
        if invocations > 0.0 {
            for (metric, value) in [
                ("Invocations", invocations),
                ("Errors", errors),
                ("Duration", milliseconds),
                ("IteratorAge", age),
                ("ConcurrentExecutions", running.concurrency.into()),
            ] {
                self.publish(metric, value);
            }
        }
        result
    }

    fn rejection_reason(&self, sequence: &SequenceNumber<'_>) -> Option<RejectionReason> {
        self.function.rejection_reason(sequence)
    }
}

/// An invocation in progress; it also ends if its future is dropped.
struct InProgress<'r> {
    running: &'r AtomicU32,
    concurrency: u32,
}

impl InProgress<'_> {
    fn begin(running: &AtomicU32) -> InProgress<'_> {
        let concurrency = running.fetch_add(1, Ordering::Relaxed) + 1;
        InProgress { running, concurrency }
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the mapping's counts.
type Count = fn(&Counts) -> u64;

/// The metrics of an event source mapping. It keeps the counts already published, from which the next are computed.
#[derive(Debug, Default)]
pub struct MappingMetrics(Mutex<Counts>);

impl MappingMetrics {
    /// Publishes what was counted since the last call.
    pub fn publish(&self, metrics: &Metrics, mapping: &str, function: &str, counts: &Counts) {
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_mapping: [(&str, Count); 6] = [
            ("PolledEventCount", |counts| counts.polled_event_count),
            ("FilteredOutEventCount", |counts| counts.filtered_out_event_count),
            ("InvokedEventCount", |counts| counts.invoked_event_count),
            ("FailedInvokeEventCount", |counts| counts.failed_invoke_event_count),
            ("DroppedEventCount", |counts| counts.dropped_event_count),
            ("OnFailureDestinationDeliveredEventCount", |counts| counts.on_failure_destination_delivered_event_count),
        ];
        let dimension = ("EventSourceMappingUUID", mapping);
        let added = |of: Count| float(of(counts).saturating_sub(of(&before)));
        // A poll without records reports 0. A mapping that doesn't poll reports nothing, which is how alarms notice it.
        let has_polled = counts.polls > before.polls;
        for (metric, of) in of_mapping {
            let is_of_polls = metric == "PolledEventCount" || metric == "FilteredOutEventCount";
            if added(of) > 0.0 || (is_of_polls && has_polled) {
                metrics.publish(LAMBDA, metric, dimension, added(of));
            }
        }
        let undelivered = added(|counts| counts.destination_delivery_failures);
        if undelivered > 0.0 {
            metrics.publish(LAMBDA, "DestinationDeliveryFailures", ("FunctionName", function), undelivered);
        }
        *before = counts.clone();
    }
}

/// Counts of a local run are far below u32::MAX.
fn float(count: u64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulators::cloudwatch::{MetricId, Series, Statistic};

    /// Returns the same result for every invocation.
    struct Constant(InvocationResult);

    #[async_trait::async_trait]
    impl Function for Constant {
        fn arn(&self) -> &'static str {
            "arn"
        }

        async fn invoke(&self, _event: &[u8], _request_id: &str) -> InvocationResult {
            self.0.clone()
        }
    }

    /// The statistic of the last hours; `None` without data.
    fn read(metrics: &Metrics, name: &str, dimension: (&str, &str), statistic: &str) -> Option<f64> {
        let dimensions = [(dimension.0.to_owned(), dimension.1.to_owned())].into();
        let metric = MetricId { namespace: LAMBDA.to_owned(), name: name.to_owned(), dimensions };
        let series = Series { metric, statistic: Statistic::parse(statistic).unwrap(), period: 7_200 };
        let end = event_source_mapping::now().unwrap().seconds() + 3_600;
        metrics.before(&series, end, 1)[0]
    }

    #[tokio::test]
    async fn metrics_are_published_as_lambda_publishes_them() {
        let metrics = Metrics::default();
        for result in [
            InvocationResult::Returned(Vec::new()),
            InvocationResult::FunctionError("boom".to_owned()),
            InvocationResult::NotInvoked("throttled".to_owned()),
        ] {
            let measured = MeasuredFunction::new(Arc::new(Constant(result)), "f", metrics.clone(), &Arc::default());
            measured.invoke(b"{}", "r").await;
            assert_eq!(measured.running.load(Ordering::Relaxed), 0);
        }
        let of_function = |name, statistic| read(&metrics, name, ("FunctionName", "f"), statistic);
        for (name, statistic, expected) in [
            ("Invocations", "Sum", Some(2.0)),
            ("Errors", "Sum", Some(1.0)),
            ("Throttles", "Sum", Some(1.0)),
            ("IteratorAge", "Maximum", Some(0.0)),
            ("ConcurrentExecutions", "Maximum", Some(1.0)),
            ("DestinationDeliveryFailures", "Sum", None),
        ] {
            assert_eq!(of_function(name, statistic), expected, "{name}");
        }
    }

    #[test]
    fn a_mapping_that_polls_without_finding_anything_reports_zeros_and_one_that_does_not_poll_reports_nothing() {
        let (metrics, published) = (Metrics::default(), MappingMetrics::default());
        let samples = |name| read(&metrics, name, ("EventSourceMappingUUID", "uuid"), "SampleCount");
        let publish = |polls, polled_event_count| {
            let counts = Counts { polls, polled_event_count, ..Counts::default() };
            published.publish(&metrics, "uuid", "f", &counts);
        };
        publish(1, 3);
        publish(2, 3);
        assert_eq!((samples("PolledEventCount"), samples("InvokedEventCount")), (Some(2.0), None));
        publish(2, 3);
        assert_eq!(samples("PolledEventCount"), Some(2.0));
        publish(3, 5);
        assert_eq!(read(&metrics, "PolledEventCount", ("EventSourceMappingUUID", "uuid"), "Sum"), Some(5.0));
    }
}
