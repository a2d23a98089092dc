//! The function that compacts the archive in a drill: its schedule, which Lambda retries as any asynchronous event, and what the
//! template's filter counts in its log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use event_source_mapping::Clock;
use laptop::emulators::{Fault, FaultPlan, FaultyHttp, Metrics, in_process, sdk_config};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};
use usage_compact::Function;

use crate::telemetry::site::SECOND;

pub const NAME: &str = "close";
/// `CompactSchedule`.
const SCHEDULE: Duration = Duration::from_secs(15 * 60);
/// `ArchiveProofSchedule`.
const PROOF_SCHEDULE: Duration = Duration::from_secs(24 * 3_600);
/// What Lambda waits before it invokes an asynchronous event again that failed.
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// What is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Its role may not put Parquet files.
    pub is_denied: Arc<AtomicBool>,
    /// Its schedule is disabled.
    pub is_disabled: Arc<AtomicBool>,
}

/// The deployed function.
pub struct Compaction {
    function: Function,
    clock: Clock,
    metrics: Metrics,
    faults: Faults,
}

impl Compaction {
    pub fn new(
        variables: impl Fn(&str) -> Option<String>,
        http: &SharedHttpClient,
        clock: Clock,
        metrics: Metrics,
        faults: Faults,
    ) -> Compaction {
        let is_denied = Arc::clone(&faults.is_denied);
        let plan = FaultPlan::new(move |call| match call.operation.as_str() {
            "PutObject" if is_denied.load(Ordering::Relaxed) => Fault::AccessDenied,
            _ => Fault::None,
        });
        let clients = in_process::clients(FaultyHttp::new(http.clone(), plan).client());
        // Without its name, it compacts all units itself.
        let lambda = aws_sdk_lambda::Client::new(&sdk_config(None));
        let now = clock.clone();
        let function = Function::new(variables, clients, lambda, Arc::new(move || now.now().seconds()));
        Compaction { function: function.unwrap_or_else(|mistakes| panic!("{mistakes}")), clock, metrics, faults }
    }

    /// Sends the schedules' events until the drill ends.
    pub async fn run(self) {
        let mut schedule = tokio::time::interval(SCHEDULE);
        let mut proof = tokio::time::interval(PROOF_SCHEDULE);
        loop {
            tokio::select! {
                _ = schedule.tick() => {}
                _ = proof.tick() => {
                    let at = self.clock.now().to_string();
                    self.invoke(json!({ "prove": { "at": at, "hours_ago": 26 } })).await;
                    continue;
                }
            }
            if self.faults.is_disabled.load(Ordering::Relaxed) {
                continue;
            }
            let mut has_failed = self.invoke(json!({})).await;
            for wait in RETRIES {
                if has_failed {
                    tokio::time::sleep(wait).await;
                    has_failed = self.invoke(json!({})).await;
                }
            }
        }
    }

    /// Returns whether the invocation failed.
    async fn invoke(&self, event: Value) -> bool {
        let has_failed = self.function.handle(&event, None).await.is_err();
        let publish = |metric, value| self.metrics.publish("AWS/Lambda", metric, ("FunctionName", NAME), value);
        publish("Invocations", 1.0);
        publish("Errors", if has_failed { 1.0 } else { 0.0 });
        has_failed
    }
}

/// The metric that the template's filter `OverdueCount` makes of the log.
pub struct OverdueCount {
    metrics: Metrics,
    namespace: &'static str,
}

impl OverdueCount {
    /// Counts the lines that this thread logs.
    pub fn start(metrics: Metrics, namespace: &'static str) -> DefaultGuard {
        LazyLock::force(&SECOND);
        tracing::subscriber::set_default(OverdueCount { metrics, namespace })
    }
}

impl Subscriber for OverdueCount {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("usage_compact")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == "unit overdue" {
            self.metrics.publish_of(self.namespace, "UnitsOverdue", &[], 1.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message of a line.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
