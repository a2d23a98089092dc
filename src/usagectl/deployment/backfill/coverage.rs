//! Whether the stream, as it can still be read, decides what every item was at the cut. Pure.

use stream_types::Timestamp;

/// A stream keeps its records for 24 hours.
const RETENTION_SECONDS: i64 = 24 * 3_600;

/// The times that matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coverage {
    /// When the stream was attached to the table.
    pub(super) attached_at: Timestamp,
    /// COUNT_FROM, from which records are counted.
    pub(super) count_from: Option<Timestamp>,
    /// From when to when the export or scan shows the items.
    pub(super) shown: (Timestamp, Timestamp),
    /// How far the clocks of a table's parts and of its exports may be apart, and how late a stream may be.
    pub(super) margin_seconds: i64,
}

impl Coverage {
    /// The cut: the time of the records. The beginning of the second in which the stream was attached, or COUNT_FROM.
    pub(super) fn cut(&self) -> Timestamp {
        let attached = Timestamp::from_seconds(self.attached_at.seconds()).unwrap_or(self.attached_at);
        self.count_from.map_or(attached, |from| from.max(attached))
    }

    /// Checks what doesn't depend on reading the stream.
    ///
    /// # Errors
    /// With what to do instead.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), String> {
        let Coverage { attached_at, shown: (from, _), margin_seconds: margin, .. } = *self;
        let cut = self.cut();
        if cut > now {
            return Err(format!("COUNT_FROM is {cut}, which is in the future; run the command again after it"));
        }
        if from.micros() < attached_at.micros() + margin * 1_000_000 {
            return Err(format!(
                "the export shows the table at {from}, and the stream was attached at {attached_at}, so changes in between would be lost: export the table again, or add an incremental export that ends at least {margin} s after the stream was attached"
            ));
        }
        Ok(())
    }

    /// When the stream has every record that matters.
    pub(super) fn ready_seconds(&self) -> i64 {
        self.cut().max(self.shown.1).seconds() + self.margin_seconds
    }

    /// Checks that no record that matters had been trimmed when the stream had been read, which is now.
    ///
    /// # Errors
    /// With what to do instead.
    pub(super) fn check_read(&self, now: Timestamp) -> Result<(), String> {
        let first = self.cut().min(self.shown.0).seconds() - self.margin_seconds;
        let first = first.max(self.attached_at.seconds());
        if now.seconds() - first < RETENTION_SECONDS {
            return Ok(());
        }
        let first = Timestamp::from_seconds(first).map(|first| first.to_string()).unwrap_or_default();
        Err(format!(
            "the stream has lost its records since {first}, because it keeps them for 24 hours, so what was counted since then can't be told from what existed: detach and attach the stream in a new stack (docs/backfill.md), or write only rows with --archive-only"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(&format!("2026-11-28T{text}Z")).unwrap()
    }

    fn coverage(count_from: Option<&str>, shown: &str) -> Coverage {
        Coverage {
            attached_at: at("08:57:00.700"),
            count_from: count_from.map(at),
            shown: (at(shown), at(shown)),
            margin_seconds: 60,
        }
    }

    #[test]
    fn the_cut_is_where_counting_begins() {
        assert_eq!(coverage(None, "10:00:00").cut(), at("08:57:00"));
        assert_eq!(coverage(Some("09:00:00"), "10:00:00").cut(), at("09:00:00"));
        assert_eq!(coverage(Some("07:00:00"), "10:00:00").cut(), at("08:57:00"), "the stream has nothing before");
        assert_eq!(coverage(Some("09:00:00"), "10:00:00").ready_seconds(), at("10:01:00").seconds());
        assert_eq!(coverage(Some("11:00:00"), "10:00:00").ready_seconds(), at("11:01:00").seconds());
    }

    #[test]
    fn an_export_from_before_the_stream_is_refused() {
        let check = |coverage: Coverage| coverage.check(at("12:00:00"));
        assert_eq!(check(coverage(None, "10:00:00")), Ok(()));
        let lost = check(coverage(None, "08:58:00")).unwrap_err();
        assert!(lost.contains("changes in between would be lost"), "{lost}");
        assert!(check(coverage(Some("13:00:00"), "10:00:00")).unwrap_err().contains("is in the future"));
        // A scan reads later than the stream was attached, by any clock.
        let scan = Coverage { margin_seconds: 0, ..coverage(None, "08:57:01") };
        assert_eq!(check(scan), Ok(()));
    }

    #[test]
    fn a_stream_that_has_lost_records_is_refused() {
        let read = |coverage: Coverage, day: i64, text: &str| {
            coverage.check_read(Timestamp::from_seconds(at(text).seconds() + day * 86_400).unwrap())
        };
        assert_eq!(read(coverage(None, "10:00:00"), 1, "08:56:59"), Ok(()));
        assert!(read(coverage(None, "10:00:00"), 1, "08:57:00").unwrap_err().contains("--archive-only"));
        assert_eq!(read(coverage(Some("09:30:00"), "10:00:00"), 1, "09:28:59"), Ok(()), "a margin before COUNT_FROM");
        assert!(read(coverage(Some("09:30:00"), "10:00:00"), 1, "09:29:00").is_err());
        assert!(read(coverage(Some("09:30:00"), "09:10:00"), 1, "09:10:00").is_err(), "the export is from before");
    }
}
