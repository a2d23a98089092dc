//! The status of a local run as rows of text that fit a terminal. In each row the important figures come first, because the
//! end of a row that doesn't fit is cut.

use event_source_mapping::{Blocked, Counts, Timestamp};
use laptop::emulators::{AlarmStatus, State};
use laptop::proof::QuarantinedRecords;

use super::status::{MappingStatus, Status};
use crate::shell::lines::{cut, joined, wrapped};
use crate::shell::numbers::{number, whole};
use crate::shell::waiting;

/// The width of the labels.
pub(super) const LABEL: usize = 12;
/// How many causes of failures are listed.
const CAUSE_LINES: usize = 3;
/// The composite alarms of the template.
pub(super) const COMPOSITES: [&str; 2] = ["Page", "Ticket"];
/// The most lines that a reason takes.
const REASON_LINES: usize = 3;

/// One row: a label, and text that is fitted when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub label: &'static str,
    /// Whether it shows what someone must look at.
    pub is_problem: bool,
    text: Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    /// Figures, the most important first. Those that don't fit are left out.
    Figures(Vec<String>),
    /// A line for each, the most important first.
    Lines(Vec<String>),
    /// Words, over several lines if necessary.
    Words(String),
}

impl Row {
    fn figures(label: &'static str, figures: Vec<String>) -> Row {
        Row { label, is_problem: false, text: Text::Figures(figures) }
    }

    fn listed(label: &'static str, lines: Vec<String>) -> Row {
        Row { label, is_problem: false, text: Text::Lines(lines) }
    }

    fn words(label: &'static str, words: String) -> Row {
        Row { label, is_problem: false, text: Text::Words(words) }
    }

    fn problem(self) -> Row {
        Row { is_problem: true, ..self }
    }

    /// The row in lines of at most `width` characters.
    pub(super) fn lines(&self, width: usize) -> Vec<String> {
        let room = width.saturating_sub(LABEL);
        let texts = match &self.text {
            Text::Figures(figures) => vec![joined(figures, room)],
            Text::Lines(lines) => lines.iter().map(|line| cut(line, room)).collect(),
            Text::Words(words) => wrapped(words, room, REASON_LINES),
        };
        let labels = std::iter::once(self.label).chain(std::iter::repeat(""));
        labels.zip(texts).map(|(label, text)| cut(&format!("{label:<LABEL$}{text}"), width)).collect()
    }
}

/// The status as rows, without those that would be empty.
pub(super) fn rows(status: &Status, now: Timestamp) -> Vec<Row> {
    let mut rows = vec![processed(status)];
    rows.extend(alarms(&status.alarms));
    rows.extend(unreadable(status));
    if let Some(blocked) = status.waiting.first_blocked() {
        rows.extend(blocked_rows(blocked, status.waiting.blocked.len(), now));
    }
    rows.extend(status.quarantined.as_ref().and_then(quarantined));
    let counts = &status.mapping;
    rows.push(failures("failures", counts));
    rows.extend(discarded(counts));
    rows.push(deliveries("deliveries", counts));
    rows.extend(status.fold.iter().flat_map(|fold| fold_rows(fold, now)));
    if !status.alerts.is_none() {
        rows.push(Row::listed("alerts", status.alerts.lines()));
    }
    let effects = [
        metric(status.metric("PagesWritten"), "page"),
        metric(status.metric("SnapshotsUpdated"), "snapshot update"),
        metric(status.metric("FilesWritten"), "file"),
    ];
    rows.push(Row::figures("written", effects.into_iter().flatten().collect()));
    if status.faults != "none" && !status.faults.is_empty() {
        rows.push(Row::words("faults", status.faults.replace(',', ", ")));
    }
    rows.retain(|row| !matches!(&row.text, Text::Figures(parts) | Text::Lines(parts) if parts.is_empty()));
    rows
}

/// The causes of failures, the most frequent first.
pub(super) fn causes(counts: &Counts) -> Vec<(&str, u64)> {
    let mut causes: Vec<(&str, u64)> =
        counts.failures_by_cause.iter().map(|(cause, count)| (cause.as_str(), *count)).collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    causes
}

/// The alarms that are firing, those that page first; if none is any longer, how many have fired.
fn alarms(fired: &[AlarmStatus]) -> Option<Row> {
    if fired.is_empty() {
        return None;
    }
    // The composites follow from the others.
    let firing = fired.iter().filter(|alarm| alarm.state == State::Alarm && !COMPOSITES.contains(&alarm.name.as_str()));
    let line =
        |alarm: &AlarmStatus| format!("{} {}: {}", alarm.severity.name().to_uppercase(), alarm.name, alarm.reason);
    let lines: Vec<String> = firing.map(line).collect();
    if lines.is_empty() {
        let alarms = fired.iter().filter(|alarm| !COMPOSITES.contains(&alarm.name.as_str())).count();
        let alarms = u64::try_from(alarms).unwrap_or(u64::MAX);
        let earlier = format!("none is firing; {} earlier", nouns(&whole(alarms), "alarm"));
        return Some(Row::listed("alarms", vec![earlier]));
    }
    Some(Row::listed("alarms", lines).problem())
}

/// The streams that can't be read.
fn unreadable(status: &Status) -> impl Iterator<Item = Row> {
    let ledger = status.fold.as_ref().and_then(|fold| waiting::unreadable(&fold.waiting, "ledger"));
    let texts = [waiting::unreadable(&status.waiting, "source"), ledger].into_iter().flatten();
    texts.map(|text| Row::words("NOT READ", text).problem())
}

