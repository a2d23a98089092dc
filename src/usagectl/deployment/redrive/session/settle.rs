//! The second half of a run: one document through the function, and then, by what has become durable, deleted, narrowed or
//! left as it is.

use std::collections::HashSet;
use std::sync::Arc;

use event_source_mapping::SourceRecord;

use super::Session;
use crate::deployment::redrive::bucket::{Bucket, mapping_of};
use crate::deployment::redrive::document::Document;
use crate::deployment::redrive::positions::{Found, Streams};
use crate::deployment::redrive::queue::Queue;
use crate::deployment::redrive::report::Ended;
use crate::deployment::redrive::waiting::Spot;
use crate::deployment::redrive::walk::runs;
use crate::deployment::redrive::work::Worker;

/// A message, until its turn.
pub(super) struct Positions {
    pub id: String,
    pub document: Document,
}

impl Session<'_> {
    pub(super) async fn object(
        &mut self,
        bucket: &Bucket,
        key: &str,
        spot: &Spot,
        worker: &mut Worker,
    ) -> anyhow::Result<Ended> {
        let Some(body) = bucket.read(key).await? else { return Ok(Ended::Gone) };
        let document = match self.look(&body, mapping_of(key)) {
            Ok(document) => document,
            Err(why) => return Ok(Ended::LeftAlone(why)),
        };
        let records = document.payload_records().map_err(anyhow::Error::msg)?;
        let redriven = worker.redrive(&records, document.records()).await?;
        let remaining = self.explain(spot, redriven.remaining)?;
        let durable = redriven.durable;
        if remaining.is_empty() {
            bucket.delete(key).await?;
            return Ok(Ended::Emptied { durable });
        }
        if remaining.len() < records.len() {
            bucket.narrow(key, &document.narrowed(&remaining)).await?;
            return Ok(Ended::Narrowed { durable, remaining: remaining.len() });
        }
        Ok(Ended::Kept { durable, remaining: remaining.len() })
    }

    pub(super) async fn message(
        &mut self,
        queue: &Queue,
        message: &Positions,
        streams: &Streams<'_>,
        spot: &Spot,
        worker: &mut Worker,
    ) -> anyhow::Result<Ended> {
        let Positions { id, document } = message;
        if self.worked.contains(&document.position) {
            // The other message has become durable, or says the same.
            queue.delete(id).await?;
            return Ok(Ended::Repeated);
        }
        let Found { records, lost } = match streams.read(document).await {
            Ok(found) => found,
            Err(error) => return Ok(Ended::LeftAlone(format!("could not be read from the stream: {error:#}"))),
        };
        let redriven = worker.redrive(&records, document.records()).await?;
        let durable = redriven.durable;
        let remaining = self.explain(spot, redriven.remaining)?;
        self.worked.insert(document.position.clone());
        if let Some(lost) = lost {
            self.report.lost(spot, &document.position, &lost, self.command.acknowledge_lost)?;
            if !self.command.acknowledge_lost {
                return Ok(Ended::Kept { durable, remaining: remaining.len() });
            }
        }
        if remaining.is_empty() {
            queue.delete(id).await?;
            self.queued.remove(&document.position);
            return Ok(Ended::Emptied { durable });
        }
        if remaining.len() == records.len() && lost.is_none() {
            return Ok(Ended::Kept { durable, remaining: remaining.len() });
        }
        // What is left may have the ends of the whole, which is about to go.
        self.queued.remove(&document.position);
        let left = self.left(document, &records, &remaining)?;
        queue.narrow(id, &left).await?;
        Ok(Ended::Narrowed { durable, remaining: remaining.len() })
    }

    /// The messages of what remains: one for each run of records, but for those that are in the queue already.
    fn left(
        &mut self,
        document: &Document,
        records: &[Arc<SourceRecord>],
        remaining: &[Arc<SourceRecord>],
    ) -> anyhow::Result<Vec<String>> {
        let remaining: HashSet<&str> = remaining.iter().map(|record| record.sequence.as_str()).collect();
        let remains = |record: &Arc<SourceRecord>| remaining.contains(record.sequence.as_str());
        let places = records.iter().enumerate().filter(|(_, record)| remains(record)).map(|(place, _)| place);
        let mut left = Vec::new();
        for run in runs(places) {
            let body = serde_json::to_string(&document.narrowed(records.get(run).unwrap_or_default()))?;
            let position = Document::parse(body.as_bytes()).map_err(anyhow::Error::msg)?.position;
            if self.queued.insert(position) {
                left.push(body);
            }
        }
        Ok(left)
    }
}
