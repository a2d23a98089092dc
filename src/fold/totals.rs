//! The values of groups by measure: what a state says.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::value::{NONE, Value};
use crate::ledger::{Aggregate, Damaged, GroupKey, Measure, Measures, Reader, Writer};

/// The name of the only measure of a group that has given up even the names of its measures. No measure of a pipeline has it.
const WHOLE_GROUP: &str = "";

/// 8 Mi: an eighth of the longest content.
const MAX_CELLS: usize = 8 << 20;

/// Whether a measure stands for all of a group.
pub(super) fn is_whole_group(measure: &Measure) -> bool {
    &*measure.name == WHOLE_GROUP
}

/// Values of groups by measure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Totals {
    measures: Measures,
    /// The values of each group, in the order of the measures' numbers. A group has a value for each measure that any page names
    /// for it, even if no counted record feeds it.
    groups: BTreeMap<GroupKey, Vec<(usize, Value)>>,
    /// How many corrections there are for each group that has any, if the pipeline has alerts.
    pub corrections: BTreeMap<GroupKey, u64>,
}

impl Totals {
    /// Names these measures for a group and updates the value of each. A value that is new is that of no records.
    pub(super) fn update<'m>(
        &mut self,
        key: &GroupKey,
        measures: impl Iterator<Item = &'m Measure>,
        mut update: impl FnMut(usize, &mut Value),
    ) {
        if !self.groups.contains_key(key) {
            self.groups.insert(key.clone(), Vec::new());
        }
        let Some(values) = self.groups.get_mut(key) else { return };
        for (place, measure) in measures.enumerate() {
            let number = self.measures.number(&measure.name, measure.aggregate);
            let index = values.binary_search_by_key(&number, |(number, _)| *number).unwrap_or_else(|index| {
                values.insert(index, (number, Value::empty(measure.aggregate)));
                index
            });
            if let Some((_, value)) = values.get_mut(index) {
                update(place, value);
            }
        }
    }

    /// Adds the totals of other records, under the keys that their groups have here; those without one are left out.
    pub(super) fn merge<'k>(
        &mut self,
        other: &'k Totals,
        key_here: impl Fn(&'k GroupKey) -> Option<Cow<'k, GroupKey>>,
    ) {
        // Hardly any totals have given up a group, so groups are looked at only if some have.
        let have_given_up = self.measures.iter().chain(other.measures.iter()).any(is_whole_group);
        for (key, values) in &other.groups {
            let Some(key) = key_here(key) else { continue };
            if have_given_up && self.is_given_up(&key) {
                continue;
            }
            let named: Vec<(&Measure, &Value)> = other.named(values).collect();
            if have_given_up && named.iter().any(|(measure, _)| is_whole_group(measure)) {
                self.give_up(key.into_owned());
                continue;
            }
            self.update(&key, named.iter().map(|(measure, _)| *measure), |place, value| {
                if let Some((_, more)) = named.get(place) {
                    value.merge(more);
                }
            });
        }
        for (key, count) in &other.corrections {
            let Some(key) = key_here(key) else { continue };
            *self.corrections.entry(key.into_owned()).or_default() += count;
        }
    }

    /// How many corrections there are for a group.
    pub(super) fn corrections(&self, key: &GroupKey) -> u64 {
        self.corrections.get(key).copied().unwrap_or(0)
    }

    fn named<'t>(&'t self, values: &'t [(usize, Value)]) -> impl Iterator<Item = (&'t Measure, &'t Value)> {
        values.iter().filter_map(|(number, value)| Some((self.measures.get(*number)?, value)))
    }

    /// Whether nothing of a group is known.
    pub(super) fn is_given_up(&self, key: &GroupKey) -> bool {
        self.group(key).is_some_and(|mut values| values.any(|(measure, _)| is_whole_group(measure)))
    }

    /// Gives up all values of a group, with their names.
    fn give_up(&mut self, key: GroupKey) {
        let number = self.measures.number(&WHOLE_GROUP.into(), Aggregate::Sum);
        self.groups.insert(key, vec![(number, Value::Overflow)]);
    }

    /// Gives up all groups, with the names of their measures.
    pub(super) fn give_up_all(&mut self) {
        self.measures = Measures::default();
        for key in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.give_up(key);
        }
    }

    /// The measures and values of a group, in the order of first appearance.
    pub(super) fn group(&self, key: &GroupKey) -> Option<impl Iterator<Item = (&Measure, &Value)>> {
        self.groups.get(key).map(|values| self.named(values))
    }

    /// The keys of the groups, sorted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are too many groups times measures for one state: each has a byte, and a state of 64 MiB isn't read.
    pub(super) fn is_too_wide(&self) -> bool {
        self.groups.len() > 1 && self.groups.len().saturating_mul(self.measures.len()) > MAX_CELLS
    }

    /// The groups of a part of a state, with the measures that these have: one group may have many that nobody else has.
    pub(super) fn part(&self, part: &str) -> Totals {
        let mut totals = Totals::default();
        for (key, values) in self.groups.iter().filter(|(key, _)| key.is_in_part(part)) {
            let renumbered = self
                .named(values)
                .map(|(measure, value)| (totals.measures.number(&measure.name, measure.aggregate), value.clone()));
            let mut renumbered: Vec<_> = renumbered.collect();
            renumbered.sort_by_key(|(number, _)| *number);
            totals.groups.insert(key.clone(), renumbered);
        }
        let corrected = self.corrections.iter().filter(|(key, _)| key.is_in_part(part));
        totals.corrections = corrected.map(|(key, count)| (key.clone(), *count)).collect();
        totals
    }

    /// Gives up the largest values, at least this many bytes of them. Returns false if there are none.
    pub(super) fn give_up_largest(&mut self, bytes: usize) -> bool {
        let values = self.groups.values_mut().flatten().map(|(_, value)| value);
        let values = values.filter(|value| **value != Value::Overflow);
        let mut values: Vec<(usize, &mut Value)> = values.map(|value| (value.bytes(), value)).collect();
        // Stable, so that the same totals lose the same values.
        values.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let is_any = !values.is_empty();
        let mut given_up = 0;
        for (size, value) in values {
            if given_up < bytes.max(1) {
                *value = Value::Overflow;
                given_up += size;
            }
        }
        is_any
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.measures.write(writer);
        writer.size(self.groups.len());
        let mut before: &[u8] = &[];
        for (key, values) in &self.groups {
            write_key(writer, key, &mut before);
            let mut values = values.iter().peekable();
            for number in 0..self.measures.len() {
                match values.next_if(|(own, _)| *own == number) {
                    Some((_, value)) => value.write(writer),
                    None => writer.byte(NONE),
                }
            }
        }
    }

    /// Writes how many corrections there are.
    pub(super) fn write_corrections(&self, writer: &mut Writer) {
        writer.size(self.corrections.len());
        let mut before: &[u8] = &[];
        for (key, count) in &self.corrections {
            write_key(writer, key, &mut before);
            writer.uint(*count);
        }
    }

    pub(super) fn read_corrections(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let (count, mut before) = (reader.count()?, Vec::new());
        for _ in 0..count {
            let key = read_key(reader, &mut before)?;
            self.corrections.insert(key, reader.uint()?);
        }
        Ok(())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Totals, Damaged> {
        let measures = Measures::read(reader)?;
        let count = reader.count()?;
        let (mut groups, mut before) = (BTreeMap::new(), Vec::new());
        for _ in 0..count {
            let key = read_key(reader, &mut before)?;
            let mut values = Vec::new();
            for (number, measure) in measures.iter().enumerate() {
                values.extend(Value::read(measure.aggregate, reader)?.map(|value| (number, value)));
            }
            groups.insert(key, values);
        }
        if groups.len() < count {
            return Err(Damaged("a group appears twice"));
        }
        Ok(Totals { measures, groups, corrections: BTreeMap::new() })
    }
}

/// Writes a key without the beginning that it shares with the one before.
pub(super) fn write_key<'k>(writer: &mut Writer, key: &'k GroupKey, before: &mut &'k [u8]) {
    let key = key.bytes();
    let shared = key.iter().zip(*before).take_while(|(byte, other)| byte == other).count();
    writer.size(shared);
    writer.bytes(key.get(shared..).unwrap_or_default());
    *before = key;
}

/// Reads a key, after the bytes of the one before.
pub(super) fn read_key(reader: &mut Reader<'_>, before: &mut Vec<u8>) -> Result<GroupKey, Damaged> {
    before.truncate(reader.size()?);
    before.extend_from_slice(reader.bytes()?);
    Ok(GroupKey::from_bytes(before))
}
