//! `window_time` of a `[[record]]`: the attribute that decides in which windows its records count.

use super::super::document::Section;
use super::super::{Amount, Beyond, Counter, Measure, WindowTime};
use super::path;
use crate::time::{DAY_SECONDS, HOUR_SECONDS, Unit};

/// A year, so that states don't stay forever.
const MAX_SECONDS: i64 = 366 * DAY_SECONDS;
const USUAL_LATE_SECONDS: i64 = 7 * DAY_SECONDS;
const USUAL_EARLY_SECONDS: i64 = 5 * 60;

const UNITS: [(&str, Unit); 3] =
    [("seconds", Unit::Seconds), ("milliseconds", Unit::Milliseconds), ("microseconds", Unit::Microseconds)];

/// Reads the table of a record type with these counters.
pub(super) fn read(section: Section<'_>, counters: &[Counter]) -> Option<WindowTime> {
    let attribute = section.required_text("attribute", "\"ordered_at\"");
    let unit = section.choice("unit", &UNITS).unwrap_or(Unit::Seconds);
    let late_seconds = duration(&section, "late").unwrap_or(USUAL_LATE_SECONDS);
    let early_seconds = duration(&section, "early").unwrap_or(USUAL_EARLY_SECONDS);
    let beyond = section.choice("beyond", &[("reject", Beyond::Reject), ("creation_time", Beyond::CreationTime)]);
    if counters.is_empty() {
        section.mistake("decides in which windows a record counts, but this record type counts nothing; leave it out");
    }
    let takes_back = |measure: &Measure| !matches!(measure.amount, Amount::Each { .. });
    if section.value("beyond").is_none() && counters.iter().flat_map(|counter| &counter.measures).any(takes_back) {
        section.mistake(
            "`beyond` is missing: items of any age are changed and removed, and this record type takes back what they had; write \
             beyond = \"creation_time\" to take it back in the window of the change, or \"reject\"",
        );
    }
    let path = attribute.and_then(|attribute| path::read(&section, "attribute", &attribute));
    section.finish();
    Some(WindowTime { path: path?, unit, late_seconds, early_seconds, beyond: beyond.unwrap_or(Beyond::Reject) })
}

/// Reads a duration such as `7d`, in seconds.
pub(super) fn duration(section: &Section<'_>, key: &'static str) -> Option<i64> {
    let text = section.text(key)?;
    let parse = || {
        let (digits, unit) = text.text.split_at_checked(text.text.len().checked_sub(1)?)?;
        let unit = match unit {
            "m" => 60,
            "h" => HOUR_SECONDS,
            "d" => DAY_SECONDS,
            _ => return None,
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = digits.parse::<i64>().ok().filter(|_| is_number)?.checked_mul(unit)?;
        Some(seconds).filter(|seconds| *seconds <= MAX_SECONDS)
    };
    let seconds = parse();
    if seconds.is_none() {
        let message = format!(
            "{}: `{key}` must be a whole number of minutes, hours, or days up to 366 days, for example \"30m\", \"2h\", or \"7d\"",
            section.title
        );
        section.document.mistake(&text.span, message);
    }
    seconds
}

#[cfg(test)]
mod tests;
