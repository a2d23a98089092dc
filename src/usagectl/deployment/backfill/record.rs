//! The record of an item that existed: as if it had been inserted at the cut. It is a function of the table, the item's key and
//! its image, so repeating a backfill makes the same records. Pure.

use std::sync::Arc;

use event_source_mapping::SourceRecord;
use event_source_mapping::sources::parse_sequence;
use stream_types::Timestamp;
use usage_aggregator::plan::backfill;

use super::item::ItemKey;

/// 4 MB: an invocation's payload may have 6 MB, and images are escaped once more on the way.
const BATCH_BYTES: usize = 4_000_000;
/// 5,000: half of the largest batch of an event source mapping. Larger batches make fewer pages.
const BATCH_RECORDS: usize = 5_000;

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is archived and counted.
    Whole,
    /// It only counts.
    Counted,
    /// It is only archived.
    Archived,
}

/// An item of an export, a scan or the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// It existed.
    Item { key: ItemKey, image: String, purpose: Purpose },
    /// It can't be written.
    Refused { item: String, reason: String },
}

/// Makes the records of one table.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    /// What precedes the label in the ARN of the table's stream.
    table_arn: String,
    region: String,
    created_at: Timestamp,
}

impl Maker {
    /// Makes records of the table with this ARN that are created at the cut.
    pub(super) fn new(table_arn: &str, created_at: Timestamp) -> Maker {
        let region = table_arn.split(':').nth(3).unwrap_or_default().to_owned();
        Maker { table_arn: table_arn.to_owned(), region, created_at }
    }

    /// The record of an item.
    ///
    /// # Errors
    /// Never, because a hash in decimal digits is a sequence number.
    pub(super) fn record(&self, key: &ItemKey, image: &str, purpose: Purpose) -> anyhow::Result<Arc<SourceRecord>> {
        let id = match purpose {
            Purpose::Whole => backfill::WHOLE,
            Purpose::Counted => backfill::COUNTED,
            Purpose::Archived => backfill::ARCHIVED,
        };
        let Maker { table_arn, region, created_at } = self;
        let (seconds, keys, size, label) = (created_at.seconds(), key.json(), image.len(), backfill::LABEL);
        let sequence = key.number().to_string();
        let json = format!(
            r#"{{"eventID":"{id}","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"{region}","dynamodb":{{"ApproximateCreationDateTime":{seconds},"Keys":{keys},"NewImage":{image},"SequenceNumber":"{sequence}","SizeBytes":{size},"StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventSourceARN":"{table_arn}/stream/{label}"}}"#
        );
        Ok(Arc::new(SourceRecord {
            sequence: parse_sequence(&sequence)?,
            item: key.number(),
            created_at: *created_at,
            json,
        }))
    }
}

/// Divides records into batches: the same records into the same batches.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Arc<SourceRecord>>,
    bytes: usize,
}

impl Batch {
    /// Adds a record.
    pub(super) fn add(&mut self, record: Arc<SourceRecord>) {
        self.bytes += record.json.len();
        self.records.push(record);
    }

    /// Whether no more records should be added.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use usage_aggregator::decode::Event;

    use super::*;

    #[test]
    fn the_function_reads_the_same_record_from_every_spelling_of_an_item() {
        let at = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
        let maker = Maker::new("arn:aws:dynamodb:us-east-1:123456789012:table/orders", at);
        let names = ["pk".to_owned(), "n".to_owned()];
        let mut ids = Vec::new();
        let images = [r#"{"pk":{"S":"a"},"n":{"N":"1.0"}}"#, r#"{ "n":{"N":"1"}, "pk":{"S":"\u0061"} }"#];
        for (image, purpose) in images.into_iter().zip([Purpose::Whole, Purpose::Counted]) {
            let record = maker.record(&ItemKey::of(image, &names).unwrap(), image, purpose).unwrap();
            let event = format!(r#"{{"Records":[{}]}}"#, record.json);
            Event::read_each(event.as_bytes(), |decoded| {
                let decoded = decoded.unwrap();
                assert_eq!((&*decoded.source.name, decoded.created_at), ("orders", at));
                assert_eq!(decoded.sequence, record.sequence);
                ids.push(decoded.id);
                ControlFlow::Continue(())
            })
            .unwrap();
        }
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1], "an item has one record, whatever it is for");
    }
}
