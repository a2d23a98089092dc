//! How long the function may work before its deadline.

use std::collections::HashMap;

use dynoxide::Database;

use super::*;
use crate::emulators::in_process::{Objects, client, clients};
use crate::emulators::{Fault, FaultPlan, ensure_tables, table_specs};
use crate::proof::FaultProfile;
use usage_aggregator::config::Config;

/// A function with a timeout of 10 s whose every call is lost, and with this DEADLINE_MARGIN_MS.
async fn function_without_network(margin_ms: &'static str) -> Sandboxes {
    let variables = HashMap::from([
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "usage"),
        ("LEDGER_TABLE", "ledger"),
        ("ARCHIVE_BUCKET", "archive"),
        ("METRICS_SINK", "none"),
        ("DEADLINE_MARGIN_MS", margin_ms),
    ]);
    let config = move || Config::read(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
    let network = client(Database::memory().unwrap(), Objects::default());
    ensure_tables(&clients(network.clone()).dynamodb, &table_specs(&config())).await.unwrap();
    let faults: FaultProfile = "lose=100".parse().unwrap();
    let timeout = Duration::from_secs(10);
    Sandboxes::new("arn".to_owned(), Clock::system().unwrap(), timeout, FaultInjector::new(faults, 1), move || {
        let http = FaultyHttp::new(network.clone(), FaultPlan::always("PutItem", Fault::LoseRequest));
        let config = config();
        let deadline_margin = Duration::from_millis(config.deadline_margin_ms);
        let handler = Handler::new(config, clients(http.client()));
        Ok(Sandbox { handler, http, deadline_margin })
    })
}

#[tokio::test(start_paused = true)]
async fn the_deadline_margin_is_reserved_as_under_lambda() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/insert.json");
    let event = std::fs::read(path).unwrap();
    let mut elapsed = Vec::new();
    for margin_ms in ["1000", "9000"] {
        let function = function_without_network(margin_ms).await;
        let started = tokio::time::Instant::now();
        let answer = function.invoke(&event, "request").await;
        assert!(
            !matches!(&answer, InvocationResult::FunctionError(error) if error.contains("timed out")),
            "{answer:?}"
        );
        elapsed.push(started.elapsed());
    }
    assert!(elapsed[0] > Duration::from_secs(2) && elapsed[0] <= Duration::from_secs(9), "{elapsed:?}");
    assert!(elapsed[1] <= Duration::from_secs(1), "{elapsed:?}");
    let answer = function_without_network("10000").await.invoke(&event, "request").await;
    let expected = "handle the batch: only 10000 ms remain and DEADLINE_MARGIN_MS reserves 10000";
    assert!(matches!(&answer, InvocationResult::FunctionError(error) if error.starts_with(expected)), "{answer:?}");
}
