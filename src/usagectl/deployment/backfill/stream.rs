//! Reads the table's stream from its oldest record to its present end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use event_source_mapping::{PageEnd, Position, ReadError, Source, SourceRecord};

/// 1,000: the limit of DynamoDB's GetRecords.
const PAGE_RECORDS: usize = 1_000;
/// Reads in a row that may be refused.
const MAXIMUM_REFUSALS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(200);

/// Passes every record that the stream has to `each`. An open shard ends where `empty_reads` reads in a row return nothing.
///
/// # Errors
/// If the stream can't be read, or if `each` fails.
pub(super) async fn read(
    source: &dyn Source,
    empty_reads: u32,
    mut each: impl FnMut(&SourceRecord) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let (mut read, mut done) = (0, BTreeSet::new());
    loop {
        let shards = source.shards().await?;
        let new: Vec<String> = shards.into_iter().map(|shard| shard.id).filter(|id| !done.contains(id)).collect();
        if new.is_empty() {
            return Ok(read);
        }
        for shard in new {
            read += read_shard(source, &shard, empty_reads, &mut each).await?;
            done.insert(shard);
        }
    }
}

async fn read_shard(
    source: &dyn Source,
    shard: &str,
    empty_reads: u32,
    each: &mut impl FnMut(&SourceRecord) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut position = Position::TrimHorizon;
    let (mut read, mut empty, mut refused) = (0, 0, 0);
    loop {
        match source.read(shard, &position, PAGE_RECORDS).await {
            Ok(page) => {
                page.records.iter().try_for_each(|record| each(record))?;
                read += page.records.len();
                let is_empty = page.records.is_empty() && page.next == position;
                position = page.next;
                refused = 0;
                empty = if is_empty && page.end == PageEnd::CaughtUp { empty + 1 } else { 0 };
                if page.end == PageEnd::ShardEnd || empty >= empty_reads {
                    return Ok(read);
                }
                if empty == 0 {
                    continue;
                }
            }
            // All of its records are more than a day old.
            Err(ReadError::Gone) => return Ok(read),
            Err(ReadError::Trimmed) => bail!("{shard} lost records while it was read; run the command again"),
            Err(ReadError::Expired | ReadError::Throttled) if refused < MAXIMUM_REFUSALS => refused += 1,
            Err(ReadError::Expired | ReadError::Throttled) => bail!("reads of {shard} are throttled; try again later"),
            Err(ReadError::Other(error)) => return Err(error.context(format!("read {shard} (dynamodb:GetRecords)"))),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use event_source_mapping::sources::MemoryStream;
    use event_source_mapping::{SequenceNumber, StreamKind, Timestamp};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_record_of_every_shard_is_read_once() {
        let stream = MemoryStream::new(StreamKind::DynamoDb, "arn");
        stream.open("parent", &[]);
        let push = |shard: &str, number: u32| {
            let created_at = Timestamp::from_seconds(1_789_651_660).unwrap();
            let sequence = SequenceNumber::parse(number.to_string()).unwrap();
            stream.push(shard, SourceRecord { sequence, item: 0, created_at, json: "{}".to_owned() });
        };
        (0..2_500).for_each(|number| push("parent", number));
        stream.close("parent");
        stream.open("child", &["parent"]);
        (2_500..2_503).for_each(|number| push("child", number));
        let mut seen = BTreeSet::new();
        let read = read(&stream, 3, |record| {
            seen.insert(record.sequence.clone());
            Ok(())
        });
        assert_eq!((read.await.unwrap(), seen.len()), (2_503, 2_503));
    }
}
