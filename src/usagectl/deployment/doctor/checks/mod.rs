//! The checks: pure functions of the facts, with one file for each part of a deployment.

pub(super) mod alerts;
pub(super) mod archive;
pub(super) mod athena;
pub(super) mod contents;
pub(super) mod delivery;
pub(super) mod destination;
pub(super) mod filters;
pub(super) mod function;
mod here;
pub(super) mod ledger;
pub(super) mod load;
pub(super) mod mapping;
pub(super) mod money;
pub(super) mod source;
pub(super) mod tables;
pub(super) mod watch;

use std::time::Duration;
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS};

use super::facts::{Fact, Facts, Function, Mapping, RecentMetrics, SourceFacts, Unavailable};

/// Milliseconds per second.
const MILLISECONDS: f64 = 1_000.0;

fn of<T>(fact: &Fact<T>) -> Result<&T, Unavailable> {
    fact.as_ref().map_err(Clone::clone)
}

/// The facts that most checks need.
impl Facts {
    fn the_mapping(&self) -> Result<&Mapping, Unavailable> {
        of(&self.mapping)
    }

    /// KEEP_DAYS, if it is set.
    fn keep_days(&self) -> Option<i64> {
        self.function.as_ref().ok()?.variables.get("KEEP_DAYS")?.parse().ok()
    }

    fn the_function(&self) -> Result<&Function, Unavailable> {
        of(&self.function)
    }

    fn the_source(&self) -> Result<&SourceFacts, Unavailable> {
        of(&self.source)
    }

    fn the_numbers(&self) -> Result<&RecentMetrics, Unavailable> {
        of(&self.measured)
    }

    /// A command that shows the errors in the function's log.
    pub fn errors_in_the_log(&self) -> String {
        self.log_lines("{ $.level = \"ERROR\" || $.level = \"WARN\" }")
    }

    /// A command that shows the lines of the function's log that match a pattern.
    pub fn log_lines(&self, pattern: &str) -> String {
        if self.here {
            return "usagectl local --verbose".to_owned();
        }
        match (&self.names.log_group, self.function_name()) {
            (Some(log), _) => filter_log(log, pattern),
            (None, Some(function)) => filter_log(&format!("/aws/lambda/{function}"), pattern),
            (None, None) => filter_log("/aws/lambda/FUNCTION", pattern),
        }
    }
}

fn filter_log(log: &str, pattern: &str) -> String {
    format!(
        "aws logs filter-log-events --log-group-name \"{log}\" --filter-pattern '{pattern}' --start-time $(($(date +%s) - 3600))000 --query 'events[].[message]' --output text"
    )
}

fn seconds(milliseconds: f64) -> String {
    /// From here on fractions don't matter.
    const MINUTES: f64 = 120_000.0;
    let seconds = milliseconds / MILLISECONDS;
    match Duration::try_from_secs_f64(seconds) {
        Ok(long) if milliseconds >= MINUTES => span(i64::try_from(long.as_secs()).unwrap_or(i64::MAX)),
        _ => format!("{seconds:.1} s"),
    }
}

/// Quotes a string for a shell: policies and patterns may contain any characters.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A duration in its two largest units.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) =
        (seconds / DAY_SECONDS, seconds % DAY_SECONDS / HOUR_SECONDS, seconds % HOUR_SECONDS / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", seconds.max(0)),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A whole number that a 64-bit float holds exactly.
fn float(number: i64) -> f64 {
    u32::try_from(number.unsigned_abs()).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_and_quotes_are_escaped() {
        for (seconds, text) in
            [(5, "5 s"), (90, "1 min"), (7_260, "2 h 1 min"), (86_400, "1 d"), (180_000, "2 d 2 h"), (-1, "0 s")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!((seconds(900.0), seconds(120_000.0)), ("0.9 s".to_owned(), "2 min".to_owned()));
        assert_eq!(quoted("a'; rm -rf b"), r"'a'\''; rm -rf b'");
    }
}
