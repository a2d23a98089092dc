//! Where an export is: a folder or a bucket.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use aws_sdk_s3::error::ProvideErrorMetadata;

use crate::shell::console::UsageError;

/// The most bytes of a manifest. A list of data files has about 200 for each, so this has room for 300,000.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

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
    ///
    /// # Errors
    /// If it can't be read, or is larger than a manifest can be.
    pub(super) async fn file(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let found = match self {
            Store::Folder(folder) => open(&folder.join(name))?,
            Store::Bucket { client, bucket, folder } => download(client, bucket, &format!("{folder}/{name}")).await?,
        };
        let Some(file) = found else { return Ok(None) };
        let mut content = Vec::new();
        let doing = || format!("read {}", self.shown(name));
        file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut content).with_context(doing)?;
        if u64::try_from(content.len())? > MAX_MANIFEST_BYTES {
            let limit = MAX_MANIFEST_BYTES >> 20;
            return Err(
                UsageError(format!("{} has more than {limit} MiB, which no export needs", self.shown(name))).into()
            );
        }
        Ok(Some(content))
    }

    /// A data file with this key. A bucket has it under the key; a copy of an export has it in the folder of the manifests, or
    /// beside it, where incremental exports share a folder.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn data(&self, key: &str) -> anyhow::Result<Option<File>> {
        match self {
            Store::Folder(folder) => {
                let name = key.rsplit('/').next().unwrap_or(key);
                let shared = folder.parent().map(|parent| parent.join("data").join(name));
                match (open(&folder.join("data").join(name))?, shared) {
                    (None, Some(shared)) => open(&shared),
                    (found, _) => Ok(found),
                }
            }
            Store::Bucket { client, bucket, .. } => download(client, bucket, key).await,
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// A copy of an object in a file without a name, which takes no memory however large it is.
async fn download(client: &aws_sdk_s3::Client, bucket: &str, key: &str) -> anyhow::Result<Option<File>> {
    let doing = || format!("get s3://{bucket}/{key} (s3:GetObject)");
    let mut body = match client.get_object().bucket(bucket).key(key).send().await {
        Ok(answer) => answer.body,
        Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
        Err(error) => return Err(error).with_context(doing),
    };
    let writing = || format!("write a copy of s3://{bucket}/{key} to {}", std::env::temp_dir().display());
    let mut file = tempfile::tempfile().with_context(writing)?;
    while let Some(part) = body.try_next().await.with_context(doing)? {
        file.write_all(&part).with_context(writing)?;
    }
    file.rewind().with_context(writing)?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manifest_reaches_no_file_outside_of_the_folders_of_data() {
        let folder = tempfile::tempdir().unwrap();
        let export = folder.path().join("export");
        std::fs::create_dir_all(export.join("data")).unwrap();
        std::fs::write(export.join("data").join("items.json.gz"), "items").unwrap();
        for secret in [folder.path().join("secret"), export.join("secret")] {
            std::fs::write(secret, "secret").unwrap();
        }
        let store = Store::Folder(export);
        let absolute = folder.path().join("secret").display().to_string();
        for key in ["../secret", "../../secret", "AWSDynamoDB/1/data/../../secret", "secret", &absolute, "/etc/passwd"]
        {
            assert!(store.data(key).await.unwrap().is_none(), "{key}");
        }
        assert!(store.data("AWSDynamoDB/1/data/items.json.gz").await.unwrap().is_some());
    }
}
