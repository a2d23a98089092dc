//! The S3 calls of compaction. All but one may be repeated by the SDK; the put of a Parquet file is sent once, because a request
//! that lands long after it was sent could otherwise still be repeated.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use usage_aggregator::error::{Error, ErrorKind};

/// How long a put of a Parquet file may take.
const PUT_TIMEOUT: Duration = Duration::from_secs(60);

/// The archive of a pipeline.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The client.
    pub client: Client,
    /// The name of the bucket.
    pub bucket: String,
    /// What keys start with, without a slash at the end.
    pub prefix: String,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The key below the prefix that was listed.
    pub name: String,
    pub bytes: u64,
    /// In seconds since the epoch.
    pub modified: i64,
}

/// The result of a put that must not replace anything.
#[derive(Debug)]
pub(crate) enum Put {
    /// This call created the object.
    Created,
    /// Another one did, or whether this one did isn't known: look again.
    LookAgain(Option<Error>),
}

impl Archive {
    /// The key of `path` below the prefix.
    pub(crate) fn key(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix.trim_end_matches('/')) }
    }

    /// The objects whose keys start with `start`, in the order of their names.
    pub(crate) async fn list(&self, start: &str) -> Result<Vec<Listed>, Error> {
        let doing = format!("list s3://{}/{start} (s3:ListBucket)", self.bucket);
        let folder = start.rfind('/').map_or(0, |slash| slash + 1);
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(start).into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Error::from_sdk(&doing, &error))?;
            listed.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
                Some(Listed {
                    name: object.key.as_deref()?.get(folder..)?.to_owned(),
                    bytes: u64::try_from(object.size.unwrap_or_default()).unwrap_or_default(),
                    modified: object.last_modified.map_or(i64::MAX, |modified| modified.secs()),
                })
            }));
        }
        Ok(listed)
    }

    /// The folders right below this one, such as `partition_date=2026-11-28/`.
    #[cfg(feature = "function")]
    pub(crate) async fn folders(&self, folder: &str) -> Result<Vec<String>, Error> {
        let doing = format!("list s3://{}/{folder} (s3:ListBucket)", self.bucket);
        let call = self.client.list_objects_v2().bucket(&self.bucket).prefix(folder).delimiter("/");
        let mut pages = call.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Error::from_sdk(&doing, &error))?;
            let found = page.common_prefixes.unwrap_or_default().into_iter().filter_map(|common| common.prefix);
            folders.extend(found.filter_map(|prefix| prefix.strip_prefix(folder).map(str::to_owned)));
        }
        Ok(folders)
    }

    /// A part of an object.
    pub(crate) async fn get(&self, key: &str, part: Range<u64>) -> Result<Bytes, Error> {
        let doing = format!("get s3://{}/{key} (s3:GetObject)", self.bucket);
        let range = format!("bytes={}-{}", part.start, part.end.saturating_sub(1));
        let sent = self.client.get_object().bucket(&self.bucket).key(key).range(range).send().await;
        let answer = sent.map_err(|error| Error::from_sdk(&doing, &error))?;
        let body = answer.body.collect().await.map_err(|error| Error::transient(format!("{doing}: {error}")))?;
        Ok(body.into_bytes())
    }

    /// An object, or `None` if there is none.
    pub(crate) async fn get_if_there(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let doing = format!("get s3://{}/{key} (s3:GetObject)", self.bucket);
        let answer = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            sent => sent.map_err(|error| Error::from_sdk(&doing, &error))?,
        };
        let body = answer.body.collect().await.map_err(|error| Error::transient(format!("{doing}: {error}")))?;
        Ok(Some(body.into_bytes()))
    }

    /// Puts a Parquet file if nothing has its key.
    pub(crate) async fn put_new(&self, key: &str, body: Bytes) -> Result<Put, Error> {
        let doing = format!("put s3://{}/{key} (s3:PutObject)", self.bucket);
        let put = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        let put = put.content_type("application/vnd.apache.parquet").body(ByteStream::from(body)).customize();
        let put = put.config_override(Builder::new().retry_config(RetryConfig::disabled()));
        let Ok(sent) = tokio::time::timeout(PUT_TIMEOUT, put.send()).await else {
            return Ok(Put::LookAgain(Some(Error::transient(format!("{doing}: no response within 60 s")))));
        };
        let Err(error) = sent else { return Ok(Put::Created) };
        let status = error.raw_response().map(|response| response.status().as_u16());
        if matches!(status, Some(409 | 412)) {
            return Ok(Put::LookAgain(None));
        }
        match Error::from_sdk(&doing, &error) {
            error if error.kind == ErrorKind::Transient => Ok(Put::LookAgain(Some(error))),
            error => Err(error),
        }
    }

    /// Deletes an object. One that is gone already isn't an error.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        let doing = format!("delete s3://{}/{key} (s3:DeleteObject)", self.bucket);
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        sent.map(drop).map_err(|error| Error::from_sdk(&doing, &error))
    }
}
