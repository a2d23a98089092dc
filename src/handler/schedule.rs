//! Events of the schedules, which the stack sends by itself: a field names what to do.

use memchr::memmem;

/// Whether an event is one of a schedule and has this field.
pub(super) fn is_named(event: &[u8], field: &[u8]) -> bool {
    // The name of the first field is at the beginning; no event of a source begins with it.
    const BEGINNING: usize = 64;
    memmem::find(event.get(..BEGINNING.min(event.len())).unwrap_or_default(), field).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::{prove::is_proof, sweep::is_sweep};

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
