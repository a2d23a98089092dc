//! OpenTelemetry: traces of invocations, errors as log records, and metrics, exported over OTLP. The other modules only use
//! `tracing`, with the target `telemetry` for spans; here is what collects and exports that. Without the feature `otel`,
//! nothing does, and those spans are disabled.
//!
//! An export never fails a batch, and delays it by the budget at most: what is finished waits in a bounded queue and is
//! exported at the end of an invocation. An endpoint that doesn't respond is left alone for a minute.

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod on;
mod sampling;
mod settings;

#[cfg(not(feature = "otel"))]
pub use off::{Phases, Telemetry};
#[cfg(feature = "otel")]
pub use on::{Phases, Telemetry};
pub use sampling::Sampling;
pub use settings::Settings;

/// The layers that collect what is exported.
pub type Layers = Vec<crate::logs::BoxedLayer>;
