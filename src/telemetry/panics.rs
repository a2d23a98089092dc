//! Reports panics with their backtraces. A message that was formatted may quote an item, so only a literal one is reported.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::Once;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::error;

/// From now on, reports panics in observed invocations, in addition to what happens at a panic.
pub(super) fn report() {
    static REPORTED: Once = Once::new();
    REPORTED.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            earlier(panic);
            if Context::map_current(|context| context.has_active_span()) {
                log(panic);
            }
        }));
    });
}

fn log(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(|location| format!("{}:{}", location.file(), location.line()));
    let reason =
        panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("a formatted message is not reported");
    let stacktrace = Backtrace::force_capture();
    error!(code = "panicked", field = location, reason, exception.stacktrace = %stacktrace, "function panicked");
}
