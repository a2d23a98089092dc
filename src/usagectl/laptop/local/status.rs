//! The status of a local run: the numbers in the live view, the summary and `--json`.
//!
//! Records are counted twice over. *Deliveries* are what the mapping and the function's metrics count: a record that is
//! delivered three times counts three times, and each invocation reports it as processed again, so under faults those sums
//! are a multiple of the records. *Distinct* records are counted by the mapping as a shard's checkpoint passes them (see
//! `event_source_mapping::Progress`): those of the source are records that are durable, those of the ledger are pages that are
//! in all snapshots.

use std::collections::{BTreeMap, BTreeSet};

use event_source_mapping::{Counts, Timestamp};
use laptop::emulators::{AlarmStatus, DataPoint};
use laptop::proof::{InjectedFaults, QuarantinedRecords};
use serde::Serialize;

use super::alerts::SentAlerts;
use crate::shell::numbers::{number, whole};
use crate::shell::table;
use crate::shell::waiting::Waiting;

/// One mapping at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct MappingStatus {
    /// Counts of the event source mapping.
    pub mapping: Counts,
    /// The records that wait, and what they wait for.
    pub waiting: Waiting,
    /// Shards in the stream.
    pub shards: usize,
    /// The faults that were injected into the mapping and its function.
    pub injected: InjectedFaults,
}

/// The status at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Status {
    /// Seconds since the start.
    pub seconds: f64,
    /// Counts of the event source mapping.
    pub mapping: Counts,
    /// The records that wait, and what they wait for.
    pub waiting: Waiting,
    /// The mapping of the ledger, if the pipeline counts. Its records are notices of pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<MappingStatus>,
    /// Records that the function set aside, if it runs in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<QuarantinedRecords>,
    /// Sums of the function's own metrics, by delivery.
    pub function: BTreeMap<String, f64>,
    /// The highest values of those that are no counts: ages and durations in milliseconds, and the pages of a minute.
    pub function_maximum: BTreeMap<String, f64>,
    /// Shards in the stream.
    pub shards: usize,
    /// The faults that were injected into the mapping and its function.
    pub injected: InjectedFaults,
    /// Faults in effect.
    pub faults: String,
    /// The alarms of the template that are firing or have fired, if there is an embedded CloudWatch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmStatus>,
    /// The alerts of the pipeline that were sent to the embedded EventBridge.
    #[serde(skip_serializing_if = "SentAlerts::is_none")]
    pub alerts: SentAlerts,
    /// Records written by the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
    /// How many records the stream has of them at least, until the mapping has read to the end.
    #[serde(skip)]
    pub written_to_stream: u64,
}

impl Status {
    /// Adds the function's metrics.
    pub(super) fn add(&mut self, points: Vec<DataPoint>) {
        for point in points {
            let is_count = point.unit.as_deref() != Some("Milliseconds") && point.name != "PagesInMinute";
            if !is_count {
                let highest = self.function_maximum.entry(point.name).or_default();
                *highest = point.values.into_iter().fold(*highest, f64::max);
                continue;
            }
            let once = std::iter::repeat(1.0);
            let counts = point.counts.iter().copied().chain(once);
            let sum: f64 = point.values.iter().zip(counts).map(|(value, count)| value * count).sum();
            *self.function.entry(point.name).or_default() += sum;
        }
    }

    /// Sets the records that wait. Those of the load that have not even been read wait, too.
    pub(super) fn set_waiting(&mut self, waiting: Waiting) {
        let Counts { distinct_processed, distinct_filtered_out, distinct_discarded, .. } = &self.mapping;
        let settled = distinct_processed + distinct_filtered_out + distinct_discarded;
        let of_load = self.written_to_stream.saturating_sub(settled);
        self.waiting = waiting;
        if of_load <= self.waiting.records {
            return;
        }
        self.waiting.records = of_load;
        self.waiting.more_unread = false;
        // With several shards or lanes it is unknown which of them the rest is in.
        if let ([blocked], 0 | 1) = (self.waiting.blocked.as_mut_slice(), self.shards) {
            blocked.waiting_records = of_load.saturating_sub(blocked.records);
            blocked.more_unread = false;
        }
    }

    /// The sum of one of the function's metrics.
    pub(super) fn metric(&self, name: &str) -> f64 {
        self.function.get(name).copied().unwrap_or_default()
    }

    /// The same status with everything removed that changes although nothing happens: ages, and counts of polls.
    pub(super) fn without_clock(&self, now: Timestamp) -> Status {
        let mut status = self.clone();
        status.seconds = 0.0;
        let source = (&mut status.mapping, &mut status.waiting, &mut status.injected);
        let fold = status.fold.as_mut().map(|fold| (&mut fold.mapping, &mut fold.waiting, &mut fold.injected));
        for (mapping, waiting, injected) in [source].into_iter().chain(fold) {
            waiting.oldest_age_ms = 0;
            for blocked in &mut waiting.blocked {
                blocked.next_attempt = now;
                blocked.retried_until = blocked.retried_until.map(|_| now);
            }
            injected.remove("iterator");
            let Counts { polls, throttled_reads, expired_iterators, failed_reads, .. } = mapping;
            (*polls, *throttled_reads, *expired_iterators, *failed_reads) = (0, 0, 0, 0);
        }
        status
    }

