//! Expected totals from the ledgers of simulations: every entry's sums in each window, its row, its rejection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;

use super::Site;
use super::expected_totals::{Counter, ExpectedTotals};
use super::windows;
use crate::proof::load::{Add, Entry, Unsure, read_entries};
use stream_types::{Decimal, Timestamp};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::window::{Window, Zone};
use usage_compact::steps::{RowFields, item_text};

/// What ledgers contain besides sums.
#[derive(Debug, Default)]
pub(super) struct Ledgers {
    /// The tables and streams that were written to.
    pub targets: BTreeSet<String>,
    /// The names of the key attributes by record type.
    pub key_names: BTreeMap<String, BTreeSet<String>>,
    pub unsure_records: u64,
    pub poison_records: u64,
}

/// Records what the ledgers contain.
///
/// # Errors
/// When one can't be read, isn't finished, or belongs to another pipeline.
pub(super) fn read(
    paths: &[PathBuf],
    site: &Site<'_>,
    columns: &BTreeMap<&str, RowFields>,
    totals: &mut ExpectedTotals,
) -> anyhow::Result<Ledgers> {
    let mut ledgers = Ledgers::default();
    for path in paths {
        let head = read_entries(path, |entry| enter(&entry, site, columns, totals, &mut ledgers))?;
        ledgers.targets.insert(head.target);
    }
    totals.settle()?;
    Ok(ledgers)
}

fn enter(
    entry: &Entry,
    site: &Site<'_>,
    columns: &BTreeMap<&str, RowFields>,
    totals: &mut ExpectedTotals,
    ledgers: &mut Ledgers,
) -> anyhow::Result<()> {
    if entry.meaning.poison {
        ledgers.poison_records += 1;
        return totals.expect_poison(&item_text(&entry.meaning.key));
    }
    let mut groups = Vec::new();
    let event_time = entry.meaning.event_time.filter(|_| has_event_time(&entry.meaning.record_type, site));
    let is_unsure = is_unsure(entry, event_time, Window::Hour, site.zone());
    ledgers.unsure_records += u64::from(is_unsure);
    if let Some(snapshot) = &site.pipeline.snapshot {
        for (index, add) in entry.meaning.adds.iter().enumerate() {
            let group = group(add, &snapshot.group_variables, &site.pipeline.name)?;
            if index == 0 && !is_unsure {
                let at = event_time.unwrap_or(entry.sent_at);
                totals.count_record(&group, &windows::containing(Window::Hour, at, snapshot.zone))?;
            }
            count((entry, event_time), (add, &group), snapshot, totals)?;
            groups.push(group);
        }
    }
    if let Some(record_type) = entry.meaning.archived.as_deref().filter(|_| site.archive.is_some()) {
        let pipeline = &site.pipeline.name;
        let columns = columns.get(record_type).with_context(|| {
            format!("the pipeline {pipeline} lacks the record type {record_type} of the ledger: choose another with --pipeline")
        })?;
        let key = &entry.meaning.key;
        let names = ledgers.key_names.entry(record_type.to_owned()).or_insert_with(|| key.keys().cloned().collect());
        let item = columns.item(names, |name, _| key.get(name).cloned());
        let unsure = u64::from(entry.unsure == Some(Unsure::Arrival));
        totals.expect_row(record_type, &item, 1 - unsure, unsure)?;
        // Needed only to know which counters lack a record that waits.
        for group in groups.iter().filter(|_| site.unsettled.is_some()) {
            totals.contribute(record_type, &item, group)?;
        }
    }
    Ok(())
}

/// Whether the pipeline counts a record type in the windows of its own time.
fn has_event_time(record_type: &str, site: &Site<'_>) -> bool {
    site.pipeline.routes.iter().any(|route| route.record_type == record_type && route.window_time.is_some())
}

/// Whether it is unknown in which window an entry counts, or whether it does. A write that was sent in one window and answered in another
/// may count in either, unless the item names the time. The journal knows no time zone, so the windows decide.
fn is_unsure(entry: &Entry, event_time: Option<Timestamp>, window: Window, zone: Zone) -> bool {
    let [sent, done] =
        [entry.sent_at, entry.done_at].map(|at| windows::containing(window, event_time.unwrap_or(at), zone));
    entry.unsure == Some(Unsure::Arrival) || sent != done
}

/// Adds an entry to its counters, or excludes those that it may have added to.
fn count(
    (entry, event_time): (&Entry, Option<Timestamp>),
    (add, group): (&Add, &str),
    snapshot: &Snapshot,
    totals: &mut ExpectedTotals,
) -> anyhow::Result<()> {
    let amount = Decimal::parse(&add.amount).with_context(|| format!("read change {} of the ledger", entry.change))?;
    for window in &snapshot.windows {
        let counter = |at| Counter {
            group: group.to_owned(),
            window: window.name(),
            start: windows::containing(*window, at, snapshot.zone),
            measure: add.measure.clone(),
        };
        let [sent, done] = [entry.sent_at, entry.done_at].map(|at| counter(event_time.unwrap_or(at)));
        if is_unsure(entry, event_time, *window, snapshot.zone) {
            totals.doubt(&sent)?;
            totals.doubt(&done)?;
        } else {
            totals.expect(sent, amount)?;
        }
    }
    Ok(())
}

/// The values of the pipeline's group variables, as a JSON array.
fn group(add: &Add, variables: &[String], pipeline: &str) -> anyhow::Result<String> {
    let value = |name: &String| {
        let missing = || {
            format!(
                "the ledger lacks `{name}`, by which the pipeline {pipeline} groups counters: choose another with --pipeline"
            )
        };
        add.group.get(name).with_context(missing)
    };
    let values: Vec<&String> = variables.iter().map(value).collect::<anyhow::Result<_>>()?;
    Ok(serde_json::to_string(&values)?)
}
