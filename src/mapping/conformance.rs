//! A conformance suite for implementations of [`Source`], to be run from their tests.
//!
//! A [`Subject`] wraps the source under test and does what a source can't: write records, close the shard and trim it.
//! [`run`] checks each claim on a new subject, and returns an error that names the first claim that does not hold. Not
//! every stream can be closed or trimmed by a test. A subject lists in [`Supports`] what it can do, and claims about
//! anything else are skipped.

use anyhow::{Context, bail, ensure};
use stream_types::{SequenceNumber, Timestamp};

use crate::source::{Page, PageEnd, Position, ReadError, Source};

/// More pages than any claim reads from a source that makes progress.
const MAXIMUM_PAGES: usize = 1_000;

/// A stream with one shard under test, which is empty and open at first.
#[async_trait::async_trait]
pub trait Subject: Send + Sync {
    /// The source under test.
    fn source(&self) -> &dyn Source;

    /// The ID of the shard that is read.
    fn shard(&self) -> &str;

    /// What the stream can do besides taking records.
    fn supports(&self) -> Supports;

    /// Appends a record to the shard. `created_at` never falls; streams that set the time themselves ignore it.
    async fn append(&self, created_at: Timestamp) -> anyhow::Result<()>;

    /// Closes the shard. Called only if the subject supports it.
    async fn close(&self) -> anyhow::Result<()> {
        bail!("this stream can't close a shard")
    }

    /// Trims all records that are in the shard now. Called only if the subject supports it.
    async fn trim(&self) -> anyhow::Result<()> {
        bail!("this stream can't be trimmed")
    }
}

/// What a stream can do besides taking records. By default, nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Supports {
    /// The stream refuses reads of a shard that does not exist. AWS does; not every emulator does.
    pub unknown_shards: bool,
    /// A test can close the shard.
    pub closing: bool,
    /// A test can trim the shard.
    pub trimming: bool,
    /// Reads can start at [`Position::AtTimestamp`], and a test sets the records' times.
    pub timestamps: bool,
}

/// Checks every claim against a new subject.
///
/// # Errors
/// If a claim does not hold, or a subject can't be created or changed.
pub async fn run<S: Subject>(new: impl AsyncFn() -> anyhow::Result<S>) -> anyhow::Result<()> {
    empty(&new().await?).await.context("an empty shard has no records, and then the first one written")?;
    pages(&new().await?).await.context("pages of any limit add up to all records, in order")?;
    positions(&new().await?).await.context("reading starts at or after any record")?;
    latest(&new().await?)
        .await
        .context("a read at LATEST returns a position, from which all later records are read")?;
    let supports = new().await?.supports();
    if supports.unknown_shards {
        unknown(&new().await?).await.context("a shard that does not exist is gone")?;
    }
    if supports.timestamps {
        timestamps(&new().await?).await.context("reading starts at any time")?;
    }
    if supports.closing {
        closed_while_empty(&new().await?).await.context("a shard that is closed while empty has ended")?;
        closed(&new().await?).await.context("a closed shard ends with its last record")?;
    }
    if supports.trimming {
        trimmed(&new().await?).await.context("trimmed records are reported, and later records can be read")?;
    }
    Ok(())
}

async fn empty(subject: &impl Subject) -> anyhow::Result<()> {
    let listed = subject.source().shards().await?;
    let count = listed.iter().filter(|shard| shard.id == subject.shard()).count();
    ensure!(count == 1, "the shard is listed {count} times among {listed:?}");
    let mut pages = Vec::new();
    for position in [Position::TrimHorizon, Position::Latest] {
        let page = read(subject, &position, 10).await?;
        ensure!(page.records.is_empty(), "a read at {position:?} returned {} records", page.records.len());
        ensure!(page.end == PageEnd::CaughtUp, "a read at {position:?} ended with {:?}", page.end);
        pages.push((position, page));
    }
    append(subject, 0..1).await?;
    // The latest read first: a source may keep the position of LATEST in its iterator.
    for (position, page) in pages.into_iter().rev() {
        let rest = read_on(subject, page.next, 10).await?;
        ensure!(rest.numbers.len() == 1, "after a read at {position:?}, {} records followed", rest.numbers.len());
    }
    Ok(())
}

