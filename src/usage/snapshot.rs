//! How a counter's snapshot item looks: its key, its descriptive attributes, its expiry. Pure text work, done before
//! anything is written, so that a key which DynamoDB would refuse is the record's fault and not the batch's.

use std::cell::OnceCell;

use super::counter::CounterKey;
use super::window::Span;
use crate::pipeline::template::Template;
use crate::pipeline::{Snapshot, WINDOW_VARIABLES};
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
        let values = Values::new(key, span);
        let render = |(name, template): &(String, Template)| (name.clone(), values.render(template));
        let expires_at = snapshot.time_to_live.as_ref().and_then(|ttl| {
            let (_, days) = ttl.days.iter().find(|(window, _)| *window == span.window)?;
            Some((ttl.attribute.clone(), span.end() + days * DAY_SECONDS))
        });
        SnapshotItem {
            key: key_templates(snapshot).map(render).collect(),
            attributes: snapshot.attributes.iter().map(render).collect(),
            expires_at,
        }
    }
}

/// Checks that the snapshot keys of `key` in every window of the pipeline are ones that DynamoDB takes.
///
/// # Errors
/// A fault that names the key's attribute.
pub fn check_keys(snapshot: &Snapshot, key: &CounterKey, at: Timestamp) -> Result<(), Fault> {
    for window in &snapshot.windows {
        let values = Values::new(key, window.containing(at));
        for ((name, template), limit) in key_templates(snapshot).zip([PARTITION_KEY_BYTES, SORT_KEY_BYTES]) {
            let bytes = values.render(template).len();
            if bytes == 0 || bytes > limit {
                let message = format!("would be a snapshot key of {bytes} bytes; DynamoDB takes 1 to {limit}");
                return Err(Fault::new(Code::InvalidKey, name.as_str(), message));
            }
        }
    }
    Ok(())
}

fn key_templates(snapshot: &Snapshot) -> impl Iterator<Item = &(String, Template)> {
    [Some(&snapshot.partition_key), snapshot.sort_key.as_ref()].into_iter().flatten()
}

/// What a snapshot's templates are filled in with: the group's values, then the window's, which are written when asked for.
struct Values<'k> {
    key: &'k CounterKey,
    span: Span,
    window: [OnceCell<String>; WINDOW_VARIABLES.len()],
}

impl<'k> Values<'k> {
    fn new(key: &'k CounterKey, span: Span) -> Values<'k> {
        Values { key, span, window: Default::default() }
    }

    fn render(&self, template: &Template) -> String {
        template.render(|slot| self.value(slot))
    }

    fn value(&self, slot: usize) -> &str {
        if let Some(value) = self.key.0.get(slot) {
            return value;
        }
        let place = slot - self.key.0.len();
        let write = || match place {
            0 => self.span.window.name().to_owned(),
            1 => self.span.start_text(),
            2 => self.span.end_text(),
            _ => self.span.key(),
        };
        self.window.get(place).map_or("", |text| text.get_or_init(write))
    }
}