fn processed(status: &Status) -> Row {
    let counts = &status.mapping;
    let mut figures = vec![nouns(&whole(counts.distinct_processed), "record")];
    figures.extend(count(counts.trimmed_gaps, "trimmed gap").map(|gaps| gaps.to_uppercase()));
    if status.waiting.records > 0 {
        figures.push(format!("{} waiting", status.waiting.count()));
    }
    if status.waiting.oldest_age_ms > 0 {
        figures.push(format!("oldest {}", crate::shell::durations::span(status.waiting.oldest_age())));
    }
    figures.extend(status.written.map(|written| format!("{} written", whole(written))));
    if counts.distinct_filtered_out > 0 {
        figures.push(format!("{} filtered out", whole(counts.distinct_filtered_out)));
    }
    figures.extend(u64::try_from(status.shards).ok().filter(|shards| *shards > 1).map(|n| format!("{n} shards")));
    Row::figures("processed", figures)
}

/// The mapping of the ledger: the pages that are in all snapshots, those that wait, and what holds them up.
fn fold_rows(fold: &MappingStatus, now: Timestamp) -> Vec<Row> {
    let MappingStatus { mapping: counts, waiting, .. } = fold;
    let mut figures = vec![nouns(&whole(counts.distinct_processed), "page")];
    figures.extend(count(counts.trimmed_gaps, "trimmed gap").map(|gaps| gaps.to_uppercase()));
    if waiting.records > 0 {
        figures.push(format!("{} waiting", waiting.count()));
    }
    if waiting.oldest_age_ms > 0 {
        figures.push(format!("oldest {}", crate::shell::durations::span(waiting.oldest_age())));
    }
    figures.extend(count(counts.distinct_discarded, "page").map(|pages| format!("{pages} DISCARDED")));
    let folded = Row::figures("folded", figures);
    let mut rows = vec![if counts.distinct_discarded > 0 { folded.problem() } else { folded }];
    if let Some(blocked) = waiting.first_blocked() {
        let (attempts, cause) = (waiting::attempts(blocked, now), waiting::cause(&blocked.cause));
        rows.push(Row::words("FOLD FAILS", format!("attempts: {attempts}; {cause}")).problem());
    }
    rows.push(failures("fold errors", counts));
    rows.push(deliveries("folds", counts));
    rows
}

/// What blocks, how long it is retried, and how many records wait for it.
fn blocked_rows(blocked: &Blocked, lanes: usize, now: Timestamp) -> Vec<Row> {
    let mut figures = vec![match waiting::behind(blocked).as_str() {
        "1" => "1 record waits".to_owned(),
        records => format!("{records} records wait"),
    }];
    figures.push(waiting::time_left(blocked, now));
    figures.extend(lanes.checked_sub(1).filter(|more| *more > 0).map(|more| format!("{more} more blocked")));
    vec![
        Row::figures("BLOCKED", figures).problem(),
        Row::words("  reason", waiting::cause(&blocked.cause)),
        Row::words("  by", waiting::record(blocked)),
        Row::words("  shard", blocked.shard.clone()),
        Row::words("  attempts", waiting::attempts(blocked, now)),
    ]
}

fn quarantined(quarantined: &QuarantinedRecords) -> Option<Row> {
    let last = quarantined.last.as_ref()?;
    let reason = &last.reason;
    let records = u64::try_from(quarantined.records).unwrap_or(u64::MAX);
    let records = nouns(&whole(records), "record");
    let last = format!("last: {}: {} {}", reason.code, reason.field, reason.reason);
    Some(Row::words("quarantined", crate::shell::console::plain(&format!("{records}; {last}"))))
}

/// How often invocations failed, by cause.
fn failures(label: &'static str, counts: &Counts) -> Row {
    let causes = causes(counts);
    let mut lines: Vec<String> = causes
        .iter()
        .take(CAUSE_LINES)
        .map(|(cause, count)| format!("{} {}", whole(*count), crate::shell::console::plain(cause)))
        .collect();
    if let Some(rest) = causes.get(CAUSE_LINES..).filter(|rest| !rest.is_empty()) {
        lines.push(format!("{} of other causes", whole(rest.iter().map(|(_, count)| count).sum())));
    }
    Row::listed(label, lines)
}

fn discarded(counts: &Counts) -> Option<Row> {
    let sent = count(counts.on_failure_destination_delivered_event_count, "record");
    let figures = [
        count(counts.dropped_event_count, "record").map(|records| format!("{records} DROPPED")),
        count(counts.discarded_without_destination, "record").map(|records| format!("{records} LOST, no destination")),
        sent.map(|records| format!("{records} sent to the failure destination")),
    ];
    Some(Row::figures("discarded", figures.into_iter().flatten().collect()).problem())
}

fn deliveries(label: &'static str, counts: &Counts) -> Row {
    if counts.invocations == 0 {
        return Row::figures(label, Vec::new());
    }
    let invocations = nouns(&whole(counts.invocations), "invocation");
    let mut figures = vec![format!("{} in {invocations}", whole(counts.invoked_event_count))];
    figures.extend(count(counts.retries, "retry"));
    figures.extend(count(counts.splits, "split"));
    figures.push(format!("up to {} per batch", whole(counts.largest_batch)));
    Row::figures(label, figures)
}

/// A count above 0 with its noun, of which the plural ends in `s` or, after `y`, in `ies`.
fn count(count: u64, what: &str) -> Option<String> {
    (count > 0).then(|| nouns(&whole(count), what))
}

/// The same for a metric.
fn metric(value: f64, what: &str) -> Option<String> {
    (value > 0.0).then(|| nouns(&number(value), what))
}

/// A number with its noun: `1 record`, `2 records`.
pub(super) fn nouns(number: &str, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        ("1", _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

#[cfg(test)]
pub(super) mod tests;
