//! `closing` of `[snapshot]`: when windows are closed.

use std::collections::BTreeMap;

use super::super::document::Section;
use super::super::{Closing, LateRecords, MeasureKind, MeasureName, Route, Snapshot, adjusted_name};
use super::window_time::duration;
use crate::window::Window;

/// Windows that others are closed with: those of which a day, a week and a month are made up, or that are made up of days.
const TOGETHER: [(&str, Window); 3] = [("hour", Window::Hour), ("day", Window::Day), ("month", Window::Month)];

/// Reads the table, for a pipeline that counts these windows.
pub(super) fn read(section: Section<'_>, windows: &[Window]) -> Option<Closing> {
    let grace_seconds = duration(&section, "grace");
    if section.value("grace").is_none() {
        section
            .mistake("`grace` is missing; write how long after its end a window is closed, for example grace = \"2h\"");
    }
    let late = section.choice("late", &[("restate", LateRecords::Restate), ("adjust", LateRecords::Adjust)]);
    let late = late.unwrap_or(LateRecords::Restate);
    let window = section.choice("window", &TOGETHER);
    let is_whole = |window: Window| window != Window::Month || !windows.contains(&Window::Week);
    if window.is_some_and(|window| !is_whole(window)) {
        section
            .mistake("`window = \"month\"` can't be combined with weeks, which may lie in two months; write \"day\"");
    }
    section.finish();
    // An adjusted record leaves all windows that it would count in, so these are closed together, by default with the shortest.
    let shortest = windows.iter().copied().filter(|window| *window != Window::Week && *window != Window::Total).min();
    let window = match late {
        LateRecords::Adjust => window.or(shortest.filter(|shortest| is_whole(*shortest))).or(Some(Window::Day)),
        LateRecords::Restate => window,
    };
    Some(Closing { grace_seconds: grace_seconds?, late, window })
}

/// Adds the measures that say how much of each measure is due to adjustments, and notes why there can't be any.
pub(super) fn add_adjustments(
    root: &Section<'_>,
    snapshot: &Snapshot,
    routes: &[Route],
    measures: &mut Vec<String>,
    kinds: &mut BTreeMap<String, MeasureKind>,
) {
    if snapshot.closing.is_none_or(|closing| closing.late != LateRecords::Adjust) {
        return;
    }
    let Some(section) = root.value("snapshot") else { return };
    let mistake = |message: &str| {
        root.document.mistake(&section.span(), format!("[snapshot] closing: `late = \"adjust\"` {message}"));
    };
    let adjusted: Vec<&Route> = routes.iter().filter(|route| route.window_time.is_some()).collect();
    if adjusted.is_empty() {
        mistake(
            "needs `window_time`: without it, a record counts in the windows of its creation, for which it is never late; write \
             late = \"restate\"",
        );
    }
    if adjusted
        .iter()
        .flat_map(|route| route.measures())
        .any(|measure| matches!(measure.name, MeasureName::Captured(_)))
    {
        mistake("can't be combined with a measure whose name has a variable; write late = \"restate\"");
    }
    for name in measures.clone() {
        let own = adjusted_name(&name);
        let kind = kinds.get(&name).cloned();
        let attributes = kind.as_ref().map_or_else(|| vec![own.clone()], |kind| kind.attributes(&own));
        let is_taken = |attribute: &String| {
            measures.contains(attribute)
                || snapshot.reserved().any(|reserved| reserved == attribute)
                || kinds.iter().any(|(other, kind)| kind.attributes(other).contains(attribute))
        };
        if let Some(taken) = attributes.iter().find(|attribute| is_taken(attribute)) {
            mistake(&format!("adds the attribute `{taken}`, which exists already; choose another name for that one"));
        }
        kinds.extend(kind.map(|kind| (own.clone(), kind)));
        measures.push(own);
    }
}

#[cfg(test)]
mod tests;
