//! Notices that are too old to fold: their pages are about to expire. A document in the failure bucket names them, so that
//! an operator can still sweep their minutes.

use bytes::Bytes;
use serde_json::json;
use tracing::warn;

use super::{Handler, Invocation};
use crate::archive::Object;
use crate::error::Error;
use crate::fold::Notice;

/// The prefix of the documents' keys.
const PREFIX: &str = "notices/";

/// What is stored of notices that are too old.
struct Document {
    key: String,
    body: Bytes,
}

impl Document {
    /// Names the notices. The key is a hash of the body, so the same notices make the same document.
    fn new(pipeline: &str, notices: &[Notice]) -> Document {
        let named = |notice: &Notice| {
            let Notice { minute, page } = notice;
            json!({"minute": minute.text(), "bucket": page.bucket, "page": format!("{:016x}", page.name)})
        };
        let reason = "the pages are about to expire: HORIZON_DAYS and 6 more days have passed since their minute";
        let named: Vec<_> = notices.iter().map(named).collect();
        let document = json!({
            "version": "1.0", "condition": "NoticeTooOld", "pipeline": pipeline, "reason": reason, "notices": named,
        });
        let body = Bytes::from(document.to_string());
        let hash = blake3::hash(&body).to_hex();
        Document { key: format!("{PREFIX}{pipeline}/{}.json", hash.get(..32).unwrap_or_default()), body }
    }
}

impl Handler {
    /// Logs notices that are too old, and stores what they name.
    ///
    /// # Errors
    /// If the document can't be put. The notices are then delivered again.
    pub(super) async fn store_too_old(&self, notices: &[Notice], invocation: &Invocation) -> Result<(), Error> {
        if notices.is_empty() {
            return Ok(());
        }
        let Document { key, body } = Document::new(&self.pipeline().name, notices);
        warn!(notices = notices.len(), %key, "notices are too old to fold");
        let Some(bucket) = &self.failures else { return Ok(()) };
        let object = Object { key: &key, body: &body, content_type: "application/json" };
        bucket.put_all(&[object], invocation.deadline).await.into_iter().try_for_each(|put| put.map(|_| ()))
    }
}
