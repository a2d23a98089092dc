//! Log lines: one JSON object a line, flat, with `timestamp`, `level` and `message` first, then the fields of the spans
//! around the event and of the event itself. Values are escaped, so nothing in them can forge a line.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging to stdout at the level of AWS_LAMBDA_LOG_LEVEL, info by default.
pub fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default().to_lowercase();
    let level = if matches!(level.as_str(), "trace" | "debug" | "warn" | "error") { level } else { "info".to_owned() };
    // The SDKs and the HTTP stack log the requests they sign; below warnings they would print items.
    let filter = EnvFilter::new(format!("warn,usage_aggregator={level}"));
    tracing_subscriber::fmt().with_env_filter(filter).fmt_fields(JsonFields::new()).event_format(Lines).init();
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
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(text) = span.extensions().get::<FormattedFields<JsonFields>>() {
                fields.0.extend(serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default());
            }
        }
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
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
