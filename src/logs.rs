//! Log lines. Each is one flat JSON object: first `timestamp`, `level` and `message`, then the fields of the enclosing
//! spans and of the event itself. Values are escaped, so that no value can forge a log line.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, registry};

/// A layer that sees log lines and spans, too.
pub type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging to stdout at the level that AWS_LAMBDA_LOG_LEVEL sets; the default is info.
pub fn start() {
    start_with(level(), std::io::stdout);
}

/// The level that AWS_LAMBDA_LOG_LEVEL sets; the default is info.
#[expect(clippy::disallowed_methods, reason = "logging starts before the configuration is read")]
pub fn level() -> Level {
    std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(Level::INFO)
}

/// Starts logging to `writer` at `level`.
pub fn start_with(level: Level, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    registry().with(lines(level, writer)).init();
}

/// Starts logging to `writer` at `level`, and gives `layers` the spans and log lines.
pub fn start_observed(
    level: Level,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    layers: Vec<BoxedLayer>,
) {
    observed(level, writer, layers).init();
}

/// Logs to `writer` at `level`, and gives `layers` the spans and log lines.
pub fn observed(
    level: Level,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    layers: Vec<BoxedLayer>,
) -> impl Subscriber + Send + Sync {
    registry().with(layers).with(lines(level, writer))
}

/// Reports panics as log lines from now on. A message that was formatted may quote an item, and a line break in it would begin another
/// line, with which it could forge log lines and metrics. So only a literal message is reported.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let line = panic_line(place.as_deref(), panic.payload().downcast_ref::<&'static str>().copied());
        // To stderr, whose lines Lambda logs, too: the panic may have interrupted a write to stdout. If stderr is closed, there is
        // nowhere left to report it.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }));
}

/// The log line of a panic at this place, with its message if that is a literal.
fn panic_line(place: Option<&str>, literal: Option<&'static str>) -> String {
    #[expect(clippy::disallowed_methods, reason = "a log line has the time at which it is written")]
    let now = jiff::Timestamp::now();
    let [place, reason] = [place, literal.or(Some("a formatted message is not reported"))].map(Value::from);
    format!(
        "{{\"timestamp\":\"{now:.3}\",\"level\":\"ERROR\",\"message\":\"panicked\",\"code\":\"panicked\",\"field\":{place},\"reason\":{reason}}}\n"
    )
}

/// The layer that writes log lines.
fn lines<S>(level: Level, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // The SDKs and the HTTP stack log the requests that they sign: at levels below warning, that would print items.
    let targets = Targets::new()
        .with_default(Level::WARN)
        .with_target("usage_aggregator", level)
        .with_target("usage_compact", level);
    tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Lines)
        .with_writer(writer)
        .with_filter(targets)
}

struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(text) = span.extensions().get::<FormattedFields<JsonFields>>() {
                fields.0.extend(serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default());
            }
        }
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "a log line has the time at which it is written")]
        let now = jiff::Timestamp::now();
        write!(
            writer,
            "{{\"timestamp\":\"{now:.3}\",\"level\":\"{}\",\"message\":{message}",
            event.metadata().level()
        )?;
        for (name, value) in &fields.0 {
            write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
        }
        writeln!(writer, "}}")
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_log_line_without_a_formatted_message() {
        for (literal, reason) in [(Some("a\nb\""), "a\nb\""), (None, "a formatted message is not reported")] {
            let text = panic_line(Some("src/plan.rs:7"), literal);
            assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
            let line: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&line["level"], &line["field"]), (&"ERROR".into(), &"src/plan.rs:7".into()));
            assert_eq!(line["reason"], reason);
        }
        assert!(serde_json::from_str::<Value>(&panic_line(None, None)).unwrap()["field"].is_null());
    }

    #[test]
    fn no_value_can_forge_a_log_line() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Lines)
            .with_writer(move || writer.clone());
        let hostile = "x\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{2028}\"";
        tracing::subscriber::with_default(registry().with(lines), || {
            let span = tracing::info_span!("invocation", requestId = hostile);
            let _entered = span.enter();
            tracing::warn!(field = %hostile, count = 3, "{hostile}");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["level"], &line["count"]), (&"WARN".into(), &3.into()));
        assert_eq!(line["requestId"], hostile);
        // tracing-subscriber writes control characters of a formatted text as escapes.
        assert!(line["field"].as_str().unwrap().contains("level"));
    }
}
