//! The outcome of a batch, and the response to Lambda, which acknowledges only records whose effects are durable.

pub use aws_lambda_events::event::streams::KinesisEventResponse as Response;

use crate::archive::{AvroFile, Put};
use crate::decode::Event;
use crate::error::{Error, ErrorKind};
use crate::fold::{Folded, Notice, Proven, Swept};
use crate::indicator::Recomputed;
use crate::ledger::WindowKey;
use crate::plan::{Plan, Quarantined, Tally};
use crate::record::{Code, Fault, Rejection};
use crate::time::Timestamp;
use crate::usage::Segment;

/// Everything that an invocation reports.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// The number of records in the event.
    pub records: usize,
    /// How many of them are durable, counted from the first up to the first that isn't.
    pub durable: usize,
    /// Records that appear twice in the batch.
    pub repeated: usize,
    /// Records that have no effect, as the pipeline defines.
    pub skipped: usize,
    /// The records that could not be processed or made durable. The response names the first of them.
    pub rejected: Vec<Rejection>,
    /// The rejected records that are in the failure bucket. They are durable. A record whose target couldn't be computed is
    /// among them although it counts.
    pub quarantined: Vec<Rejection>,
    /// The pages that are in the ledger now.
    pub pages: Vec<Notice>,
    /// The files that are in the archive now.
    pub files: Vec<StoredFile>,
    /// The targets of indicators that were recomputed.
    pub recomputed: Recomputed,
    /// What was folded before the batch is answered, with FRESHNESS=now.
    pub folded: Folded,
    /// The records of the plan by kind and effect.
    pub tally: Tally,
    /// The sequence number of the first record in the event.
    pub first_sequence_number: Option<String>,
    /// The sequence number of the last record in the event.
    pub last_sequence_number: Option<String>,
}

/// An object in the archive, as this batch left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// The object's key.
    pub key: String,
    /// The number of rows.
    pub rows: usize,
    /// The size of the object in bytes.
    pub bytes: usize,
    /// False if an earlier delivery had already put the same content.
    pub created: bool,
}

impl StoredFile {
    fn new(file: &AvroFile, put: Put) -> StoredFile {
        let (rows, bytes) = (file.rows(), file.body.len());
        StoredFile { key: file.key.clone(), rows, bytes, created: put == Put::Created }
    }
}

/// What a batch stored, and what it could not store.
#[derive(Debug, Default)]
pub struct Stored {
    /// The pages that are in the ledger now.
    pub pages: Vec<Notice>,
    /// The files that are in the archive now.
    pub files: Vec<StoredFile>,
    /// The targets of indicators that were recomputed.
    pub recomputed: Recomputed,
    /// The records that are quarantined because their targets can't be computed.
    pub quarantined: Vec<Quarantined>,
    /// What could not be stored.
    pub failed: Vec<Failed>,
}

/// A page, file, document, or target that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The position of its first record.
    pub record: usize,
    /// Why it could not be stored.
    pub fault: Fault,
}

impl Failed {
    /// The failure of a sink.
    pub fn new(record: usize, sink: &str, error: &Error) -> Failed {
        let code = match error.kind {
            ErrorKind::Poison => Code::Refused,
            ErrorKind::Transient | ErrorKind::Config => Code::NotDurable,
        };
        Failed::with_code(record, sink, code, error)
    }

    /// The failure of a sink that has a code of its own.
    pub fn with_code(record: usize, sink: &str, code: Code, error: &Error) -> Failed {
        Failed { record, fault: Fault::new(code, sink, format!("failed to {error}")) }
    }

    /// The rejection of the first record.
    pub fn rejection(self, event: &Event<'_>) -> Option<Rejection> {
        let raw = event.records().get(self.record)?;
        let (sequence, user_record) = (raw.sequence.clone().into_owned(), raw.user_record());
        Some(Rejection { sequence, user_record, route: None, fault: self.fault })
    }
}

impl Stored {
    /// Adds a file that has been put.
    pub fn add_file(&mut self, file: &AvroFile, put: Put) {
        self.files.push(StoredFile::new(file, put));
    }
}

impl BatchOutcome {
    /// Combines what was planned and what was stored.
    pub fn new(event: &Event<'_>, plan: Plan, stored: Stored) -> BatchOutcome {
        let first = stored.failed.into_iter().min_by_key(|failed| failed.record);
        let durable = first.as_ref().map_or(plan.records, |failed| failed.record);
        let first_not_durable = first.and_then(|failed| failed.rejection(event));
        let quarantined = plan.quarantined.into_iter().chain(stored.quarantined);
        let quarantined = quarantined.filter(|quarantined| quarantined.record < durable);
        BatchOutcome {
            records: event.records().len(),
            durable,
            repeated: plan.tally.repeated,
            skipped: plan.tally.skipped,
            rejected: first_not_durable.into_iter().chain(plan.rejected).collect(),
            quarantined: quarantined.map(|quarantined| quarantined.rejection).collect(),
            pages: stored.pages,
            files: stored.files,
            recomputed: stored.recomputed,
            folded: Folded::default(),
            tally: plan.tally,
            first_sequence_number: event.records().first().map(|raw| raw.sequence.to_string()),
            last_sequence_number: event.records().last().map(|raw| raw.sequence.to_string()),
        }
    }

    /// The response: the first record that failed, if any. DynamoDB Streams and Kinesis use the same JSON.
    pub fn response(&self) -> Response {
        let mut response = Response::default();
        if let Some(rejection) = self.rejected.first() {
            response.add_failure(rejection.sequence.to_string());
        }
        response
    }
}

/// Everything that a fold reports.
#[derive(Debug, Default)]
pub struct FoldOutcome {
    /// The number of records in the event.
    pub records: usize,
    /// How many of them are notices of this pipeline's pages.
    pub notices: usize,
    /// Records that are neither notices nor alerts of this pipeline: states, changes that aren't inserts, pages of other pipelines.
    pub ignored: usize,
    /// Notices that are too old to fold.
    pub too_old: usize,
    /// Alerts that were sent.
    pub alerts_sent: usize,
    /// Alerts that were not sent, because the first of them couldn't be.
    pub alerts_failed: usize,
    /// Why that one couldn't be sent.
    pub alert_error: Option<Error>,
    /// The sequence number of the first notice that isn't in all snapshots, or of the first alert that wasn't sent.
    pub failed: Option<String>,
    /// The creation time of the oldest notice.
    pub oldest_created_at: Option<Timestamp>,
    /// What the fold did.
    pub folded: Folded,
}

impl FoldOutcome {
    /// The response: the first notice that isn't in all snapshots, or the first alert that wasn't sent, if any.
    pub fn response(&self) -> Response {
        let mut response = Response::default();
        if let Some(sequence) = &self.failed {
            response.add_failure(sequence.clone());
        }
        response
    }
}

/// Everything that a sweep reports.
#[derive(Debug, Clone, Default)]
pub struct SweepOutcome {
    /// The minute that was swept.
    pub minute: Segment,
    /// What the sweep did.
    pub swept: Swept,
}

/// Everything that a proof reports.
#[derive(Debug, Clone, Default)]
pub struct ProofOutcome {
    /// The hours that were proven.
    pub hours: Vec<WindowKey>,
    /// What the proof found.
    pub proven: Proven,
}

#[cfg(test)]
mod tests;
