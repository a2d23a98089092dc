//! `usagectl redrive`: replays the records of failed batches, and quarantined records, through the function, and failed notices
//! of the ledger through the fold function. A document is deleted once all of its records are durable or its notices settled,
//! and never before.
//!
//! `ownership`, `delivery`, `failed_batch` and `deadlines` decide, without I/O; `bucket`, `queue`,
//! `stream_reader`, `function` and `replay` read, write and invoke. `session` is one run, `report` prints it, and `explain`
//! explains why a record fails again.

pub(in crate::deployment) mod bucket;
pub mod deadlines;
pub mod delivery;
mod destinations;
mod explain;
pub mod failed_batch;
pub(in crate::deployment) mod function;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod ownership;
mod queue;
pub(in crate::deployment) mod replay;
mod report;
mod session;
mod stream_reader;

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::deployment::error_as_json;
use crate::shell::console::Done;
use crate::shell::durations::duration;
use crate::shell::options::Options;
use crate::stack::Where;
use destinations::Destinations;
use session::Session;

/// Replay failed batches and quarantined records, and delete those that are now durable
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Redrive {
    /// Redrive only this failure destination [default: all destinations of the deployment]
    #[arg(long, value_name = "DESTINATION")]
    from: Option<DestinationKind>,
    /// List failed batches and quarantined records by cause, without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Redrive at most N documents, oldest first
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Delete messages whose records can no longer be read, after reporting them as lost
    #[arg(long)]
    acknowledge_lost: bool,
    /// Continue even if the function keeps failing as a whole
    #[arg(long)]
    keep_going: bool,
    /// How long messages stay hidden if this command crashes; while it runs, it keeps them hidden
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = visibility_timeout)]
    visibility_timeout: Duration,
    // Last: the heading of its options applies to all that follow.
    #[command(flatten)]
    place: Where,
}

/// A kind of failure destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DestinationKind {
    /// Documents that include their records
    S3,
    /// Positions of records, which are read from the stream again
    Sqs,
}

const EXAMPLES: &str = "\
Examples:
  usagectl redrive --stack usage-aggregator --dry-run    list causes and the time left
  usagectl redrive --stack usage-aggregator
  usagectl redrive --stack usage-aggregator --json | jq 'select(.remaining)'
  usagectl redrive --local                               read the bucket `failures`
  usagectl redrive --local --from sqs --failure-queue http://127.0.0.1:5000/000000000000/failed

The failure bucket holds the batches that Lambda discarded, under aws/lambda/, and the records that
the function rejected, under quarantine/. Fix what rejects a record and deploy that, then redrive.
Batches of the source go to the function, and notices of the ledger to the fold function. Notices
under notices/ were too old to be folded, and aren't redriven.

It is safe to run this more than once, alongside live traffic, and after later records: records
that were already counted are skipped as duplicates. A record that fails again is kept and
explained, in a separate document if other records became durable. A table's stream keeps its
records for 24 hours. A document in S3 includes them, and is counted exactly until they are older
than HORIZON_DAYS.

Needs lambda:InvokeFunction of both functions and GetFunctionConfiguration, and kms:Decrypt on their
key if they have one; for a bucket s3:ListBucket, ListBucketVersions, GetObject, DeleteObjectVersion
(DeleteObject if the bucket keeps no versions) and, under aws/lambda/, PutObject; for a queue
lambda:GetEventSourceMapping, sqs:ReceiveMessage, SendMessage, DeleteMessage and
ChangeMessageVisibility, and for the stream dynamodb:GetShardIterator and GetRecords, or
kinesis:GetShardIterator, GetRecords and DescribeStreamSummary.

Exit codes:
  0  Every record is durable
  1  A record remains, is lost, or could not be redriven
  2  The command line is invalid";

impl Redrive {
    /// Runs the command.
    ///
    /// # Errors
    /// When the deployment, a destination or the function can't be used.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.redrive(options).await)
    }

    async fn redrive(&self, options: &Options) -> anyhow::Result<Done> {
        let deployment = self.place.open(options).await?;
        let destinations = Destinations::open(&deployment, self.from, self.visibility_timeout).await?;
        let work = async {
            let session = Session::open(self, options, &deployment, &destinations).await?;
            session.run().await
        };
        let hidden = async {
            match &destinations.queue {
                Some(queue) => queue.keep_hidden().await,
                None => std::future::pending().await,
            }
        };
        let done = tokio::select! {
            done = work => done,
            never = hidden => match never {},
        };
        // Also after an error: the messages can be tried again at once.
        if let Some(queue) = &destinations.queue {
            queue.release().await;
        }
        done
    }
}

fn visibility_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    // 12 hours: the longest visibility timeout of SQS.
    let is_valid = (Duration::from_secs(3)..=Duration::from_hours(12)).contains(&timeout);
    if is_valid { Ok(timeout) } else { Err("expected 3s to 12h".to_owned()) }
}
