//! The second half of a run: replays the records of one document through the function, then deletes, narrows or keeps the
//! document according to which of them are durable.

use std::collections::HashSet;
use std::sync::Arc;

use event_source_mapping::SourceRecord;

use super::Session;
use crate::deployment::redrive::bucket::{Bucket, Listed, Stored, mapping_of};
use crate::deployment::redrive::delivery::runs;
use crate::deployment::redrive::failed_batch::{BatchSummary, FailedBatch, Location};
use crate::deployment::redrive::queue::Queue;
use crate::deployment::redrive::replay::Replayer;
use crate::deployment::redrive::report::Disposition;
use crate::deployment::redrive::stream_reader::{RereadRecords, StreamReader};
use crate::failure_document::FailureDocument;

impl Session<'_> {
    /// Redrives an object: it is read once, now, and its payload is parsed once.
    pub(super) async fn redrive_object(
        &mut self,
        bucket: &Bucket,
        listed: &Listed,
        location: &Location,
        replayer: &mut Replayer,
    ) -> anyhow::Result<Disposition> {
        let Listed { key, failed_at } = listed;
        let Some(Stored { body, version }) = bucket.read(key).await? else { return Ok(Disposition::Gone) };
        let parsed = self.parse(&body, mapping_of(key)).and_then(|document| {
            let records = document.payload_records()?;
            Ok((document, records))
        });
        drop(body);
        let summary =
            parsed.as_ref().map(|(document, _)| BatchSummary::new(document, *failed_at)).map_err(Clone::clone);
        self.report.found(&FailedBatch { location: location.clone(), summary }, &self.deadlines)?;
        let Ok((document, records)) = parsed else { return Ok(Disposition::Skipped) };

        let target = self.ownership.target(&document);
        let replayed = replayer.replay(target, &records, document.records()).await?;
        let durable = replayed.durable;
        let remaining = self.explain(location, target, replayed.remaining)?;
        if remaining.is_empty() {
            bucket.delete(key, &version).await?;
            return Ok(Disposition::Deleted { durable });
        }
        if remaining.len() < records.len() {
            bucket.narrow(key, &version, &document.narrowed(&remaining)).await?;
            return Ok(Disposition::Narrowed { durable, remaining: remaining.len() });
        }
        Ok(Disposition::Kept { durable, remaining: remaining.len() })
    }

    /// Redrives a message: its records are read from the stream again.
    pub(super) async fn redrive_message(
        &mut self,
        queue: &Queue,
        document: &FailureDocument,
        streams: &StreamReader<'_>,
        location: &Location,
        replayer: &mut Replayer,
    ) -> anyhow::Result<Disposition> {
        let Location::Message { id } = location else { return Ok(Disposition::Gone) };
        if self.replayed.contains(&document.position) {
            // The same records were taken through the function for another message, which stays if any of them remain.
            queue.delete(id).await?;
            return Ok(Disposition::Duplicate);
        }
        let target = self.ownership.target(document);
        let RereadRecords { records, lost } = match streams.read(document, target).await {
            Ok(reread) => reread,
            Err(error) => {
                self.report.skipped(location, &format!("could not be read from the stream: {error:#}"))?;
                return Ok(Disposition::Skipped);
            }
        };
        let replayed = replayer.replay(target, &records, document.records()).await?;
        let durable = replayed.durable;
        let remaining = self.explain(location, target, replayed.remaining)?;
        self.replayed.insert(document.position.clone());
        if let Some(lost) = lost {
            self.report.lost(location, &document.position, &lost, self.command.acknowledge_lost)?;
            if !self.command.acknowledge_lost {
                return Ok(Disposition::Kept { durable, remaining: remaining.len() });
            }
        }
        if remaining.is_empty() {
            queue.delete(id).await?;
            self.queued.remove(&document.position);
            return Ok(Disposition::Deleted { durable });
        }
        if remaining.len() == records.len() && lost.is_none() {
            return Ok(Disposition::Kept { durable, remaining: remaining.len() });
        }
        // The message of the remaining records may have the positions of this one, which is about to be deleted.
        self.queued.remove(&document.position);
        let bodies = self.remaining_messages(document, &records, &remaining)?;
        queue.narrow(id, &bodies).await?;
        Ok(Disposition::Narrowed { durable, remaining: remaining.len() })
    }

    /// The messages of the remaining records: one for each run of neighbors, except those that the queue has already.
    fn remaining_messages(
        &mut self,
        document: &FailureDocument,
        records: &[Arc<SourceRecord>],
        remaining: &[Arc<SourceRecord>],
    ) -> anyhow::Result<Vec<String>> {
        let remaining: HashSet<&str> = remaining.iter().map(|record| record.sequence.as_str()).collect();
        let remains = |record: &Arc<SourceRecord>| remaining.contains(record.sequence.as_str());
        let indexes = records.iter().enumerate().filter(|(_, record)| remains(record)).map(|(index, _)| index);
        let mut bodies = Vec::new();
        for run in runs(indexes) {
            let body = serde_json::to_string(&document.narrowed(records.get(run).unwrap_or_default()))?;
            let position = FailureDocument::parse(body.as_bytes()).map_err(anyhow::Error::msg)?.position;
            if self.queued.insert(position) {
                bodies.push(body);
            }
        }
        Ok(bodies)
    }
}
