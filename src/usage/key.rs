//! The keys of counters and the names of measures. The records of a batch share a few of each, so they are built once
//! per batch and then referred to by number or shared.

use std::collections::HashMap;
use std::sync::Arc;

use super::group::Segment;
use crate::pipeline::template::Template;
use crate::pipeline::{Bindings, MEASURE_NAME_BYTES, Measure, Pipeline, Snapshot};

/// The values of a snapshot's group variables: entity, resource, and any other variables in its templates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CounterKey(pub Vec<String>);

impl CounterKey {
    /// The entity, whose usage is counted.
    pub fn entity(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The resource that is used.
    pub fn resource(&self) -> &str {
        self.0.get(1).map_or("", String::as_str)
    }

    /// Whether it has a text for each group variable of the snapshots. If not, another definition of the pipeline has counted the
    /// group, and it has no snapshot in this one.
    pub fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.0.len() == snapshot.group_variables.len()
    }
}

/// The number of a key, together with the hour that it counts in, within a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyNumber(usize);

impl KeyNumber {
    /// The index of the key in the order of first appearance.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The keys of a batch, numbered in the order of first appearance.
#[derive(Debug, Default)]
pub(super) struct CounterKeys {
    numbers: HashMap<Box<[u8]>, usize>,
    keys: Vec<(CounterKey, Option<Segment>)>,
    /// The key that was used last, and its number: consecutive records often have the same key.
    last: Vec<u8>,
    last_number: usize,
    buffer: Vec<u8>,
}

impl CounterKeys {
    /// The number of the key that results from filling `bindings` into the templates of `group`, in an hour if that isn't the
    /// hour of the record.
    pub(super) fn number(&mut self, group: &[Template], bindings: &Bindings<'_>, hour: Option<Segment>) -> KeyNumber {
        self.buffer.clear();
        // Read from the end, the texts are still known by their lengths.
        hour.iter().for_each(|hour| self.buffer.extend_from_slice(&hour.start().to_be_bytes()));
        for template in group {
            let before = self.buffer.len();
            template.parts(|slot| bindings.value(slot), |part| self.buffer.extend_from_slice(part.as_bytes()));
            // Each text is followed by its length, so that different keys never have the same bytes.
            let length = u32::try_from(self.buffer.len() - before).unwrap_or(u32::MAX);
            self.buffer.extend_from_slice(&length.to_be_bytes());
        }
        if self.buffer == self.last && !self.keys.is_empty() {
            return KeyNumber(self.last_number);
        }
        let number = match self.numbers.get(self.buffer.as_slice()) {
            Some(number) => *number,
            None => {
                let key = group.iter().map(|template| template.render(|slot| bindings.value(slot))).collect();
                self.keys.push((CounterKey(key), hour));
                self.numbers.insert(self.buffer.as_slice().into(), self.keys.len() - 1);
                self.keys.len() - 1
            }
        };
        std::mem::swap(&mut self.buffer, &mut self.last);
        self.last_number = number;
        KeyNumber(number)
    }

    /// The key with this number.
    pub(super) fn key(&self, number: KeyNumber) -> Option<&CounterKey> {
        self.keys.get(number.0).map(|(key, _)| key)
    }

    /// The first minute of the hour that the key with this number counts in, if that isn't the hour of the record.
    pub(super) fn event_hour(&self, number: KeyNumber) -> Option<Segment> {
        self.keys.get(number.0).and_then(|(_, hour)| *hour)
    }
}

/// The names of measures that a batch has used.
#[derive(Debug)]
pub(super) struct MeasureNames<'p> {
    fixed: Vec<Arc<str>>,
    /// Names by measure and capture.
    captured: Vec<(&'p Measure, Box<str>, Arc<str>)>,
}

/// More captured names than this aren't remembered: searching them would cost as much as building a name.
const MAX_REMEMBERED_NAMES: usize = 64;

impl<'p> MeasureNames<'p> {
    /// Starts with the fixed names of `pipeline`.
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        MeasureNames {
            fixed: pipeline.measures.iter().map(|name| name.as_str().into()).collect(),
            captured: Vec::new(),
        }
    }

    /// The name of a measure that needs no capture.
    pub(super) fn fixed(&self, slot: usize) -> Arc<str> {
        self.fixed.get(slot).map_or_else(|| "".into(), Arc::clone)
    }

    /// The name that results from filling `capture` into `template`. If an attribute of every snapshot or a fixed
    /// measure already has that name, or a fraction or another counter could have it, the result follows `if_taken`.
    ///
    /// # Errors
    /// If there is no `if_taken`, or if the name is too long or empty.
    pub(super) fn captured(
        &mut self,
        pipeline: &Pipeline,
        measure: &'p Measure,
        template: &Template,
        capture: &str,
    ) -> Result<Arc<str>, String> {
        let known = self.captured.iter().find(|(of, text, _)| **text == *capture && std::ptr::eq(*of, measure));
        if let Some((_, _, name)) = known {
            return Ok(Arc::clone(name));
        }
        let own = of_allowed_length(template.render(|_| capture))?;
        let name: Arc<str> = of_allowed_length(unreserved_name(pipeline, own).ok_or(TAKEN)?)?.into();
        if self.captured.len() < MAX_REMEMBERED_NAMES {
            self.captured.push((measure, capture.into(), Arc::clone(&name)));
        }
        Ok(name)
    }
}

const TAKEN: &str = "would give a counter the name of another attribute; add `if_taken` to [snapshot] in the pipeline";

fn of_allowed_length(name: String) -> Result<String, String> {
    if MEASURE_NAME_BYTES.contains(&name.len()) {
        return Ok(name);
    }
    Err(format!("would give a counter a name of {} bytes; names have 1 to 255 bytes", name.len()))
}

/// `name`, or the name that follows from `if_taken` if `name` is already used.
fn unreserved_name(pipeline: &Pipeline, name: String) -> Option<String> {
    let Some(snapshot) = &pipeline.snapshot else { return Some(name) };
    if !is_taken(snapshot, &name) {
        return Some(name);
    }
    let other = snapshot.if_taken.as_ref()?.render(|_| name.as_str());
    is_free(snapshot, &other).then_some(other)
}

/// Whether a counter can't have its own name: another attribute has it, or a counter gets it whose own name is taken.
fn is_taken(snapshot: &Snapshot, name: &str) -> bool {
    let origin = |name: &String| snapshot.named_if_taken(name);
    !std::iter::successors(Some(name.to_owned()), origin).all(|name| is_free(snapshot, &name))
}

/// Whether no other attribute has the name of a counter, or that of its fraction. The name depends on the record alone, so one that
/// could be the fraction of some counter is taken, whether there is such a counter or not.
fn is_free(snapshot: &Snapshot, name: &str) -> bool {
    let is_used = |attribute: &str| {
        snapshot.reserved().any(|reserved| reserved == attribute)
            || snapshot.has_attribute(attribute)
            || snapshot.measures.iter().any(|fixed| fixed == attribute)
    };
    !is_used(name) && !snapshot.is_fraction(name) && !snapshot.fraction_of(name).is_some_and(|name| is_used(&name))
}
