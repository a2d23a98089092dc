//! A lane: it forms batches from its records, in order, and delivers one batch at a time until it is settled. A shard has
//! as many lanes as the parallelization factor says; all records of an item are in the same lane.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::activity::Delivering;
use crate::cause::FailureCause;
use crate::failure::{
    Batch, DiscardedBatch, FailureResponse, NextStep, Verdict, later, lowest_failure, retried_until, verdict,
};
use crate::function::InvocationResult;
use crate::mapping::EndReason;
use crate::meter::{Delivery, as_u64};
use crate::progress::{Blocked, Settlement};
use crate::settings::MAXIMUM_PAYLOAD_BYTES;
use crate::shard::ShardRun;
use crate::source::SourceRecord;
use stream_types::{SequenceNumber, Timestamp};

/// The bytes of an event without records: `{"Records":[]}`.
const ENVELOPE_BYTES: usize = 14;

pub(crate) struct Lane<'s> {
    shard: &'s ShardRun,
    /// Its number within the shard.
    number: usize,
    /// This lane's part of each page.
    incoming: mpsc::Receiver<Vec<Arc<SourceRecord>>>,
    queue: VecDeque<Arc<SourceRecord>>,
    /// When the last invocation ended, which is when the batching window began.
    last_end: Instant,
    /// The record that blocks this lane, and since when.
    blocked: Option<(SequenceNumber<'static>, Timestamp)>,
    stop: watch::Receiver<bool>,
}

/// What a lane delivers next.
enum NextBatch {
    Ready(Vec<Arc<SourceRecord>>),
    None(EndReason),
}

