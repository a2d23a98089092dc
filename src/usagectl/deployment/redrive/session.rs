//! One run: lists the destinations, then replays one document after another through the function. A document is changed only
//! after the function has reported which of its records are durable.

mod listing;
mod quarantine;
mod replay;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context;
use event_source_mapping::SourceRecord;
use indicatif::ProgressBar;

use super::Redrive;
use super::bucket::is_quarantined;
use super::deadlines::Deadlines;
use super::delivery::Failure;
use super::destinations::Destinations;
use super::explain::Explainer;
use super::failed_batch::{BatchSummary, FailedBatch, Location};
use super::function::Functions;
use super::ownership::{Ownership, Reader, Target};
use super::replay::Replayer;
use super::report::{Disposition, Report};
use super::stream_reader::StreamReader;
use crate::failure_document::Position;
use crate::shell::console::{self, Done, counted};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;
#[cfg(feature = "deployment")]
use crate::stack::Names;
use crate::stack::{Access, Deployment, Place};
use listing::Candidate;

/// The function's own default of HORIZON_DAYS.
const DEFAULT_HORIZON_DAYS: i64 = 18;

/// What a run works with.
pub(crate) struct Session<'s> {
    command: &'s Redrive,
    options: &'s Options,
    deployment: &'s Deployment,
    destinations: &'s Destinations,
    variables: Variables,
    deadlines: Deadlines,
    ownership: Ownership,
    explainer: Explainer,
    report: Report,
    /// The positions of the messages in the queue.
    queued: HashSet<Position>,
    /// The positions whose records have been replayed in this run.
    replayed: HashSet<Position>,
}

