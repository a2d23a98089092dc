//! S3 as a map of buckets. It supports PutObject, with If-None-Match.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::ServiceResponse;

type Bucket = BTreeMap<String, Arc<[u8]>>;

/// Buckets of objects in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Objects(Arc<Mutex<BTreeMap<String, Bucket>>>);

impl Objects {
    /// Creates an empty bucket `name`, or replaces an existing one.
    pub fn create_bucket(&self, name: &str) {
        self.lock().insert(name.to_owned(), Bucket::new());
    }

    /// Deletes a bucket with its objects.
    pub fn delete_bucket(&self, name: &str) {
        self.lock().remove(name);
    }

    /// A bucket's objects by key; none if the bucket doesn't exist.
    pub fn bucket(&self, name: &str) -> BTreeMap<String, Arc<[u8]>> {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    pub(super) fn answer(&self, request: &HttpRequest, body: &[u8]) -> ServiceResponse {
        let (bucket, key) = bucket_and_key(request.uri());
        let headers = request.headers();
        // The SDK sends streamed bodies in signed chunks, which aren't supported here.
        let is_whole = headers.get("content-encoding").is_none_or(|encoding| !encoding.contains("aws-chunked"));
        match (request.method(), bucket, key) {
            ("PUT", Some(bucket), Some(key)) if is_whole => {
                self.put(&bucket, key, body, headers.get("if-none-match") == Some("*"))
            }
            _ => error(501, "NotImplemented"),
        }
    }

    fn put(&self, bucket: &str, key: String, body: &[u8], only_new: bool) -> ServiceResponse {
        let mut buckets = self.lock();
        let Some(objects) = buckets.get_mut(bucket) else { return error(404, "NoSuchBucket") };
        if only_new && objects.contains_key(&key) {
            return error(412, "PreconditionFailed");
        }
        objects.insert(key, body.into());
        ServiceResponse { status: 200, content_type: "application/xml", body: Vec::new() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(status: u16, code: &str) -> ServiceResponse {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>in process</Message></Error>");
    ServiceResponse { status, content_type: "application/xml", body: body.into_bytes() }
}

/// Bucket and key of a URL like `http://host/bucket/key%3D1?x-id=PutObject`.
fn bucket_and_key(uri: &str) -> (Option<String>, Option<String>) {
    let uri = uri.split('?').next().unwrap_or(uri);
    let path = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (percent_decoded(bucket), percent_decoded(key))
}

/// `a%3Db` -> `a=b`; `None` if the text is empty or isn't UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}
