//! The targets of indicators that a batch asks for, each once however many records ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Planner;
use crate::indicator::{Asked, Cause, TargetKey, asked};
use crate::outline::OutlinedRecord;
use crate::record::Fault;

/// A target that is recomputed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The table that has it: that of the records that ask for it. A Kinesis stream may carry the changes of several.
    pub table: Arc<str>,
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
    /// The index in `list` by table, indicator and key.
    known: BTreeMap<(Arc<str>, usize, TargetKey), usize>,
    /// The table of the last record that asked.
    table: Arc<str>,
}

impl Targets {
    fn add(&mut self, record: usize, table: &str, Asked { indicator, target, cause }: Asked) {
        if *self.table != *table {
            self.table = table.into();
        }
        let next = self.list.len();
        let index = *self.known.entry((Arc::clone(&self.table), indicator, target.clone())).or_insert(next);
        if index == next {
            let table = Arc::clone(&self.table);
            self.list.push(Target { table, indicator, key: target, records: Vec::new() });
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
        asked.into_iter().for_each(|target| self.targets.add(index, &record.source.name, target));
        Ok(asks)
    }
}
