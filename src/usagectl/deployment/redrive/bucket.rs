//! The failure bucket: lists its documents by key, reads them, and replaces or deletes them. Lambda writes the documents of
//! discarded batches, and the function those of quarantined records.
//!
//! The template's bucket keeps versions. A document is deleted by version, because S3 keeps what is deleted by key, and the
//! delete marker in front of it: the alarms on the bucket's number of objects count both.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{DeleteMarkerEntry, Object, ObjectVersion};
use event_source_mapping::{CONTENT_TYPE, InvocationRecord, uuid};
use usage_aggregator::time::Timestamp;

/// The prefix of all keys that Lambda writes.
const DISCARDED: &str = "aws/lambda/";
/// The prefix of all keys that the function writes: `quarantine/<pipeline>/<hash of the record>.json`.
const QUARANTINE: &str = "quarantine/";
/// `2026-09-17T13.29.12`: the time at the start of a document's name.
const TIME_LENGTH: usize = 19;
/// A document without its payload is about 1 KB long.
const HEAD_BYTES: usize = 8_192;

/// The bucket of an on-failure destination.
pub(crate) struct Bucket {
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// An object of the bucket, as the listing describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    /// When the mapping discarded the batch, or the function quarantined the record.
    pub(crate) failed_at: Option<Timestamp>,
}

/// A document that has been read.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) body: Vec<u8>,
    pub(crate) version: Version,
}

/// The version of a document that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// The bucket keeps versions, and this is the id of the one that was read.
    Id(String),
    /// The bucket keeps none.
    Only,
}

/// What [`Bucket::read_head`] has read.
#[derive(Debug)]
pub(crate) enum Head {
    Whole(Vec<u8>),
    /// The first bytes of a longer document.
    Beginning(Vec<u8>),
}

impl Bucket {
    /// All documents by key. Nothing is downloaded.
    pub(crate) async fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for prefix in [DISCARDED, QUARANTINE] {
            let mut pages = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.with_context(|| format!("list s3://{}/{prefix} (s3:ListBucket)", self.name))?;
                listed.extend(page.contents.unwrap_or_default().into_iter().filter_map(described));
            }
        }
        Ok(listed)
    }

    /// A document, or `None` if another process has deleted it in the meantime.
    pub(crate) async fn read(&self, key: &str) -> anyhow::Result<Option<Stored>> {
        match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(object) => {
                let version = object.version_id.map_or(Version::Only, Version::Id);
                let body = object.body.collect().await.with_context(|| self.reading(key))?.to_vec();
                Ok(Some(Stored { body, version }))
            }
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error).with_context(|| self.reading(key)),
        }
    }

    /// The beginning of a document, or `None` if another process has deleted it in the meantime.
    pub(crate) async fn read_head(&self, key: &str) -> anyhow::Result<Option<Head>> {
        let range = format!("bytes=0-{}", HEAD_BYTES - 1);
        let object = match self.client.get_object().bucket(&self.name).key(key).range(range).send().await {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            // An empty object has no byte 0.
            Err(error) if error.code() == Some("InvalidRange") => return Ok(Some(Head::Whole(Vec::new()))),
            Err(error) => return Err(error).with_context(|| self.reading(key)),
        };
        // `bytes 0-8191/123456`; a service that ignores the range sends the whole document without it.
        let total = object.content_range.as_deref().and_then(|range| range.rsplit_once('/')?.1.parse::<usize>().ok());
        let body = object.body.collect().await.with_context(|| self.reading(key))?.to_vec();
        let is_whole = total.is_none_or(|total| total <= body.len());
        Ok(Some(if is_whole { Head::Whole(body) } else { Head::Beginning(body) }))
    }

    /// Puts the document of the remaining records beside the document `key`, then deletes the `version` of that which was
    /// read; returns the new key.
    ///
    /// # Errors
    /// When either fails. Then both documents may exist, and some records are delivered twice, which counts nothing twice.
    pub(crate) async fn narrow(
        &self,
        key: &str,
        version: &Version,
        remaining: &InvocationRecord,
    ) -> anyhow::Result<String> {
        let body = serde_json::to_vec(remaining).context("write the document of the remaining records")?;
        let to = narrowed_key(key, &body);
        let put = self.client.put_object().bucket(&self.name).key(&to).content_type(CONTENT_TYPE).body(body.into());
        put.send().await.with_context(|| format!("put s3://{}/{to} (s3:PutObject)", self.name))?;
        self.delete(key, version).await?;
        Ok(to)
    }

    /// Deletes the version of a document that was read, and all older ones, so that nothing of it is left. A version that has
    /// been written since is kept, and becomes a document of its own.
    pub(crate) async fn delete(&self, key: &str, version: &Version) -> anyhow::Result<()> {
        let Version::Id(read) = version else {
            let delete = self.client.delete_object().bucket(&self.name).key(key).send().await;
            return delete.with_context(|| format!("delete s3://{}/{key} (s3:DeleteObject)", self.name)).map(drop);
        };
        // The one that was read last: until then, the document stays listed.
        for older in self.older_versions(key, read).await?.iter().chain([read]) {
            let delete = self.client.delete_object().bucket(&self.name).key(key).version_id(older).send().await;
            delete.with_context(|| {
                format!("delete the version {older} of s3://{}/{key} (s3:DeleteObjectVersion)", self.name)
            })?;
        }
        Ok(())
    }

    /// The versions and delete markers of `key` that are older than the version `read`, oldest first.
    async fn older_versions(&self, key: &str, read: &str) -> anyhow::Result<Vec<String>> {
        // 1,000 in one page: more than a document is ever written.
        let listed = self.client.list_object_versions().bucket(&self.name).prefix(key).send().await;
        let listed =
            listed.with_context(|| format!("list the versions of s3://{}/{key} (s3:ListBucketVersions)", self.name))?;
        Ok(older_than(read, key, listed.versions(), listed.delete_markers()))
    }

    fn reading(&self, key: &str) -> String {
        format!("read s3://{}/{key} (s3:GetObject)", self.name)
    }
}

