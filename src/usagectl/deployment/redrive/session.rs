//! One run: lists what waits, then takes document after document through the function. A document changes only after the
//! function has said what is durable.

mod listing;
mod settle;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context;
use event_source_mapping::SourceRecord;
use indicatif::ProgressBar;

use super::Redrive;
use super::document::Position;
use super::explain::Explainer;
use super::foreign::Expected;
use super::function::Function;
use super::limits::Limits;
use super::places::Places;
use super::positions::Streams;
use super::report::Report;
use super::waiting::Spot;
use super::walk::Why;
use super::work::Worker;
use crate::shell::console::{self, Done, counted};
use crate::shell::options::Options;
use crate::stack::{Deployment, Names, Place};
use settle::Positions;

/// What a run works with.
pub struct Session<'s> {
    command: &'s Redrive,
    options: &'s Options,
    deployment: &'s Deployment,
    places: &'s Places,
    limits: Limits,
    expected: Expected,
    explainer: Explainer,
    report: Report,
    /// The positions of messages that are in the queue, and of those that have been worked on.
    queued: HashSet<Position>,
    worked: HashSet<Position>,
}

impl<'s> Session<'s> {
    pub async fn open(
        command: &'s Redrive,
        options: &'s Options,
        deployment: &'s Deployment,
        places: &'s Places,
    ) -> anyhow::Result<Session<'s>> {
        let names = &deployment.names;
        let config = deployment.variables.clone().with_metrics_sink("none").config();
        let sources = config.as_ref().map(|config| config.pipeline.sources.clone()).unwrap_or_default();
        let horizon_days = config.map(|config| config.horizon_days).ok();
        Ok(Session {
            limits: Limits::of(deployment, horizon_days).await?,
            expected: Expected {
                mapping: names.mapping.clone(),
                function: names.function.clone(),
                source_arn: names.source_arn.clone(),
                sources,
            },
            explainer: Explainer::new(&deployment.variables, names.log_group.as_deref())?,
            report: Report::new(options.json),
            queued: HashSet::new(),
            worked: HashSet::new(),
            command,
            options,
            deployment,
            places,
        })
    }

    /// Lists, and redrives unless it is only to be told.
    pub async fn run(mut self) -> anyhow::Result<Done> {
        let (waiting, messages) = self.list().await?;
        self.tell(&waiting)?;
        if self.command.dry_run {
            return self.report.dry(&waiting, &self.function_name());
        }
        let usable = waiting.iter().filter(|waiting| waiting.content.is_ok());
        let limit = self.command.limit.map_or(usize::MAX, NonZeroUsize::get);
        let spots: Vec<&Spot> = usable.map(|waiting| &waiting.spot).take(limit).collect();
        let bar = console::progress(spots.len());
        self.report.bar = Some(bar.clone());
        let ended = if spots.is_empty() { Ok(()) } else { self.redrive(&spots, messages, &bar).await };
        bar.finish_and_clear();
        self.report.conclude()?;
        ended.map(|()| self.report.done())
    }

    fn function_name(&self) -> String {
        match &self.deployment.place {
            Place::Account(_) => {
                format!("the function {}", self.expected.function.as_deref().unwrap_or("(--function)"))
            }
            Place::Here(_) => "the function in this process".to_owned(),
        }
    }

    async fn redrive(&mut self, spots: &[&Spot], messages: Vec<Positions>, bar: &ProgressBar) -> anyhow::Result<()> {
        let mut worker = Worker::new(self.function().await?, self.command.keep_going);
        if !self.options.json {
            console::note(&format!("redriving {} with {}", counted(spots.len(), "document"), worker.function.name()));
        }
        let streams = match messages.as_slice() {
            [] => None,
            _ => Some(Streams::open(self.deployment, self.options).await?),
        };
        let places = self.places;
        for spot in spots {
            let ended = match (spot, &places.bucket, &places.queue, &streams) {
                (Spot::Object { key, .. }, Some(bucket), ..) => self.object(bucket, key, spot, &mut worker).await,
                (Spot::Message { id }, _, Some(queue), Some(streams)) => {
                    let found = messages.iter().find(|message| message.id == *id);
                    let message = found.context("find a message again")?;
                    self.message(queue, message, streams, spot, &mut worker).await
                }
                _ => continue,
            };
            self.report.counts = worker.function.counts();
            self.report.ended(spot, ended?)?;
            bar.inc(1);
        }
        Ok(())
    }

    async fn function(&self) -> anyhow::Result<Function> {
        match &self.deployment.place {
            Place::Account(account) => {
                let name = Names::need(&self.deployment.names.function, "--function")?.to_owned();
                Ok(Function::Deployed { client: account.lambda(), name })
            }
            Place::Here(place) => Function::in_process(place.site(self.deployment.variables.clone()).await?.handler),
        }
    }

    /// Tells why records remain.
    fn explain(
        &mut self,
        spot: &Spot,
        remaining: Vec<(Arc<SourceRecord>, Why)>,
    ) -> anyhow::Result<Vec<Arc<SourceRecord>>> {
        for (record, why) in &remaining {
            self.report.remains(spot, record, self.explainer.explain(record, why))?;
        }
        Ok(remaining.into_iter().map(|(record, _)| record).collect())
    }
}
