//! Two phases of the work that alternate record by record, as one span each.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Span, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use tokio::time::Instant;

/// Whether a span is the sum of parts that alternated with those of the next or the last span.
const INTERLEAVED: &str = "usage_aggregator.interleaved";

/// Measures two phases that alternate.
#[derive(Debug)]
pub struct Phases {
    tracer: SdkTracer,
    began: SystemTime,
    /// When the current phase began, for the last time.
    since: Instant,
    is_second: bool,
    /// How long the first phase took until then.
    first: Duration,
    second: Duration,
}

impl Phases {
    /// Starts with the first phase, unless the trace isn't exported.
    #[expect(clippy::disallowed_methods, reason = "a span has the time of the clock")]
    pub(super) fn start(tracer: SdkTracer) -> Option<Phases> {
        let is_recording = Context::map_current(|context| context.span().is_recording());
        is_recording.then(|| Phases {
            tracer,
            began: SystemTime::now(),
            since: Instant::now(),
            is_second: false,
            first: Duration::ZERO,
            second: Duration::ZERO,
        })
    }

    /// Ends the current phase, and continues with the other one.
    pub fn switch(&mut self) {
        let now = Instant::now();
        let spent = if self.is_second { &mut self.second } else { &mut self.first };
        *spent += now - self.since;
        self.since = now;
        self.is_second = !self.is_second;
    }

    /// Ends the current phase. Each phase becomes a child of the current span, with this name and as long as its parts
    /// together. The second begins where the first ends.
    pub fn finish(mut self, names: [&'static str; 2]) {
        self.switch();
        let mut start = self.began;
        for (name, spent) in names.into_iter().zip([self.first, self.second]) {
            let end = start + spent;
            let builder = self.tracer.span_builder(name).with_start_time(start);
            let builder = builder.with_attributes([KeyValue::new(INTERLEAVED, true)]);
            builder.start_with_context(&self.tracer, &Context::current()).end_with_timestamp(end);
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tokio::time::advance;

    use super::super::queue::{Collector, Queue};
    use super::*;

    fn tracing(sampler: Sampler) -> (Arc<Queue>, SdkTracer) {
        let queue = Arc::new(Queue::new(10, String::new()));
        let provider = SdkTracerProvider::builder().with_sampler(sampler);
        (queue.clone(), provider.with_span_processor(Collector(queue)).build().tracer("test"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_is_as_long_as_its_parts_together() {
        for switches in [2, 3] {
            let (queue, tracer) = tracing(Sampler::AlwaysOn);
            let parent = Context::new().with_span(tracer.start("both")).attach();
            let mut phases = Phases::start(tracer).unwrap();
            for milliseconds in [1, 10, 100].into_iter().take(switches) {
                advance(Duration::from_millis(milliseconds)).await;
                phases.switch();
            }
            advance(Duration::from_millis(1000)).await;
            phases.finish(["first", "second"]);
            drop(parent);
            let spans = queue.take().spans;
            let [first, second, both] = spans.as_slice() else { panic!("{spans:?}") };
            let lengths =
                [first, second].map(|span| span.end_time.duration_since(span.start_time).unwrap().as_millis());
            assert_eq!(lengths, if switches == 2 { [1001, 10] } else { [101, 1010] });
            assert_eq!(first.end_time, second.start_time);
            assert_eq!([first, second].map(|span| span.parent_span_id), [both.span_context.span_id(); 2]);
            assert_eq!((&*first.name, &*second.name), ("first", "second"));
        }
    }

    #[test]
    fn phases_of_a_trace_that_is_not_exported_are_not_measured() {
        let (_, tracer) = tracing(Sampler::AlwaysOff);
        assert!(Phases::start(tracer.clone()).is_none());
        let _parent = Context::new().with_span(tracer.start("both")).attach();
        assert!(Phases::start(tracer).is_none());
    }
}