/// The versions of `key` that are older than the version `read`, and then their delete markers; none if that is gone. S3 lists
/// the newest first, and other keys may start with this one.
fn older_than(read: &str, key: &str, versions: &[ObjectVersion], markers: &[DeleteMarkerEntry]) -> Vec<String> {
    let versions = versions.iter().filter(|version| version.key() == Some(key));
    let mut from_read = versions.skip_while(|version| version.version_id() != Some(read));
    let Some(written_at) = from_read.next().and_then(ObjectVersion::last_modified) else { return Vec::new() };
    let markers = markers.iter().filter(|marker| marker.key() == Some(key));
    // S3's times are whole seconds.
    let older_markers = markers.filter(|marker| marker.last_modified().is_some_and(|time| time <= written_at));
    let mut ids: Vec<&str> = older_markers.filter_map(DeleteMarkerEntry::version_id).collect();
    ids.extend(from_read.filter_map(ObjectVersion::version_id));
    ids.reverse();
    ids.into_iter().map(str::to_owned).collect()
}

fn described(object: Object) -> Option<Listed> {
    let key = object.key?;
    // The name of a quarantine document is a hash. It is written once, so the time of the object is that of the rejection.
    let written_at = object.last_modified.and_then(|time| Timestamp::from_seconds(time.secs()));
    let failed_at = if is_quarantined(&key) { written_at } else { discarded_at(&key) };
    Some(Listed { key, failed_at })
}

/// Whether the document is that of a quarantined record.
pub(crate) fn is_quarantined(key: &str) -> bool {
    key.starts_with(QUARANTINE)
}

/// The mapping in a key: `aws/lambda/<mapping>/<shard>/…`.
pub(crate) fn mapping_of(key: &str) -> Option<&str> {
    let (mapping, _) = key.strip_prefix(DISCARDED)?.split_once('/')?;
    Some(mapping)
}

/// The time in a key: when the mapping discarded the batch.
pub(super) fn discarded_at(key: &str) -> Option<Timestamp> {
    let (_, name) = key.rsplit_once('/')?;
    Timestamp::parse(&format!("{}Z", name.get(..TIME_LENGTH)?.replace('.', ":")))
}

/// A key in the folder of `key` and with its time. The rest is a hash of the content, so that every process that narrows a
/// document in the same way writes the same object.
pub(super) fn narrowed_key(key: &str, body: &[u8]) -> String {
    let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
    let time = name.get(..TIME_LENGTH).unwrap_or(name);
    let hash = blake3::hash(body);
    let unique = hash.as_bytes().first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    format!("{folder}/{time}-{}", uuid(unique))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "aws/lambda/4f6a1d2b/shardId-1/2026/09/17/2026-09-17T13.29.12-0c7a2f2e-6c8d-4d0e-8a43-1f6d0f4a9b55";

    #[test]
    fn a_narrowed_document_lies_beside_the_original() {
        let narrowed = narrowed_key(KEY, b"left");
        assert!(narrowed.starts_with("aws/lambda/4f6a1d2b/shardId-1/2026/09/17/2026-09-17T13.29.12-"), "{narrowed}");
        assert_eq!(narrowed.len(), KEY.len());
        assert_eq!(narrowed_key(&narrowed, b"left"), narrowed, "narrowing it again changes nothing");
        assert_ne!(narrowed_key(KEY, b"less"), narrowed);
        assert_eq!(narrowed_key("aws/lambda/m/s/odd", b"left").split('-').next(), Some("aws/lambda/m/s/odd"));
    }

    #[test]
    fn a_version_that_was_written_after_the_read_is_kept() {
        let at = aws_sdk_s3::primitives::DateTime::from_secs;
        let version = |(id, second): (&str, i64)| {
            ObjectVersion::builder().key(KEY).version_id(id).last_modified(at(second)).build()
        };
        let versions = [("written-since", 9), ("read", 5), ("older", 3), ("oldest", 1)].map(version);
        let other =
            ObjectVersion::builder().key(format!("{KEY}-other")).version_id("other").last_modified(at(1)).build();
        let versions = [&versions[..], &[other]].concat();
        let markers = [("new-marker", 7), ("old-marker", 2)]
            .map(|(id, second)| DeleteMarkerEntry::builder().key(KEY).version_id(id).last_modified(at(second)).build());
        assert_eq!(older_than("read", KEY, &versions, &markers), ["oldest", "older", "old-marker"]);
        assert_eq!(older_than("oldest", KEY, &versions, &[]), [""; 0]);
        assert_eq!(older_than("deleted-by-another-run", KEY, &versions, &markers), [""; 0]);
    }

    #[test]
    fn a_key_names_the_mapping_and_the_time() {
        assert_eq!((mapping_of(KEY), mapping_of("other/key")), (Some("4f6a1d2b"), None));
        assert_eq!(discarded_at(KEY), Timestamp::parse("2026-09-17T13:29:12Z"));
        assert_eq!((discarded_at("aws/lambda/garbage"), discarded_at("aws/lambda/m/s/2026")), (None, None));
        let (written, at) =
            (aws_sdk_s3::primitives::DateTime::from_secs(1_790_000_000), Timestamp::from_seconds(1_790_000_000));
        let listed =
            |key: &str| described(Object::builder().key(key).last_modified(written).build()).unwrap().failed_at;
        assert_eq!((listed(KEY), listed("quarantine/orders/6acf.json")), (discarded_at(KEY), at));
    }
}
