//! Reports panics, the first of an invocation with its backtrace. A message that was formatted may quote an item, so only a
//! literal one is reported.

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::sync::Once;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::error;
use tracing::field::display;

thread_local! {
    /// Whether a backtrace was captured in this invocation, which runs on one thread. A batch may panic at each record, and a
    /// backtrace takes milliseconds.
    static IS_CAPTURED: Cell<bool> = const { Cell::new(false) };
}

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

/// The next panic is the first one of an invocation. A function has one invocation at a time.
pub(super) fn start_invocation() {
    IS_CAPTURED.set(false);
}

/// The backtrace of the first panic of an invocation.
fn backtrace() -> Option<Backtrace> {
    (!IS_CAPTURED.replace(true)).then(Backtrace::force_capture)
}

fn log(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(|location| format!("{}:{}", location.file(), location.line()));
    let reason =
        panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("a formatted message is not reported");
    let stacktrace = backtrace().map(display);
    error!(code = "panicked", field = location, reason, exception.stacktrace = stacktrace, "function panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_panic_of_an_invocation_has_a_backtrace() {
        start_invocation();
        assert_eq!([backtrace(), backtrace(), backtrace()].map(|one| one.is_some()), [true, false, false]);
        start_invocation();
        assert!(backtrace().is_some());
    }
}
