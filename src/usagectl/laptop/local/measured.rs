//! Publishes Lambda's metrics for a local run to the embedded CloudWatch, so that other commands read it as they read a stack.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use event_source_mapping::{Counts, Function, InvocationResult, Meter, RejectionReason, SequenceNumber};
use laptop::emulators::{Metrics, Services};

const LAMBDA: &str = "AWS/Lambda";

/// A function whose invocations are published as metrics.
pub(super) struct Measured {
    function: Arc<dyn Function>,
    name: String,
    metrics: Metrics,
    /// The counts of the mapping that invokes it.
    meter: Arc<Meter>,
    running: AtomicU32,
}

impl Measured {
    /// Wraps `function` if there is an embedded CloudWatch.
    pub(super) fn around(
        function: Arc<dyn Function>,
        name: &str,
        services: Option<&Services>,
        meter: &Arc<Meter>,
    ) -> Arc<dyn Function> {
        let Some(services) = services else { return function };
        let (name, metrics) = (name.to_owned(), services.metrics().clone());
        Arc::new(Measured { function, name, metrics, meter: Arc::clone(meter), running: AtomicU32::new(0) })
    }

    fn publish(&self, metric: &str, value: f64) {
        self.metrics.publish(LAMBDA, metric, ("FunctionName", &self.name), value);
    }
}

#[async_trait::async_trait]
impl Function for Measured {
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

/// The counts already published, from which the next EventCount metrics are computed.
#[derive(Debug, Default)]
pub(super) struct Reported(Mutex<Counts>);

impl Reported {
    /// Publishes what was counted since the last call.
    pub(super) fn publish(&self, metrics: &Metrics, mapping: &str, function: &str, counts: &Counts) {
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
        for (metric, of) in of_mapping {
            metrics.publish(LAMBDA, metric, dimension, added(of));
        }
        let undelivered = added(|counts| counts.destination_delivery_failures);
        metrics.publish(LAMBDA, "DestinationDeliveryFailures", ("FunctionName", function), undelivered);
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

    #[tokio::test]
    async fn metrics_are_published_as_lambda_publishes_them() {
        let services = Services::start(None).unwrap();
        let metrics = services.metrics().clone();
        for result in [
            InvocationResult::Returned(Vec::new()),
            InvocationResult::FunctionError("boom".to_owned()),
            InvocationResult::NotInvoked("throttled".to_owned()),
        ] {
            let measured = Measured {
                function: Arc::new(Constant(result)),
                name: "f".to_owned(),
                metrics: metrics.clone(),
                meter: Arc::default(),
                running: AtomicU32::new(0),
            };
            measured.invoke(b"{}", "r").await;
            assert_eq!(measured.running.load(Ordering::Relaxed), 0);
        }
        let reported = Reported::default();
        for polled in [3, 5] {
            let counts = Counts { polled_event_count: polled, ..Counts::default() };
            reported.publish(&metrics, "uuid", "f", &counts);
        }
        let client = services.cloudwatch_client(&laptop::emulators::sdk_config(None));
        use crate::stack::{Figure, Figures, Statistic};
        let of_function = |metric, statistic| Figure::of_function("f", metric, statistic);
        let polled = Figure::new(LAMBDA, "PolledEventCount", &[("EventSourceMappingUUID", "uuid")], Statistic::Sum);
        let asked = [
            (of_function("Invocations", Statistic::Sum), 2.0),
            (of_function("Errors", Statistic::Sum), 1.0),
            (of_function("Throttles", Statistic::Sum), 1.0),
            (of_function("IteratorAge", Statistic::Maximum), 0.0),
            (of_function("ConcurrentExecutions", Statistic::Maximum), 1.0),
            (polled, 5.0),
        ];
        let figures: Vec<Figure> = asked.iter().map(|(figure, _)| figure.clone()).collect();
        let hour = std::time::Duration::from_hours(1);
        let read = Figures::read(&client, &figures, hour, 3_600).await.unwrap();
        for (figure, expected) in &asked {
            let value = if figure.statistic == Statistic::Maximum { read.highest(figure) } else { read.sum(figure) };
            assert_eq!(value, Some(*expected), "{}", figure.metric);
        }
    }
}
