//! The handler of the Lambda function. Its schedule sends `{}`; it then starts one invocation for each unit that is due, except the
//! first, which it compacts itself. What fails is reported at the end, so that one bad unit doesn't hold up the others; the next run of
//! the schedule tries again. Another schedule sends `{"prove": …}` once a day.

mod prove;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use futures::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{error, warn};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{Config, ConfigMistakes};
use usage_aggregator::error::Error;
use usage_aggregator::pipeline::Pipeline;

use crate::compactor::{Clock, Compacted, Compactor, Due, Effect, RecordType, Timing};
use crate::event::Event;
use crate::store::Archive;
use crate::work::{RawUnit, UnitKey, raw_units};
use prove::Ledger;

/// Units that are looked at at once.
const CONCURRENCY: usize = 16;
/// The memory of the function if Lambda doesn't say it.
const MEGABYTES: usize = 2_048;

/// What an invocation did, for the logs and for a caller who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The Parquet files that it put.
    pub files: usize,
    /// Their rows.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// The raw files that it deleted.
    pub deleted: usize,
    /// The invocations that it started, one for each further unit or part of a day.
    pub started: usize,
    /// The hours that it proved.
    pub hours: usize,
    /// The records for which ledger and archive differ.
    pub differences: usize,
    /// The records whose amounts weren't compared, because the row before them wasn't found.
    pub unlinked: usize,
}

impl Answer {
    fn add(&mut self, compacted: &Compacted) {
        self.files += compacted.files.len();
        self.rows += compacted.files.iter().map(|file| file.rows).sum::<u64>();
        self.bytes += compacted.files.iter().map(|file| file.bytes).sum::<u64>();
        self.deleted += compacted.deleted.len();
    }
}

/// The handler.
pub struct Function {
    pipeline: Pipeline,
    compactor: Compactor,
    lambda: aws_sdk_lambda::Client,
    /// Its own name, by which it starts more invocations. Without one, it compacts all units itself.
    name: Option<String>,
    /// What is compared with the archive, if the pipeline counts.
    ledger: Option<Ledger>,
}

