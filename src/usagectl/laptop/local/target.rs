//! Where the mapping of a local run sends records: the function, and the failure destination.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use event_source_mapping::{Clock, Destination, Function, RemoteFunction};
use laptop::emulators::{FaultPlan, FaultyHttp, ensure_bucket, measured_http};
use laptop::proof::{FaultInjector, Rejections, Sandbox, Sandboxes};
use usage_aggregator::handler::Handler;

use super::Local;
use super::control::Control;
use crate::shell::options::{Endpoint, Options};
use crate::shell::pipeline_choice::Variables;
use crate::shell::workplace::{Workplace, queue_client};

/// The name in metrics and documents of the function that appends the records of the source.
pub(super) const FUNCTION: &str = "usage-aggregator";
/// The name of the function that folds the ledger's pages: the same code, deployed a second time.
pub(super) const FOLD_FUNCTION: &str = "usage-aggregator-fold";

/// Parses `--on-failure` and creates its bucket if it doesn't exist.
pub(super) async fn destination(text: &str, place: &Workplace) -> anyhow::Result<Option<Destination>> {
    if text == "none" {
        return Ok(None);
    }
    if let Some(bucket) = text.strip_prefix("s3://") {
        ensure_bucket(&place.clients.s3, bucket).await?;
        return Ok(Some(Destination::S3 { client: place.clients.s3.clone(), bucket: bucket.to_owned() }));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Some(Destination::Queue { client: queue_client(text)?, url: text.to_owned() }));
    }
    Ok(Some(Destination::Folder(PathBuf::from(text))))
}

/// Creates the failure bucket if the function quarantines records and it doesn't exist.
pub(super) async fn ensure_failure_bucket(
    variables: &Variables,
    options: &Options,
    place: &Workplace,
) -> anyhow::Result<()> {
    let config = variables.clone().with_metrics_sink("none").config()?;
    match config.failure_bucket.filter(|_| config.quarantine.is_some()) {
        Some(bucket) if !matches!(options.s3()?, Endpoint::Remote(_)) => {
            ensure_bucket(&place.clients.s3, &bucket).await
        }
        _ => Ok(()),
    }
}

/// The function, what it rejects if it runs in this process, and the faults that it and its mapping meet and count.
pub(super) struct LocalFunction {
    pub name: &'static str,
    pub function: Arc<dyn Function>,
    pub rejections: Option<Arc<Rejections>>,
    pub faults: FaultInjector,
}

/// The function called `name`: behind `--invoke URL`, or in this process.
pub(super) fn function(
    name: &'static str,
    local: &Local,
    place: &Workplace,
    variables: &Variables,
    control: &Control,
) -> anyhow::Result<LocalFunction> {
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
    let faults = control.faults.counting_separately();
    if let Some(url) = &local.invoke {
        let function = Arc::new(RemoteFunction::new(arn, url, FUNCTION, local.timeout())?);
        return Ok(LocalFunction { name, function, rejections: None, faults });
    }
    let (connections, telemetry) = (place.connections.clone(), local.telemetry.clone());
    let variables = variables.clone().with_metrics_sink(place.metrics_sink());
    let config = variables.clone().with_metrics_sink("none").config()?;
    let metrics = place.services().map(|services| services.metrics().clone());
    let log_metrics = metrics.clone().map(|metrics| (metrics, config.metrics.namespace));
    let archive = config.archive.map(|archive| archive.bucket);
    let make = move || {
        let http = FaultyHttp::new(connections.http.clone(), FaultPlan::none());
        let faulty = http.client();
        let measured = metrics.clone().map(|metrics| measured_http(faulty.clone(), metrics, archive.clone()));
        let clients = connections.through(&measured.unwrap_or(faulty)).clients();
        let config = variables.config()?;
        let deadline_margin = Duration::from_millis(config.deadline_margin_ms);
        Ok(Sandbox { handler: Handler::with_telemetry(config, clients, telemetry.clone()), http, deadline_margin })
    };
    let mut sandboxes = Sandboxes::new(arn, Clock::system()?, local.timeout(), faults.clone(), make);
    if let Some((metrics, namespace)) = log_metrics {
        sandboxes = sandboxes.with_log_metrics(metrics, namespace);
    }
    let rejections = Some(Arc::clone(sandboxes.rejections()));
    Ok(LocalFunction { name, function: Arc::new(sandboxes), rejections, faults })
}
