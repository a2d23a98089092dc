//! Reads a range of a shard again, such as the one that the document of a discarded batch names, and reports what part of
//! it is gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use crate::{Page, PageEnd, Position, ReadError, Source, SourceRecord};
use stream_types::SequenceNumber;

/// 1,000: the limit of DynamoDB's GetRecords.
const PAGE_RECORDS: usize = 1_000;
/// Reads in a row that may fail or return nothing. An open shard returns empty pages now and then.
const MAXIMUM_IDLE_READS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(100);

/// What is left of a range of a shard.
#[derive(Debug)]
pub struct RangeRead {
    /// The records that still exist, in stream order.
    pub records: Vec<Arc<SourceRecord>>,
    /// What part of the range is gone.
    pub gap: Gap,
}

/// What part of a range can't be read anymore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Nothing.
    None,
    /// Its beginning, or all of it, was trimmed.
    Trimmed,
    /// All of it: the shard or the stream no longer exists.
    ShardGone,
}

/// Reads the records of `shard` from `first` to `last`, both of which existed once.
///
/// # Errors
/// If the shard can't be read, or returns nothing repeatedly before the end of the range.
pub async fn read_range(
    source: &dyn Source,
    shard: &str,
    first: &SequenceNumber<'static>,
    last: &SequenceNumber<'static>,
) -> anyhow::Result<RangeRead> {
    let mut position = Position::At(first.clone());
    let (mut records, mut trimmed, mut idle) = (Vec::new(), false, 0);
    loop {
        match source.read(shard, &position, PAGE_RECORDS).await {
            Ok(page) => {
                let stuck = page.records.is_empty() && page.next == position;
                let done = is_beyond(&page, last);
                position = page.next;
                records.extend(
                    page.records.into_iter().filter(|record| record.sequence >= *first && record.sequence <= *last),
                );
                if done || (stuck && trimmed && idle >= MAXIMUM_IDLE_READS) {
                    break;
                }
                idle = if stuck { idle + 1 } else { 0 };
            }
            Err(ReadError::Trimmed) => {
                trimmed = true;
                position = Position::TrimHorizon;
            }
            Err(ReadError::Gone) => return Ok(RangeRead { records: Vec::new(), gap: Gap::ShardGone }),
            Err(ReadError::Expired | ReadError::Throttled) => idle += 1,
            Err(ReadError::Other(error)) => return Err(error.context(format!("failed to read {shard} from {first}"))),
        }
        if idle > MAXIMUM_IDLE_READS {
            bail!("{shard} returned nothing in {MAXIMUM_IDLE_READS} reads between {first} and {last}: try again later");
        }
        if idle > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    // The oldest records are trimmed first.
    let whole = records.first().is_some_and(|record: &Arc<SourceRecord>| record.sequence == *first);
    Ok(RangeRead { records, gap: if whole { Gap::None } else { Gap::Trimmed } })
}

/// Whether the range ends with this page.
fn is_beyond(page: &Page, last: &SequenceNumber<'static>) -> bool {
    let reached = |sequence: &SequenceNumber<'static>| sequence >= last;
    page.end == PageEnd::ShardEnd
        || page.records.last().is_some_and(|record| reached(&record.sequence))
        || matches!(&page.next, Position::After(sequence) if reached(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamKind;
    use crate::sources::{MemoryStream, ReadFaults, ShardedStream};
    use stream_types::Timestamp;

    const SHARD: &str = "shard";

    fn number(number: u32) -> SequenceNumber<'static> {
        SequenceNumber::parse(format!("{number:021}")).unwrap()
    }

    /// A shard with the records 1 to `records`.
    fn stream(records: u32) -> MemoryStream {
        let stream = MemoryStream::new(StreamKind::DynamoDb, "arn");
        stream.open(SHARD, &[]);
        for sequence in 1..=records {
            let created_at = Timestamp::from_seconds(1_789_651_660).unwrap();
            let record = SourceRecord { sequence: number(sequence), item: 0, created_at, json: "{}".to_owned() };
            stream.push(SHARD, record);
        }
        stream
    }

    async fn read(source: &dyn Source, shard: &str, first: u32, last: u32) -> (Vec<SequenceNumber<'static>>, Gap) {
        let RangeRead { records, gap } = read_range(source, shard, &number(first), &number(last)).await.unwrap();
        (records.iter().map(|record| record.sequence.clone()).collect(), gap)
    }

    fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<SequenceNumber<'static>> {
        range.map(number).collect()
    }

    #[tokio::test]
    async fn a_range_includes_both_of_its_ends_and_nothing_else() {
        let stream = stream(3_000);
        for (first, last) in [(1, 1), (7, 7), (1, 3_000), (999, 2_001), (3_000, 3_000)] {
            assert_eq!(read(&stream, SHARD, first, last).await, (numbers(first..=last), Gap::None));
        }
    }

    #[tokio::test]
    async fn trimmed_parts_of_a_range_are_reported() {
        let stream = stream(20);
        stream.trim(SHARD, 8);
        assert_eq!(read(&stream, SHARD, 5, 12).await, (numbers(9..=12), Gap::Trimmed), "the beginning");
        assert_eq!(read(&stream, SHARD, 2, 8).await, (Vec::new(), Gap::Trimmed), "all of it");
        assert_eq!(read(&stream, SHARD, 9, 12).await, (numbers(9..=12), Gap::None), "nothing");
        assert_eq!(read(&stream, "another", 9, 12).await, (Vec::new(), Gap::ShardGone));
        stream.trim(SHARD, 20);
        stream.close(SHARD);
        assert_eq!(read(&stream, SHARD, 15, 20).await, (Vec::new(), Gap::Trimmed), "all there was");
    }

    #[tokio::test(start_paused = true)]
    async fn failing_reads_are_retried_and_a_missing_end_is_an_error() {
        let sharded = ShardedStream::open(Arc::new(stream(50)), None, 7).unwrap();
        sharded.set_read_faults(ReadFaults { expired_percent: 30, throttled_percent: 30 });
        let shard = sharded.shards().await.unwrap().remove(0).id;
        assert_eq!(read(&sharded, &shard, 3, 40).await, (numbers(3..=40), Gap::None));
        let error = read_range(&sharded, &shard, &number(3), &number(60)).await.unwrap_err();
        assert!(error.to_string().contains("returned nothing"), "{error}");
    }
}
