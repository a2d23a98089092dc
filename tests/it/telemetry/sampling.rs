//! Which traces are exported, by their IDs and by what X-Ray samples.

use super::receiver::{Behavior, Receiver, text};
use super::site::Site;
use super::trace::{ARN, hex};
use crate::prefix::{NOW, event, orders};
use crate::world::at;

/// X-Ray's trace IDs next to the middle: OpenTelemetry's SDKs sample half of all traces by the first bit of the last 16 digits.
const BELOW_HALF: &str = "Root=1-5759e988-bd862e3f7fffffffffffffff;Parent=53995c3f42cd8ad8;Sampled=1";
const ABOVE_HALF: &str = "Root=1-5759e988-bd862e3f8000000000000000;Parent=53995c3f42cd8ad8;Sampled=1";
const UNSAMPLED: &str = "Root=1-5759e988-bd862e3f7fffffffffffffff;Parent=53995c3f42cd8ad8;Sampled=0";

/// What is exported of invocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exported {
    All,
    Nothing,
    /// Those with a trace ID below the middle.
    LowerHalf,
}
use Exported::{All, LowerHalf, Nothing};

/// A sandbox with a sampler, and what it exports to.
struct Sampled {
    site: Site,
    receiver: Receiver,
}

impl Sampled {
    fn by(sampler: &[(&'static str, &'static str)]) -> Sampled {
        let receiver = Receiver::start(Behavior::Status(200));
        Sampled { site: Site::new(&receiver.url, sampler), receiver }
    }

    /// Invokes the function. Returns the ID of its trace, which the log record has too, and whether spans were exported.
    async fn invoke(&self, header: Option<&str>) -> (String, bool) {
        let (records, spans) = (self.receiver.records().len(), self.receiver.spans().len());
        let batch = event(&orders(1));
        let invocation = at(NOW);
        self.site.telemetry.within(header, ARN, self.site.handler.handle(&batch, &invocation)).await.unwrap();
        let record = self.receiver.records().into_iter().nth(records).unwrap();
        (hex(&record.trace_id), self.receiver.spans().len() > spans)
    }
}

#[tokio::test]
async fn each_sampler_exports_what_the_specification_says() {
    // Without a header and with an unsampled one, with a sampled header below the middle, and above it.
    let cases: [(&str, &str, [Exported; 3]); 11] = [
        ("", "", [All, All, All]),
        ("always_on", "", [All, All, All]),
        ("always_off", "", [Nothing, Nothing, Nothing]),
        ("traceidratio", "0", [Nothing, Nothing, Nothing]),
        ("traceidratio", "0.5", [LowerHalf, All, Nothing]),
        ("traceidratio", "1", [All, All, All]),
        ("parentbased_always_on", "", [All, All, All]),
        ("parentbased_always_off", "", [Nothing, All, All]),
        ("parentbased_traceidratio", "0", [Nothing, All, All]),
        ("parentbased_traceidratio", "0.5", [LowerHalf, All, All]),
        ("parentbased_traceidratio", "1", [All, All, All]),
    ];
    for (sampler, ratio, [own, below, above]) in cases {
        let sampled = Sampled::by(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", ratio)]);
        let headers = [(None, own), (Some(UNSAMPLED), own), (Some(BELOW_HALF), below), (Some(ABOVE_HALF), above)];
        for (header, expected) in headers.into_iter().chain([(None, own); 4]) {
            let (trace_id, is_exported) = sampled.invoke(header).await;
            let expected = match expected {
                All => true,
                Nothing => false,
                LowerHalf => trace_id.as_bytes()[16] < b'8',
            };
            assert_eq!(is_exported, expected, "{sampler} {ratio} {header:?} {trace_id}");
            // A trace that X-Ray doesn't sample has no segment there, so it isn't continued.
            let is_of_x_ray = header.is_some_and(|header| header.replace('-', "").contains(&trace_id));
            assert_eq!(
                is_of_x_ray,
                header.is_some_and(|header| header.ends_with("Sampled=1")),
                "{header:?} {trace_id}"
            );
        }
    }
}

#[tokio::test]
async fn only_the_first_invocation_of_a_sandbox_is_a_cold_start_exported_or_not() {
    let sampled = Sampled::by(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")]);
    let invocations = [sampled.invoke(Some(ABOVE_HALF)).await.1, sampled.invoke(Some(BELOW_HALF)).await.1];
    assert_eq!(invocations, [false, true]);
    let spans = sampled.receiver.spans();
    assert_eq!(text(&spans[0].attributes, "faas.coldstart"), "false");
}
