//! From when on the tables of a pipeline are counted, if the items that existed before opened measures.

use std::collections::BTreeMap;

use anyhow::Context;
use stream_types::Timestamp;
use usage_aggregator::pipeline::Pipeline;

use super::Site;
use super::columns::Columns;
use super::corrections::ledger;
use super::provable::Gaps;

/// The cuts of the tables that were backfilled.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    count_from: Option<Timestamp>,
    is_backfilled: bool,
}

impl Cuts {
    /// The cuts in the ledger of a pipeline that counts.
    pub(super) async fn read(site: &Site<'_>) -> anyhow::Result<Cuts> {
        let Some(ledger) = ledger(site) else { return Ok(Cuts::default()) };
        let cuts = ledger.cuts(None).await.context("read from when on backfilled tables are counted")?;
        let count_from = site.tables.and_then(|tables| tables.count_from);
        let count_from = count_from.filter(|from| cuts.iter().any(|(_, cut)| cut == from));
        Ok(Cuts { count_from, is_backfilled: !cuts.is_empty() })
    }

    /// COUNT_FROM, if it is the cut of a table: then items that the stream had changed before opened measures at it, and have no
    /// other row.
    pub(super) fn count_from(&self) -> Option<Timestamp> {
        self.count_from
    }

    /// Adds the record types whose backfilled rows can't be told from insertions.
    pub(super) fn add_gaps(&self, pipeline: &Pipeline, columns: &BTreeMap<&str, Columns>, gaps: &mut Gaps) {
        if !self.is_backfilled {
            return;
        }
        for route in pipeline.routes.iter().filter(|route| !route.counters.is_empty()) {
            let name = &route.record_type;
            if columns.get(name.as_str()).is_some_and(|columns| columns.source("event_id").is_none()) {
                gaps.fatal.push(format!(
                    "{name}: items were backfilled, and its schema has no field with \"source\": \"event_id\" that tells them from insertions"
                ));
            }
        }
    }
}
