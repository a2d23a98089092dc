//! The targets of indicators that a batch asks for, each once however many records ask.

use std::collections::BTreeMap;

use super::Planner;
use crate::indicator::{Asked, Cause, TargetKey, asked};
use crate::outline::OutlinedRecord;
use crate::record::Fault;

/// A target that is recomputed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The index in [`crate::pipeline::Pipeline::indicators`].
    pub indicator: usize,
    /// The key of the target.
    pub key: TargetKey,
    /// The positions in the batch of the records that ask for it, each with why.
    pub records: Vec<(usize, Cause)>,
}

/// The targets that the records so far have asked for.
#[derive(Debug, Default)]
pub(super) struct Targets {
    list: Vec<Target>,
    /// The index in `list` by indicator and key.
    known: BTreeMap<(usize, TargetKey), usize>,
}

impl Targets {
    fn add(&mut self, record: usize, Asked { indicator, target, cause }: Asked) {
        let next = self.list.len();
        let index = *self.known.entry((indicator, target.clone())).or_insert(next);
        if index == next {
            self.list.push(Target { indicator, key: target, records: Vec::new() });
        }
        if let Some(target) = self.list.get_mut(index) {
            target.records.push((record, cause));
        }
    }

    /// The targets in the order in which they were first asked for.
    pub(super) fn into_list(self) -> Vec<Target> {
        self.list
    }
}

impl Planner<'_> {
    /// Notes the targets that a record asks for, and returns whether there are any. They are recomputed even if the record is
    /// quarantined afterwards, because its item has changed all the same.
    pub(super) fn ask(&mut self, index: usize, record: &OutlinedRecord<'_>) -> Result<bool, Fault> {
        let asked = asked(self.pipeline, record)?;
        let asks = !asked.is_empty();
        asked.into_iter().for_each(|target| self.targets.add(index, target));
        if self.plan.source_table.is_none() {
            self.plan.source_table = Some(record.source.name.to_string());
        }
        Ok(asks)
    }
}
