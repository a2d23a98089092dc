//! One run: lists what waits, then takes document after document through the function. A document changes only after the
//! function has said what is durable.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context;
use indicatif::ProgressBar;
use usage_aggregator::local::mapping::{Clock, SourceRecord};

use super::Redrive;
use super::bucket::{Bucket, mapping_of};
use super::document::{Document, Position};
use super::explain::Explainer;
use super::foreign::Expected;
use super::function::Function;
use super::places::Places;
use super::positions::{Found, Streams};
use super::queue::Queue;
use super::report::{Ended, Report};
use super::waiting::{Content, Limits, Spot, Waiting, by_cause, line};
use super::walk::{Why, runs};
use super::work::Worker;
use crate::console::{self, Done, counted};
use crate::options::Options;
use crate::stack::{Deployment, Names, Place};

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

/// A message, until its turn.
struct Positions {
    id: String,
    document: Document,
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
        let horizon_days = horizon_days(deployment, config.map(|config| config.horizon_days).ok()).await;
        Ok(Session {
            limits: Limits {
                now: Clock::system()?.now(),
                horizon_days,
                kinesis_hours: kinesis_hours(deployment).await,
            },
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
        let spots: Vec<&Spot> =
            usable.map(|waiting| &waiting.spot).take(self.command.limit.unwrap_or(usize::MAX)).collect();
        let bar = console::progress(spots.len());
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

    /// What waits, the oldest first, and the messages among it.
    async fn list(&mut self) -> anyhow::Result<(Vec<Waiting>, Vec<Positions>)> {
        let progress = console::spinner("documents read");
        let (mut waiting, mut messages) = (Vec::new(), Vec::new());
        if let Some(bucket) = &self.places.bucket {
            for key in bucket.keys().await? {
                let Some(body) = bucket.read(&key).await? else { continue };
                let content = self.look(&body, mapping_of(&key)).map(|document| Content::from(&document));
                waiting.push(Waiting { spot: Spot::Object { bucket: bucket.name.clone(), key }, content });
                progress.inc(1);
            }
        }
        if let Some(queue) = &self.places.queue {
            for message in queue.receive(|| progress.inc(1)).await? {
                let looked = self.look_at_positions(message.body.as_bytes());
                let content = looked.as_ref().map(Content::from).map_err(Clone::clone);
                waiting.push(Waiting { spot: Spot::Message { id: message.id.clone() }, content });
                if let Ok(document) = looked {
                    self.queued.insert(document.position.clone());
                    messages.push(Positions { id: message.id, document });
                }
            }
        }
        progress.finish_and_clear();
        waiting.sort_by_key(|waiting| waiting.content.as_ref().ok().and_then(|content| content.first_arrival));
        Ok((waiting, messages))
    }

    /// The document of an object, if it can be redriven.
    fn look(&self, body: &[u8], mapping: Option<&str>) -> Result<Document, String> {
        let document = Document::parse(body)?;
        document.payload_records()?;
        self.expected.refuses(&document, mapping).map_or(Ok(document), Err)
    }

    fn look_at_positions(&self, body: &[u8]) -> Result<Document, String> {
        let document = Document::parse(body)?;
        self.expected.refuses(&document, None).map_or(Ok(document), Err)
    }

    fn tell(&mut self, waiting: &[Waiting]) -> anyhow::Result<()> {
        for waiting in waiting {
            if self.options.json {
                console::print(&line(waiting, &self.limits).to_string())?;
            }
            if let Err(why) = &waiting.content {
                self.report.left_alone(&waiting.spot, why)?;
            }
        }
        let usable = waiting.iter().filter(|waiting| waiting.content.is_ok()).count();
        if !self.options.json && usable > 0 {
            console::print(&by_cause(waiting, &self.limits))?;
        }
        Ok(())
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
            let ended = ended?;
            bar.suspend(|| self.report.ended(spot, ended))?;
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

    async fn object(&mut self, bucket: &Bucket, key: &str, spot: &Spot, worker: &mut Worker) -> anyhow::Result<Ended> {
        let Some(body) = bucket.read(key).await? else { return Ok(Ended::Gone) };
        let document = match self.look(&body, mapping_of(key)) {
            Ok(document) => document,
            Err(why) => return Ok(Ended::LeftAlone(why)),
        };
        let records = document.payload_records().map_err(anyhow::Error::msg)?;
        let redriven = worker.redrive(&records, document.records()).await?;
        let remaining = self.explain(spot, redriven.remaining)?;
        let durable = redriven.durable;
        if remaining.is_empty() {
            bucket.delete(key).await?;
            return Ok(Ended::Emptied { durable });
        }
        if remaining.len() < records.len() {
            bucket.narrow(key, &document.narrowed(&remaining)).await?;
            return Ok(Ended::Narrowed { durable, remaining: remaining.len() });
        }
        Ok(Ended::Kept { durable, remaining: remaining.len() })
    }

    async fn message(
        &mut self,
        queue: &Queue,
        message: &Positions,
        streams: &Streams<'_>,
        spot: &Spot,
        worker: &mut Worker,
    ) -> anyhow::Result<Ended> {
        let Positions { id, document } = message;
        if self.worked.contains(&document.position) {
            // The other message has become durable, or says the same.
            queue.delete(id).await?;
            return Ok(Ended::Repeated);
        }
        let Found { records, lost } = match streams.read(document).await {
            Ok(found) => found,
            Err(error) => return Ok(Ended::LeftAlone(format!("could not be read from the stream: {error:#}"))),
        };
        let redriven = worker.redrive(&records, document.records()).await?;
        let durable = redriven.durable;
        let remaining = self.explain(spot, redriven.remaining)?;
        self.worked.insert(document.position.clone());
        if let Some(lost) = lost {
            self.report.lost(spot, &document.position, &lost, self.command.acknowledge_lost)?;
            if !self.command.acknowledge_lost {
                return Ok(Ended::Kept { durable, remaining: remaining.len() });
            }
        }
        if remaining.is_empty() {
            queue.delete(id).await?;
            self.queued.remove(&document.position);
            return Ok(Ended::Emptied { durable });
        }
        if remaining.len() == records.len() && lost.is_none() {
            return Ok(Ended::Kept { durable, remaining: remaining.len() });
        }
        let left = self.left(document, &records, &remaining)?;
        queue.narrow(id, &left).await?;
        self.queued.remove(&document.position);
        Ok(Ended::Narrowed { durable, remaining: remaining.len() })
    }

    /// The messages of what remains: one for each run of records, but for those that are in the queue already.
    fn left(
        &mut self,
        document: &Document,
        records: &[Arc<SourceRecord>],
        remaining: &[Arc<SourceRecord>],
    ) -> anyhow::Result<Vec<String>> {
        let remains = |record: &Arc<SourceRecord>| remaining.iter().any(|other| other.sequence == record.sequence);
        let places = records.iter().enumerate().filter(|(_, record)| remains(record)).map(|(place, _)| place);
        let mut left = Vec::new();
        for run in runs(places) {
            let body = serde_json::to_string(&document.narrowed(records.get(run).unwrap_or_default()))?;
            let position = Document::parse(body.as_bytes()).map_err(anyhow::Error::msg)?.position;
            if self.queued.insert(position) {
                left.push(body);
            }
        }
        Ok(left)
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

/// HORIZON_DAYS of the function.
async fn horizon_days(deployment: &Deployment, configured: Option<i64>) -> i64 {
    const DEFAULT: i64 = 18;
    let configured = configured.unwrap_or(DEFAULT);
    let (Place::Account(account), Some(function)) = (&deployment.place, &deployment.names.function) else {
        return configured;
    };
    match account.lambda().get_function_configuration().function_name(function).send().await {
        Ok(deployed) => {
            let variables = deployed.environment.and_then(|environment| environment.variables).unwrap_or_default();
            variables.get("HORIZON_DAYS").and_then(|days| days.parse().ok()).unwrap_or(configured)
        }
        Err(_) => {
            console::note(&format!(
                "note: HORIZON_DAYS of {function} can't be seen (lambda:GetFunctionConfiguration); taking {configured}"
            ));
            configured
        }
    }
}

/// How long the source keeps records, where it is a Kinesis stream that is read for positions.
async fn kinesis_hours(deployment: &Deployment) -> i64 {
    const DEFAULT: i64 = 24;
    let (Place::Account(account), Some(arn)) = (&deployment.place, &deployment.names.source_arn) else {
        return DEFAULT;
    };
    if deployment.names.failure_queue.is_none() || !arn.contains(":kinesis:") {
        return DEFAULT;
    }
    match account.kinesis().describe_stream_summary().stream_arn(arn).send().await {
        Ok(summary) => {
            summary.stream_description_summary.map_or(DEFAULT, |summary| summary.retention_period_hours.into())
        }
        Err(_) => {
            console::note(&format!(
                "note: the retention of {arn} can't be seen (kinesis:DescribeStreamSummary); taking {DEFAULT} hours"
            ));
            DEFAULT
        }
    }
}
