//! The document from which the page of a stack is drawn, and the summary in it.

use std::collections::BTreeMap;
use std::time::Duration;

use laptop::emulators::{AlarmStatus, Severity};
use laptop::proof::QuarantinedRecord;
use serde::Serialize;

use super::alarms::Alarms;
use super::alerts::Firing;
use super::calls::Calls;
use super::failures::Stored;
use super::mappings::Mappings;
use super::seen::Seen;
use crate::page::Usage;
use crate::page::buckets::Storage;
use crate::page::history::Columns;
use crate::page::summary::{Assessment, Findings, Level};
use crate::page::tasks::Task;
use crate::shell::durations::span;
use crate::shell::numbers::{number, whole};
use crate::stack::BlockedShard;

/// A batch whose last record is older is late: the alarm IteratorAgeWarning fires at half of it.
const LATE_MS: f64 = 60_000.0;
const MILLISECONDS: f64 = 1_000.0;

/// What was read of a stack, as far as it could be.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// When, in UTC.
    pub read_at: String,
    pub seen: Seen,
    pub alarms: Option<Alarms>,
    pub mappings: Option<Mappings>,
    pub stored: Option<Stored>,
    pub firing: Option<Firing>,
    /// What could not be read, with the reason.
    pub missing: Vec<String>,
}

/// Everything that the page shows at one moment.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub stack: String,
    /// When the figures were read, in UTC.
    pub at: String,
    /// The time that sums and charts are about.
    pub span_seconds: u64,
    pub summary: Assessment,
    pub figures: BTreeMap<&'static str, f64>,
    pub mappings: Option<Mappings>,
    /// What blocks, in lines.
    pub blocked: Vec<Vec<String>>,
    pub alarms: Option<Vec<AlarmStatus>>,
    /// How many alarms the stack has.
    pub alarm_count: Option<usize>,
    pub rejections: Vec<QuarantinedRecord>,
    /// The alerts that are firing, in words, newest first.
    pub alerts: Vec<String>,
    /// Whether more of them are firing.
    pub more_alerts: bool,
    pub storage: Option<Storage>,
    pub usage: Option<Usage>,
    pub tasks: Vec<Task>,
    pub history: Columns,
    /// What could not be read, with the reason.
    pub missing: Vec<String>,
    pub calls: CallsView,
}

/// The calls and their cost.
#[derive(Debug, Serialize)]
pub(super) struct CallsView {
    pub per_minute: u32,
    pub dollars_per_hour: f64,
    /// What has been read since the start, and what that cost.
    pub so_far: String,
    #[serde(flatten)]
    pub at_most: Calls,
}

/// What blocks, in lines for the page.
pub(super) fn blocked(parts: &Parts) -> Vec<Vec<String>> {
    let lines = |what: &str, blocked: &BlockedShard, result: Option<&String>, log: &str| {
        let growing = span(Duration::from_secs_f64(blocked.growing_seconds));
        let age = span(Duration::from_secs_f64(blocked.age_seconds));
        let mut lines = vec![
            format!(
                "A shard of {what} makes no progress: deliveries fail, and the iterator age has grown for {growing}."
            ),
            format!("Its oldest record is {age} old. CloudWatch doesn't name the shard or the record; {log} does."),
        ];
        lines.extend(result.map(|result| format!("Lambda's last result: {result}")));
        lines
    };
    let mappings = parts.mappings.as_ref();
    let source = parts.seen.blocked.as_ref().map(|blocked| {
        let result = mappings.and_then(|mappings| mappings.source.last_result.as_ref());
        lines("the source", blocked, result, "the function's log")
    });
    let fold = parts.seen.blocked_fold.as_ref().map(|blocked| {
        let result = mappings.and_then(|mappings| mappings.ledger.as_ref()?.last_result.as_ref());
        lines("the ledger", blocked, result, "the fold function's log")
    });
    source.into_iter().chain(fold).collect()
}

