//! The status of a local run: the numbers in the live view, the summary and `--json`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use event_source_mapping::Counts;
use laptop::emulators::DataPoint;
use serde::Serialize;

/// The status at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Status {
    /// Seconds since the start.
    pub seconds: f64,
    /// Counts of the event source mapping.
    pub mapping: Counts,
    /// Sums of the function's own metrics.
    pub function: BTreeMap<String, f64>,
    /// Shards in the stream.
    pub shards: usize,
    /// Faults in effect.
    pub faults: String,
    /// Records written by the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

impl Status {
    /// Adds the function's metrics.
    pub(super) fn add(&mut self, points: Vec<DataPoint>) {
        for point in points {
            let once = std::iter::repeat(1.0);
            let counts = point.counts.iter().copied().chain(once);
            let sum: f64 = point.values.iter().zip(counts).map(|(value, count)| value * count).sum();
            *self.function.entry(point.name).or_default() += sum;
        }
    }

    fn metric(&self, name: &str) -> f64 {
        self.function.get(name).copied().unwrap_or_default()
    }

    /// The status on one line, for output without a terminal.
    pub(super) fn line(&self) -> String {
        format!("{:>5.0}s  {}; {}; {}", self.seconds, self.stream(), self.deliveries(), self.effects())
    }

    /// The status as lines that replace the previous ones.
    pub(super) fn panel(&self) -> [String; 4] {
        let faults = format!("faults    {}", self.faults);
        [
            format!("stream    {}", self.stream()),
            format!("mapping   {}", self.deliveries()),
            format!("function  {}", self.effects()),
            faults,
        ]
    }

    fn stream(&self) -> String {
        let Counts { polled_event_count, filtered_out_event_count, trimmed_gaps, .. } = &self.mapping;
        let written = self.written.map(|written| format!("{written} written, ")).unwrap_or_default();
        let mut text = format!("{written}{polled_event_count} polled");
        // Writing to a String can't fail.
        if *filtered_out_event_count > 0 {
            let _ = write!(text, ", {filtered_out_event_count} filtered out");
        }
        if self.shards > 1 {
            let _ = write!(text, ", {} shards", self.shards);
        }
        if *trimmed_gaps > 0 {
            let _ = write!(text, ", {trimmed_gaps} TRIMMED GAPS");
        }
        text
    }

    fn deliveries(&self) -> String {
        let counts = &self.mapping;
        let age = Duration::from_millis(counts.iterator_age_ms).as_secs_f64();
        let mut text = format!(
            "{} invocations of {}-{} records, age {age:.1} s",
            counts.invocations, counts.smallest_batch, counts.largest_batch
        );
        let problems = [
            ("failed", counts.errors),
            ("partly failed", counts.partial_failures),
            ("throttled", counts.not_invoked),
            ("retries", counts.retries),
            ("splits", counts.splits),
            ("to the failure destination", counts.on_failure_destination_delivered_event_count),
            ("DROPPED", counts.dropped_event_count),
        ];
        for (name, count) in problems.into_iter().filter(|(_, count)| *count > 0) {
            let _ = write!(text, ", {count} {name}");
        }
        text
    }

    fn effects(&self) -> String {
        format!(
            "{} records applied, {} duplicates, {} snapshot updates, {} files",
            self.metric("RecordsProcessed"),
            self.metric("DuplicatesSkipped"),
            self.metric("SnapshotsUpdated"),
            self.metric("FilesWritten"),
        )
    }

    /// The totals of a run as tables.
    pub(super) fn summary(&self) -> String {
        let counts = &self.mapping;
        let rows = [
            ("PolledEventCount", counts.polled_event_count),
            ("FilteredOutEventCount", counts.filtered_out_event_count),
            ("InvokedEventCount", counts.invoked_event_count),
            ("FailedInvokeEventCount", counts.failed_invoke_event_count),
            ("DroppedEventCount", counts.dropped_event_count),
            ("OnFailureDestinationDeliveredEventCount", counts.on_failure_destination_delivered_event_count),
            ("DestinationDeliveryFailures", counts.destination_delivery_failures),
            ("Invocations", counts.invocations),
            ("Errors", counts.errors),
            ("Throttles", counts.not_invoked),
            ("Retries of a batch", counts.retries),
            ("Batches split in half", counts.splits),
            ("Shards read to the end", counts.shards_finished),
            ("IteratorAge, maximum (ms)", counts.iterator_age_max_ms),
        ];
        let mut table = crate::shell::table::titled(["event source mapping", ""]);
        for (name, value) in rows {
            table.add_row([crate::shell::table::text(name), crate::shell::table::number(&value.to_string())]);
        }
        let mut function = crate::shell::table::titled(["function", ""]);
        for (name, value) in &self.function {
            function.add_row([crate::shell::table::text(name), crate::shell::table::number(&format!("{value:.0}"))]);
        }
        if self.function.is_empty() { table.to_string() } else { format!("{table}\n{function}") }
    }
}