impl Function {
    /// Reads the environment through `value`.
    ///
    /// # Errors
    /// All mistakes at once: of the settings, and of record types that can't be written to Parquet.
    pub fn new(
        value: impl Fn(&str) -> Option<String>,
        clients: Clients,
        lambda: aws_sdk_lambda::Client,
        clock: Clock,
    ) -> Result<Function, ConfigMistakes> {
        let (pipeline, place) = Config::read_archive(&value)?;
        let mut mistakes = Vec::new();
        for (name, schema) in pipeline.schemas() {
            let of_type = RecordType::new(schema).err().unwrap_or_default();
            mistakes.extend(of_type.into_iter().map(|mistake| format!("{name}: {mistake}")));
        }
        if !mistakes.is_empty() {
            return Err(ConfigMistakes(mistakes));
        }
        let ledger = Ledger::read(&value, &clients)?;
        let megabytes = value("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|text| text.parse().ok());
        let compactor = Compactor {
            archive: Archive { client: clients.s3, bucket: place.bucket, prefix: place.prefix },
            clock,
            timing: Timing::Settled,
            effect: Effect::Commit,
            // The other half holds what is read and written.
            memory_bytes: megabytes.unwrap_or(MEGABYTES) * 1_000_000 / 2,
        };
        Ok(Function { pipeline, compactor, lambda, name: value("AWS_LAMBDA_FUNCTION_NAME"), ledger })
    }

    /// Compacts or proves what the event asks for. Only a proof ends by the deadline.
    ///
    /// # Errors
    /// If the event isn't understood, or anything failed. Everything else has been done then.
    pub async fn handle(&self, event: &Value, deadline: Option<Instant>) -> Result<Answer, Error> {
        let types: Vec<&str> = self.pipeline.schemas().map(|(name, _)| name).collect();
        let mut failed = Vec::new();
        let mut due = match Event::read(event, &types)? {
            Event::One(key) => vec![key],
            Event::ProveDay(day) => return self.prove_day(day, deadline).await,
            Event::Prove(hours) => return self.prove_hours(hours, deadline).await,
            Event::Due { record_type, date } => {
                failed.extend(self.keep_definition(deadline).await.err());
                self.due(record_type.as_deref(), date.as_deref(), &mut failed).await?
            }
        };
        let mut answer = Answer::default();
        if let (Some(name), true) = (&self.name, due.len() > 1) {
            for key in due.drain(1..) {
                match self.start_unit(name, &key).await {
                    Ok(()) => answer.started += 1,
                    Err(error) => failed.push(error),
                }
            }
        }
        for key in due {
            match self.compact(&key).await {
                Ok(compacted) => answer.add(&compacted),
                Err(error) => failed.push(error),
            }
        }
        all_well(failed).map(|()| answer)
    }

    /// The units that are due. Raw files that are no longer needed are deleted on the way.
    async fn due(
        &self,
        record_type: Option<&str>,
        date: Option<&str>,
        failed: &mut Vec<Error>,
    ) -> Result<Vec<UnitKey>, Error> {
        let mut units = Vec::new();
        for (name, _) in self.pipeline.schemas().filter(|(name, _)| record_type.is_none_or(|wanted| wanted == *name)) {
            units.extend(raw_units(&self.compactor.archive, name, date).await?);
        }
        let looks: Vec<_> = units.iter().map(|unit| self.compactor.tidy(&unit.key)).collect();
        let found: Vec<Result<Due, Error>> = stream::iter(looks).buffered(CONCURRENCY).collect().await;
        let mut due = Vec::new();
        for (RawUnit { key, files, bytes }, found) in units.into_iter().zip(found) {
            match found {
                Ok(Due::Nothing) => continue,
                Ok(Due::Files) => {}
                // The alarm HourNotCompacted counts these lines.
                Ok(Due::Overdue) => warn!(unit = %key, files, bytes, "unit overdue"),
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            }
            due.push(key);
        }
        Ok(due)
    }

    async fn compact(&self, key: &UnitKey) -> Result<Compacted, Error> {
        let schema = self.pipeline.schemas().find(|(name, _)| *name == key.record_type);
        let (_, schema) =
            schema.ok_or_else(|| Error::config(format!("compact {key}: the pipeline doesn't archive it")))?;
        let record_type = RecordType::new(schema).map_err(|mistakes| Error::config(mistakes.join("\n")))?;
        self.compactor.compact(&record_type, key, &|| {}).await
    }

    /// Starts an invocation that compacts one unit.
    async fn start_unit(&self, function: &str, key: &UnitKey) -> Result<(), Error> {
        self.start(function, &format!("the compaction of {key}"), Event::of_unit(key)).await
    }

    /// Starts an invocation with this event.
    async fn start(&self, function: &str, what: &str, event: serde_json::Result<Vec<u8>>) -> Result<(), Error> {
        let doing = format!("start {what} (lambda:InvokeFunction on {function})");
        let event = event.map_err(|error| Error::poison(format!("{doing}: {error}")))?;
        let call = self.lambda.invoke().function_name(function).invocation_type(InvocationType::Event);
        let sent = call.payload(Blob::new(event)).send().await;
        sent.map(drop).map_err(|error| Error::from_sdk(&doing, &error))
    }
}

/// Returns the first failure. If there are several, logs each, and says how many there are; the caller logs what is returned.
fn all_well(failed: Vec<Error>) -> Result<(), Error> {
    let count = failed.len();
    if count > 1 {
        failed.iter().for_each(|error| error!(%error, "failed"));
    }
    match failed.into_iter().next() {
        None => Ok(()),
        Some(first) if count == 1 => Err(first),
        Some(first) => {
            let message = format!("{} (the first of {count} failures; the log has all of them)", first.message);
            Err(Error { message, ..first })
        }
    }
}
