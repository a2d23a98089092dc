//! One shard, from a position to its end: a reader that polls and filters, and the lanes that deliver.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use tokio::sync::{mpsc, watch};

use crate::checkpoint::Checkpoint;
use crate::lane::Lane;
use crate::mapping::{EndReason, Mapping};
use crate::meter::{RunMeter, as_u64};
use crate::progress::Settlement;
use crate::source::{Page, PageEnd, Position, ReadError, SourceRecord, StreamKind};
use crate::tracker::{Advance, Tracker};

/// The limits of GetRecords: 1,000 records in DynamoDB, 10,000 in Kinesis.
const DYNAMODB_PAGE_RECORDS: usize = 1_000;
const KINESIS_PAGE_RECORDS: usize = 10_000;
/// How many pages the reader may be ahead of a lane.
const PAGES_AHEAD: usize = 2;
/// The longest pause after reads that failed.
const MAXIMUM_READ_BACKOFF: Duration = Duration::from_secs(5);

/// After how many failures in a row the error of reads or listings is reported. Fewer are on the way to succeed.
pub(crate) const REPORTED_FAILURES: u32 = 3;

/// A shard that is being read.
pub(crate) struct ShardRun {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) id: String,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) meter: RunMeter,
    tracker: Mutex<Tracker>,
}

type Lanes = Vec<mpsc::Sender<Vec<Arc<SourceRecord>>>>;

impl ShardRun {
    pub(crate) fn new(mapping: Arc<Mapping>, id: String, stop: watch::Receiver<bool>) -> ShardRun {
        let meter = mapping.meter.begin(&id);
        ShardRun { mapping, id, stop, meter, tracker: Mutex::default() }
    }

    /// Reads and delivers from `position` on, until the shard ends or the mapping is stopped.
    ///
    /// # Errors
    /// If a checkpoint can't be saved.
    pub(crate) async fn run(self, position: Position) -> anyhow::Result<EndReason> {
        let channels = (0..self.mapping.settings.parallelization_factor).map(|_| mpsc::channel(PAGES_AHEAD));
        let (senders, receivers): (Lanes, Vec<_>) = channels.unzip();
        let lanes = receivers.into_iter().enumerate().map(|(lane, incoming)| Lane::new(&self, lane, incoming).run());
        let lanes = try_join_all(lanes);
        let (read, delivered) = try_join(self.read(position, senders), lanes).await?;
        if read == EndReason::StopRequested || delivered.contains(&EndReason::StopRequested) {
            self.meter.keep();
            return Ok(EndReason::StopRequested);
        }
        self.mapping.save(&self.id, Checkpoint::End)?;
        self.mapping.meter.add(|counts| counts.shards_finished += u64::from(read == EndReason::ShardEnd));
        Ok(EndReason::ShardEnd)
    }

    /// Marks records as settled, and saves the checkpoint if that moves it.
    pub(crate) fn settle(&self, records: &[Arc<SourceRecord>], settlement: Settlement) -> anyhow::Result<()> {
        self.track(|tracker| records.iter().for_each(|record| tracker.settle(&record.sequence, settlement)))
    }