/// Assesses what was read. `shown` is the time that the sums are about, in words.
pub(super) fn assess(parts: &Parts, shown: &str) -> Assessment {
    let Parts { seen, alarms, mappings, stored, missing, .. } = parts;
    let figure = |name: &str| seen.figures.get(name).copied();
    let mut findings = Findings::default();
    for (what, blocked) in [("source", &seen.blocked), ("ledger", &seen.blocked_fold)] {
        if let Some(BlockedShard { growing_seconds, .. }) = blocked {
            let growing = span(Duration::from_secs_f64(*growing_seconds));
            findings.add(Level::Problem, format!("A shard of the {what} has been blocked for {growing}"));
        }
    }
    if let Some(Mappings { source, ledger }) = mappings {
        if !source.is_reading() {
            findings.add(Level::Problem, format!("The mapping is {}: nothing is read", source.state.to_lowercase()));
        }
        if let Some(ledger) = ledger.as_ref().filter(|ledger| !ledger.is_reading()) {
            findings.add(
                Level::Problem,
                format!("The ledger's mapping is {}: nothing is folded", ledger.state.to_lowercase()),
            );
        }
    }
    if let Some(dropped) = figure("dropped").filter(|dropped| *dropped > 0.0) {
        let text = format!("{} records were dropped in {shown}: the failure destination refused them", number(dropped));
        findings.add(Level::Problem, text);
    }
    for alarm in alarms.iter().flat_map(|alarms| &alarms.firing) {
        let level = if alarm.severity == Severity::Page { Level::Problem } else { Level::Warning };
        findings.add(level, format!("The alarm {} is firing", alarm.name));
    }
    if let Some(stored) = stored {
        findings.add_stored(&stored.failures);
    }
    if let Some(queued) = figure("queued").filter(|queued| *queued > 0.0) {
        findings.add(Level::Warning, format!("{} failed batches in the failure queue: redrive", number(queued)));
    }
    add_late(&mut findings, parts);
    for text in missing {
        findings.add(Level::Warning, format!("Not known: {text}"));
    }
    let is_idle = figure("invocations").is_none_or(|count| count <= 0.0);
    let quiet = format!("Quiet: no records in {shown}");
    findings.finish(if is_idle { &quiet } else { "Working: nothing is late, and no alarm is firing" })
}

fn add_late(findings: &mut Findings, parts: &Parts) {
    let figures = &parts.seen.figures;
    let window =
        parts.mappings.as_ref().and_then(|mappings| mappings.ledger.as_ref()).map_or(0, |one| one.window_seconds);
    // As the alarm FoldAge, two windows later.
    let late_fold = LATE_MS + 2.0 * MILLISECONDS * f64::from(window);
    for (name, limit, what) in [
        ("iterator_age_ms", LATE_MS, "The last record of a batch was"),
        ("fold_age_ms", late_fold, "The oldest page of a fold was"),
    ] {
        if let Some(age) = figures.get(name).filter(|age| **age > limit) {
            let age = span(Duration::from_secs_f64(age / MILLISECONDS));
            findings.add(Level::Warning, format!("{what} {age} old in the last minutes"));
        }
    }
}

/// What has been read since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    /// How often the figures were read.
    pub reads: u64,
    /// Documents of the failure bucket.
    pub documents: u64,
    /// Read units of the usage table.
    pub units: f64,
}

