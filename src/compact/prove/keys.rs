//! Whether rows with the same values of the attributes in `match` are of one item. They are if `match` names exactly the keys of the
//! table, which the id of a record from DynamoDB Streams shows: it is a hash of the stream, of the keys, and of the sequence number.
//! The id of a change that came through Kinesis, which may repeat changes out of order, doesn't show it. The names of the keys are those
//! of the table, if it could be described, so that they are known for hours without any rows as well.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use usage_aggregator::decode::stream_record_id;
use usage_aggregator::pipeline::{Pipeline, Route};
use usage_aggregator::plan::backfill;
use usage_aggregator::record::SequenceNumber;

use crate::steps::provable::has_differences;
use crate::steps::{RowFields, Step, attributes};

/// What the name of an item ends with whose rows may be of several.
const OF_SEVERAL: &str = " (or several)";

/// What is known about the table, and what the rows have shown so far.
pub(super) struct Keys {
    /// The stream that the function reads, unless rows name theirs.
    stream_arn: Option<String>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The names of the keys of the table.
    names: Option<BTreeSet<String>>,
    /// Whether some rows of record types with differences may be of several items.
    has_others: bool,
}

impl Keys {
    pub(super) fn new(stream_arn: Option<String>, names: Option<BTreeSet<String>>) -> Keys {
        Keys { stream_arn, seen: Mutex::new(Seen { names, has_others: false }) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from a row. If it may be of several items, its step has a history apart from those that are certainly of one.
    pub(super) fn see(&self, route: &Route, row: &Value, fields: &RowFields, step: &mut Step) {
        if [backfill::WHOLE, backfill::ARCHIVED].contains(&step.event.as_str()) {
            return;
        }
        if self.is_of_one_item(route, row, fields, step) {
            let mut seen = self.seen();
            if seen.names.is_none() {
                seen.names = Some(names(route));
            }
        } else {
            step.item.push_str(OF_SEVERAL);
            self.seen().has_others |= has_differences(route);
        }
    }

    fn is_of_one_item(&self, route: &Route, row: &Value, fields: &RowFields, step: &Step) -> bool {
        let text = |source: &str| fields.source(source).and_then(|field| row.get(field)).and_then(Value::as_str);
        let stream_arn = text("stream_arn").or(self.stream_arn.as_deref());
        let sequence = text("sequence_number").and_then(|text| SequenceNumber::parse(text.to_owned()));
        let (Some(stream_arn), Some(sequence), Some(row)) = (stream_arn, sequence, row.as_object()) else {
            return false;
        };
        let keys = attributes(row, fields, route.matched_attributes());
        stream_record_id(stream_arn, &keys, &sequence).to_string() == step.id
    }

    /// Whether each record that counts a difference has a row. If `match` names other attributes than the keys, a change by which an
    /// item stops matching is counted and has none.
    pub(super) fn all_have_rows(&self, pipeline: &Pipeline) -> bool {
        let seen = self.seen();
        let mut routes = pipeline.routes.iter().filter(|route| has_differences(route));
        !seen.has_others && routes.all(|route| seen.names.as_ref() == Some(&names(route)))
    }
}

fn names(route: &Route) -> BTreeSet<String> {
    route.matched_attributes().map(str::to_owned).collect()
}

/// Whether the row of a step is certainly of the same item as the other rows with its name.
pub(super) fn is_of_one_item(step: &Step) -> bool {
    !step.item.ends_with(OF_SEVERAL)
}
