//! Turns log lines into log records. A warning or error that says what went wrong is also an exception of the span in which
//! it was logged, with a fingerprint that groups it with others of the same cause.

use std::fmt;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, Severity};
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_sdk::logs::SdkLogger;
use opentelemetry_semantic_conventions::attribute::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;

use super::fingerprint::fingerprint;

const FINGERPRINT: &str = "usage_aggregator.fingerprint";
/// The name of the event of an exception that fails an invocation (OpenTelemetry's conventions for FaaS).
const FAILED_INVOCATION: &str = "faas.invocation.exception";

/// Collects log lines.
pub(super) struct LogRecords {
    /// Where log records go, if they are exported.
    pub logger: Option<SdkLogger>,
}

impl<S: Subscriber> Layer<S> for LogRecords {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let exception = (level <= Level::WARN).then(|| fields.exception()).flatten();
        if let Some(exception) = &exception {
            Context::map_current(|context| {
                context.span().add_event("exception", exception.clone());
                if level == Level::ERROR {
                    let message = exception.iter().find(|attribute| attribute.key.as_str() == EXCEPTION_MESSAGE);
                    let message = message.map(|attribute| attribute.value.to_string());
                    context.span().set_status(Status::error(message.unwrap_or_default()));
                }
            });
        }
        if let Some(logger) = &self.logger {
            self.emit(logger, level, fields, exception);
        }
    }
}

impl LogRecords {
    fn emit(&self, logger: &SdkLogger, level: Level, fields: Fields, exception: Option<Vec<KeyValue>>) {
        let mut record = logger.create_log_record();
        if exception.is_some() {
            record.set_event_name(if level == Level::ERROR { FAILED_INVOCATION } else { "exception" });
        }
        record.set_severity_text(level.as_str());
        record.set_severity_number(match level {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warn,
            Level::INFO => Severity::Info,
            Level::DEBUG => Severity::Debug,
            Level::TRACE => Severity::Trace,
        });
        record.set_body(AnyValue::from(fields.message));
        record.add_attributes(fields.values.into_iter().map(|(name, value)| (attribute_name(name), value)));
        let text = |attribute: KeyValue| (attribute.key, AnyValue::from(attribute.value.to_string()));
        // The stack trace is among the fields already.
        let exception =
            exception.into_iter().flatten().filter(|attribute| attribute.key.as_str() != EXCEPTION_STACKTRACE);
        record.add_attributes(exception.map(text));
        logger.emit(record);
    }
}

/// The name of a field as an attribute: those of OpenTelemetry's conventions have a dot, the others are this function's.
fn attribute_name(field: &'static str) -> Key {
    if field.contains('.') { Key::from_static_str(field) } else { Key::from(format!("usage_aggregator.{field}")) }
}

/// The message and the other fields of a log line.
#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, AnyValue)>,
}

impl Fields {
    fn text(&self, name: &str) -> Option<&str> {
        match self.values.iter().find(|(known, _)| *known == name) {
            Some((_, AnyValue::String(text))) => Some(text.as_str()),
            _ => None,
        }
    }

    /// What went wrong, if the line says so: a code or an error, and what it is about.
    fn exception(&self) -> Option<Vec<KeyValue>> {
        let code = self.text("code").or_else(|| self.text("error_code")).or_else(|| self.text("error_kind"));
        let reason = self.text("reason").or_else(|| self.text("error"));
        if code.is_none() && reason.is_none() {
            return None;
        }
        // The message of a line is a literal.
        let kind = code.unwrap_or(&self.message);
        let field = self.text("field").unwrap_or_default();
        let route = self.text("route").unwrap_or_default();
        let cause = match self.text("field") {
            Some(_) => kind.to_owned(),
            None => format!("{}: {kind}", self.message),
        };
        let message = [field, reason.unwrap_or_default()].join(" ");
        let mut exception = vec![
            KeyValue::new(EXCEPTION_TYPE, kind.to_owned()),
            KeyValue::new(EXCEPTION_MESSAGE, message.trim().to_owned()),
            KeyValue::new(FINGERPRINT, fingerprint(&cause, field, route)),
        ];
        let stacktrace = self.text(EXCEPTION_STACKTRACE);
        exception.extend(stacktrace.map(|trace| KeyValue::new(EXCEPTION_STACKTRACE, trace.to_owned())));
        Some(exception)
    }

    fn push(&mut self, field: &Field, value: impl Into<AnyValue>) {
        self.values.push((field.name(), value.into()));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.push(field, text) }
    }
}
