//! The files of a plan while records are added to them.

use std::collections::{BTreeMap, HashMap};

use crate::archive::FileDraft;
use crate::time::Date;

/// The files so far, and the index of each by record type and date.
#[derive(Debug, Default)]
pub(super) struct Drafts<'p> {
    indexes: HashMap<(&'p str, Date), usize>,
    drafts: Vec<FileDraft>,
    /// The draft that was used last: most records of a batch have the same type and day.
    last: Option<((&'p str, Date), usize)>,
}

impl<'p> Drafts<'p> {
    pub(super) fn of(&mut self, record_type: &'p str, date: Date) -> Option<&mut FileDraft> {
        let key = (record_type, date);
        let index = match self.last {
            Some((last, index)) if last == key => index,
            _ => *self.indexes.entry(key).or_insert_with(|| {
                self.drafts.push(FileDraft::new(record_type, date));
                self.drafts.len() - 1
            }),
        };
        self.last = Some((key, index));
        self.drafts.get_mut(index)
    }

    /// The files that have rows. A draft that only a rejected record opened has none.
    pub(super) fn files(self) -> BTreeMap<(String, Date), FileDraft> {
        let mut drafts: Vec<Option<FileDraft>> = self.drafts.into_iter().map(Some).collect();
        let file = |((record_type, date), index): ((&str, Date), usize)| {
            let draft = drafts.get_mut(index)?.take().filter(|draft| draft.rows() > 0)?;
            Some(((record_type.to_owned(), date), draft))
        };
        self.indexes.into_iter().filter_map(file).collect()
    }
}