async fn unknown(subject: &impl Subject) -> anyhow::Result<()> {
    append(subject, 0..1).await?;
    // A valid shard ID in both DynamoDB and Kinesis.
    let shard = "shardId-00000000009999999999-ffffffff";
    match subject.source().read(shard, &Position::TrimHorizon, 10).await {
        Err(ReadError::Gone) => Ok(()),
        other => bail!("reading {shard} returned {other:?}"),
    }
}

async fn pages(subject: &impl Subject) -> anyhow::Result<()> {
    const RECORDS: usize = 25;
    append(subject, 0..25).await?;
    let all = read_on(subject, Position::TrimHorizon, 1_000).await?;
    ensure!(all.numbers.len() == RECORDS, "{} of {RECORDS} records were read", all.numbers.len());
    ensure!(all.numbers.is_sorted_by(|a, b| a < b), "the sequence numbers don't rise: {:?}", all.numbers);
    for limit in [1, 7, RECORDS, 1_000] {
        let mut numbers = Vec::new();
        let mut position = Position::TrimHorizon;
        while numbers.len() < RECORDS {
            let page = read(subject, &position, limit).await?;
            numbers.extend(page.records.iter().map(|record| record.sequence.clone()));
            let expected = PageEnd::MoreAvailable;
            let left = RECORDS.saturating_sub(numbers.len());
            ensure!(
                left == 0 || page.end == expected,
                "limit {limit}: the page ended with {:?} before the last {left} records",
                page.end
            );
            ensure!(page.next != position, "limit {limit}: a page with records did not move from {position:?}");
            position = page.next;
        }
        ensure!(numbers == all.numbers, "limit {limit}: {numbers:?} were read");
        for _ in 0..2 {
            let rest = read_on(subject, position, limit).await?;
            ensure!(
                rest.numbers.is_empty() && rest.end == PageEnd::CaughtUp,
                "limit {limit}: {rest:?} followed the last record"
            );
            position = rest.next;
        }
    }
    Ok(())
}

async fn positions(subject: &impl Subject) -> anyhow::Result<()> {
    append(subject, 0..10).await?;
    let all = read_on(subject, Position::TrimHorizon, 1_000).await?.numbers;
    // In both directions: a source that keeps its last iterator must not use it for another position.
    for (index, number) in all.iter().enumerate().rev().chain(all.iter().enumerate()) {
        let at = read_on(subject, Position::At(number.clone()), 4).await?.numbers;
        let after = read_on(subject, Position::After(number.clone()), 4).await?.numbers;
        ensure!(Some(at.as_slice()) == all.get(index..), "at record {index}, {at:?} were read");
        ensure!(Some(after.as_slice()) == all.get(index + 1..), "after record {index}, {after:?} were read");
    }
    Ok(())
}

async fn latest(subject: &impl Subject) -> anyhow::Result<()> {
    append(subject, 0..5).await?;
    let page = read(subject, &Position::Latest, 10).await?;
    ensure!(page.records.is_empty(), "LATEST returned {} existing records", page.records.len());
    ensure!(page.end == PageEnd::CaughtUp, "a read at LATEST ended with {:?}", page.end);
    append(subject, 5..7).await?;
    let rest = read_on(subject, page.next, 10).await?.numbers;
    let all = read_on(subject, Position::TrimHorizon, 10).await?.numbers;
    ensure!(all.len() == 7 && Some(rest.as_slice()) == all.get(5..), "{rest:?} of {all:?} were read after LATEST");
    Ok(())
}

async fn timestamps(subject: &impl Subject) -> anyhow::Result<()> {
    append(subject, 0..10).await?;
    let all = read_on(subject, Position::TrimHorizon, 1_000).await?.numbers;
    for (millis, first) in [(-5_000, 0), (0, 0), (3_000, 3), (3_001, 4), (9_000, 9), (9_001, 10)] {
        let read = read_on(subject, Position::AtTimestamp(time(millis)?), 4).await?;
        ensure!(Some(read.numbers.as_slice()) == all.get(first..), "from {millis} ms, {:?} were read", read.numbers);
        ensure!(read.end == PageEnd::CaughtUp, "reading from {millis} ms ended with {:?}", read.end);
    }
    let nothing_yet = read(subject, &Position::AtTimestamp(time(9_500)?), 4).await?;
    append(subject, 10..11).await?;
    let later = read_on(subject, nothing_yet.next, 4).await?.numbers;
    ensure!(later.len() == 1, "{} records were read after one was written", later.len());
    Ok(())
}

