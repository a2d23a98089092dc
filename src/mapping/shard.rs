//! One shard, from its position to its end: a reader that polls and filters, and lanes that deliver.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use tokio::sync::{mpsc, watch};

use super::lane::Lane;
use super::meter::wide;
use super::source::{Page, PageEnd, Position, ReadError, SourceRecord, StreamKind};
use super::tracker::Tracker;
use super::{Checkpoint, Mapping, Stop};

/// GetRecords' limits: 1,000 records in DynamoDB, 10,000 in Kinesis.
const DYNAMODB_PAGE: usize = 1_000;
const KINESIS_PAGE: usize = 10_000;
/// Parts of pages that a lane may be behind the reader.
const PAGES_AHEAD: usize = 2;
/// The longest pause after reads that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A shard that is being read.
pub(super) struct ShardRun {
    pub mapping: Arc<Mapping>,
    pub id: String,
    pub stop: watch::Receiver<bool>,
    tracker: Mutex<Tracker>,
}

type Lanes = Vec<mpsc::Sender<Vec<Arc<SourceRecord>>>>;

impl ShardRun {
    pub fn new(mapping: Arc<Mapping>, id: String, stop: watch::Receiver<bool>) -> ShardRun {
        ShardRun { mapping, id, stop, tracker: Mutex::default() }
    }

    /// Reads and delivers from `position` on, until the shard's end or the mapping's.
    ///
    /// # Errors
    /// When progress can't be written down.
    pub async fn run(self, position: Position) -> anyhow::Result<Stop> {
        let channels = (0..self.mapping.settings.parallelization_factor).map(|_| mpsc::channel(PAGES_AHEAD));
        let (senders, receivers): (Lanes, Vec<_>) = channels.unzip();
        let lanes = try_join_all(receivers.into_iter().map(|incoming| Lane::new(&self, incoming).run()));
        let (read, delivered) = try_join(self.read(position, senders), lanes).await?;
        if read == Stop::Asked || delivered.contains(&Stop::Asked) {
            return Ok(Stop::Asked);
        }
        self.mapping.save(&self.id, Checkpoint::End)?;
        self.mapping.meter.add(|counts| counts.shards_finished += 1);
        Ok(Stop::ShardEnd)
    }

    /// These records are done with.
    pub fn settle(&self, records: &[Arc<SourceRecord>]) -> anyhow::Result<()> {
        self.track(|tracker| records.iter().for_each(|record| tracker.settle(&record.sequence)))
    }

    fn track(&self, change: impl FnOnce(&mut Tracker)) -> anyhow::Result<()> {
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut tracker);
        match tracker.advance() {
            Some(position) => self.mapping.save(&self.id, Checkpoint::from(&position)),
            None => Ok(()),
        }
    }

    /// Dropping `lanes` at the end lets them end, too.
    async fn read(&self, mut position: Position, lanes: Lanes) -> anyhow::Result<Stop> {
        let mapping = &self.mapping;
        let limit = if mapping.source.kind() == StreamKind::Kinesis { KINESIS_PAGE } else { DYNAMODB_PAGE };
        let mut failures = 0_u32;
        loop {
            mapping.meter.add(|counts| counts.polls += 1);
            let pause = match mapping.source.read(&self.id, &position, limit).await {
                Ok(page) => {
                    failures = 0;
                    let end = page.end;
                    position = page.next.clone();
                    if self.dispatch(page, &lanes).await? == Stop::Asked {
                        return Ok(Stop::Asked);
                    }
                    match end {
                        PageEnd::MoreAvailable => Duration::ZERO,
                        PageEnd::CaughtUp => mapping.settings.polling_interval,
                        PageEnd::ShardEnd => return Ok(Stop::ShardEnd),
                    }
                }
                Err(ReadError::Gone) => return Ok(Stop::ShardEnd),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.note(&error, &mut position);
                    let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                    mapping.settings.polling_interval.saturating_mul(factor).min(LONGEST_PAUSE)
                }
            };
            if self.pause(pause).await == Stop::Asked {
                return Ok(Stop::Asked);
            }
        }
    }

    /// Hands a page out to the lanes.
    async fn dispatch(&self, page: Page, lanes: &Lanes) -> anyhow::Result<Stop> {
        let mapping = &self.mapping;
        let polled = page.records.len();
        let mut parts: Vec<Vec<Arc<SourceRecord>>> = lanes.iter().map(|_| Vec::new()).collect();
        let mut filtered = Vec::new();
        for record in page.records.iter().cloned() {
            let lane = record.item % wide(parts.len());
            let part = usize::try_from(lane).ok().and_then(|lane| parts.get_mut(lane));
            match part.filter(|_| mapping.settings.filters.matches(mapping.source.kind(), &record)) {
                Some(part) => part.push(record),
                None => filtered.push(record),
            }
        }
        mapping.meter.add(|counts| {
            counts.polled_event_count += wide(polled);
            counts.filtered_out_event_count += wide(filtered.len());
        });
        self.track(|tracker| {
            page.records.iter().for_each(|record| tracker.add(record.sequence.clone()));
            filtered.iter().for_each(|record| tracker.settle(&record.sequence));
            if let Position::After(_) = page.next {
                tracker.set_frontier(page.next.clone());
            }
        })?;
        for (lane, part) in lanes.iter().zip(parts).filter(|(_, part)| !part.is_empty()) {
            // A lane that is gone has been stopped.
            if lane.send(part).await.is_err() {
                return Ok(Stop::Asked);
            }
        }
        Ok(Stop::ShardEnd)
    }

    fn note(&self, error: &ReadError, position: &mut Position) {
        let meter = &self.mapping.meter;
        match error {
            ReadError::Trimmed => {
                let lost = format!("{position:?}");
                tracing::error!(
                    shard = self.id,
                    after = lost,
                    "records were trimmed before they were read: they are lost"
                );
                meter.add(|counts| counts.trimmed_gaps += 1);
                *position = Position::TrimHorizon;
            }
            ReadError::Expired => meter.add(|counts| counts.expired_iterators += 1),
            ReadError::Throttled => meter.add(|counts| counts.throttled_reads += 1),
            ReadError::Gone => {}
            ReadError::Other(error) => {
                tracing::warn!(shard = self.id, error = format!("{error:#}"), "failed to read the shard; trying again");
            }
        }
    }

    async fn pause(&self, time: Duration) -> Stop {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Stop::Asked,
            () = tokio::time::sleep(time) => Stop::ShardEnd,
        }
    }
}
