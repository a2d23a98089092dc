//! What came of a batch, and the answer that Lambda gets: success only for records whose effects are durable.

use std::collections::BTreeSet;

pub use aws_lambda_events::event::streams::KinesisEventResponse as Response;

use crate::archive::{AvroFile, Put};
use crate::decode::Event;
use crate::error::{Error, ErrorKind};
use crate::plan::{Plan, Tally};
use crate::record::{Code, Fault, Rejection};
use crate::usage::{Committed, SnapshotItem};

/// All that an invocation has to tell.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// The records of the event.
    pub records: usize,
    /// Those of them, from the first on, that are durable.
    pub durable: usize,
    /// Records with effects that this invocation has applied.
    pub applied: usize,
    /// Records that had been applied before, or came twice in the batch.
    pub duplicates: usize,
    /// Records without effects, by the pipeline's choice.
    pub skipped: usize,
    /// The records that could not be processed or made durable; the first of them is the answer's.
    pub rejected: Vec<Rejection>,
    pub snapshots: BTreeSet<SnapshotItem>,
    pub files: Vec<StoredFile>,
    pub tally: Tally,
    pub first_sequence_number: Option<String>,
    pub last_sequence_number: Option<String>,
}

/// An object of the archive that this batch made sure of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub key: String,
    pub rows: usize,
    pub bytes: usize,
    /// False where an earlier delivery had put the same content.
    pub created: bool,
}

impl StoredFile {
    fn new(file: &AvroFile, put: Put) -> StoredFile {
        let (rows, bytes) = (file.rows(), file.body.len());
        StoredFile { key: file.key.clone(), rows, bytes, created: put == Put::Created }
    }
}

/// What came of a plan's files.
#[derive(Debug, Default)]
pub struct Stored {
    pub files: Vec<StoredFile>,
    /// Positions of the records in files that were created.
    pub created: BTreeSet<usize>,
    /// The first record of each file that could not be put, and why.
    pub failed: Vec<(usize, Error)>,
}

impl Stored {
    /// Adds a file that has been put.
    pub fn add(&mut self, file: &AvroFile, put: Put) {
        if put == Put::Created {
            self.created.extend(&file.records);
        }
        self.files.push(StoredFile::new(file, put));
    }
}

impl BatchOutcome {
    /// Puts together what the commits report.
    pub fn new(event: &Event<'_>, plan: Plan, counted: Committed, stored: Stored) -> BatchOutcome {
        let failed = counted.failed.into_iter().map(|(record, error)| (record, error, "usage"));
        let failed = failed.chain(stored.failed.into_iter().map(|(record, error)| (record, error, "archive")));
        let first = failed.min_by_key(|(record, ..)| *record);
        let durable = first.as_ref().map_or(plan.records, |(record, ..)| *record);
        let lost = first.and_then(|(record, error, sink)| not_durable(event, record, &error, sink));
        let effective =
            || plan.tally.effective.iter().filter(|record| **record < durable || counted.applied.contains(record));
        let applied = |record: &&usize| {
            counted.applied.contains(record)
                || (!counted.duplicates.contains(record) && stored.created.contains(record))
        };
        let applied = effective().filter(applied).count();
        BatchOutcome {
            records: event.records().len(),
            durable,
            applied,
            duplicates: effective().count() - applied + plan.tally.repeated,
            skipped: plan.tally.skipped,
            rejected: lost.into_iter().chain(plan.rejected).collect(),
            snapshots: counted.snapshots,
            files: stored.files,
            tally: plan.tally,
            first_sequence_number: event.records().first().map(|raw| raw.sequence.to_string()),
            last_sequence_number: event.records().last().map(|raw| raw.sequence.to_string()),
        }
    }

    /// The answer: the first record that failed, or nobody. DynamoDB Streams and Kinesis take the same JSON.
    pub fn response(&self) -> Response {
        let mut response = Response::default();
        if let Some(rejection) = self.rejected.first() {
            response.add_failure(rejection.sequence.to_string());
        }
        response
    }
}

fn not_durable(event: &Event<'_>, record: usize, error: &Error, sink: &str) -> Option<Rejection> {
    let code = match error.kind {
        ErrorKind::Poison => Code::Refused,
        ErrorKind::Transient | ErrorKind::Config => Code::NotDurable,
    };
    let sequence = event.records().get(record)?.sequence.clone().into_owned();
    Some(Rejection { sequence, fault: Fault::new(code, sink, format!("failed to {error}")) })
}
