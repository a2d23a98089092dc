//! The differences between the counters of two versions of a record type.

use serde_json::{Map, Value as Json};

use super::super::check::{Finding, Verdict};
use super::changes::differing;
use super::definition::Counter;

/// Adds the differences between the counters of the record type at `place`.
pub(super) fn counters(place: &str, old: &[Counter], new: &[Counter], findings: &mut Vec<Finding>) {
    let gone: Vec<&Counter> = old.iter().filter(|counter| !has_group(new, counter)).collect();
    let added: Vec<&Counter> = new.iter().filter(|counter| !has_group(old, counter)).collect();
    match (gone.as_slice(), added.as_slice()) {
        ([one], [other]) => {
            findings.push(Finding::new(
                place,
                format!("counts for {} instead of {}", shown(other), shown(one)),
                Verdict::Unsafe,
                "its counters keep their last values under the old name, and deltas subtract from the new one what was added \
                 to the old one; add a counter instead",
            ));
            measures(place, one, other, findings);
        }
        (gone, added) => {
            for counter in gone {
                findings.push(Finding::new(
                    place,
                    format!("no longer counts for {}", shown(counter)),
                    Verdict::Unsafe,
                    "these counters keep their last values and are never updated; keep them as long as they are read",
                ));
            }
            for counter in added {
                let change = format!("also counts for {}", shown(counter));
                findings.push(Finding::new(place, change, Verdict::Safe, "from now on"));
            }
        }
    }
    for counter in old {
        if let Some(other) = new.iter().find(|other| other.group == counter.group) {
            measures(place, counter, other, findings);
        }
    }
}

fn has_group(counters: &[Counter], counter: &Counter) -> bool {
    counters.iter().any(|other| other.group == counter.group)
}

fn shown(counter: &Counter) -> String {
    format!("entity {} and resource {}", counter.group.0, counter.group.1)
}

fn measures(place: &str, old: &Counter, new: &Counter, findings: &mut Vec<Finding>) {
    let find = |counter: &Counter, name: &str| counter.measures.iter().position(|(other, _)| other == name);
    for (name, before) in &old.measures {
        let place = format!("{place}, measure {name}");
        match find(new, name).and_then(|index| new.measures.get(index)) {
            Some((_, after)) => measure(&place, before, after, findings),
            None => findings.push(Finding::new(
                &place,
                "removed",
                Verdict::Unsafe,
                "its counters keep their last values and are never updated; keep it as long as they are read",
            )),
        }
    }
    for (name, measure) in new.measures.iter().filter(|(name, _)| find(old, name).is_none()) {
        let reason = match measure.get("kind").and_then(Json::as_str) {
            Some("delta" | "level") => "it counts changes from now on, not what exists already",
            _ => "it counts from now on; open windows begin with the next record",
        };
        findings.push(Finding::new(&format!("{place}, measure {name}"), "added", Verdict::Safe, reason));
    }
}

fn measure(place: &str, before: &Map<String, Json>, after: &Map<String, Json>, findings: &mut Vec<Finding>) {
    for key in differing(before, after) {
        findings.push(match key {
            "scale" => scale(place, before.get(key), after.get(key)),
            "missing" if after.get(key).is_some() => Finding::new(
                place,
                "`missing` changed",
                Verdict::Safe,
                "records that were rejected count as zero from now on",
            ),
            key => Finding::new(
                place,
                format!("`{key}` changed"),
                Verdict::Unsafe,
                "a counter would mix values of both definitions; add a measure with another name instead",
            ),
        });
    }
}

/// A scale is a limit, and none is no limit.
fn scale(place: &str, before: Option<&Json>, after: Option<&Json>) -> Finding {
    let number = |scale: Option<&Json>| scale.and_then(|scale| scale.as_str()?.parse::<u32>().ok());
    let name = |scale: Option<u32>| scale.map_or("no limit".to_owned(), |scale| scale.to_string());
    let (before, after) = (number(before), number(after));
    let change = format!("scale: {} becomes {}", name(before), name(after));
    let is_narrower = after.is_some_and(|after| before.is_none_or(|before| after < before));
    match is_narrower {
        true => Finding::new(
            place,
            change,
            Verdict::Unsafe,
            "records with more fraction digits are rejected, also the removal of items that were counted with them",
        ),
        false => Finding::new(place, change, Verdict::Safe, "values with more fraction digits are accepted"),
    }
}
