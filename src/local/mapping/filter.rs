//! Filter criteria: EventBridge patterns over a record.

/// Patterns of which one must match.
#[derive(Debug, Clone, Default)]
pub struct Filters {}
