//! The first and the latest value.

use std::sync::Arc;

use crate::ledger::{Damaged, Reader, Writer, read_moment, write_moment};
use crate::usage::Moment;

/// The first or latest of some moments; none without moments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::fold) struct Edge(pub Option<Arc<Moment>>);

impl Edge {
    /// Keeps the earlier moment.
    pub(super) fn earlier(&mut self, moment: &Arc<Moment>) {
        if self.0.as_ref().is_none_or(|first| moment < first) {
            self.0 = Some(Arc::clone(moment));
        }
    }

    /// Keeps the later moment.
    pub(super) fn later(&mut self, moment: &Arc<Moment>) {
        if self.0.as_ref().is_none_or(|latest| moment > latest) {
            self.0 = Some(Arc::clone(moment));
        }
    }

    /// 8 bytes for the time, up to 20 for the order, and the value.
    pub(super) fn write(&self, writer: &mut Writer) {
        if let Some(moment) = &self.0 {
            write_moment(moment, 0, writer);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Edge, Damaged> {
        read_moment(0, reader).map(Some).map(Edge)
    }
}
