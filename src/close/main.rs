//! The Lambda function that closes units. Its schedule sends `{}`; it then starts one invocation for each unit that is due, except
//! the last, which it closes itself. An event may name the record type, and also the date and the unit.

// The futures of the SDK's calls are nested deeply.
#![recursion_limit = "256"]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};
use usage_aggregator::archive::CloseUnit;
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{Config, ConfigMistakes};
use usage_aggregator::error::Error;
use usage_aggregator::logs;
use usage_aggregator::pipeline::Pipeline;
use usage_close::{Archive, Closed, Closer, Due, Effect, RecordType, Timing, UnitKey, raw_units};

/// What to close: all units, those of a record type, or one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    record_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

/// What an invocation did, for the logs and for a caller who waits.
#[derive(Debug, Default, Serialize)]
struct Answer {
    closed: usize,
    rows: u64,
    bytes: u64,
    deleted: usize,
    started: usize,
}

struct Function {
    pipeline: Pipeline,
    closer: Closer,
    lambda: aws_sdk_lambda::Client,
    /// Its own name, by which it starts more invocations; Lambda sets it.
    name: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    logs::start();
    let function = &Function::new().await.inspect_err(|mistakes| error!(%mistakes, "failed to start"))?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| async move {
        let answer = function.run(&event.payload).await.inspect_err(|error| error!(%error, "failed to close"))?;
        info!(?answer, "closed");
        Ok::<_, lambda_runtime::Error>(answer)
    }))
    .await
}

impl Function {
    async fn new() -> Result<Function, ConfigMistakes> {
        let (pipeline, place) = Config::read_archive(environment)?;
        let mut mistakes = Vec::new();
        for (name, schema) in pipeline.schemas() {
            let of_type = RecordType::new(schema).err().unwrap_or_default();
            mistakes.extend(of_type.into_iter().map(|mistake| format!("{name}: {mistake}")));
        }
        if !mistakes.is_empty() {
            return Err(ConfigMistakes(mistakes));
        }
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        let archive = Archive { client: Clients::new(&config).s3, bucket: place.bucket, prefix: place.prefix };
        let closer = Closer {
            archive,
            clock: Arc::new(now),
            timing: Timing::Settled,
            effect: Effect::Commit,
            memory_bytes: memory_bytes(),
        };
        let (lambda, name) = (aws_sdk_lambda::Client::new(&config), environment("AWS_LAMBDA_FUNCTION_NAME"));
        Ok(Function { pipeline, closer, lambda, name })
    }

    async fn run(&self, event: &Event) -> Result<Answer, Error> {
        let mut due = self.due(event).await?;
        let mut answer = Answer::default();
        if let (Some(name), true) = (&self.name, due.len() > 1) {
            for key in due.drain(1..) {
                self.start(name, &key).await?;
                answer.started += 1;
            }
        }
        for key in due {
            let closed = self.close(&key).await?;
            answer.closed += closed.files.len();
            answer.rows += closed.files.iter().map(|file| file.rows).sum::<u64>();
            answer.bytes += closed.files.iter().map(|file| file.bytes).sum::<u64>();
            answer.deleted += closed.deleted.len();
        }
        Ok(answer)
    }

    /// The units to close. Raw files that are due are deleted on the way.
    async fn due(&self, event: &Event) -> Result<Vec<UnitKey>, Error> {
        if let Event { record_type: Some(record_type), date: Some(date), unit: Some(unit) } = event {
            let unit = CloseUnit::parse(unit);
            let unit = unit.ok_or_else(|| Error::config("read the event: `unit` must be like 2026-11-28T08"))?;
            return Ok(vec![UnitKey { record_type: record_type.clone(), date: date.clone(), unit }]);
        }
        let mut due = Vec::new();
        for (name, _) in self.pipeline.schemas() {
            if event.record_type.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            for unit in raw_units(&self.closer.archive, name, event.date.as_deref()).await? {
                match self.closer.tidy(&unit.key).await? {
                    Due::Nothing => continue,
                    Due::Files => {}
                    // The alarm HourNotClosed counts these lines.
                    Due::Overdue => warn!(unit = %unit.key, files = unit.files, bytes = unit.bytes, "unit overdue"),
                }
                due.push(unit.key);
            }
        }
        Ok(due)
    }

    async fn close(&self, key: &UnitKey) -> Result<Closed, Error> {
        let schema = self.pipeline.schemas().find(|(name, _)| *name == key.record_type);
        let (_, schema) =
            schema.ok_or_else(|| Error::config(format!("close {key}: the pipeline doesn't archive it")))?;
        let record_type = RecordType::new(schema).map_err(|mistakes| Error::config(mistakes.join("\n")))?;
        self.closer.close(&record_type, key, &|| {}).await
    }

    /// Starts an invocation that closes one unit.
    async fn start(&self, function: &str, key: &UnitKey) -> Result<(), Error> {
        let UnitKey { record_type, date, unit } = key.clone();
        let event = Event { record_type: Some(record_type), date: Some(date), unit: Some(unit.to_string()) };
        let doing = format!("start the closing of {key} (lambda:InvokeFunction on {function})");
        let event = serde_json::to_vec(&event).map_err(|error| Error::poison(format!("{doing}: {error}")))?;
        let call = self.lambda.invoke().function_name(function).invocation_type(InvocationType::Event);
        let sent = call.payload(Blob::new(event)).send().await;
        sent.map(drop).map_err(|error| Error::from_sdk(&doing, &error))
    }
}

/// Half of the function's memory: the other half holds what is read and written.
fn memory_bytes() -> usize {
    let megabytes = environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|text| text.parse::<usize>().ok());
    megabytes.unwrap_or(2_048) * 1_000_000 / 2
}

#[expect(clippy::disallowed_methods, reason = "the environment is read once, when the function starts")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
