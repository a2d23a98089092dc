//! What is read of the keys of a failure bucket, for the fuzzer.

use usage_aggregator::time::Timestamp;

use super::bucket;

/// What a key says about its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentKey {
    /// The mapping that discarded the batch.
    pub mapping: Option<String>,
    /// When it did.
    pub discarded_at: Option<Timestamp>,
    /// Whether the document is that of a quarantined record.
    pub is_quarantined: bool,
}

/// Reads a key.
pub fn document_key(key: &str) -> DocumentKey {
    DocumentKey {
        mapping: bucket::mapping_of(key).map(str::to_owned),
        discarded_at: bucket::discarded_at(key),
        is_quarantined: bucket::is_quarantined(key),
    }
}

/// The key of the document of some of its records.
pub fn narrowed_key(key: &str, body: &[u8]) -> String {
    bucket::narrowed_key(key, body)
}
