//! The first half of a run: what the destinations hold, and with `--dry-run` what would be done with it.

use futures::{StreamExt, stream};

use super::Session;
use crate::deployment::redrive::bucket::{Bucket, Head, Listed, is_quarantined, mapping_of};
use crate::deployment::redrive::failed_batch::{BatchSummary, FailedBatch, Location, by_cause};
use crate::failure_document::FailureDocument;
use crate::shell::console::{self, Done};
use usage_aggregator::time::Timestamp;

/// How many documents are read or deleted at once.
pub(super) const CONCURRENT_REQUESTS: usize = 8;

/// Something in a destination that may be redriven.
pub(super) enum Candidate {
    /// An object that hasn't been read yet: it may be one of thousands, and 6 MB long.
    Object(Listed),
    /// A message, which is received with its body, or why it can't be redriven.
    Message { id: String, document: Result<Box<FailureDocument>, String> },
}

impl Candidate {
    /// Whether it is the document of a quarantined record.
    pub(super) fn is_quarantined(&self) -> bool {
        matches!(self, Candidate::Object(listed) if is_quarantined(&listed.key))
    }

    pub(super) fn into_object(self) -> Option<Listed> {
        match self {
            Candidate::Object(listed) => Some(listed),
            Candidate::Message { .. } => None,
        }
    }

    /// When the mapping discarded the batch, or the function quarantined the record.
    fn failed_at(&self) -> Option<Timestamp> {
        match self {
            Candidate::Object(listed) => listed.failed_at,
            Candidate::Message { document, .. } => document.as_ref().ok().and_then(|document| document.discarded_at()),
        }
    }
}

impl Session<'_> {
    /// Everything in the destinations, oldest first. Objects are listed by their keys and not read.
    pub(super) async fn list(&mut self) -> anyhow::Result<Vec<Candidate>> {
        let progress = console::spinner("documents found");
        let mut candidates = Vec::new();
        if let Some(bucket) = &self.destinations.bucket {
            candidates.extend(bucket.list().await?.into_iter().map(Candidate::Object));
        }
        if let Some(queue) = &self.destinations.queue {
            for message in queue.receive(|| progress.inc(1)).await? {
                let document = self.parse(message.body.as_bytes(), None).map(Box::new);
                if let Ok(document) = &document {
                    self.queued.insert(document.position.clone());
                }
                candidates.push(Candidate::Message { id: message.id, document });
            }
        }
        progress.finish_and_clear();
        candidates.sort_by_key(Candidate::failed_at);
        Ok(candidates)
    }

    /// The document of `body`, unless it can't be redriven or belongs to another deployment.
    pub(super) fn parse(&self, body: &[u8], mapping: Option<&str>) -> Result<FailureDocument, String> {
        let document = FailureDocument::parse(body)?;
        match self.ownership.reason_to_skip(&document, mapping) {
            Some(reason) => Err(reason),
            None => Ok(document),
        }
    }

    /// Prints what a run would do. Of each object only the beginning is read, where that is enough.
    pub(super) async fn preview(&mut self, candidates: Vec<Candidate>) -> anyhow::Result<Done> {
        let limit = self.limit();
        let (mut batches, mut usable) = (Vec::new(), 0);
        let progress = console::spinner("documents read");
        {
            let describe = |candidate| self.describe(candidate);
            let mut described = stream::iter(candidates).map(describe).buffered(CONCURRENT_REQUESTS.min(limit));
            while usable < limit
                && let Some(batch) = described.next().await
            {
                progress.inc(1);
                let Some(batch) = batch? else { continue };
                usable += usize::from(batch.summary.is_ok());
                batches.push(batch);
            }
        }
        progress.finish_and_clear();
        for batch in &batches {
            self.report.found(batch, &self.deadlines)?;
        }
        if !self.options.json && usable > 0 {
            console::print(&by_cause(&batches, &self.deadlines))?;
        }
        self.report.preview(&batches, &self.function_name())
    }

    /// A candidate without its records, or `None` if it has been deleted in the meantime.
    async fn describe(&self, candidate: Candidate) -> anyhow::Result<Option<FailedBatch>> {
        match (candidate, &self.destinations.bucket) {
            (Candidate::Message { id, document }, _) => {
                let summary = document.map(|document| BatchSummary::new(&document, None));
                Ok(Some(FailedBatch { location: Location::Message { id }, summary }))
            }
            (Candidate::Object(listed), Some(bucket)) => self.describe_object(bucket, listed).await,
            (Candidate::Object(_), None) => Ok(None),
        }
    }

    async fn describe_object(&self, bucket: &Bucket, listed: Listed) -> anyhow::Result<Option<FailedBatch>> {
        let Listed { key, failed_at } = listed;
        let mapping = mapping_of(&key);
        let head = match bucket.read_head(&key).await? {
            Some(Head::Beginning(head)) => match FailureDocument::parse_head(&head) {
                Some(document) => Some(self.ownership.reason_to_skip(&document, mapping).map_or(Ok(document), Err)),
                // Its payload comes before the rest.
                None => bucket.read(&key).await?.map(|stored| self.parse_with_payload(&stored.body, mapping)),
            },
            Some(Head::Whole(body)) => Some(self.parse_with_payload(&body, mapping)),
            None => None,
        };
        let Some(document) = head else { return Ok(None) };
        let summary = document.map(|document| BatchSummary::new(&document, failed_at));
        Ok(Some(FailedBatch { location: Location::Object { bucket: bucket.name.clone(), key }, summary }))
    }

    fn parse_with_payload(&self, body: &[u8], mapping: Option<&str>) -> Result<FailureDocument, String> {
        let document = self.parse(body, mapping)?;
        document.payload_records()?;
        Ok(document)
    }
}
