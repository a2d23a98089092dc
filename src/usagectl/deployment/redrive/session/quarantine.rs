//! Replays quarantined records. Each has a document of its own, so many of them are read, delivered and deleted together.
//!
//! The function must not quarantine such a record again and answer success, for then its document would be deleted. Every
//! event of a redrive therefore makes it name rejected records (`delivery::event_of`). At any time, a record is in its
//! document or durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use event_source_mapping::SourceRecord;
use futures::{StreamExt, TryStreamExt, stream};

use super::Session;
use super::listing::CONCURRENT_REQUESTS;
use crate::deployment::redrive::bucket::{Bucket, Listed, Stored, Version};
use crate::deployment::redrive::failed_batch::{BatchSummary, FailedBatch, Location};
use crate::deployment::redrive::ownership::Target;
use crate::deployment::redrive::replay::Replayer;
use crate::deployment::redrive::report::Disposition;

/// The most documents that are redriven together. 100: as many requests take as long as one invocation, or longer.
pub(super) const BATCH: usize = 100;

/// A document that has been read.
struct Quarantined {
    location: Location,
    key: String,
    version: Version,
    /// One record, unless someone has edited the document.
    records: Vec<Arc<SourceRecord>>,
}

impl Session<'_> {
    /// Redrives the documents of quarantined records, and returns what became of each.
    pub(super) async fn redrive_quarantined(
        &mut self,
        listed: Vec<Listed>,
        replayer: &mut Replayer,
    ) -> anyhow::Result<Vec<Disposition>> {
        let bucket = self.destinations.bucket.as_ref().context("find the bucket of an object")?;
        let read = |listed: Listed| async move { bucket.read(&listed.key).await.map(|stored| (listed, stored)) };
        let stored: Vec<(Listed, Option<Stored>)> =
            stream::iter(listed).map(read).buffered(CONCURRENT_REQUESTS).try_collect().await?;
        // All records of an event must be from one stream.
        let mut by_stream: BTreeMap<String, Vec<Quarantined>> = BTreeMap::new();
        let mut dispositions = Vec::new();
        for (Listed { key, failed_at }, stored) in stored {
            let Some(Stored { body, version }) = stored else {
                dispositions.push(Disposition::Gone);
                continue;
            };
            let location = Location::Object { bucket: bucket.name.clone(), key: key.clone() };
            let parsed = self.parse(&body, None).and_then(|document| {
                let records = document.payload_records()?;
                Ok((document, records))
            });
            let summary = parsed.as_ref().map(|(document, _)| BatchSummary::new(document, failed_at));
            let batch = FailedBatch { location: location.clone(), summary: summary.map_err(Clone::clone) };
            self.report.found(&batch, &self.deadlines)?;
            match parsed {
                Ok((document, records)) => {
                    let documents = by_stream.entry(document.position.stream_arn).or_default();
                    documents.push(Quarantined { location, key, version, records });
                }
                Err(_) => dispositions.push(Disposition::Skipped),
            }
        }
        for documents in by_stream.into_values() {
            dispositions.extend(self.replay_quarantined(bucket, documents, replayer).await?);
        }
        Ok(dispositions)
    }

    /// Replays documents whose records are from one stream, and deletes those whose records are all durable.
    async fn replay_quarantined(
        &mut self,
        bucket: &Bucket,
        documents: Vec<Quarantined>,
        replayer: &mut Replayer,
    ) -> anyhow::Result<Vec<Disposition>> {
        let records: Vec<_> = documents.iter().flat_map(|document| &document.records).cloned().collect();
        let mut remaining = replayer.replay(Target::Append, &records, records.len()).await?.remaining;
        let (mut dispositions, mut durable_documents) = (Vec::new(), Vec::new());
        for Quarantined { location, key, version, records } in documents {
            let is_of = |record: &Arc<SourceRecord>| records.iter().any(|own| Arc::ptr_eq(own, record));
            let (own, others) = remaining.into_iter().partition(|(record, _)| is_of(record));
            remaining = others;
            let own = self.explain(&location, Target::Append, own)?.len();
            let durable = records.len() - own;
            dispositions.push(match own {
                0 => Disposition::Deleted { durable },
                remaining => Disposition::Kept { durable, remaining },
            });
            durable_documents.extend((own == 0).then_some((key, version)));
        }
        let delete = |(key, version): (String, Version)| async move { bucket.delete(&key, &version).await };
        let deletions = stream::iter(durable_documents).map(delete);
        deletions.buffer_unordered(CONCURRENT_REQUESTS).try_collect::<()>().await?;
        Ok(dispositions)
    }
}
