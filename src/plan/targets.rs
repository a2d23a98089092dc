//! The targets of indicators that a batch asks for, each once however many records ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Planner, Quarantined};
use crate::indicator::{Asked, Cause, TargetKey, asked};
use crate::outline::OutlinedRecord;
use crate::pipeline::Indicator;
use crate::record::{Code, Fault, Rejection};

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
    /// The captures that don't name a target, by table and indicator.
    unnamed: BTreeSet<(Arc<str>, usize, Vec<String>)>,
    /// The table of the last record that asked.
    table: Arc<str>,
}

impl Targets {
    /// What follows is asked for by a record of this table.
    fn of_table(&mut self, table: &str) {
        if *self.table != *table {
            self.table = table.into();
        }
    }

    fn add(&mut self, record: usize, Asked { indicator, target, cause }: Asked) {
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
        let asks = !asked.targets.is_empty();
        self.targets.of_table(&record.source.name);
        asked.targets.into_iter().for_each(|target| self.targets.add(index, target));
        for (number, captures) in asked.unnamed {
            let is_new = self.targets.unnamed.insert((Arc::clone(&self.targets.table), number, captures));
            let indicator = self.pipeline.indicators.get(number).filter(|_| is_new);
            let (sequence, user_record) = (record.sequence.clone().into_owned(), record.user_record);
            self.plan.refused.extend(indicator.map(|indicator| {
                let rejection = Rejection { sequence, user_record, route: None, fault: unnamed(indicator) };
                Quarantined { record: index, rejection }
            }));
        }
        Ok(asks)
    }
}

fn unnamed(indicator: &Indicator) -> Fault {
    let message = format!(
        "failed to compute the indicator \"{}\": the captures of the item don't name one target, because they contain the punctuation \
         between the variables of `target`",
        indicator.name
    );
    Fault::new(Code::InvalidKey, "indicator", message)
}
