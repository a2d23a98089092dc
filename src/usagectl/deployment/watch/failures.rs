//! S3: what is in the failure bucket, and the reasons of the last quarantined records. Of each kind, the first 1,000 documents are
//! listed, and a document is read once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use aws_sdk_s3::types::Object;
use event_source_mapping::RejectionReason;
use futures::{StreamExt, TryStreamExt, stream};
use laptop::proof::QuarantinedRecord;

use crate::deployment::redrive::bucket::{Bucket, Head};
use crate::failure_document::{FailureDocument, QuarantineReason};
use crate::page::buckets::{BATCHES, Failures, Folder, NOTICES, QUARANTINE};

/// How many quarantined records are shown, and read at most.
pub(super) const SHOWN: usize = 5;
/// How many requests list the bucket.
pub(super) const LISTINGS: u32 = 3;
/// The most documents that are read at once.
const CONCURRENT_READS: usize = 5;

/// The failure bucket.
pub(super) struct FailureBucket {
    bucket: Bucket,
    /// The reasons of the documents that were read last, by key. `None` if a document has none.
    known: Mutex<BTreeMap<String, Option<QuarantinedRecord>>>,
}

/// What it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stored {
    pub failures: Failures,
    /// The records that were quarantined last, newest first, of those that were listed.
    pub rejections: Vec<QuarantinedRecord>,
    /// How many documents were read for this.
    pub reads: u32,
}

impl FailureBucket {
    /// The bucket with this name.
    pub(super) fn new(client: aws_sdk_s3::Client, name: &str) -> FailureBucket {
        FailureBucket { bucket: Bucket { client, name: name.to_owned() }, known: Mutex::default() }
    }

    /// Reads it.
    pub(super) async fn read(&self) -> anyhow::Result<Stored> {
        let list = |prefix| {
            let Bucket { client, name } = &self.bucket;
            async move { Folder { client, bucket: name, prefix }.list(1).await }
        };
        let ((batches, more_batches), (mut quarantined, more_quarantined), (notices, more_notices)) =
            futures::try_join!(list(BATCHES), list(QUARANTINE), list(NOTICES))?;
        let failures = Failures {
            batches: batches.len(),
            quarantined: quarantined.len(),
            notices: notices.len(),
            more: more_batches || more_quarantined || more_notices,
        };
        quarantined.sort_by_key(|object| std::cmp::Reverse(object.last_modified().map(|at| at.secs())));
        let newest: Vec<String> = quarantined.into_iter().filter_map(|object: Object| object.key).take(SHOWN).collect();
        let reads = self.read_new(&newest).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|key, _| newest.contains(key));
        let rejections = newest.iter().filter_map(|key| known.get(key)?.clone()).collect();
        Ok(Stored { failures, rejections, reads })
    }

    /// Reads the documents of these keys that aren't known, and returns how many.
    async fn read_new(&self, newest: &[String]) -> anyhow::Result<u32> {
        let unknown: Vec<&String> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            newest.iter().filter(|key| !known.contains_key(*key)).collect()
        };
        let read = |key: &String| {
            let key = key.clone();
            async move { anyhow::Ok((key.clone(), reason(self.bucket.read_head(&key).await?))) }
        };
        let read: Vec<_> = stream::iter(&unknown).map(|key| read(key)).buffered(CONCURRENT_READS).try_collect().await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
        u32::try_from(unknown.len()).context("count the documents")
    }
}

/// Why the record of a document was quarantined.
fn reason(head: Option<Head>) -> Option<QuarantinedRecord> {
    let document = match head? {
        Head::Whole(body) => FailureDocument::parse(&body).ok(),
        Head::Beginning(head) => FailureDocument::parse_head(&head),
    }?;
    let QuarantineReason { code, field, reason, .. } = document.quarantine?;
    let sequence_number = document.position.first.as_str().to_owned();
    Some(QuarantinedRecord { sequence_number, reason: RejectionReason { code, field, reason } })
}
