//! The contents of a snapshot item apart from its counters: its key, its descriptive attributes and its expiry. Keys
//! are checked before anything is written, so that a key that DynamoDB would refuse rejects one record and not the
//! batch.

use std::cell::OnceCell;

use super::key::CounterKey;
use crate::pipeline::template::Template;
use crate::pipeline::{PARTITION_KEY_BYTES, SORT_KEY_BYTES, Snapshot, WINDOW_VARIABLES};
use crate::record::{Code, Fault};
use crate::time::Timestamp;
use crate::window::{Span, Window};

/// A snapshot item without its counters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotItem {
    /// The names and texts of the key attributes.
    pub key: Vec<(String, String)>,
    /// The names and texts of the descriptive attributes.
    pub attributes: Vec<(String, String)>,
    /// The name of the expiry attribute, and the expiry in seconds since the epoch.
    pub expires_at: Option<(String, i64)>,
}

impl SnapshotItem {
    /// The snapshot item of `key` in the window `span`.
    pub fn new(snapshot: &Snapshot, key: &CounterKey, span: Span) -> SnapshotItem {
        let values = Values::new(snapshot, key, span);
        let render = |(name, template): &(String, Template)| (name.clone(), values.render(template));
        let attribute = snapshot.time_to_live.as_ref().map(|ttl| ttl.attribute.clone());
        let expires_at = attribute.zip(snapshot.expires_at(span));
        SnapshotItem {
            key: values.keys().map(|(name, text)| (name.to_owned(), text)).collect(),
            attributes: snapshot.attributes.iter().map(render).collect(),
            expires_at,
        }
    }
}

/// The counter and the window whose snapshot item has these keys, or `None` if [`SnapshotItem::new`] never produces
/// them.
pub fn snapshot_of(snapshot: &Snapshot, keys: &[(&str, &str)]) -> Option<(CounterKey, Span)> {
    // A window that the pipeline doesn't count may have the same keys as one that it does.
    let others = Window::ALL.into_iter().filter(|window| !snapshot.windows.contains(window));
    snapshot.windows.iter().copied().chain(others).find_map(|window| {
        let mut values = vec![None; snapshot.group_variables.len() + WINDOW_VARIABLES.len()];
        for (slot, value) in read_back(snapshot, keys, window)? {
            *values.get_mut(slot)? = Some(value);
        }
        let texts = values.split_off(snapshot.group_variables.len());
        let [_, start, end, key] = texts.as_slice() else { return None };
        let text_ofs: [fn(Span) -> String; 3] = [Span::start_text, Span::end_text, Span::key];
        let known = [start, end, key].into_iter().zip(text_ofs);
        let span = known
            .filter_map(|(text, text_of)| Span::with_text(window, text.as_ref()?, snapshot.zone, text_of))
            .next()?;
        let counter = CounterKey(values.into_iter().collect::<Option<_>>()?);
        // Reading back can be ambiguous. Only keys that would be written in exactly this way belong to a snapshot.
        let item = SnapshotItem::new(snapshot, &counter, span);
        let same = item.key.len() == keys.len()
            && item.key.iter().all(|(name, text)| keys.contains(&(name.as_str(), text.as_str())));
        same.then_some((counter, span))
    })
}

fn read_back(snapshot: &Snapshot, keys: &[(&str, &str)], window: Window) -> Option<Vec<(usize, String)>> {
    let text_of = |wanted: &str| keys.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    let (name, template) = &snapshot.partition_key;
    let mut values = template.read_back(text_of(name)?)?;
    if let Some((name, template)) = &snapshot.sort_key {
        values.extend(template.read_back(text_of(name)?.strip_suffix(snapshot.suffix(window))?)?);
    }
    Some(values)
}

/// Checks that DynamoDB accepts the snapshot keys of `key` in every window of the pipeline: those of the table, and those of
/// its indexes.
///
/// # Errors
/// A fault that names the key attribute.
pub fn check_keys(snapshot: &Snapshot, key: &CounterKey, at: Timestamp) -> Result<(), Fault> {
    for window in &snapshot.windows {
        let values = Values::new(snapshot, key, window.containing(at, snapshot.zone));
        let keys = values.keys().zip([PARTITION_KEY_BYTES, SORT_KEY_BYTES]);
        for ((name, text), limit) in keys.chain(values.index_keys()) {
            if text.is_empty() || text.len() > limit {
                let message =
                    format!("would have {} bytes as a snapshot key; DynamoDB allows 1 to {limit}", text.len());
                return Err(Fault::new(Code::InvalidKey, name, message));
            }
        }
    }
    Ok(())
}

/// The values for a snapshot's templates: first those of the group, then those of the window, which are formatted on
/// demand.
struct Values<'k> {
    snapshot: &'k Snapshot,
    key: &'k CounterKey,
    span: Span,
    window: [OnceCell<String>; WINDOW_VARIABLES.len()],
}

impl<'k> Values<'k> {
    fn new(snapshot: &'k Snapshot, key: &'k CounterKey, span: Span) -> Values<'k> {
        Values { snapshot, key, span, window: Default::default() }
    }

    /// The names and texts of the key attributes.
    fn keys(&self) -> impl Iterator<Item = (&'k str, String)> {
        let (name, template) = &self.snapshot.partition_key;
        let sort_key = self.snapshot.sort_key.as_ref().map(|(name, template)| {
            let suffix = self.snapshot.suffix(self.span.window);
            (name.as_str(), self.render(template) + suffix)
        });
        [Some((name.as_str(), self.render(template))), sort_key].into_iter().flatten()
    }

    /// The names and texts of the attributes that are keys of an index, each with its limit.
    fn index_keys(&self) -> impl Iterator<Item = ((&'k str, String), usize)> {
        self.snapshot.index_keys.iter().filter_map(|(name, limit)| {
            let (name, template) = self.snapshot.attributes.iter().find(|(attribute, _)| attribute == name)?;
            Some(((name.as_str(), self.render(template)), *limit))
        })
    }

    fn render(&self, template: &Template) -> String {
        template.render(|slot| self.value(slot))
    }

    fn value(&self, slot: usize) -> &str {
        if let Some(value) = self.key.0.get(slot) {
            return value;
        }
        let index = slot - self.key.0.len();
        let write = || match index {
            0 => self.snapshot.window_name(self.span.window).to_owned(),
            1 => self.span.start_text(),
            2 => self.span.end_text(),
            _ => self.span.key(),
        };
        self.window.get(index).map_or("", |text| text.get_or_init(write))
    }
}
