//! Where an export is: a folder or a bucket.

use std::path::PathBuf;

use anyhow::Context;
use aws_sdk_s3::error::ProvideErrorMetadata;
use axum::body::Bytes;

use crate::shell::console::UsageError;

/// The folder that has the manifests of one export.
#[derive(Debug, Clone)]
pub(super) enum Store {
    /// On this machine.
    Folder(PathBuf),
    /// In S3, with the key of the folder, without a slash at its end.
    Bucket { client: aws_sdk_s3::Client, bucket: String, folder: String },
}

impl Store {
    /// The store that a person names: a folder, or `s3://BUCKET/PREFIX/AWSDynamoDB/ID`.
    ///
    /// # Errors
    /// If a URL of S3 has no bucket or no key.
    pub(super) fn named(text: &str, client: &aws_sdk_s3::Client) -> Result<Store, UsageError> {
        let text = text.trim_end_matches("manifest-summary.json").trim_end_matches('/');
        let Some(url) = text.strip_prefix("s3://") else { return Ok(Store::Folder(PathBuf::from(text))) };
        match url.split_once('/') {
            Some((bucket, folder)) if !bucket.is_empty() && !folder.is_empty() => {
                Ok(Store::Bucket { client: client.clone(), bucket: bucket.to_owned(), folder: folder.to_owned() })
            }
            _ => Err(UsageError(format!(
                "`{text}` doesn't name an export; expected a form like s3://BUCKET/PREFIX/AWSDynamoDB/ID"
            ))),
        }
    }

    /// The name of a file in messages.
    pub(super) fn shown(&self, file: &str) -> String {
        match self {
            Store::Folder(folder) => folder.join(file).display().to_string(),
            Store::Bucket { bucket, folder, .. } => format!("s3://{bucket}/{folder}/{file}"),
        }
    }

    /// A file in the folder, or `None` if it doesn't exist.
    pub(super) async fn file(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        match self {
            Store::Folder(folder) => read(&folder.join(name)).await,
            Store::Bucket { client, bucket, folder } => get(client, bucket, &format!("{folder}/{name}")).await,
        }
    }

    /// A data file with this key. A bucket has it under the key; a copy of an export has it in the folder of the manifests, or
    /// beside it, where incremental exports share a folder.
    pub(super) async fn data(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        match self {
            Store::Folder(folder) => {
                let name = key.rsplit('/').next().unwrap_or(key);
                let shared = folder.parent().map(|parent| parent.join("data").join(name));
                match read(&folder.join("data").join(name)).await? {
                    None => match shared {
                        Some(shared) => read(&shared).await,
                        None => Ok(None),
                    },
                    found => Ok(found),
                }
            }
            Store::Bucket { client, bucket, .. } => get(client, bucket, key).await,
        }
    }
}

async fn read(path: &std::path::Path) -> anyhow::Result<Option<Bytes>> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

async fn get(client: &aws_sdk_s3::Client, bucket: &str, key: &str) -> anyhow::Result<Option<Bytes>> {
    let doing = || format!("get s3://{bucket}/{key} (s3:GetObject)");
    match client.get_object().bucket(bucket).key(key).send().await {
        Ok(answer) => Ok(Some(answer.body.collect().await.with_context(doing)?.into_bytes())),
        Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
        Err(error) => Err(error).with_context(doing),
    }
}
