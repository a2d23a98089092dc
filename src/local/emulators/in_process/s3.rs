//! S3 as a map of buckets. It supports PutObject, with If-None-Match, GetObject, with a range, DeleteObject and ListObjectsV2.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use jiff::Timestamp;

use super::ServiceResponse;

type Bucket = BTreeMap<String, Object>;

#[derive(Debug, Clone)]
struct Object {
    body: Arc<[u8]>,
    modified: Timestamp,
}

/// Buckets of objects in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Objects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    now: Timestamp,
}

impl Objects {
    /// Creates an empty bucket `name`, or replaces an existing one.
    pub fn create_bucket(&self, name: &str) {
        self.lock().buckets.insert(name.to_owned(), Bucket::new());
    }

    /// Deletes a bucket with its objects.
    pub fn delete_bucket(&self, name: &str) {
        self.lock().buckets.remove(name);
    }

    /// A bucket's objects by key; none if the bucket doesn't exist.
    pub fn bucket(&self, name: &str) -> BTreeMap<String, Arc<[u8]>> {
        let objects = self.lock().buckets.get(name).cloned().unwrap_or_default();
        objects.into_iter().map(|(key, object)| (key, object.body)).collect()
    }

    /// Puts an object.
    pub fn put_object(&self, bucket: &str, key: &str, body: &[u8]) {
        drop(self.put(bucket, key.to_owned(), body, false));
    }

    /// Objects that are put from now on were modified at this second, and not in 1970.
    pub fn set_time(&self, seconds: i64) {
        self.lock().now = Timestamp::from_second(seconds).unwrap_or_default();
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
            ("GET", Some(bucket), Some(key)) => self.get(&bucket, &key, headers.get("range")),
            ("DELETE", Some(bucket), Some(key)) => self.delete(&bucket, &key),
            ("GET", Some(bucket), None) => {
                let text = |name: &str| parameter(request.uri(), name);
                match text("list-type").as_deref() {
                    Some("2") => self.list(&bucket, &text("prefix").unwrap_or_default(), text("delimiter").as_deref()),
                    _ => error(501, "NotImplemented"),
                }
            }
            _ => error(501, "NotImplemented"),
        }
    }

    fn put(&self, bucket: &str, key: String, body: &[u8], only_new: bool) -> ServiceResponse {
        let mut state = self.lock();
        let modified = state.now;
        let Some(objects) = state.buckets.get_mut(bucket) else { return error(404, "NoSuchBucket") };
        if only_new && objects.contains_key(&key) {
            return error(412, "PreconditionFailed");
        }
        objects.insert(key, Object { body: body.into(), modified });
        ServiceResponse { status: 200, content_type: "application/xml", body: Vec::new() }
    }

    fn get(&self, bucket: &str, key: &str, range: Option<&str>) -> ServiceResponse {
        let state = self.lock();
        let Some(objects) = state.buckets.get(bucket) else { return error(404, "NoSuchBucket") };
        let Some(object) = objects.get(key) else { return error(404, "NoSuchKey") };
        let (status, body) = match range.map(|range| bytes_of(range, object.body.len())) {
            None => (200, Some(object.body.as_ref())),
            Some(range) => (206, range.and_then(|range| object.body.get(range))),
        };
        match body {
            Some(body) => ServiceResponse { status, content_type: "application/octet-stream", body: body.to_vec() },
            None => error(416, "InvalidRange"),
        }
    }

    fn delete(&self, bucket: &str, key: &str) -> ServiceResponse {
        let mut state = self.lock();
        let Some(objects) = state.buckets.get_mut(bucket) else { return error(404, "NoSuchBucket") };
        objects.remove(key);
        ServiceResponse { status: 204, content_type: "application/xml", body: Vec::new() }
    }

    /// All objects on one page. With a delimiter, those whose names continue after it are listed by what comes before.
    fn list(&self, bucket: &str, prefix: &str, delimiter: Option<&str>) -> ServiceResponse {
        let state = self.lock();
        let Some(objects) = state.buckets.get(bucket) else { return error(404, "NoSuchBucket") };
        let mut body = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
        let mut folders = BTreeSet::new();
        for (key, object) in objects.iter() {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            if let Some((folder, _)) = delimiter.and_then(|delimiter| rest.split_once(delimiter)) {
                folders.insert(format!("{prefix}{folder}{}", delimiter.unwrap_or_default()));
                continue;
            }
            let key = escaped(key);
            let (modified, size) = (object.modified, object.body.len());
            body.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><Size>{size}</Size></Contents>"
            ));
        }
        for folder in &folders {
            body.push_str(&format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(folder)));
        }
        body.push_str("</ListBucketResult>");
        ServiceResponse { status: 200, content_type: "application/xml", body: body.into_bytes() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(status: u16, code: &str) -> ServiceResponse {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>in process</Message></Error>");
    ServiceResponse { status, content_type: "application/xml", body: body.into_bytes() }
}

/// The part of an object of `length` bytes that `bytes=2-5` names; its end may be beyond that of the object.
fn bytes_of(range: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    Some(first..length.min(last.checked_add(1)?))
}

/// Bucket and key of a URL like `http://host/bucket/key%3D1?x-id=PutObject`.
fn bucket_and_key(uri: &str) -> (Option<String>, Option<String>) {
    let uri = uri.split('?').next().unwrap_or(uri);
    let path = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (percent_decoded(bucket), percent_decoded(key))
}

/// A parameter in the query of a URL.
fn parameter(uri: &str, name: &str) -> Option<String> {
    let (_, query) = uri.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(other, _)| *other == name).and_then(|(_, value)| percent_decoded(value))
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
