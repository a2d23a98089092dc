//! Writes messages to a Kinesis stream, each at most once.
//!
//! A message has no state that a repeated write could detect, so one is sent again only if it certainly didn't arrive. If
//! that is uncertain, the ledger says so.

use std::io;
use std::time::Duration;

use anyhow::bail;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::time::Instant;

use super::aggregate::aggregated;
use super::change::{Change, Write};
use super::journal::Unsure;
use super::progress::Progress;
use stream_types::Timestamp;
use usage_aggregator::backoff::Backoff;
use usage_aggregator::error::Error;

/// 500: PutRecords' limit of records.
pub(super) const MAX_RECORDS: usize = 500;

/// Where to write, in which form, and how long to retry.
#[derive(Debug)]
pub(super) struct StreamWriter<'w> {
    pub client: &'w Client,
    pub stream: &'w str,
    /// Messages per record. Above 1, the records are aggregated as by the Kinesis Producer Library.
    pub aggregate: usize,
    pub patience: Duration,
}

type PutError = SdkError<PutRecordsError, aws_smithy_runtime_api::client::orchestrator::HttpResponse>;
type Sent = Vec<(Change, Timestamp)>;

/// The result of a request.
enum PutResult {
    /// The response says which of the messages arrived.
    Answered(PutRecordsOutput),
    /// None of the messages arrived.
    NotArrived(Error),
    /// Some or all of the messages may have arrived.
    Open,
}

impl StreamWriter<'_> {
    /// Sends the messages until each has arrived, or may have.
    pub(super) async fn write(&self, changes: Vec<Change>, progress: &Progress<'_>) -> anyhow::Result<()> {
        let mut backoff = Backoff::until(Some(Instant::now() + self.patience));
        progress.wait_until_quiet().await?;
        let mut left: Sent = Vec::with_capacity(changes.len());
        for change in changes {
            let sent_at = progress.begin(&change)?;
            left.push((change, sent_at));
        }
        loop {
            let answer = backoff.attempt(self.send(&left)).await.transpose()?;
            let error = match answer {
                Some(PutResult::Answered(output)) => {
                    let (arrived, refused) = separated(left, self.aggregate, &output)?;
                    let records = output.records().iter().filter(|result| result.error_code().is_none());
                    progress.count_stream_records(records.count());
                    finish(arrived, None, progress)?;
                    left = refused;
                    Error::transient(format!("{}: {}", self.doing(), first_refusal(&output)))
                }
                Some(PutResult::NotArrived(error)) => error,
                Some(PutResult::Open) | None => return finish(left, Some(Unsure::Arrival), progress),
            };
            if left.is_empty() {
                return Ok(());
            }
            progress.count_retry();
            if !backoff.pause().await {
                return Err(backoff.give_up(error).into());
            }
            progress.wait_until_quiet().await?;
        }
    }

    async fn send(&self, changes: &Sent) -> anyhow::Result<PutResult> {
        let mut request = self.client.put_records().stream_name(self.stream);
        for changes in changes.chunks(self.aggregate) {
            let mut messages = Vec::with_capacity(changes.len());
            for (change, _) in changes {
                let Write::Message { partition_key, data } = &change.write else { bail!("send an item to a stream") };
                messages.push((partition_key.as_str(), data.as_str()));
            }
            let (partition_key, data) = match &messages[..] {
                [(partition_key, data)] if self.aggregate == 1 => (*partition_key, data.as_bytes().to_vec()),
                several => ("a", aggregated(several)),
            };
            let entry = PutRecordsRequestEntry::builder().partition_key(partition_key).data(Blob::new(data));
            request = request.records(entry.build()?);
        }
        // The SDK's retries would repeat messages that may have arrived.
        let once = aws_sdk_kinesis::config::Builder::new().retry_config(RetryConfig::disabled());
        match request.customize().config_override(once).send().await {
            Ok(output) => Ok(PutResult::Answered(output)),
            Err(error) => self.judge(&error),
        }
    }

    fn judge(&self, error: &PutError) -> anyhow::Result<PutResult> {
        let throttled =
            |code: Option<&str>| code.is_some_and(|code| code.contains("Throttl") || code.contains("Exceeded"));
        match error {
            SdkError::ServiceError(service) if service.raw().status().is_client_error() => match service.err().code() {
                code if throttled(code) => Ok(PutResult::NotArrived(Error::from_sdk(&self.doing(), error))),
                Some("ResourceNotFoundException") => {
                    bail!("stream {} not found: create it, or choose another with --stream", self.stream)
                }
                _ => Err(Error::from_sdk(&self.doing(), error).into()),
            },
            SdkError::ConstructionFailure(_) => Err(Error::from_sdk(&self.doing(), error).into()),
            SdkError::DispatchFailure(_) if is_refused_connection(error) => {
                Ok(PutResult::NotArrived(Error::from_sdk(&self.doing(), error)))
            }
            _ => Ok(PutResult::Open),
        }
    }

    fn doing(&self) -> String {
        format!("write to the stream {} (kinesis:PutRecords)", self.stream)
    }
}

/// Separates the messages that arrived from those that were refused. Those of one record have one result.
fn separated(sent: Sent, aggregate: usize, output: &PutRecordsOutput) -> anyhow::Result<(Sent, Sent)> {
    let (records, expected) = (output.records().len(), sent.len().div_ceil(aggregate));
    if records != expected {
        bail!("read the response to PutRecords: it has {records} results for {expected} records");
    }
    let of_messages = output.records().iter().flat_map(|result| std::iter::repeat_n(result, aggregate));
    let results: Vec<_> = sent.into_iter().zip(of_messages).collect();
    let (arrived, refused): (Vec<_>, Vec<_>) =
        results.into_iter().partition(|(_, result)| result.error_code().is_none());
    let changes = |results: Vec<((Change, Timestamp), _)>| results.into_iter().map(|(change, _)| change).collect();
    Ok((changes(arrived), changes(refused)))
}

fn first_refusal(output: &PutRecordsOutput) -> String {
    let refused = output.records().iter().find_map(|result| result.error_code());
    refused.unwrap_or("no message was refused").to_owned()
}

fn finish(changes: Sent, unsure: Option<Unsure>, progress: &Progress<'_>) -> anyhow::Result<()> {
    changes.into_iter().try_for_each(|(change, sent_at)| progress.done(change.number, change.meaning, sent_at, unsure))
}

/// Whether the connection was refused, so that nothing can have been sent.
fn is_refused_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}
