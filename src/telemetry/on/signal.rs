//! One kind of telemetry and where it goes.

use std::sync::Arc;

use opentelemetry_sdk::error::OTelSdkResult;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::endpoint::{Breaker, Endpoint};

/// Traces, log records, or metrics, with their exporter.
#[derive(Debug)]
pub(super) struct Signal<E> {
    pub name: &'static str,
    pub exporter: E,
    pub endpoint: Arc<Endpoint>,
    /// Open if the endpoint refused the last export.
    pub breaker: Breaker,
}

impl<E> Signal<E> {
    /// Whether an export may be tried now.
    pub(super) fn is_open(&self) -> bool {
        self.endpoint.breaker.allows() && self.breaker.allows()
    }

    /// Awaits the export of `count` things, until the budget ends. Returns how many were dropped.
    pub(super) async fn export(
        &self,
        count: usize,
        until: Instant,
        export: impl Future<Output = OTelSdkResult>,
    ) -> usize {
        if count == 0 {
            return 0;
        }
        if !self.is_open() {
            return count;
        }
        let failure = match timeout_at(until, export).await {
            Ok(Ok(())) => return 0,
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                self.endpoint.breaker.open();
                "no response within TELEMETRY_BUDGET_MS".to_owned()
            }
        };
        self.breaker.open();
        let signal = self.name;
        warn!(signal, dropped = count, error = failure, "failed to export telemetry; trying again in a minute");
        count
    }
}
