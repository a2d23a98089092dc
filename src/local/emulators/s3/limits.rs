//! Refuses requests that s3s-fs would handle wrongly: it creates any bucket that is written to, and it stores an object
//! whose key is too long for a file name although it returns an error.

use std::path::PathBuf;

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

/// The longest file name.
const FILE_NAME_BYTES: usize = 255;
/// s3s-fs stores an object's attributes in a file `.bucket-<bucket>.object-<key>.metadata.json`, both names in Base64.
const ATTRIBUTES_NAME_BYTES: usize = ".bucket-.object-.metadata.json".len();

/// Accepts the requests that the folder can serve.
pub(super) struct Limits {
    pub(super) folder: PathBuf,
}

#[async_trait::async_trait]
impl S3Access for Limits {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(bucket) = context.s3_path().get_bucket_name() else { return Ok(()) };
        if context.s3_op().name() != "CreateBucket" && !self.folder.join(bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"));
        }
        context.s3_path().get_object_key().map_or(Ok(()), |key| check_key(bucket, key))
    }
}

fn check_key(bucket: &str, key: &str) -> S3Result<()> {
    let parts_fit = key.split('/').all(|part| part.len() <= FILE_NAME_BYTES);
    if !parts_fit || ATTRIBUTES_NAME_BYTES + base64_bytes(bucket) + base64_bytes(key) > FILE_NAME_BYTES {
        return Err(s3_error!(KeyTooLongError, "the embedded S3 supports about 168 bytes of bucket and key together"));
    }
    // In S3 these are ordinary keys; in a folder they are other places.
    if key.trim_end_matches('/').split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(s3_error!(InvalidArgument, "the embedded S3 doesn't support keys with an empty, `.` or `..` part"));
    }
    Ok(())
}

fn base64_bytes(text: &str) -> usize {
    (text.len() * 4).div_ceil(3)
}