async fn closed_while_empty(subject: &impl Subject) -> anyhow::Result<()> {
    subject.close().await?;
    for position in [Position::TrimHorizon, Position::Latest] {
        let page = read(subject, &position, 10).await?;
        ensure!(page.records.is_empty() && page.end == PageEnd::ShardEnd, "a read at {position:?} returned {page:?}");
    }
    Ok(())
}

async fn closed(subject: &impl Subject) -> anyhow::Result<()> {
    append(subject, 0..5).await?;
    subject.close().await?;
    for limit in [2, 5, 10] {
        let all = read_on(subject, Position::TrimHorizon, limit).await?;
        ensure!(all.numbers.len() == 5 && all.end == PageEnd::ShardEnd, "limit {limit}: {all:?} were read");
        let Some(last) = all.numbers.last() else { bail!("there is no last record") };
        for position in [Position::After(last.clone()), Position::Latest] {
            let page = read(subject, &position, limit).await?;
            ensure!(
                page.records.is_empty() && page.end == PageEnd::ShardEnd,
                "a read at {position:?} returned {page:?}"
            );
        }
    }
    Ok(())
}

async fn trimmed(subject: &impl Subject) -> anyhow::Result<()> {
    append(subject, 0..5).await?;
    let all = read_on(subject, Position::TrimHorizon, 10).await?;
    let (Some(first), Some(last)) = (all.numbers.first(), all.numbers.last()) else { bail!("no records were read") };
    subject.trim().await?;
    for position in [Position::After(first.clone()), Position::At(first.clone()), Position::At(last.clone())] {
        let read = subject.source().read(subject.shard(), &position, 10).await;
        ensure!(matches!(read, Err(ReadError::Trimmed)), "a read at {position:?} returned {read:?}");
    }
    let mut after_the_gap = vec![Position::TrimHorizon, all.next];
    if subject.supports().timestamps {
        // A time before the oldest record means the oldest record.
        after_the_gap.push(Position::AtTimestamp(time(0)?));
    }
    for position in &after_the_gap {
        let rest = read_on(subject, position.clone(), 10).await?;
        ensure!(rest.numbers.is_empty() && rest.end == PageEnd::CaughtUp, "from {position:?}, {rest:?} were read");
    }
    append(subject, 5..6).await?;
    for position in after_the_gap {
        let rest = read_on(subject, position.clone(), 10).await?;
        ensure!(rest.numbers.len() == 1, "from {position:?}, {rest:?} were read after a new record");
    }
    Ok(())
}

/// The result of reading until no more records are available.
#[derive(Debug)]
struct Read {
    numbers: Vec<SequenceNumber<'static>>,
    next: Position,
    end: PageEnd,
}

/// Reads from `position` for as long as more records are available.
async fn read_on(subject: &impl Subject, mut position: Position, limit: usize) -> anyhow::Result<Read> {
    let mut numbers = Vec::new();
    for _ in 0..MAXIMUM_PAGES {
        let page = read(subject, &position, limit).await?;
        numbers.extend(page.records.iter().map(|record| record.sequence.clone()));
        position = page.next;
        if page.end != PageEnd::MoreAvailable {
            return Ok(Read { numbers, next: position, end: page.end });
        }
    }
    bail!("more records are still available after {MAXIMUM_PAGES} pages, at {position:?}")
}

async fn read(subject: &impl Subject, position: &Position, limit: usize) -> anyhow::Result<Page> {
    let page = subject.source().read(subject.shard(), position, limit).await;
    let page = page.with_context(|| format!("failed to read from {position:?}"))?;
    ensure!(page.records.len() <= limit, "a page of {limit} has {} records", page.records.len());
    Ok(page)
}

/// Appends records that are one second apart.
async fn append(subject: &impl Subject, seconds: std::ops::Range<i64>) -> anyhow::Result<()> {
    for second in seconds {
        subject.append(time(second * 1_000)?).await.context("failed to append a record")?;
    }
    Ok(())
}

/// The time of the first record plus `millis`.
fn time(millis: i64) -> anyhow::Result<Timestamp> {
    // 2026-11-21T00:00:00Z
    const FIRST_MICROS: i64 = 1_795_219_200_000_000;
    Timestamp::from_micros(FIRST_MICROS + millis * 1_000).context("a time outside 2000 to 2099")
}

#[cfg(test)]
mod tests;