impl<'s> Lane<'s> {
    pub(crate) fn new(
        shard: &'s ShardRun,
        number: usize,
        incoming: mpsc::Receiver<Vec<Arc<SourceRecord>>>,
    ) -> Lane<'s> {
        let stop = shard.stop.clone();
        Lane { shard, number, incoming, queue: VecDeque::new(), last_end: Instant::now(), blocked: None, stop }
    }

    /// Delivers batches until the shard ends or the mapping is stopped.
    pub(crate) async fn run(mut self) -> anyhow::Result<EndReason> {
        loop {
            let records = match self.next_batch().await {
                NextBatch::Ready(records) => records,
                NextBatch::None(reason) => return Ok(reason),
            };
            let batch = Batch::new(records, self.shard.mapping.request_id());
            if self.deliver(batch).await?.is_break() {
                return Ok(EndReason::StopRequested);
            }
        }
    }

    /// Waits for a full batch, or for any records once the batching window has passed.
    async fn next_batch(&mut self) -> NextBatch {
        let window_end = self.last_end + self.shard.mapping.settings.batching_window;
        loop {
            // No more than a batch: the backlog stays in the channel and, once that is full, in the stream.
            while !self.has_full_batch()
                && let Ok(more) = self.incoming.try_recv()
            {
                self.queue.extend(more);
            }
            if *self.stop.borrow() {
                return NextBatch::None(EndReason::StopRequested);
            }
            let size = self.batch_size();
            if self.has_full_batch() || (size > 0 && Instant::now() >= window_end) {
                return NextBatch::Ready(self.queue.drain(..size).collect());
            }
            let window = async {
                if size > 0 { tokio::time::sleep_until(window_end).await } else { std::future::pending().await }
            };
            tokio::select! {
                // Biased here and elsewhere, so that runs can be reproduced. Stopping comes first, because the shard's
                // reader stops too, and its closed channel must not be mistaken for the end of the shard.
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return NextBatch::None(EndReason::StopRequested),
                more = self.incoming.recv() => match more {
                    Some(more) => self.queue.extend(more),
                    None if size == 0 => return NextBatch::None(EndReason::ShardEnd),
                    None => return NextBatch::Ready(self.queue.drain(..size).collect()),
                },
                () = window => {}
            }
        }
    }

    /// Whether the queue holds as many records, or bytes, as a batch allows.
    fn has_full_batch(&self) -> bool {
        let size = self.batch_size();
        size < self.queue.len() || size == self.shard.mapping.settings.batch_size
    }

    /// How many records from the front of the queue fit into one batch. A record that exceeds the payload limit is a
    /// batch of its own.
    fn batch_size(&self) -> usize {
        let mut bytes = ENVELOPE_BYTES;
        let fits = |record: &&Arc<SourceRecord>| {
            bytes += record.json.len() + 1;
            bytes <= MAXIMUM_PAYLOAD_BYTES
        };
        let fitting = self.queue.iter().take(self.shard.mapping.settings.batch_size).take_while(fits).count();
        fitting.max(usize::from(!self.queue.is_empty()))
    }

    /// Delivers a batch, and the batches that it is split into or continued by, until all records are settled.
    async fn deliver(&mut self, batch: Batch) -> anyhow::Result<ControlFlow<()>> {
        // A stack: the last is delivered next.
        let mut pending = vec![batch];
        while let Some(batch) = pending.pop() {
            let mapping = &self.shard.mapping;
            let (expired, rest) = batch.split_expired(mapping.clock.now(), &mapping.settings, || mapping.request_id());
            if let Some(expired) = expired {
                self.discard(expired).await?;
            }
            let Some(mut batch) = rest else {
                self.report(None, None, None);
                continue;
            };
            let (verdict, cause) = self.invoke(&mut batch).await;
            let next = batch.next_step(verdict, &mapping.settings, || mapping.request_id());
            let NextStep { settled, discarded, pause, redeliver, split } = next;
            mapping.meter.add(|counts| counts.splits += u64::from(split));
            self.report(cause, redeliver.first(), pause);
            if let Some(oldest) = settled.first() {
                mapping.meter.count_acknowledged(mapping.age_ms(oldest));
            }
            self.shard.settle(&settled, Settlement::Processed)?;
            if let Some(discarded) = discarded {
                self.discard(discarded).await?;
            }
            pending.extend(redeliver.into_iter().rev());
            if *self.stop.borrow() {
                return Ok(ControlFlow::Break(()));
            }
            if let Some(pause) = pause {
                tokio::select! {
                    biased;
                    _ = self.stop.wait_for(|stop| *stop) => return Ok(ControlFlow::Break(())),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reports that `next` blocks this lane because of `cause`, or that nothing does.
    fn report(&mut self, cause: Option<FailureCause>, next: Option<&Batch>, pause: Option<Duration>) {
        let mapping = &self.shard.mapping;
        let first = next.and_then(|batch| batch.records.first());
        let (Some(cause), Some(batch), Some(first)) = (cause, next, first) else {
            if self.blocked.take().is_some() {
                self.shard.meter.set_blocked(self.number, None);
            }
            return;
        };
        let now = mapping.clock.now();
        let since = self.blocked.take().filter(|(sequence, _)| *sequence == first.sequence).map_or(now, |(_, at)| at);
        self.blocked = Some((first.sequence.clone(), since));
        let pause = pause.unwrap_or_default();
        let blocked = Blocked {
            shard: self.shard.id.clone(),
            sequence_number: first.sequence.as_str().to_owned(),
            records: as_u64(batch.records.len()),
            // These two are the shard's, which reports them itself.
            waiting_records: 0,
            more_unread: false,
            failed_attempts: batch.attempts,
            maximum_attempts: mapping.settings.maximum_retry_attempts.map(|retries| retries.saturating_add(1)),
            created_at: first.created_at,
            since,
            next_attempt: later(now, pause),
            retried_until: retried_until(batch, first, now, pause, &mapping.settings),
            cause,
        };
        self.shard.meter.set_blocked(self.number, Some(blocked));
    }

    /// Invokes the function, and returns the verdict and, of a failure, the cause.
    async fn invoke(&mut self, batch: &mut Batch) -> (Verdict, Option<FailureCause>) {
        let mapping = &self.shard.mapping;
        let event = batch.event();
        if event.len() > MAXIMUM_PAYLOAD_BYTES {
            // It can't be delivered, so the record is discarded without a response.
            mapping.meter.count_failure(&FailureCause::TooLarge);
            return (Verdict::Failure(FailureResponse::None), Some(FailureCause::TooLarge));
        }
        let age_ms = batch.records.last().map_or(0, |last| mapping.age_ms(last));
        let delivery = if batch.invocations > 0 { Delivery::Retry } else { Delivery::First };
        mapping.meter.count_delivery(batch.records.len(), age_ms, delivery);
        let delivering = Delivering { records: as_u64(batch.records.len()), retries: batch.invocations };
        self.shard.meter.set_delivering(self.number, Some(delivering));
        let result = mapping.function.invoke(event.as_bytes(), &batch.request_id).await;
        self.shard.meter.set_delivering(self.number, None);
        self.last_end = Instant::now();
        let verdict = verdict(&result, batch, &mapping.settings);
        batch.invocations = batch.invocations.saturating_add(u32::from(verdict != Verdict::NotInvoked));
        mapping.meter.add(|counts| match verdict {
            Verdict::Success => counts.successes += 1,
            Verdict::NotInvoked => counts.not_invoked += 1,
            Verdict::Partial(_) => {
                counts.successes += 1;
                counts.partial_failures += 1;
                counts.failed_invoke_event_count += as_u64(batch.records.len());
            }
            Verdict::Failure(_) => {
                counts.errors += 1;
                counts.failed_invoke_event_count += as_u64(batch.records.len());
            }
        });
        if let InvocationResult::FunctionError(message) | InvocationResult::NotInvoked(message) = &result {
            tracing::info!(shard = self.shard.id, request_id = batch.request_id, message, "invocation failed");
        }
        let cause = self.cause(&result, verdict, batch);
        cause.iter().for_each(|cause| mapping.meter.count_failure(cause));
        (verdict, cause)
    }

    /// Why an invocation failed.
    fn cause(&self, result: &InvocationResult, verdict: Verdict, batch: &Batch) -> Option<FailureCause> {
        let body = match (result, verdict) {
            (_, Verdict::Success) => return None,
            (InvocationResult::FunctionError(message), _) => return Some(FailureCause::FunctionError(message.clone())),
            (InvocationResult::NotInvoked(message), _) => return Some(FailureCause::NotInvoked(message.clone())),
            (InvocationResult::Returned(body), _) => body,
        };
        let Ok(lowest) = lowest_failure(body, &batch.records) else { return Some(FailureCause::InvalidResponse) };
        let record = batch.records.get(lowest?)?;
        Some(FailureCause::Reported(self.shard.mapping.function.rejection_reason(&record.sequence)))
    }

    /// Sends a batch to the failure destination, or drops it if that fails, and settles its records.
    async fn discard(&self, discarded: DiscardedBatch) -> anyhow::Result<()> {
        let mapping = &self.shard.mapping;
        let shard = &self.shard.id;
        let records = as_u64(discarded.batch.records.len());
        match mapping.send_to_destination(shard, &discarded).await {
            Ok(true) => mapping.meter.add(|counts| counts.on_failure_destination_delivered_event_count += records),
            Ok(false) => {
                mapping.meter.add(|counts| counts.discarded_without_destination += records);
                tracing::warn!(shard, records, "discarded a batch: no failure destination is configured");
            }
            Err(error) => {
                mapping.meter.add(|counts| {
                    counts.dropped_event_count += records;
                    counts.destination_delivery_failures += 1;
                });
                let error = format!("{error:#}");
                tracing::error!(shard, records, error, "dropped a batch: the failure destination rejected it");
            }
        }
        self.shard.settle(&discarded.batch.records, Settlement::Discarded)
    }
}
