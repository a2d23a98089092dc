//! The figures of a stack: reads CloudWatch, Lambda, the failure bucket and the ledger once per minute while somebody looks at the page.
//! Nothing is written. `usage` reads the usage table.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;
use usage_aggregator::fold::Folder;
use usage_aggregator::handler::folder;
use usage_aggregator::pipeline::Snapshot;

use super::alarms;
use super::alerts;
use super::calls::Calls;
use super::failures::FailureBucket;
use super::mappings;
use super::metrics::Metrics;
use super::seen::{PERIOD_SECONDS, seen};
use super::sizes::Sizes;
use super::texts;
use super::usage::is_too_large;
use super::view::{self, CallsView, Parts, Spent, View};
use crate::deployment::cost::prices::{PriceItem, Prices};
use crate::page::buckets::Storage;
use crate::page::{Page, Source};
use crate::shell::console::UsageError;
use crate::shell::failure;
use crate::shell::numbers::dollars;
use crate::shell::options::Options;
use crate::stack::{Access, Account, Figures, Names, Where};

/// A stack, and what is known of it.
pub(super) struct StackSource {
    pub stack: String,
    pub span: Duration,
    pub prices: Prices,
    pub sizes: Sizes,
    pub calls: Calls,
    pub clients: Clients,
    pub config: Config,
    pub snapshot: Option<Snapshot>,
    pub spent: Mutex<Spent>,
    /// Why the usage isn't known, if it isn't.
    pub usage_error: Mutex<Option<String>>,
    names: Names,
    account: Account,
    folder: Option<Folder>,
    metrics: Metrics,
    failure_bucket: Option<FailureBucket>,
    /// What was read last.
    parts: Mutex<Option<Parts>>,
}

impl StackSource {
    /// Finds the parts of the stack.
    ///
    /// # Errors
    /// When the stack doesn't exist, can't be read, or lacks an output that is needed.
    pub(super) async fn open(stack: &str, span: Duration, options: &Options) -> anyhow::Result<StackSource> {
        let place = Where { stack: Some(stack.to_owned()), ..Where::default() };
        let deployment = place.open(options).await?;
        let names = deployment.names.clone();
        needed(stack, &names)?;
        let config = deployment.variables(options, Access::Read).await?.with_metrics_sink("none").config();
        let mut config = config.with_context(|| format!("read the configuration of the stack {stack}"))?;
        let account = deployment.account().context("find the account of the stack")?.clone();
        let clients = account.clients();
        let folder = folder(&config, &clients.dynamodb);
        let snapshot = config.pipeline.snapshot.take();
        let sizes = Sizes::read(&clients, &names).await;
        let metrics = Metrics::of(&names);
        let reads_usage = snapshot.is_some() && !is_too_large(&sizes);
        let failure_bucket = names.failure_bucket.as_deref();
        Ok(StackSource {
            stack: stack.to_owned(),
            span,
            prices: Prices::read(None)?,
            calls: Calls::of(&metrics, &names, snapshot.as_ref(), reads_usage),
            sizes,
            failure_bucket: failure_bucket.map(|name| FailureBucket::new(clients.s3.clone(), name)),
            names,
            account,
            clients,
            config,
            folder,
            snapshot,
            metrics,
            parts: Mutex::default(),
            spent: Mutex::default(),
            usage_error: Mutex::default(),
        })
    }

    /// Whether everything could be read.
    pub(super) fn is_complete(&self) -> bool {
        let all = lock(&self.parts).as_ref().is_some_and(|parts| parts.missing.is_empty());
        all && lock(&self.usage_error).is_none()
    }

    /// Reads all parts. Those that can't be read are named, but without metrics there is nothing to show.
    async fn parts(&self) -> anyhow::Result<Parts> {
        let (now, figures) = (event_source_mapping::now()?, self.metrics.figures());
        let period = i32::try_from(PERIOD_SECONDS).context("read metrics by the minute")?;
        let (read, alarms, mappings, stored, firing) = futures::join!(
            Figures::read(&self.clients.cloudwatch, &figures, self.span, period),
            alarms::read(&self.clients.cloudwatch, &self.stack),
            async { mappings::read(&self.account.lambda(), &self.names).await },
            async {
                match &self.failure_bucket {
                    Some(bucket) => bucket.read().await.map(Some),
                    None => Ok(None),
                }
            },
            async {
                match (&self.folder, &self.snapshot) {
                    (Some(folder), Some(snapshot)) => alerts::read(folder, snapshot, now).await.map(Some),
                    _ => Ok(None),
                }
            },
        );
        let read = read.with_context(|| format!("watch the stack {}", self.stack))?;
        let span_seconds = i64::try_from(self.span.as_secs()).context("read the span in seconds")?;
        let seen = seen(&self.metrics, &read, now.seconds(), span_seconds);
        let mut missing: Vec<String> = seen.unreported.iter().map(|text| (*text).to_owned()).collect();
        let (alarms, mappings) = (known(alarms, &mut missing), known(mappings, &mut missing));
        let stored = known(stored, &mut missing).flatten();
        let firing = known(firing, &mut missing).flatten();
        if alarms.as_ref().is_some_and(|alarms| alarms.total == 0) {
            missing.push(format!("the stack {} has no alarms: its parameter Alarms is false", self.stack));
        }
        let mut spent = lock(&self.spent);
        spent.reads += 1;
        spent.documents += stored.as_ref().map_or(0, |stored| u64::from(stored.reads));
        Ok(Parts { read_at: now.to_string(), seen, alarms, mappings, stored, firing, missing })
    }