    /// The totals of a run: one line, and tables of everything that occurred.
    pub(super) fn summary(&self) -> String {
        let mut tables = vec![self.headline()];
        tables.extend(mapping_tables("event source mapping", "failed invocations", &self.mapping));
        let fold = self.fold.iter();
        tables.extend(fold.flat_map(|fold| mapping_tables("mapping of the ledger", "failed folds", &fold.mapping)));
        tables.extend(self.function_table());
        tables.extend(self.fault_table());
        tables.extend(self.alarm_table());
        tables.join("\n")
    }
}

impl Status {
    fn headline(&self) -> String {
        let records = super::screen::nouns(&whole(self.mapping.distinct_processed), "record");
        let mut text = format!("ran for {:.0} s: {records} processed", self.seconds);
        let quarantined = self.quarantined.as_ref().map_or(0, |quarantined| quarantined.records);
        for (count, what) in [
            (self.waiting.records, "waiting"),
            (self.mapping.distinct_discarded, "discarded"),
            (u64::try_from(quarantined).unwrap_or(u64::MAX), "quarantined"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", whole(count)));
            }
        }
        text
    }

    /// The function's own metrics.
    fn function_table(&self) -> Option<String> {
        let maximum = |(name, value): (&String, &f64)| match name.as_str() {
            "PagesInMinute" => (format!("{name}, maximum"), *value),
            _ => (format!("{name}, maximum (ms)"), *value),
        };
        let sums = self.function.iter().map(|(name, value)| (name.clone(), *value));
        let rows: BTreeMap<String, f64> = sums.chain(self.function_maximum.iter().map(maximum)).collect();
        let mut function = table::titled(["function, by delivery", ""]);
        for (name, value) in rows.iter().filter(|(_, value)| **value != 0.0) {
            function.add_row([table::text(name), table::number(&number(*value))]);
        }
        (!rows.is_empty()).then(|| function.to_string())
    }

    /// How often each fault was injected into each mapping and its function.
    fn fault_table(&self) -> Option<String> {
        let none = InjectedFaults::new();
        let fold = self.fold.as_ref().map_or(&none, |fold| &fold.injected);
        let names: BTreeSet<&str> = self.injected.keys().chain(fold.keys()).copied().collect();
        let mut faults = table::titled(["injected faults", "source", "ledger"]);
        for name in &names {
            let count = |injected: &InjectedFaults| whole(injected.get(name).copied().unwrap_or_default());
            faults.add_row([table::text(name), table::number(&count(&self.injected)), table::number(&count(fold))]);
        }
        (!names.is_empty()).then(|| faults.to_string())
    }
}

impl Status {
    /// The alarms that have fired.
    fn alarm_table(&self) -> Option<String> {
        let mut alarms = table::titled(["alarms that fired", "", "state", "since (UTC)", "reason"]);
        for AlarmStatus { name, state, since, reason, severity } in &self.alarms {
            // 2026-11-21T03:04:00Z
            let since = since.as_deref().and_then(|since| since.get(11..16)).unwrap_or_default();
            alarms.add_row([name, severity.name(), state.name(), since, reason.as_str()].map(table::text));
        }
        (!self.alarms.is_empty()).then(|| alarms.to_string())
    }
}

/// The totals of one mapping.
fn mapping_tables(title: &str, failures_title: &str, counts: &Counts) -> Vec<String> {
    let rows = [
        ("Distinct records processed", counts.distinct_processed),
        ("Distinct records filtered out", counts.distinct_filtered_out),
        ("Distinct records discarded", counts.distinct_discarded),
        ("PolledEventCount", counts.polled_event_count),
        ("FilteredOutEventCount", counts.filtered_out_event_count),
        ("InvokedEventCount", counts.invoked_event_count),
        ("FailedInvokeEventCount", counts.failed_invoke_event_count),
        ("DroppedEventCount", counts.dropped_event_count),
        ("OnFailureDestinationDeliveredEventCount", counts.on_failure_destination_delivered_event_count),
        ("DestinationDeliveryFailures", counts.destination_delivery_failures),
        ("Invocations", counts.invocations),
        ("Errors", counts.errors),
        ("Partial failures", counts.partial_failures),
        ("Throttles", counts.not_invoked),
        ("Retries of a batch", counts.retries),
        ("Batches split in half", counts.splits),
        ("Shards read to the end", counts.shards_finished),
        ("Shards that no longer exist", counts.gone_shards),
        ("Reads of the stream that failed", counts.failed_reads),
        ("IteratorAge, maximum (ms)", counts.iterator_age_max_ms),
        ("Age when acknowledged, maximum (ms)", counts.acknowledged_age_max_ms),
    ];
    let mut mapping = table::titled([title, ""]);
    let occurred = rows.into_iter().enumerate().filter(|(index, (_, value))| *index == 0 || *value > 0);
    for (_, (name, value)) in occurred {
        mapping.add_row([table::text(name), table::number(&whole(value))]);
    }
    let mut tables = vec![mapping.to_string()];
    if !counts.failures_by_cause.is_empty() {
        let mut failures = table::titled([failures_title, ""]);
        for (cause, count) in super::screen::causes(counts) {
            failures.add_row([table::text(cause), table::number(&whole(count))]);
        }
        tables.push(failures.to_string());
    }
    tables
}

#[cfg(test)]
mod tests;
