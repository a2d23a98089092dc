//! From when on the tables of a pipeline are counted, if the items that existed before opened measures.

use std::collections::BTreeMap;

use anyhow::Context;
use stream_types::Timestamp;
use usage_aggregator::pipeline::Pipeline;

use super::Site;
use super::corrections::ledger;
use usage_compact::steps::RowFields;
use usage_compact::steps::provable::Gaps;

/// The cuts of the tables that were backfilled.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    count_from: Option<Timestamp>,
    /// The ARNs of the tables whose cut is COUNT_FROM.
    tables: Vec<String>,
    is_backfilled: bool,
}

impl Cuts {
    /// The cuts in the ledger of a pipeline that counts.
    pub(super) async fn read(site: &Site<'_>) -> anyhow::Result<Cuts> {
        let Some(ledger) = ledger(site) else { return Ok(Cuts::default()) };
        let cuts = ledger.cuts(None).await.context("read from when on backfilled tables are counted")?;
        let count_from = site.count_from();
        let is_backfilled = !cuts.is_empty();
        let at_cut = cuts.into_iter().filter(|(_, cut)| count_from == Some(*cut));
        let tables: Vec<String> = at_cut.map(|(table, _)| table).collect();
        Ok(Cuts { count_from: count_from.filter(|_| !tables.is_empty()), tables, is_backfilled })
    }

    /// COUNT_FROM, if it is the cut of a table: then items that the stream had changed before opened measures at it, and have no
    /// other row.
    pub(super) fn count_from(&self) -> Option<Timestamp> {
        self.count_from
    }

    /// Whether items of the table with this stream opened measures at COUNT_FROM. Rows that don't say which stream they are from are
    /// taken for those of the backfilled table.
    pub(super) fn opens(&self, stream_arn: Option<&str>) -> bool {
        let is_of = |table: &String, stream: &str| {
            stream.strip_prefix(table.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.count_from.is_some()
            && stream_arn.is_none_or(|stream| self.tables.iter().any(|table| is_of(table, stream)))
    }

    /// Adds the record types whose backfilled rows can't be told from insertions.
    pub(super) fn add_gaps(&self, pipeline: &Pipeline, columns: &BTreeMap<&str, RowFields>, gaps: &mut Gaps) {
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