impl<'s> Session<'s> {
    pub(crate) async fn open(
        command: &'s Redrive,
        options: &'s Options,
        deployment: &'s Deployment,
        destinations: &'s Destinations,
    ) -> anyhow::Result<Session<'s>> {
        let names = &deployment.names;
        let variables = deployment.variables(options, Access::Read).await?;
        let config = variables.clone().with_metrics_sink("none").config();
        let pipeline = config.ok().map(|config| config.pipeline);
        let is_here = matches!(deployment.place, Place::Here(_));
        // Also where the pipeline can't be read from here.
        let horizon_days = variables.value("HORIZON_DAYS").and_then(|days| days.parse().ok());
        Ok(Session {
            deadlines: Deadlines::of(deployment, horizon_days.unwrap_or(DEFAULT_HORIZON_DAYS)).await?,
            ownership: Ownership {
                append: Reader { mapping: names.mapping.clone(), function: names.function.clone() },
                // On this machine, the handler in this process folds as well.
                fold: (is_here || names.fold_function.is_some())
                    .then(|| Reader { mapping: names.ledger_mapping.clone(), function: names.fold_function.clone() }),
                ledger_table: names.ledger_table.clone(),
                source_arn: names.source_arn.clone(),
                // On this machine, one function name stands for all pipelines.
                pipeline: pipeline.as_ref().map(|pipeline| pipeline.name.clone()).filter(|_| is_here),
                sources: pipeline.map(|pipeline| pipeline.sources).unwrap_or_default(),
            },
            explainer: Explainer::new(&variables, names.log_group.as_deref(), names.fold_log_group.as_deref())?,
            report: Report::new(options.json),
            queued: HashSet::new(),
            replayed: HashSet::new(),
            variables,
            command,
            options,
            deployment,
            destinations,
        })
    }

    /// Lists the destinations, then redrives their documents, or with `--dry-run` describes them.
    pub(crate) async fn run(mut self) -> anyhow::Result<Done> {
        let candidates = self.list().await?;
        if self.command.dry_run {
            return self.preview(candidates).await;
        }
        let bar = console::progress(candidates.len().min(self.limit()));
        self.report.bar = Some(bar.clone());
        let ended = if candidates.is_empty() { Ok(()) } else { self.redrive(candidates, &bar).await };
        bar.finish_and_clear();
        self.report.conclude()?;
        ended.map(|()| self.report.done())
    }

    /// The most documents that are redriven.
    fn limit(&self) -> usize {
        self.command.limit.map_or(usize::MAX, NonZeroUsize::get)
    }

    fn function_name(&self) -> String {
        match &self.deployment.place {
            #[cfg(feature = "deployment")]
            Place::Account(_) => {
                format!("the function {}", self.ownership.append.function.as_deref().unwrap_or("(--function)"))
            }
            Place::Here(_) => "the function in this process".to_owned(),
        }
    }

    async fn redrive(&mut self, candidates: Vec<Candidate>, bar: &ProgressBar) -> anyhow::Result<()> {
        let mut replayer = Replayer::new(self.functions().await?, self.command.keep_going);
        let limit = self.limit();
        if !self.options.json {
            let documents = counted(candidates.len().min(limit), "document");
            console::note(&format!("redriving up to {documents} with {}", replayer.functions.name(Target::Append)));
        }
        let is_usable =
            |candidate: &Candidate| matches!(candidate, Candidate::Message { document, .. } if document.is_ok());
        let streams = match candidates.iter().any(is_usable) {
            true => Some(StreamReader::open(self.deployment, self.options).await?),
            false => None,
        };
        let mut candidates = candidates.into_iter().peekable();
        let mut tried = 0;
        while tried < limit
            && let Some(candidate) = candidates.next()
        {
            let redriven = match candidate {
                Candidate::Object(first) if is_quarantined(&first.key) => {
                    let more = std::iter::from_fn(|| candidates.next_if(Candidate::is_quarantined));
                    let more = more.take((limit - tried).min(quarantine::BATCH) - 1);
                    let listed = more.filter_map(Candidate::into_object);
                    self.redrive_quarantined(std::iter::once(first).chain(listed).collect(), &mut replayer).await
                }
                candidate => {
                    self.redrive_one(candidate, streams.as_ref(), &mut replayer).await.map(|outcome| vec![outcome])
                }
            };
            for disposition in redriven? {
                self.report.ended(disposition);
                tried += usize::from(!matches!(disposition, Disposition::Skipped | Disposition::Gone));
                bar.inc(1);
            }
        }
        Ok(())
    }

    async fn redrive_one(
        &mut self,
        candidate: Candidate,
        streams: Option<&StreamReader<'_>>,
        replayer: &mut Replayer,
    ) -> anyhow::Result<Disposition> {
        let destinations = self.destinations;
        match candidate {
            Candidate::Object(listed) => {
                let bucket = destinations.bucket.as_ref().context("find the bucket of an object")?;
                let location = Location::Object { bucket: bucket.name.clone(), key: listed.key.clone() };
                self.redrive_object(bucket, &listed, &location, replayer).await
            }
            Candidate::Message { id, document } => {
                let summary = document.as_ref().map(|document| BatchSummary::new(document, None)).map_err(Clone::clone);
                let batch = FailedBatch { location: Location::Message { id }, summary };
                self.report.found(&batch, &self.deadlines)?;
                match (document, &destinations.queue, streams) {
                    (Ok(document), Some(queue), Some(streams)) => {
                        self.redrive_message(queue, &document, streams, &batch.location, replayer).await
                    }
                    _ => Ok(Disposition::Skipped),
                }
            }
        }
    }

    async fn functions(&self) -> anyhow::Result<Functions> {
        match &self.deployment.place {
            #[cfg(feature = "deployment")]
            Place::Account(account) => {
                let append = Names::need(&self.deployment.names.function, "--function")?.to_owned();
                let fold = self.deployment.names.fold_function.clone();
                Ok(Functions::Deployed { client: account.lambda(), append, fold })
            }
            Place::Here(place) => {
                // At once, because no mapping may be running that folds.
                let variables = self.variables.clone().with([("FRESHNESS", "now".to_owned())]);
                Functions::in_process(place.site(variables).await?.handler)
            }
        }
    }

    /// Reports why records remain.
    fn explain(
        &mut self,
        location: &Location,
        target: Target,
        remaining: Vec<(Arc<SourceRecord>, Failure)>,
    ) -> anyhow::Result<Vec<Arc<SourceRecord>>> {
        for (record, failure) in &remaining {
            self.report.remains(location, record, self.explainer.explain(target, record, failure))?;
        }
        Ok(remaining.into_iter().map(|(record, _)| record).collect())
    }
}
