//! The differences between two versions of a pipeline: what each does to the counters, snapshots and files that exist.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use usage_aggregator::archive::RecordSchema;

use super::super::check::{Finding, Verdict, compare};
use super::counters::counters;
use super::definition::{Counter, Definition, Record};

/// All differences, those of what is counted first.
pub(super) fn changes(old: &Definition, new: &Definition) -> Vec<Finding> {
    let mut findings = generation(old, new);
    for key in differing(&old.top, &new.top) {
        findings.push(match key {
            "archive" => Finding::new(
                "archive",
                "the prefix changed",
                Verdict::Unsafe,
                "new files would be outside the Athena tables of the old ones; keep it, or set ARCHIVE_PREFIX to the old one",
            ),
            "unmatched" => Finding::new(
                key,
                "changed",
                Verdict::Safe,
                "it only decides whether records are rejected from now on if none of their images has a type",
            ),
            _ => unknown(key),
        });
    }
    snapshot(old, new, &mut findings);
    for record in &old.records {
        match new.records.iter().find(|other| other.name == record.name) {
            Some(other) => records((old, record), (new, other), &mut findings),
            None => removed(record, new, &mut findings),
        }
    }
    for record in new.records.iter().filter(|record| old.records.iter().all(|other| other.name != record.name)) {
        let reason = "it counts and archives from now on";
        findings.push(Finding::new(&place(record), "added", Verdict::Safe, reason));
    }
    findings
}

/// `generation` orders the definitions of what is counted: a record that two versions of the function count differently counts once,
/// by the higher generation.
fn generation(old: &Definition, new: &Definition) -> Vec<Finding> {
    let (before, after) = (old.generation, new.generation);
    let changed = old.counting() != new.counting();
    let finding = |change: String, verdict, reason: String| vec![Finding::new("generation", change, verdict, reason)];
    match (changed, after) {
        _ if after < before => finding(
            format!("{before} becomes {after}"),
            Verdict::Unsafe,
            format!(
                "records delivered again would count as before; write generation = {}, even to go back",
                before + 1
            ),
        ),
        (true, after) if after == before => finding(
            format!("still {after}, but what is counted changed"),
            Verdict::Unsafe,
            format!("a record delivered again could count by either version; write generation = {}", before + 1),
        ),
        (true, _) => finding(
            format!("{before} becomes {after}"),
            Verdict::Safe,
            "records that both versions read count by the new one; what was counted stays".to_owned(),
        ),
        (false, after) if after > before => {
            finding(format!("{before} becomes {after}"), Verdict::Safe, "nothing that is counted changed".to_owned())
        }
        (false, _) => Vec::new(),
    }
}

/// Changes of the snapshots.
fn snapshot(old: &Definition, new: &Definition, findings: &mut Vec<Finding>) {
    let (before, after) = match (&old.snapshot, &new.snapshot) {
        (Some(before), Some(after)) => (before, after),
        (None, None) => return,
        (None, Some(_)) => {
            let reason = "the pipeline counts from now on";
            return findings.push(Finding::new("snapshot", "added", Verdict::Safe, reason));
        }
        (Some(_), None) => {
            let reason = "all snapshots keep their last values and are never updated; keep it as long as they are read";
            return findings.push(Finding::new("snapshot", "removed", Verdict::Unsafe, reason));
        }
    };
    for key in differing(before, after) {
        let place = format!("snapshot.{key}");
        let finding = |verdict, reason: &str| Finding::new(&place, "changed", verdict, reason);
        match key {
            "windows" => windows(before, after, findings),
            "partition_key" | "sort_key" | "window_names" => findings.push(finding(
                Verdict::Unsafe,
                "snapshots get other keys: those that exist keep their last values and readers would see both; use a new \
                 usage table, or delete the old snapshots and rebuild them",
            )),
            "time_zone" => findings.push(finding(
                Verdict::Unsafe,
                "windows begin at other times, so those before and after the change overlap; use a new ledger and usage \
                 table",
            )),
            "attributes" => findings.push(finding(
                Verdict::Safe,
                "a snapshot gets them with its next change; keep old attributes as long as an index needs them",
            )),
            "index_keys" => findings.push(finding(Verdict::Safe, "it only decides which records are rejected")),
            "time_to_live" => findings.push(finding(
                Verdict::Safe,
                "it applies to snapshots that are written from now on; others keep their expiry",
            )),
            "closing" => findings.push(finding(
                Verdict::Safe,
                "it applies from now on; what closed windows and adjustments already have stays",
            )),
            "fraction" | "if_taken" => findings.push(finding(
                Verdict::Unsafe,
                "counters of snapshots that exist change their attribute or format with their next change, and the old \
                 attributes stay; use a new usage table, or delete the old snapshots and rebuild them",
            )),
            key => findings.push(unknown(&format!("snapshot.{key}"))),
        }
    }
}

