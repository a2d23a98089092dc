//! The plan for an event as text, rendered from the JSON that `usagectl explain --json` prints.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::event::report::labeled;
use crate::event::skipped::Nearest;
use crate::shell::console::{counted, plain};

/// How many reasons for skipped records are shown.
const SHOWN_REASONS: usize = 10;

/// The code of a batch of which too many records are rejected.
const TOO_MANY: &str = "too_many_rejected";

/// The plan as text.
pub(super) fn text(plan: &Value) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write_plan(&mut out, plan);
    out
}

fn write_plan(out: &mut String, plan: &Value) -> std::fmt::Result {
    let counts = at(plan, "tally");
    let document = at(plan, "document");
    writeln!(
        out,
        "{}: pipeline {}, plan for {} of {} records",
        show(plan, "file"),
        show(plan, "pipeline"),
        show(plan, "records"),
        show(plan, "event_records")
    )?;
    if !document.is_null() {
        writeln!(out, "{}", labeled("document", &show(document, "text")))?;
    }
    let events = pairs(at(counts, "events"), show);
    writeln!(
        out,
        "records   {}; {} effective, {} skipped, {} repeated",
        if events.is_empty() { "none" } else { &events },
        show(counts, "effective"),
        show(counts, "skipped"),
        show(counts, "repeated")
    )?;
    for counter in list(plan, "counters") {
        write_counter(out, counter)?;
    }
    for file in list(plan, "files") {
        let [rows, bytes] = ["row", "byte"].map(|what| {
            let number = at(file, &format!("{what}s")).as_u64().and_then(|number| usize::try_from(number).ok());
            counted(number.unwrap_or_default(), what)
        });
        writeln!(out, "file      {}: {rows}, {bytes}", show(file, "key"))?;
    }
    for target in list(plan, "targets") {
        write_target(out, target)?;
    }
    let rejected = at(plan, "rejected");
    if !rejected.is_null() {
        let [code, field, reason] = ["code", "field", "reason"].map(|name| show(rejected, name));
        let effect = match code.as_str() {
            TOO_MANY => "no record is processed, and the whole batch is retried",
            _ => "later records are not processed",
        };
        let rejected_text = format!("{}: {code}: {field}: {reason}; {effect}", name(rejected));
        writeln!(out, "{}", labeled("rejected", &rejected_text))?;
        write_nearest(out, at(rejected, "nearest"))?;
    }
    for refused in list(plan, "refused") {
        let [code, field, reason] = ["code", "field", "reason"].map(|name| show(refused, name));
        let text = format!("{}: {code}: {field}: {reason}; it counts all the same", name(refused));
        writeln!(out, "{}", labeled("refused", &text))?;
    }
    for rejected in list(plan, "quarantined") {
        let [code, field, reason] = ["code", "field", "reason"].map(|name| show(rejected, name));
        let rejected_text = format!("{}: {code}: {field}: {reason}; quarantined", name(rejected));
        writeln!(out, "{}", labeled("rejected", &rejected_text))?;
        write_nearest(out, at(rejected, "nearest"))?;
    }
    write_skipped(out, list(plan, "skipped"))
}

/// The reasons why records are skipped, with the number of records and the first one.
fn write_skipped(out: &mut String, skipped: &[Value]) -> std::fmt::Result {
    // Records that differ only in the value that was found have the same reason.
    let key = |record: &Value| {
        let nearest = at(record, "nearest");
        [at(record, "reason"), at(nearest, "record_type"), at(nearest, "measure"), at(nearest, "attribute")]
            .map(Value::clone)
    };
    let mut reasons: Vec<([Value; 4], Vec<&Value>)> = Vec::new();
    for record in skipped {
        let key = key(record);
        match reasons.iter_mut().find(|(found, _)| *found == key) {
            Some((_, records)) => records.push(record),
            None => reasons.push((key, vec![record])),
        }
    }
    for (_, records) in reasons.iter().take(SHOWN_REASONS) {
        let Some(first) = records.first() else { continue };
        let sequence = name(first);
        let which = match records.len() {
            1 => sequence,
            several => format!("{several} records, the first {sequence}"),
        };
        writeln!(out, "{}", labeled("skipped", &format!("{which}: {}", show(first, "reason"))))?;
        write_nearest(out, at(first, "nearest"))?;
    }
    match reasons.len().saturating_sub(SHOWN_REASONS) {
        0 => Ok(()),
        more => writeln!(out, "{}", labeled("", &format!("… and {more} more reasons (--json lists all)"))),
    }
}

fn write_nearest(out: &mut String, nearest: &Value) -> std::fmt::Result {
    match serde_json::from_value::<Option<Nearest>>(nearest.clone()) {
        Ok(Some(nearest)) => writeln!(out, "{}", labeled("", &nearest.text())),
        _ => Ok(()),
    }
}

fn write_counter(out: &mut String, counter: &Value) -> std::fmt::Result {
    let records = list(counter, "records");
    let first = records.first().map(|record| show(record, "id")).unwrap_or_default();
    let more = if records.len() > 1 { format!(" and {} more", records.len() - 1) } else { String::new() };
    writeln!(
        out,
        "counter   {}, minute {}, record {first}{more}",
        pairs(at(counter, "key"), show),
        show(counter, "minute")
    )?;
    if let Some(error) = at(counter, "windows").get("error").and_then(Value::as_str) {
        let text = format!("no windows: {error}; such a sum isn't published (metric Overflow)");
        writeln!(out, "{}", labeled("", &text))?;
    }
    for window in list(counter, "windows") {
        writeln!(
            out,
            "          {:<6}{}  {}",
            show(window, "window"),
            show(window, "start"),
            [pairs(at(window, "adds"), signed), pairs(at(window, "takes"), show)]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(", ")
        )?;
    }
    Ok(())
}

/// A target of an indicator, and which records ask for it.
fn write_target(out: &mut String, target: &Value) -> std::fmt::Result {
    let asked =
        |because: &str| list(target, "records").iter().filter(|record| at(record, "because") == because).count();
    let because = match (asked("item"), asked("target")) {
        (items, 0) => format!("{} of its items", changes(items)),
        (0, own) => format!("{} of the target itself", changes(own)),
        (items, own) => format!("{} of its items and {} of the target itself", changes(items), changes(own)),
    };
    let (name, key) = (show(target, "indicator"), pairs(at(target, "key"), show));
    let units = at(target, "minimum_read_units").as_f64().unwrap_or_default();
    writeln!(out, "indicator {name} of {key}, because of {because}; at least {units} read units")
}

fn changes(count: usize) -> String {
    counted(count, "change")
}

/// `amount +129.9, orders -1`
fn pairs(object: &Value, value: fn(&Value, &str) -> String) -> String {
    let names = object.as_object().into_iter().flat_map(Map::keys);
    names.map(|name| format!("{} {}", plain(name), value(object, name))).collect::<Vec<_>>().join(", ")
}

fn signed(value: &Value, name: &str) -> String {
    let number = show(value, name);
    if number.starts_with('-') { number } else { format!("+{number}") }
}

/// A field; null if the value has none with this name.
pub(super) fn at<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// The elements of a field that is a list.
pub(super) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    at(value, name).as_array().map_or(&[], Vec::as_slice)
}

/// The sequence number of a record, and which user record of an aggregated Kinesis record it is.
fn name(record: &Value) -> String {
    let sequence = show(record, "sequence_number");
    match at(record, "user_record") {
        Value::Null => sequence,
        index => format!("{sequence}, user record {index}"),
    }
}

/// A string or number as text.
fn show(value: &Value, name: &str) -> String {
    match at(value, name) {
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}
