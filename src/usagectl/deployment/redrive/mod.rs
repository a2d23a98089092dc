//! `usagectl redrive`: what the mapping gave up goes through the function again; a document is deleted once all of its
//! records are durable, and never before.
//!
//! `document`, `foreign`, `walk`, `waiting` and `limits` decide; `bucket`, `queue`, `positions`, `function` and `work` do.
//! `session` brings them together, `report` tells of it, `explain` says why a record fails again.

mod bucket;
mod document;
mod explain;
mod foreign;
mod function;
mod limits;
mod places;
mod positions;
mod queue;
mod report;
mod session;
mod waiting;
mod walk;
mod work;

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::shell::console::Done;
use crate::shell::durations::duration;
use crate::shell::options::Options;
use crate::stack::Where;
use places::Places;
use session::Session;

/// Give the function again what the mapping gave up, and delete what has become durable
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Redrive {
    /// Destination of failed batches to redrive [default: each that the deployment has]
    #[arg(long, value_name = "DESTINATION")]
    from: Option<Origin>,
    /// Only list what waits, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Redrive at most so many documents, the oldest first
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Delete messages of records that can't be read any more: they have been told as lost
    #[arg(long)]
    acknowledge_lost: bool,
    /// Go on however often the function fails as a whole
    #[arg(long)]
    keep_going: bool,
    /// How long messages stay hidden if this command dies; while it works, it keeps them hidden
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = hidden)]
    visibility_timeout: Duration,
    // Last: its headings go on.
    #[command(flatten)]
    place: Where,
}

/// Kinds of destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Origin {
    /// Documents with their events
    S3,
    /// Positions, whose records are read from the stream again
    Sqs,
}

const EXAMPLES: &str = "\
Examples:
  usagectl redrive --stack usage-aggregator --dry-run    what waits, by cause, and the time left
  usagectl redrive --stack usage-aggregator
  usagectl redrive --stack usage-aggregator --json | jq 'select(.remaining)'
  usagectl redrive --local                               from the bucket `failures`
  usagectl redrive --local --from sqs --failure-queue http://127.0.0.1:5000/000000000000/failed

It can be run twice, while live records come, and after later ones: what was counted before is a
duplicate. A record that fails again stays, in a document of its own if others became durable, and
is explained. A stream's records can be read for 24 hours; an S3 document has them in itself, and
is counted exactly until HORIZON_DAYS after the records' time.

Needs lambda:InvokeFunction and GetFunctionConfiguration; for a bucket s3:ListBucket, GetObject,
PutObject and DeleteObject; for a queue lambda:GetEventSourceMapping, sqs:ReceiveMessage,
SendMessage, DeleteMessage and ChangeMessageVisibility, and of the stream dynamodb:GetShardIterator
and GetRecords, or kinesis:GetShardIterator, GetRecords and DescribeStreamSummary.

Exit codes:
  0  all that waited is durable
  1  a record remains, is lost, or could not be tried
  2  the command line is wrong";

impl Redrive {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let deployment = self.place.open(options).await?;
        let places = Places::open(&deployment, self.from, self.visibility_timeout).await?;
        let work = async {
            let session = Session::open(&self, options, &deployment, &places).await?;
            session.run().await
        };
        let hidden = async {
            match &places.queue {
                Some(queue) => queue.keep_hidden().await,
                None => std::future::pending().await,
            }
        };
        let done = tokio::select! {
            done = work => done,
            never = hidden => match never {},
        };
        // Also after an error: what is left may be tried again at once.
        let released = match &places.queue {
            Some(queue) => queue.release().await,
            None => Ok(()),
        };
        done.and_then(|done| released.map(|()| done))
    }
}

fn hidden(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
    // SQS takes up to 12 hours.
    let known = (Duration::from_secs(3)..=Duration::from_secs(12 * 3_600)).contains(&span);
    if known { Ok(span) } else { Err("expected 3s to 12h".to_owned()) }
}
