//! The files of a plan while records are added to them.

use std::collections::{BTreeMap, HashMap};

use crate::archive::{FileDraft, Partition};

/// The files so far, and the index of each by record type and partition.
#[derive(Debug, Default)]
pub(super) struct Drafts<'p> {
    indexes: HashMap<(&'p str, Partition), usize>,
    drafts: Vec<FileDraft>,
    /// The draft that was used last: most records of a batch have the same type and hour.
    last: Option<((&'p str, Partition), usize)>,
}

impl<'p> Drafts<'p> {
    pub(super) fn of(&mut self, record_type: &'p str, partition: Partition) -> Option<&mut FileDraft> {
        let key = (record_type, partition);
        let index = match self.last {
            Some((last, index)) if last == key => index,
            _ => *self.indexes.entry(key).or_insert_with(|| {
                self.drafts.push(FileDraft::new(record_type, partition));
                self.drafts.len() - 1
            }),
        };
        self.last = Some((key, index));
        self.drafts.get_mut(index)
    }

    /// The files that have rows. A draft that only a rejected record opened has none.
    pub(super) fn files(self) -> BTreeMap<(String, Partition), FileDraft> {
        let mut drafts: Vec<Option<FileDraft>> = self.drafts.into_iter().map(Some).collect();
        let file = |((record_type, partition), index): ((&str, Partition), usize)| {
            let draft = drafts.get_mut(index)?.take().filter(|draft| draft.rows() > 0)?;
            Some(((record_type.to_owned(), partition), draft))
        };
        self.indexes.into_iter().filter_map(file).collect()
    }
}