    /// What has been read since the start, and what that cost.
    fn so_far(&self) -> String {
        let spent = *lock(&self.spent);
        let each = Calls { documents: 0, scans: 0, limits: 0, units: 0, ..self.calls };
        let reads = u32::try_from(spent.reads).map_or(f64::from(u32::MAX), f64::from);
        let documents = u32::try_from(spent.documents).map_or(f64::from(u32::MAX), f64::from);
        let cost = reads * each.dollars_per_hour(&self.prices) / 60.0
            + documents * self.prices.of(PriceItem::Get)
            + spent.units * self.prices.of(PriceItem::ReadUnit);
        spent.text(&dollars(cost))
    }
}

impl Source for StackSource {
    const INTERVAL: Duration = Duration::from_secs(60);
    const IS_ON_DEMAND: bool = true;

    fn constants(&self) -> Value {
        let Names { usage_table, ledger_table, archive_bucket, failure_bucket, failure_queue, .. } = &self.names;
        json!({ "facts": {
            "kind": "stack",
            "stack": self.stack,
            "pipeline": self.config.pipeline.name,
            "source": self.names.source_name(),
            "stream": if self.names.source_arn.as_ref().is_some_and(|arn| arn.contains(":kinesis:")) { "kinesis" } else { "dynamodb" },
            "usage_table": usage_table,
            "ledger": ledger_table,
            "archive": archive_bucket,
            "failure_destination": failure_bucket.as_ref().or(failure_queue.as_ref()),
            "span_seconds": self.span.as_secs(),
            "interval_seconds": Self::INTERVAL.as_secs(),
            "cost": self.calls.sentence(&self.prices),
            "proof_cost": texts::proof(&self.sizes, &self.prices),
            "usage_note": texts::usage(&self.stack, &self.sizes, is_too_large(&self.sizes), &self.prices),
            "left_out": texts::left_out(&self.stack),
        } })
    }

    /// After the first time, figures that can't be read are left as they were, with the reason.
    async fn read(&self, page: &Page) -> anyhow::Result<String> {
        let before = lock(&self.parts).clone();
        let parts = match (self.parts().await, before) {
            (Ok(parts), _) => parts,
            (Err(error), None) => return Err(error),
            (Err(error), Some(before)) => Parts { missing: vec![failure::describe(&error)], ..before },
        };
        page.history().replace(parts.seen.samples.iter().copied());
        *lock(&self.parts) = Some(parts);
        self.document(page)
    }
}

impl StackSource {
    /// The document of what was read last.
    pub(super) fn document(&self, page: &Page) -> anyhow::Result<String> {
        let mut parts = lock(&self.parts).clone().unwrap_or_default();
        parts.missing.extend(lock(&self.usage_error).clone());
        let shown = texts::shown(self.span);
        let view = View {
            stack: self.stack.clone(),
            at: parts.read_at.clone(),
            span_seconds: self.span.as_secs(),
            summary: view::assess(&parts, &shown),
            blocked: view::blocked(&parts),
            figures: parts.seen.figures,
            mappings: parts.mappings,
            alarm_count: parts.alarms.as_ref().map(|alarms| alarms.total),
            alarms: parts.alarms.map(|alarms| alarms.firing),
            more_alerts: parts.firing.as_ref().is_some_and(|firing| firing.more),
            alerts: parts.firing.map(|firing| firing.texts).unwrap_or_default(),
            storage: parts
                .stored
                .as_ref()
                .map(|stored| Storage { failures: Some(stored.failures), ..Storage::default() }),
            rejections: parts.stored.map(|stored| stored.rejections).unwrap_or_default(),
            usage: page.usage(),
            tasks: page.tasks.all(),
            history: page.history().columns(),
            missing: parts.missing,
            calls: CallsView {
                per_minute: self.calls.per_minute(),
                dollars_per_hour: self.calls.dollars_per_hour(&self.prices),
                so_far: self.so_far(),
                at_most: self.calls,
            },
        };
        Ok(serde_json::to_string(&view)?)
    }
}

/// What was read, or else the reason why not, which is added to `missing`.
fn known<T>(read: anyhow::Result<T>, missing: &mut Vec<String>) -> Option<T> {
    read.map_err(|error| missing.push(failure::describe(&error))).ok()
}

/// Checks that the stack has what the page can't do without.
fn needed(stack: &str, names: &Names) -> Result<(), UsageError> {
    let outputs = [
        ("FunctionName", &names.function),
        ("EventSourceMappingId", &names.mapping),
        ("MetricsNamespaceName", &names.metrics_namespace),
        ("PipelineName", &names.pipeline),
    ];
    let missing: Vec<&str> = outputs.into_iter().filter(|(_, name)| name.is_none()).map(|(output, _)| output).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(UsageError(format!(
        "the stack {stack} has no output {missing}: choose a stack that was deployed from template.yaml, or update it"
    )))
}

/// What a mutex holds.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
