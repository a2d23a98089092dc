//! What `kind = "weighted"` needs, and what `level` and `weighted` must see to be right.

use super::super::document::Section;
use super::super::{DurationUnit, Snapshot, Stream, Weight};
use super::counter::Countable;
use super::kind::Kind;
use super::{EVENTS, TIME_UNITS, path};
use crate::record::Event;
use crate::time::Unit;
use crate::window::Window;

/// Reads how a weighted measure knows for how long a value stood.
pub(super) fn read(section: &Section<'_>, kind: Option<Kind>, snapshot: &Snapshot) -> Option<Weight> {
    let since = section.text("since");
    let units = [
        ("seconds", DurationUnit::Seconds),
        ("minutes", DurationUnit::Minutes),
        ("hours", DurationUnit::Hours),
        ("days", DurationUnit::Days),
    ];
    let unit = section.choice("unit", &units);
    let since_unit = section.choice("since_unit", &TIME_UNITS);
    if kind != Some(Kind::Weighted) {
        for key in ["since", "since_unit", "unit"] {
            if let Some(value) = section.value(key).filter(|_| kind.is_some()) {
                let message = format!("{}: `{key}` needs `kind = \"weighted\"`; leave it out", section.title);
                section.document.mistake(&value.span(), message);
            }
        }
        return None;
    }
    let Some(since) = since else {
        if section.value("since").is_none() {
            section.mistake(
                "`since` is missing; write since = \"updated_at\", the attribute with the time at which the value was written",
            );
        }
        return None;
    };
    Some(Weight {
        since: path::read(section, "since", &since)?,
        since_unit: since_unit.unwrap_or(Unit::Seconds),
        zone: snapshot.zone,
        unit: unit.unwrap_or(DurationUnit::Hours),
    })
}

/// Notes what makes the numbers of a measure wrong that depends on old images.
pub(super) fn check(section: &Section<'_>, kind: Option<Kind>, snapshot: &Snapshot, countable: Countable<'_>) {
    let (needed, purpose): (&[Event], &str) = match kind {
        // Even one without an attribute: an update may move an item to another entity, or make it meet other conditions.
        Some(Kind::Delta) => (&[Event::Insert, Event::Modify], "a delta must see every change of its value"),
        Some(Kind::Level) => (&Event::ALL, "a level must see every change of its value and every removal"),
        Some(Kind::Weighted) => (
            &[Event::Modify, Event::Remove, Event::Expire],
            "a weighted measure counts a value when it changes or its item is removed",
        ),
        _ => return,
    };
    if !needed.iter().all(|event| countable.events.contains(event)) {
        let name = |event: &Event| EVENTS.iter().find(|(_, known)| known == event).map_or("", |(name, _)| *name);
        let missing = needed.iter().map(name).collect::<Vec<_>>();
        let list = match missing.as_slice() {
            [one, other] => format!("{one} and {other}"),
            [before @ .., last] => format!("{}, and {last}", before.join(", ")),
            [] => String::new(),
        };
        section.mistake(format_args!("{purpose}; add {list} to the record's `events`"));
    }
    if kind != Some(Kind::Delta) && countable.stream == Some(Stream::Kinesis) {
        section.mistake(format_args!(
            "`kind = \"{}\"` needs changes and removals of items, but each message of a plain Kinesis stream inserts a new one; write \
             kind = \"sum\", or, if the stream carries the changes of a table, remove `stream = \"kinesis\"`",
            section.text_of("kind").unwrap_or_default()
        ));
    }
    if kind == Some(Kind::Level) && !snapshot.windows.contains(&Window::Total) {
        section.mistake(
            "only the window \"total\" has the current value of a level; add \"total\" to `windows` of [snapshot], or \
             write kind = \"delta\" to count only changes",
        );
    }
}
