//! The outcome of a batch, and the response to Lambda, which acknowledges only records whose effects are durable.

use std::collections::BTreeSet;

pub use aws_lambda_events::event::streams::KinesisEventResponse as Response;

use crate::archive::{AvroFile, Put};
use crate::decode::Event;
use crate::error::{Error, ErrorKind};
use crate::plan::{Plan, Tally};
use crate::record::{Code, Fault, Rejection};
use crate::usage::{Committed, SnapshotItem};

/// Everything that an invocation reports.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// The number of records in the event.
    pub records: usize,
    /// How many of them are durable, counted from the first up to the first that isn't.
    pub durable: usize,
    /// Records whose effects this invocation applied.
    pub applied: usize,
    /// Records that were already applied, or that appear twice in the batch.
    pub duplicates: usize,
    /// Records that have no effect, as the pipeline defines.
    pub skipped: usize,
    /// The records that could not be processed or made durable. The response names the first of them.
    pub rejected: Vec<Rejection>,
    /// The rejected records that are in the failure bucket. They are durable.
    pub quarantined: Vec<Rejection>,
    /// The snapshot items that were updated.
    pub snapshots: BTreeSet<SnapshotItem>,
    /// The files that are in the archive now.
    pub files: Vec<StoredFile>,
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

/// The result of storing a plan's files.
#[derive(Debug, Default)]
pub struct Stored {
    /// The files that are in the archive now.
    pub files: Vec<StoredFile>,
    /// Positions in the batch of the records in files that this invocation created.
    pub created: BTreeSet<usize>,
    /// The position of the first record of each file that could not be put, with the error.
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
    /// Combines the results of counting, of storing files and of quarantining rejected records. `not_quarantined` has the
    /// positions of the rejected records that could not be stored.
    pub fn new(
        event: &Event<'_>,
        plan: Plan,
        counted: Committed,
        stored: Stored,
        not_quarantined: Vec<(usize, Error)>,
    ) -> BatchOutcome {
        let failed = counted.failed.into_iter().map(|(record, error)| (record, error, "usage"));
        let failed = failed.chain(stored.failed.into_iter().map(|(record, error)| (record, error, "archive")));
        let failed = failed.chain(not_quarantined.into_iter().map(|(record, error)| (record, error, "quarantine")));
        let first = failed.min_by_key(|(record, ..)| *record);
        let durable = first.as_ref().map_or(plan.records, |(record, ..)| *record);
        let first_not_durable = first.and_then(|(record, error, sink)| not_durable(event, record, &error, sink));
        let effective =
            || plan.tally.effective.iter().filter(|record| **record < durable || counted.applied.contains(record));
        let applied = |record: &&usize| {
            counted.applied.contains(record)
                || (!counted.duplicates.contains(record) && stored.created.contains(record))
        };
        let applied = effective().filter(applied).count();
        let quarantined = plan.quarantined.into_iter().filter(|quarantined| quarantined.record < durable);
        BatchOutcome {
            records: event.records().len(),
            durable,
            applied,
            duplicates: effective().count() - applied + plan.tally.repeated,
            skipped: plan.tally.skipped,
            rejected: first_not_durable.into_iter().chain(plan.rejected).collect(),
            quarantined: quarantined.map(|quarantined| quarantined.rejection).collect(),
            snapshots: counted.snapshots,
            files: stored.files,
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

fn not_durable(event: &Event<'_>, record: usize, error: &Error, sink: &str) -> Option<Rejection> {
    let code = match error.kind {
        ErrorKind::Poison => Code::Refused,
        ErrorKind::Transient | ErrorKind::Config => Code::NotDurable,
    };
    let sequence = event.records().get(record)?.sequence.clone().into_owned();
    Some(Rejection { sequence, fault: Fault::new(code, sink, format!("failed to {error}")) })
}

#[cfg(test)]
mod tests;
