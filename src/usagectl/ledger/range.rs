//! Ranges of minutes on the command line.

use clap::Args;
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::usage::Segment;

/// The minutes from FROM to TO, both included.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Range {
    /// First minute, hour, day or month (UTC): 2026-11-28T08:57, 2026-11-28T08, 2026-11-28 or 2026-11
    #[arg(value_name = "FROM", value_parser = window)]
    from: WindowKey,
    /// Last minute, hour, day or month [default: FROM]
    #[arg(value_name = "TO", value_parser = window)]
    to: Option<WindowKey>,
}

impl Range {
    /// The minutes in order.
    pub(super) fn minutes(self) -> Vec<Segment> {
        let end = Segment::at(self.to.unwrap_or(self.from).end());
        let mut minute = Segment::at(self.from.start());
        let mut minutes = Vec::new();
        while minute < end {
            minutes.push(minute);
            minute = minute.next();
        }
        minutes
    }
}

/// Parses a window on the command line.
pub(crate) fn window(text: &str) -> Result<WindowKey, String> {
    WindowKey::parse(text).ok_or_else(|| "expected 2026-11-28T08:57, 2026-11-28T08, 2026-11-28 or 2026-11".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_every_minute_of_its_windows() {
        let minutes = |from: &str, to: Option<&str>| {
            let range = Range { from: window(from).unwrap(), to: to.map(|to| window(to).unwrap()) };
            let minutes: Vec<String> = range.minutes().into_iter().map(Segment::text).collect();
            (minutes.len(), minutes.first().cloned().unwrap_or_default(), minutes.last().cloned().unwrap_or_default())
        };
        let expected = |count, first: &str, last: &str| (count, first.to_owned(), last.to_owned());
        assert_eq!(minutes("2026-11-28T08:57", None), expected(1, "2026-11-28T08:57", "2026-11-28T08:57"));
        assert_eq!(minutes("2026-11-28T08", None), expected(60, "2026-11-28T08:00", "2026-11-28T08:59"));
        assert_eq!(
            minutes("2026-11-28", Some("2026-11-29T00:01")),
            expected(1_442, "2026-11-28T00:00", "2026-11-29T00:01")
        );
        assert_eq!(minutes("2026-11-28", Some("2026-11-27")).0, 0);
        assert!(window("2026-11-28 08").is_err());
    }
}
