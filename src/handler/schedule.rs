//! Events of the schedules, which the stack sends by itself: a field names what to do.

use std::time::Duration;

use memchr::memmem;

/// Whether an event is one of a schedule and has this field.
pub(super) fn is_named(event: &[u8], field: &[u8]) -> bool {
    // The name of the first field is at the beginning; no event of a source begins with it.
    const BEGINNING: usize = 64;
    memmem::find(event.get(..BEGINNING.min(event.len())).unwrap_or_default(), field).is_some()
}

/// How long a fold takes after its batching window, at most: snapshots are usually written within seconds.
const FOLD: Duration = Duration::from_secs(30);

/// How long what is written may differ from what it follows from, if this is the batching window of the ledger's mapping.
pub(super) fn patience(fold_window_seconds: Option<u64>) -> Duration {
    fold_window_seconds.map_or(Duration::ZERO, |window| Duration::from_secs(window).saturating_add(FOLD))
}

#[cfg(test)]
mod tests {
    use super::super::{prove::is_proof, sweep::is_sweep};
    use super::*;

    #[test]
    fn regression_a_window_of_any_length_is_patience_and_not_a_panic() {
        assert_eq!((patience(None), patience(Some(30))), (Duration::ZERO, Duration::from_mins(1)));
        assert_eq!(patience(Some(u64::MAX)), Duration::MAX);
    }

    #[test]
    fn only_the_schedules_events_are_of_a_schedule() {
        let sweep = br#"{"sweep": {"at": "2026-11-28T10:00:00Z", "minutes_ago": 90}}"#;
        let proof = br#"{"prove": {"at": "2026-11-28T10:00:00Z", "hours_ago": 26}}"#;
        assert_eq!([is_sweep(sweep), is_proof(sweep), is_sweep(proof), is_proof(proof)], [true, false, false, true]);
        assert!(is_sweep(b"{\n  \"sweep\":{}}"));
        for other in [
            r#"{"Records":[]}"#,
            "{}",
            "",
            r#"{"Records":[{"dynamodb":{"Keys":{"a much longer name":{"S":"sweep"}},"x":{"sweep":1,"prove":1}}}]}"#,
        ] {
            assert!(!is_sweep(other.as_bytes()) && !is_proof(other.as_bytes()), "{other}");
        }
    }
}
