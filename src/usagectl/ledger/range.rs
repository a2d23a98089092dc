//! Ranges of minutes on the command line.

use clap::Args;
use usage_aggregator::ledger::{Level, WindowKey};
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Zone;

use crate::shell::console::UsageError;

/// The minutes from FROM to TO, both included.
#[derive(Debug, Clone, Args)]
pub(super) struct Range {
    /// First minute (UTC), hour, day, week or month: 2026-11-28T08:57, 2026-11-28T08, 2026-11-28, 2026-W48 or 2026-11
    #[arg(value_name = "FROM")]
    from: String,
    /// Last minute, hour, day, week or month [default: FROM]
    #[arg(value_name = "TO")]
    to: Option<String>,
}

impl Range {
    /// The window FROM, as it is.
    ///
    /// # Errors
    /// If FROM isn't a window.
    pub(super) fn only(&self, zone: Zone) -> Result<WindowKey, UsageError> {
        window(&self.from, zone)
    }

    /// The minutes in order, of windows in this time zone.
    ///
    /// # Errors
    /// If FROM or TO isn't a window, or is the total, which has every minute.
    pub(super) fn minutes(&self, zone: Zone) -> Result<Vec<Segment>, UsageError> {
        let limited = |text: &str| {
            let window = window(text, zone)?;
            let every = "total has every minute; specify months, days, hours or minutes";
            match window.level {
                Level::Total => Err(UsageError(every.to_owned())),
                Level::Piece => {
                    Err(UsageError(format!("`{text}` has no minutes of its own; specify one of its hours")))
                }
                _ => Ok(window),
            }
        };
        let (from, to) = (limited(&self.from)?, limited(self.to.as_deref().unwrap_or(&self.from))?);
        if to.start() < from.start() {
            let swapped = "TO is before FROM; specify the first window, and then the last one";
            return Err(UsageError(swapped.to_owned()));
        }
        let end = Segment::at(to.end());
        let mut minute = Segment::at(from.start());
        let mut minutes = Vec::new();
        while minute < end {
            minutes.push(minute);
            minute = minute.next();
        }
        Ok(minutes)
    }
}

/// Parses a window on the command line, in the time zone of the pipeline.
///
/// # Errors
/// With the expected forms.
pub(crate) fn window(text: &str, zone: Zone) -> Result<WindowKey, UsageError> {
    WindowKey::parse(text, zone).ok_or_else(|| {
        let hour = match zone.is_utc() {
            true => "2026-11-28T08".to_owned(),
            false => format!("2026-11-28T08 and its offset in {} (as in 2026-11-28T09+01:00)", zone.name()),
        };
        UsageError(format!(
            "`{text}` isn't a window; expected the minute 2026-11-28T08:57 (UTC), the hour {hour}, the day 2026-11-28, the week 2026-W48 or the month 2026-11"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_range_that_ends_before_it_begins_is_refused() {
        let range = Range { from: "2026-11-28T11".to_owned(), to: Some("2026-11-28T08".to_owned()) };
        assert!(range.minutes(Zone::UTC).unwrap_err().0.contains("TO is before FROM"));
    }

    #[test]
    fn a_range_has_every_minute_of_its_windows() {
        let minutes = |from: &str, to: Option<&str>| {
            let range = Range { from: from.to_owned(), to: to.map(str::to_owned) };
            let minutes = range.minutes(Zone::UTC).unwrap();
            let minutes: Vec<String> = minutes.into_iter().map(Segment::text).collect();
            (minutes.len(), minutes.first().cloned().unwrap_or_default(), minutes.last().cloned().unwrap_or_default())
        };
        let expected = |count, first: &str, last: &str| (count, first.to_owned(), last.to_owned());
        assert_eq!(minutes("2026-11-28T08:57", None), expected(1, "2026-11-28T08:57", "2026-11-28T08:57"));
        assert_eq!(minutes("2026-11-28T08", None), expected(60, "2026-11-28T08:00", "2026-11-28T08:59"));
        assert_eq!(
            minutes("2026-11-28", Some("2026-11-29T00:01")),
            expected(1_442, "2026-11-28T00:00", "2026-11-29T00:01")
        );
        assert_eq!(minutes("2026-W48", None), expected(7 * 1_440, "2026-11-23T00:00", "2026-11-29T23:59"));
        let berlin = Range { from: "2026-10-25".to_owned(), to: None }.minutes(Zone::named("Europe/Berlin").unwrap());
        assert_eq!(berlin.unwrap().len(), 25 * 60, "a day on which the clocks go back");
        let refused =
            |from: &str| Range { from: from.to_owned(), to: None }.minutes(Zone::UTC).unwrap_err().to_string();
        assert!(refused("2026-11-28 08").starts_with("`2026-11-28 08` isn't a window; expected the minute "));
        assert!(refused("total").starts_with("total has every minute"));
    }
}