fn windows(before: &Map<String, Json>, after: &Map<String, Json>, findings: &mut Vec<Finding>) {
    let names = |snapshot: &Map<String, Json>| -> BTreeSet<String> {
        match snapshot.get("windows").and_then(Json::as_array) {
            Some(list) => list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            None => ["hour", "day", "month"].map(str::to_owned).into(),
        }
    };
    let (before, after) = (names(before), names(after));
    for name in before.difference(&after) {
        findings.push(Finding::new(
            "snapshot.windows",
            format!("{name} removed"),
            Verdict::Unsafe,
            "its snapshots keep their last values and are never updated; keep it as long as they are read",
        ));
    }
    for name in after.difference(&before) {
        findings.push(Finding::new(
            "snapshot.windows",
            format!("{name} added"),
            Verdict::Safe,
            "it counts what the ledger still holds, and an entity's snapshot appears with its next change",
        ));
    }
}

/// Changes of one record type.
fn records((old, before): (&Definition, &Record), (new, after): (&Definition, &Record), findings: &mut Vec<Finding>) {
    let place = place(before);
    if !(before.counters.is_empty() && before.archive.is_none()) {
        for key in differing(&before.selection, &after.selection) {
            findings.push(Finding::new(
                &place,
                format!("`{key}` changed"),
                Verdict::Unsafe,
                "its counters and rows would cover other records than before, and deltas of items that no longer match stay; \
                 add a new record type with measures of its own",
            ));
        }
    }
    counters(&place, &before.counters, &after.counters, findings);
    match (&before.archive, &after.archive) {
        (Some(_), None) => {
            let reason = "its Athena table is removed too, but the files remain: keep it as long as they are read";
            findings.push(Finding::new(&place, "archive removed", Verdict::Unsafe, reason));
        }
        (None, Some(_)) => {
            let reason = "records are archived from now on";
            findings.push(Finding::new(&place, "archive added", Verdict::Safe, reason));
        }
        (Some(one), Some(other)) => archive(&place, one, other, findings),
        (None, None) => {}
    }
    if let (Some(one), Some(other)) = (schema(old, before), schema(new, after)) {
        let moved = |finding: Finding| Finding { path: format!("{place}, {}", finding.path), ..finding };
        findings.extend(compare(one.parsed(), other.parsed()).into_iter().map(moved));
    }
}

fn archive(place: &str, before: &Map<String, Json>, after: &Map<String, Json>, findings: &mut Vec<Finding>) {
    for key in differing(before, after) {
        let change = format!("archive.{key} changed");
        match key {
            // What the files say is compared instead.
            "schema" => {}
            "partition_date" | "partition_date_unit" => findings.push(Finding::new(
                place,
                change,
                Verdict::Unsafe,
                "a record delivered again would be in two dates, where the view doesn't recognize it as one; old rows keep \
                 their date",
            )),
            "events" => findings.push(Finding::new(
                place,
                change,
                Verdict::Safe,
                "rows of the other events are written, or not, from now on",
            )),
            _ => findings.push(Finding::new(
                place,
                change,
                Verdict::Unsafe,
                "old rows and new ones would mean different things; add a new record type",
            )),
        }
    }
}

fn schema(definition: &Definition, record: &Record) -> Option<RecordSchema> {
    let file = record.archive.as_ref()?.get("schema")?.as_str()?;
    RecordSchema::parse(definition.folder.files.get(file)?).ok()
}

fn removed(record: &Record, new: &Definition, findings: &mut Vec<Finding>) {
    let is_counted = |counter: &Counter| {
        new.records.iter().flat_map(|other| &other.counters).any(|other| other.group == counter.group)
    };
    let (verdict, reason) = match (record.counters.iter().all(is_counted), record.archive.is_none()) {
        (true, true) => (Verdict::Safe, "other record types count for its counters, and it has no files"),
        (false, _) => (
            Verdict::Unsafe,
            "its counters keep their last values and are never updated; keep it as long as they are read",
        ),
        (true, false) => {
            (Verdict::Unsafe, "its Athena table is removed too, but the files remain: keep it as long as they are read")
        }
    };
    findings.push(Finding::new(&place(record), "removed", verdict, reason));
}

fn place(record: &Record) -> String {
    format!("record type {}", record.name)
}

fn unknown(key: &str) -> Finding {
    let reason = "it may change the counters that exist; compare a window before and after on a copy";
    Finding::new(key, "changed", Verdict::Unsafe, reason)
}

/// The keys whose values differ.
pub(super) fn differing<'m>(old: &'m Map<String, Json>, new: &'m Map<String, Json>) -> BTreeSet<&'m str> {
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).collect()
}
