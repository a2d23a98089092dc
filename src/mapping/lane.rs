//! A lane: delivers its records in order, one batch at a time, until each is settled. A shard has as many as the
//! parallelization factor says; records of one item are in one lane.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::failure::{Batch, Discard, Next, Verdict, verdict};
use super::function::Answer;
use super::meter::{Again, wide};
use super::settings::MAXIMUM_PAYLOAD_BYTES;
use super::shard::ShardRun;
use super::source::SourceRecord;
use super::{Stop, failure};

/// The bytes of an event around its records: `{"Records":[]}`.
const ENVELOPE_BYTES: usize = 14;

pub(super) struct Lane<'s> {
    shard: &'s ShardRun,
    /// Pages' parts for this lane.
    incoming: mpsc::Receiver<Vec<Arc<SourceRecord>>>,
    queue: VecDeque<Arc<SourceRecord>>,
    /// When the last invocation ended, from which the batching window counts.
    last_end: Instant,
    stop: watch::Receiver<bool>,
}

impl<'s> Lane<'s> {
    pub fn new(shard: &'s ShardRun, incoming: mpsc::Receiver<Vec<Arc<SourceRecord>>>) -> Lane<'s> {
        let stop = shard.stop.clone();
        Lane { shard, incoming, queue: VecDeque::new(), last_end: Instant::now(), stop }
    }

    /// Runs until the shard's end or the mapping's.
    pub async fn run(mut self) -> anyhow::Result<Stop> {
        loop {
            let records = match self.gather().await {
                Gathered::Batch(records) => records,
                Gathered::End => return Ok(Stop::ShardEnd),
                Gathered::Stopped => return Ok(Stop::Asked),
            };
            let batch = Batch::new(records, self.shard.mapping.request_id());
            if self.deliver(batch).await? == Stop::Asked {
                return Ok(Stop::Asked);
            }
        }
    }

    /// The next records to deliver: a full batch at once, less at the end of the window.
    async fn gather(&mut self) -> Gathered {
        let until = self.last_end + self.shard.mapping.settings.batching_window;
        loop {
            // Only until there is a batch: the rest waits in the channel and, once that is full, in the stream.
            while !self.has_full_batch()
                && let Ok(more) = self.incoming.try_recv()
            {
                self.queue.extend(more);
            }
            if *self.stop.borrow() {
                return Gathered::Stopped;
            }
            let fitting = self.fitting();
            if self.has_full_batch() || (fitting > 0 && Instant::now() >= until) {
                return Gathered::Batch(self.queue.drain(..fitting).collect());
            }
            let window = async {
                if fitting > 0 { tokio::time::sleep_until(until).await } else { std::future::pending().await }
            };
            tokio::select! {
                // In order, here and elsewhere, so that what happens follows from what happened before. Stopping comes
                // first: the shard's reader, which stops too, is no end of the shard.
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return Gathered::Stopped,
                more = self.incoming.recv() => match more {
                    Some(more) => self.queue.extend(more),
                    None if fitting == 0 => return Gathered::End,
                    None => return Gathered::Batch(self.queue.drain(..fitting).collect()),
                },
                () = window => {}
            }
        }
    }

    /// Whether the queue holds as many records, or bytes, as one batch takes.
    fn has_full_batch(&self) -> bool {
        let fitting = self.fitting();
        fitting < self.queue.len() || fitting == self.shard.mapping.settings.batch_size
    }

    /// How many records from the front fit a batch by number and bytes; one that is too large is a batch by itself.
    fn fitting(&self) -> usize {
        let mut bytes = ENVELOPE_BYTES;
        let fits = |record: &&Arc<SourceRecord>| {
            bytes += record.json.len() + 1;
            bytes <= MAXIMUM_PAYLOAD_BYTES
        };
        let fitting = self.queue.iter().take(self.shard.mapping.settings.batch_size).take_while(fits).count();
        fitting.max(usize::from(!self.queue.is_empty()))
    }

    /// Delivers a batch and all that becomes of it.
    async fn deliver(&mut self, batch: Batch) -> anyhow::Result<Stop> {
        // The next to deliver is the last.
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let mapping = &self.shard.mapping;
            let (expired, rest) = batch.cut_expired(mapping.clock.now(), &mapping.settings, || mapping.request_id());
            if let Some(discard) = expired {
                self.give_up(discard).await?;
            }
            let Some(mut batch) = rest else { continue };
            let verdict = self.invoke(&mut batch).await;
            let next = batch.after(verdict, &mapping.settings, || mapping.request_id());
            let Next { settled, discard, pause, again, split } = next;
            mapping.meter.add(|counts| counts.splits += u64::from(split));
            self.shard.settle(&settled)?;
            if let Some(discard) = discard {
                self.give_up(discard).await?;
            }
            waiting.extend(again.into_iter().rev());
            if *self.stop.borrow() {
                return Ok(Stop::Asked);
            }
            if let Some(pause) = pause {
                tokio::select! {
                    biased;
                    _ = self.stop.wait_for(|stop| *stop) => return Ok(Stop::Asked),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        Ok(Stop::ShardEnd)
    }

    async fn invoke(&mut self, batch: &mut Batch) -> Verdict {
        let mapping = &self.shard.mapping;
        let event = batch.event();
        if event.len() > MAXIMUM_PAYLOAD_BYTES {
            // It can never be delivered: an attempt without a response.
            return Verdict::Failure(failure::Response::None);
        }
        let age = batch.records.last().map_or(0, |last| mapping.clock.now().micros() - last.created_at.micros());
        let again = if batch.invocations > 0 { Again::Yes } else { Again::No };
        mapping.meter.invoking(batch.records.len(), u64::try_from(age / 1_000).unwrap_or(0), again);
        let answer = mapping.function.invoke(event.as_bytes(), &batch.request_id).await;
        self.last_end = Instant::now();
        let verdict = verdict(&answer, batch, &mapping.settings);
        batch.invocations = batch.invocations.saturating_add(u32::from(verdict != Verdict::NotInvoked));
        mapping.meter.add(|counts| match verdict {
            Verdict::Success => {}
            Verdict::NotInvoked => counts.not_invoked += 1,
            Verdict::Partial(_) => {
                counts.partial_failures += 1;
                counts.failed_invoke_event_count += wide(batch.records.len());
            }
            Verdict::Failure(_) => {
                counts.errors += 1;
                counts.failed_invoke_event_count += wide(batch.records.len());
            }
        });
        if let Answer::FunctionError(message) | Answer::NotInvoked(message) = &answer {
            tracing::info!(shard = self.shard.id, request_id = batch.request_id, message, "invocation failed");
        }
        verdict
    }

    /// Sends records to the failure destination, or drops them if it takes none, and goes on behind them.
    async fn give_up(&self, discard: Discard) -> anyhow::Result<()> {
        let mapping = &self.shard.mapping;
        let records = wide(discard.batch.records.len());
        match mapping.send_to_destination(&self.shard.id, &discard).await {
            Ok(true) => mapping.meter.add(|counts| counts.on_failure_destination_delivered_event_count += records),
            // Lambda counts none here: nobody asked for them.
            Ok(false) => tracing::warn!(shard = self.shard.id, records, "gave up records; there is no destination"),
            Err(error) => {
                mapping.meter.add(|counts| {
                    counts.dropped_event_count += records;
                    counts.destination_delivery_failures += 1;
                });
                tracing::error!(shard = self.shard.id, records, error = format!("{error:#}"), "dropped records");
            }
        }
        self.shard.settle(&discard.batch.records)
    }
}

enum Gathered {
    Batch(Vec<Arc<SourceRecord>>),
    /// The shard is read to its end.
    End,
    Stopped,
}
