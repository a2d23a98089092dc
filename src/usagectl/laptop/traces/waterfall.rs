//! A trace as lines of at most 80 columns: the name of each span, when it ran within the trace, and how long.

use super::span::{Span, Trace};
use crate::shell::console::plain;

/// 80 columns: 28 for the name, 26 for the bar, 10 for the duration, and the rest for what is special about it.
const NAME: usize = 28;
const BAR: usize = 26;
const NOTE: usize = 13;
const LINE: usize = 80;
/// How far names are indented at most, so that some of each is left.
const INDENT: usize = 16;

/// What is counted in the first line of a trace.
const COUNTS: [(&str, &str); 6] = [
    ("messaging.batch.message_count", "records"),
    ("usage_aggregator.records.durable", "durable"),
    ("usage_aggregator.records.rejected", "rejected"),
    ("usage_aggregator.records.quarantined", "quarantined"),
    ("usage_aggregator.notices.settled", "settled"),
    ("usage_aggregator.snapshots", "snapshots"),
];

/// The lines of a trace.
pub(super) fn waterfall(trace: &Trace) -> Vec<String> {
    let start = trace.spans.iter().map(|span| span.start_unix_nanos).min().unwrap_or_default();
    let end = trace.spans.iter().map(|span| span.end_unix_nanos).max().unwrap_or_default();
    let mut lines = vec![cut(&format!("trace {}", plain(&trace.trace_id)), LINE)];
    lines.extend(trace.spans.first().and_then(summary));
    for span in &trace.spans {
        lines.push(line(span, start, end));
        lines.extend(span.exceptions.iter().map(|exception| {
            let text = plain(&format!("{}: {}", exception.kind, exception.message));
            cut(&format!("{:indent$}! {text}", "", indent = indent(span)), LINE)
        }));
        lines.extend(span.links.iter().map(|link| {
            let text = format!("an earlier delivery of this batch is span {}", plain(link));
            cut(&format!("{:indent$}> {text}", "", indent = indent(span)), LINE)
        }));
    }
    lines
}

/// What the first span counts: `3 records, 3 durable, 1 quarantined`
fn summary(root: &Span) -> Option<String> {
    let counts = COUNTS.iter().filter_map(|(name, what)| {
        let count = root.attributes.get(*name).filter(|count| *count != "0")?;
        Some(format!("{} {what}", plain(count)))
    });
    let source = root.attributes.get("messaging.destination.name").map(|source| format!("from {}", plain(source)));
    let parts: Vec<String> = source.into_iter().chain(counts).collect();
    (!parts.is_empty()).then(|| cut(&parts.join(", "), LINE))
}

/// Two columns for each span that it is below, up to a limit.
fn indent(span: &Span) -> usize {
    span.depth.saturating_mul(2).min(INDENT)
}

fn line(span: &Span, start: u64, end: u64) -> String {
    let name = cut(&format!("{:indent$}{}", "", plain(&span.name), indent = indent(span)), NAME);
    let duration = duration(span.end_unix_nanos.saturating_sub(span.start_unix_nanos));
    let line = format!("{name:NAME$} {} {duration:>10} {}", bar(span, start, end), cut(&note(span), NOTE));
    cut(line.trim_end(), LINE)
}

/// When the span ran within the trace. Each span has one column at least.
fn bar(span: &Span, start: u64, end: u64) -> String {
    let whole = u128::from(end.saturating_sub(start).max(1));
    let columns = u128::try_from(BAR).unwrap_or(1);
    let column = |at: u64| {
        let column = u128::from(at.saturating_sub(start)) * columns / whole;
        usize::try_from(column).unwrap_or(BAR).min(BAR)
    };
    let first = column(span.start_unix_nanos).min(BAR - 1);
    let length = column(span.end_unix_nanos).saturating_sub(first).max(1);
    format!("{}{}{}", " ".repeat(first), "■".repeat(length), " ".repeat(BAR - first - length))
}

/// A duration in ten columns: `99999.9 ms`, and from 100 s on `100.0 s`.
fn duration(nanos: u64) -> String {
    match nanos / 100_000 {
        tenths @ ..1_000_000 => format!("{}.{} ms", tenths / 10, tenths % 10),
        tenths => format!("{}.{} s", tenths / 10_000, tenths / 1_000 % 10),
    }
}

