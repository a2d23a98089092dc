//! How a counter's snapshot item looks: its key, its descriptive attributes, its expiry. Pure text work, done before
//! anything is written, so that a key which DynamoDB would refuse is the record's fault and not the batch's.

use super::counter::CounterKey;
use super::window::{Span, Window};
use crate::pipeline::Snapshot;
use crate::pipeline::template::Template;
use crate::record::{Code, Fault};
use crate::time::Timestamp;

/// 2048 and 1024 bytes: DynamoDB's limits for partition and sort keys.
const PARTITION_KEY_BYTES: usize = 2048;
const SORT_KEY_BYTES: usize = 1024;

const DAY_SECONDS: i64 = 86_400;

/// A snapshot item without its counters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotItem {
    /// The attributes of the key: names and texts.
    pub key: Vec<(String, String)>,
    pub attributes: Vec<(String, String)>,
    /// The expiry's attribute and second since the epoch.
    pub expires_at: Option<(String, i64)>,
}

impl SnapshotItem {
    /// The item of `key` in the window `span`.
    pub fn new(snapshot: &Snapshot, key: &CounterKey, span: Span) -> SnapshotItem {
        let window = [span.window.name().to_owned(), span.start_text(), span.end_text(), span.key()];
        let value = |slot: usize| match key.0.get(slot) {
            Some(value) => value.as_str(),
            None => window.get(slot - key.0.len()).map_or("", String::as_str),
        };
        let render = |(name, template): &(String, Template)| (name.clone(), template.render(value));
        let expires_at = snapshot.time_to_live.as_ref().and_then(|ttl| {
            let (_, days) = ttl.days.iter().find(|(window, _)| *window == span.window)?;
            Some((ttl.attribute.clone(), span.end() + days * DAY_SECONDS))
        });
        SnapshotItem {
            key: [Some(&snapshot.partition_key), snapshot.sort_key.as_ref()]
                .into_iter()
                .flatten()
                .map(render)
                .collect(),
            attributes: snapshot.attributes.iter().map(render).collect(),
            expires_at,
        }
    }
}

/// Checks that the snapshot keys of `key` are ones that DynamoDB takes.
///
/// # Errors
/// A fault that names the key's attribute.
pub fn check_keys(snapshot: &Snapshot, key: &CounterKey, at: Timestamp) -> Result<(), Fault> {
    for window in Window::ALL {
        let item = SnapshotItem::new(snapshot, key, window.containing(at));
        for ((name, text), limit) in item.key.iter().zip([PARTITION_KEY_BYTES, SORT_KEY_BYTES]) {
            if text.is_empty() || text.len() > limit {
                let message = format!("would be a snapshot key of {} bytes; DynamoDB takes 1 to {limit}", text.len());
                return Err(Fault::new(Code::InvalidKey, name.as_str(), message));
            }
        }
    }
    Ok(())
}