impl Spent {
    /// In words, with what it cost.
    pub(super) fn text(&self, dollars: &str) -> String {
        let times = if self.reads == 1 { "once" } else { "times" };
        let reads = if self.reads == 1 { String::new() } else { format!("{} ", whole(self.reads)) };
        format!("Read {reads}{times} since the start, for about {dollars}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::buckets::Failures;

    fn parts(figures: &[(&'static str, f64)]) -> Parts {
        let seen = Seen { figures: figures.iter().copied().collect(), ..Seen::default() };
        Parts { seen, ..Parts::default() }
    }

    fn found(parts: &Parts) -> (Level, Vec<String>) {
        let Assessment { level, reasons, .. } = assess(parts, "the last 3 h");
        (level, reasons)
    }

    #[test]
    fn a_stack_is_calm_while_nothing_is_late_and_quiet_without_records() {
        let title = |figures: &[(&'static str, f64)]| assess(&parts(figures), "the last 3 h").title;
        assert_eq!(title(&[("invocations", 0.0)]), "Quiet: no records in the last 3 h");
        assert_eq!(title(&[("invocations", 9.0)]), "Working: nothing is late, and no alarm is firing");
        assert_eq!(found(&parts(&[("invocations", 9.0), ("iterator_age_ms", 1_200.0)])).0, Level::Calm);
        let late = found(&parts(&[("iterator_age_ms", 61_000.0)]));
        assert_eq!(
            late,
            (Level::Warning, vec!["The last record of a batch was 61 s old in the last minutes".to_owned()])
        );
    }

    #[test]
    fn a_page_is_late_after_two_fold_windows_and_a_minute() {
        let of = |window_seconds, age| {
            let ledger =
                super::super::mappings::MappingState { state: "Enabled".to_owned(), window_seconds, last_result: None };
            let mappings = Some(Mappings { source: ledger.clone(), ledger: Some(ledger) });
            found(&Parts { mappings, ..parts(&[("fold_age_ms", age)]) }).0
        };
        assert_eq!((of(30, 119_000.0), of(30, 121_000.0)), (Level::Calm, Level::Warning));
        assert_eq!((of(300, 650_000.0), of(300, 661_000.0)), (Level::Calm, Level::Warning));
    }

    #[test]
    fn a_disabled_mapping_dropped_records_and_an_alarm_that_pages_are_problems() {
        let state =
            |state: &str| super::super::mappings::MappingState { state: state.to_owned(), ..Default::default() };
        let mappings = Some(Mappings { source: state("Disabled"), ledger: Some(state("Enabled")) });
        let disabled = Parts { mappings, ..parts(&[("dropped", 1_200.0)]) };
        let expected = [
            "The mapping is disabled: nothing is read",
            "1,200 records were dropped in the last 3 h: the failure destination refused them",
        ];
        assert_eq!(found(&disabled), (Level::Problem, expected.map(str::to_owned).to_vec()));
        let alarm = |name: &str, severity| AlarmStatus {
            name: name.to_owned(),
            state: laptop::emulators::State::Alarm,
            since: None,
            reason: String::new(),
            severity,
        };
        let firing = vec![alarm("AnyError", Severity::Ticket), alarm("ErrorRate", Severity::Page)];
        let firing = Parts { alarms: Some(Alarms { firing, total: 48 }), ..parts(&[]) };
        let expected = ["The alarm ErrorRate is firing", "The alarm AnyError is firing"];
        assert_eq!(found(&firing), (Level::Problem, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_is_stored_and_what_cannot_be_read_are_warnings() {
        let failures = Failures { batches: 2, ..Failures::default() };
        let stored = Some(Stored { failures, ..Stored::default() });
        let missing = vec!["the alarms: AccessDenied".to_owned()];
        let parts = Parts { stored, missing, ..parts(&[]) };
        let expected = ["2 failed batches: redrive", "Not known: the alarms: AccessDenied"];
        assert_eq!(found(&parts), (Level::Warning, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_blocked_shard_says_since_when_and_where_the_reason_is() {
        let mut parts = parts(&[]);
        parts.seen.blocked = Some(BlockedShard { age_seconds: 421.0, growing_seconds: 420.0 });
        let lines = blocked(&parts);
        assert_eq!(
            lines,
            [[
                "A shard of the source makes no progress: deliveries fail, and the iterator age has grown for 7 min.",
                "Its oldest record is 7 min 1 s old. CloudWatch doesn't name the shard or the record; the function's log does."
            ]]
        );
        assert_eq!(found(&parts).1, ["A shard of the source has been blocked for 7 min"]);
    }
}