    fn track(&self, change: impl FnOnce(&mut Tracker)) -> anyhow::Result<()> {
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut tracker);
        let Advance { checkpoint, passed } = tracker.advance();
        self.meter.report(&passed, &tracker);
        match checkpoint {
            Some(position) => self.mapping.save(&self.id, Checkpoint::from(&position)),
            None => Ok(()),
        }
    }

    /// Polls the shard. Dropping `lanes` at the end is what lets the lanes end.
    async fn read(&self, mut position: Position, lanes: Lanes) -> anyhow::Result<EndReason> {
        let mapping = &self.mapping;
        let limit = match mapping.source.kind() {
            StreamKind::DynamoDb => DYNAMODB_PAGE_RECORDS,
            StreamKind::Kinesis => KINESIS_PAGE_RECORDS,
        };
        let mut failures = 0_u32;
        loop {
            self.meter.set_read_to(position.clone());
            mapping.meter.add(|counts| counts.polls += 1);
            let pause = match mapping.source.read(&self.id, &position, limit).await {
                Ok(page) => {
                    failures = 0;
                    self.meter.set_read_error(None);
                    let end = page.end;
                    if position == Position::Latest {
                        mapping.resolve_latest(&self.id, &page)?;
                    }
                    position = page.next.clone();
                    self.meter.set_read_to(position.clone());
                    if self.dispatch(page, &lanes).await?.is_break() {
                        return Ok(EndReason::StopRequested);
                    }
                    match end {
                        PageEnd::MoreAvailable => Duration::ZERO,
                        PageEnd::CaughtUp => mapping.settings.polling_interval,
                        PageEnd::ShardEnd => return Ok(EndReason::ShardEnd),
                    }
                }
                Err(ReadError::Gone) => {
                    mapping.meter.count_gone_shards(1);
                    return Ok(EndReason::ShardGone);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.count_read_error(&error, &position, failures);
                    if matches!(error, ReadError::Trimmed) {
                        position = Position::TrimHorizon;
                    }
                    let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                    mapping.settings.polling_interval.saturating_mul(factor).min(MAXIMUM_READ_BACKOFF)
                }
            };
            if self.pause(pause).await.is_break() {
                return Ok(EndReason::StopRequested);
            }
        }
    }

    /// Filters a page and hands its records to the lanes. Waits for lanes that are too far behind.
    async fn dispatch(&self, page: Page, lanes: &Lanes) -> anyhow::Result<ControlFlow<()>> {
        let mapping = &self.mapping;
        let polled = page.records.len();
        let mut parts: Vec<Vec<Arc<SourceRecord>>> = lanes.iter().map(|_| Vec::new()).collect();
        let mut filtered = Vec::new();
        for record in page.records.iter().cloned() {
            let lane = record.item % as_u64(parts.len());
            let part = usize::try_from(lane).ok().and_then(|lane| parts.get_mut(lane));
            match part.filter(|_| mapping.settings.filters.matches(mapping.source.kind(), &record)) {
                Some(part) => part.push(record),
                None => filtered.push(record),
            }
        }
        mapping.meter.add(|counts| {
            counts.polled_event_count += as_u64(polled);
            counts.filtered_out_event_count += as_u64(filtered.len());
        });
        self.track(|tracker| {
            page.records.iter().for_each(|record| tracker.add(record));
            filtered.iter().for_each(|record| tracker.settle(&record.sequence, Settlement::FilteredOut));
            if let Position::After(_) = page.next {
                tracker.set_frontier(page.next.clone());
            }
        })?;
        let is_full = |lane: &mpsc::Sender<_>| lane.capacity() == 0;
        for (lane, part) in lanes.iter().zip(parts).filter(|(_, part)| !part.is_empty()) {
            if is_full(lane) {
                self.meter.set_more_unread(true);
            }
            // A lane drops its receiver only when it is stopped.
            if lane.send(part).await.is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.meter.set_more_unread(page.end == PageEnd::MoreAvailable);
        Ok(ControlFlow::Continue(()))
    }

    fn count_read_error(&self, error: &ReadError, position: &Position, failures: u32) {
        let (meter, shard) = (&self.mapping.meter, &self.id);
        match error {
            ReadError::Trimmed => {
                let position = format!("{position:?}");
                tracing::error!(shard, position, "records were trimmed before they were read, and are lost");
                meter.add(|counts| counts.trimmed_gaps += 1);
            }
            ReadError::Expired => meter.add(|counts| counts.expired_iterators += 1),
            ReadError::Throttled => meter.add(|counts| counts.throttled_reads += 1),
            ReadError::Gone => {}
            ReadError::Other(error) => {
                let error = format!("{error:#}");
                tracing::warn!(shard, error, "failed to read the shard; will retry");
                meter.add(|counts| counts.failed_reads += 1);
                self.meter.set_read_error((failures >= REPORTED_FAILURES).then_some(error));
            }
        }
    }

    async fn pause(&self, time: Duration) -> ControlFlow<()> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => ControlFlow::Break(()),
            () = tokio::time::sleep(time) => ControlFlow::Continue(()),
        }
    }
}
