//! The X-Ray header that Lambda gives an invocation, as the parent of its span.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The span that the header names, if X-Ray samples the trace. Otherwise X-Ray has no segment that could be a parent.
pub(super) fn parent(header: &str) -> Option<SpanContext> {
    let field = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let (version, root) = field("Root")?.split_once('-')?;
    let trace = TraceId::from_hex(&root.replace('-', "")).ok()?;
    let span = SpanId::from_hex(field("Parent")?).ok()?;
    let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
    Some(context).filter(|context| version == "1" && field("Sampled") == Some("1") && context.is_valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampled_header_names_the_parent() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0";
        let context = parent(header).unwrap();
        assert_eq!(context.trace_id().to_string(), "5759e988bd862e3fe1be46a994272793");
        assert_eq!((context.span_id().to_string(), context.is_sampled()), ("53995c3f42cd8ad8".to_owned(), true));
    }

    #[test]
    fn a_header_that_names_no_segment_of_x_ray_is_ignored() {
        for header in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=1-x;Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=1",
        ] {
            assert_eq!(parent(header), None, "{header}");
        }
    }
}
