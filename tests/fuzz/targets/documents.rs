//! What operators hand to the tool: failure documents, table exports, and text files.

use usage_aggregator::decode::attribute;
use usagectl::deployment::backfill::fuzzing;
use usagectl::failure_document::{FailureDocument, event_in};
use usagectl::shell::text_file::text_of;

/// A document of a failure destination, or a notification of one.
pub(crate) fn failure_document(data: &[u8]) {
    _ = FailureDocument::parse_head(data);
    _ = event_in(data.to_vec());
    let Ok(document) = FailureDocument::parse(data) else { return };
    _ = (document.cause().text(), document.discarded_at(), document.records());
    let Ok(records) = document.payload_records() else { return };
    assert!(!records.is_empty());
    // What remains of the document after some records can be read again.
    let rest = serde_json::to_vec(&document.narrowed(&records[..1])).unwrap_or_default();
    let rest = FailureDocument::parse(&rest).and_then(|rest| rest.payload_records());
    assert!(rest.is_ok_and(|rest| rest.len() == 1 && rest[0].sequence == records[0].sequence));
}

/// The manifests of a table export: the summary, and after a line with `---` the list of files.
pub(crate) fn export_manifest(data: &[u8]) {
    let end = data.windows(5).position(|bytes| bytes == b"\n---\n").unwrap_or(data.len());
    _ = fuzzing::read_manifests(&data[..end], data.get(end + 5..).unwrap_or_default());
}

/// A line of a table export in Ion.
pub(crate) fn ion_line(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    if let Ok(json) = fuzzing::ion_line(line) {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{json}");
        _ = attribute::item(&json);
    }
}

/// A text in any encoding, perhaps compressed.
pub(crate) fn text_file(data: &[u8]) {
    if let Ok(text) = text_of(data) {
        assert!(data.starts_with(&[0x1F, 0x8B]) || text.len() <= data.len() * 2);
    }
}