/// What is special: an error, or that it is not the first attempt.
fn note(span: &Span) -> String {
    let attribute = |name: &str| span.attributes.get(name).map(|text| plain(text));
    let attempt = attribute("usage_aggregator.attempts").filter(|attempt| attempt != "1");
    let error = attribute("http.response.status_code").filter(|_| span.failed);
    let error = error.or_else(|| attribute("error.type")).or_else(|| attribute("usage_aggregator.expected_error"));
    let parts: Vec<String> = error.into_iter().chain(attempt.map(|attempt| format!("try {attempt}"))).collect();
    parts.join(" ")
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::span::Exception;
    use super::*;

    const MILLISECOND: u64 = 1_000_000;
    const EXPECTED: (&str, &str) = ("usage_aggregator.expected_error", "AlreadyThereAndMore");

    fn span(name: &str, depth: usize, [start, end]: [u64; 2], attributes: &[(&str, &str)]) -> Span {
        Span {
            name: name.to_owned(),
            span_id: format!("{name}-{start}"),
            parent_span_id: String::new(),
            depth,
            start_unix_nanos: start * MILLISECOND,
            end_unix_nanos: end * MILLISECOND,
            failed: false,
            attributes: attributes.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            exceptions: Vec::new(),
            links: Vec::new(),
        }
    }

    fn trace() -> Trace {
        let counts = [
            ("messaging.batch.message_count", "1000"),
            ("messaging.destination.name", "orders"),
            ("usage_aggregator.records.durable", "1000"),
            ("usage_aggregator.records.rejected", "0"),
            ("usage_aggregator.records.quarantined", "1"),
        ];
        let mut root = span("usage-append", 0, [100, 161], &counts);
        root.exceptions.push(Exception {
            kind: "invalid_value".to_owned(),
            message: format!("NewImage.{}\u{1b}[31m expected N, found S", "lines[3].product".repeat(5)),
        });
        root.links.push("53995c3f42cd8ad8".to_owned());
        let throttled =
            [("http.response.status_code", "400"), ("error.type", "ProvisionedThroughputExceededException")];
        let mut refused = span("DynamoDB.PutItem", 2, [109, 118], &throttled);
        refused.failed = true;
        let spans = vec![
            root,
            span("decode and plan", 1, [100, 108], &[]),
            span("decode", 2, [100, 105], &[]),
            span("plan", 2, [105, 108], &[]),
            span("store", 1, [109, 160], &[]),
            refused,
            span("DynamoDB.PutItem", 2, [140, 160], &[("usage_aggregator.attempts", "2")]),
            span("S3.PutObject with a very long name", 2, [109, 131], &[EXPECTED]),
        ];
        Trace { trace_id: "5759e988bd862e3fe1be46a994272793".to_owned(), spans }
    }

    #[test]
    fn a_trace_fits_80_columns_and_controls_no_terminal() {
        let lines = waterfall(&trace());
        assert!(lines.iter().all(|line| line.chars().count() <= LINE && !line.contains('\u{1b}')), "{lines:#?}");
        assert_eq!(lines[1], "from orders, 1000 records, 1000 durable, 1 quarantined");
        let puts: Vec<&String> = lines.iter().filter(|line| line.starts_with("    DynamoDB.PutItem")).collect();
        assert!(puts[0].ends_with("9.0 ms 400") && puts[1].ends_with("20.0 ms try 2"), "{puts:?}");
        assert!(lines.iter().any(|line| line.starts_with("! invalid_value: NewImage.lines[3].product")), "{lines:#?}");
    }

    #[test]
    fn a_span_that_ends_before_it_began_or_takes_no_time_has_a_bar_too() {
        let spans = vec![span("now", 0, [7, 7], &[]), span("back", 0, [7, 3], &[])];
        let lines = waterfall(&Trace { trace_id: String::new(), spans });
        assert!(lines.iter().skip(1).all(|line| line.contains('■')), "{lines:#?}");
        assert!(waterfall(&Trace { trace_id: String::new(), spans: Vec::new() }).len() == 1);
    }

    #[test]
    fn regression_a_span_below_a_hundred_thousand_others_is_a_line_with_its_name() {
        // Rust panics if a text is padded to more than 65,535 columns.
        let mut deep = span("put_page", 100_000, [1, 2], &[]);
        deep.exceptions.push(Exception { kind: "timeout".to_owned(), message: String::new() });
        let lines = waterfall(&Trace { trace_id: "ab".repeat(100), spans: vec![deep] });
        assert!(lines.iter().all(|line| line.chars().count() <= LINE), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("put_page")), "{lines:?}");
    }

    #[test]
    fn regression_a_long_span_does_not_make_its_line_longer() {
        let nanos = [99_999_999_999, 100_000_000_000, 900_000_000_000].map(duration);
        assert_eq!(nanos, ["99999.9 ms", "100.0 s", "900.0 s"]);
        for end in [900_000, u64::MAX / MILLISECOND] {
            let attributes = [("error.type", "timeout"), ("usage_aggregator.attempts", "12")];
            let lines = waterfall(&Trace { trace_id: String::new(), spans: vec![span("a", 0, [0, end], &attributes)] });
            assert!(lines.iter().all(|line| line.chars().count() <= LINE), "{lines:?}");
        }
    }
}
