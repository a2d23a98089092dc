//! Filter criteria: EventBridge patterns over a record.

/// Patterns of which one must match.
#[derive(Debug, Clone, Default)]
pub struct Filters {}

impl Filters {
    pub fn matches(&self, _kind: super::StreamKind, _record: &super::SourceRecord) -> bool {
        true
    }
}
