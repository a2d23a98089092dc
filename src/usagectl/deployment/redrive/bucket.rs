//! The bucket of failed batches: its documents, and what takes a document's place.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use event_source_mapping::{CONTENT_TYPE, InvocationRecord, uuid};

/// What Lambda puts before a document's own name.
const FOLDER: &str = "aws/lambda/";

/// A bucket of an on-failure destination.
pub struct Bucket {
    pub client: Client,
    pub name: String,
}

impl Bucket {
    /// The keys of all documents.
    pub async fn keys(&self) -> anyhow::Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(&self.name).prefix(FOLDER).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("list s3://{}/{FOLDER} (s3:ListBucket)", self.name))?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        Ok(keys)
    }

    /// What a document holds; nothing if somebody else has done with it meanwhile.
    pub async fn read(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let doing = || format!("read s3://{}/{key} (s3:GetObject)", self.name);
        match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(object) => Ok(Some(object.body.collect().await.with_context(doing)?.to_vec())),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error).with_context(doing),
        }
    }

    /// Puts what is left of the document `key` beside it, then deletes it; gives the new key.
    ///
    /// # Errors
    /// When either fails; then both documents may be there, which is no more than work done twice.
    pub async fn narrow(&self, key: &str, left: &InvocationRecord) -> anyhow::Result<String> {
        let body = serde_json::to_vec(left).context("write what is left of a document")?;
        let to = narrowed_key(key, &body);
        let put = self.client.put_object().bucket(&self.name).key(&to).content_type(CONTENT_TYPE).body(body.into());
        put.send().await.with_context(|| format!("put s3://{}/{to} (s3:PutObject)", self.name))?;
        self.delete(key).await?;
        Ok(to)
    }

    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let delete = self.client.delete_object().bucket(&self.name).key(key).send().await;
        delete.with_context(|| format!("delete s3://{}/{key} (s3:DeleteObject)", self.name)).map(drop)
    }
}

/// The mapping that a key names: `aws/lambda/<mapping>/<shard>/…`.
pub fn mapping_of(key: &str) -> Option<&str> {
    key.strip_prefix(FOLDER)?.split('/').next()
}

/// In the same folder and with the same time as `key`, by its content: whoever narrows a document alike makes the same
/// object.
fn narrowed_key(key: &str, body: &[u8]) -> String {
    // 2026-09-17T13.29.12
    const TIME: usize = 19;
    let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
    let time = name.get(..TIME).unwrap_or(name);
    let hash = blake3::hash(body);
    let unique = hash.as_bytes().first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    format!("{folder}/{time}-{}", uuid(unique))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_lies_beside_what_there_was() {
        let key = "aws/lambda/4f6a1d2b/shardId-1/2026/09/17/2026-09-17T13.29.12-0c7a2f2e-6c8d-4d0e-8a43-1f6d0f4a9b55";
        let narrowed = narrowed_key(key, b"left");
        assert!(narrowed.starts_with("aws/lambda/4f6a1d2b/shardId-1/2026/09/17/2026-09-17T13.29.12-"), "{narrowed}");
        assert_eq!(narrowed.len(), key.len());
        assert_eq!(narrowed_key(&narrowed, b"left"), narrowed, "however often");
        assert_ne!(narrowed_key(key, b"less"), narrowed);
        assert_eq!(narrowed_key("aws/lambda/m/s/odd", b"left").split('-').next(), Some("aws/lambda/m/s/odd"));
        assert_eq!((mapping_of(key), mapping_of("other/key")), (Some("4f6a1d2b"), None));
    }
}
