//! Tests of windows.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn windows_of_leap_days_and_month_ends() {
    let cases = [
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23", "2024-02-29", "2024-02", "2024-03-01T00:00:00Z"),
        ("2023-02-28T12:00:00Z", "2023-02-28T12", "2023-02-28", "2023-02", "2023-03-01T00:00:00Z"),
        ("2026-12-31T23:00:00Z", "2026-12-31T23", "2026-12-31", "2026-12", "2027-01-01T00:00:00Z"),
        ("2000-01-01T00:00:00Z", "2000-01-01T00", "2000-01-01", "2000-01", "2000-02-01T00:00:00Z"),
        ("2099-12-31T23:59:59Z", "2099-12-31T23", "2099-12-31", "2099-12", "2100-01-01T00:00:00Z"),
    ];
    for (instant, hour, day, month, month_end) in cases {
        let keys = Window::DEFAULT.map(|window| window.containing(at(instant), Zone::UTC).key());
        assert_eq!(keys, [hour, day, month], "{instant}");
        assert_eq!(Window::Month.containing(at(instant), Zone::UTC).end_text(), month_end);
    }
}

proptest! {
    #[test]
    fn every_instant_lies_in_its_window_and_the_windows_tile(second in 946_684_800i64..4_102_444_800) {
        let instant = Timestamp::from_seconds(second).unwrap();
        for window in Window::ALL {
            let span = window.containing(instant, Zone::UTC);
            prop_assert!(span.start <= second && second < span.end());
            for edge in [span.start, span.end() - 1] {
                prop_assert_eq!(window.containing(Timestamp::from_seconds(edge).unwrap(), Zone::UTC), span);
            }
            if let Some(next) = Timestamp::from_seconds(span.end()) {
                prop_assert_eq!(window.containing(next, Zone::UTC).start, span.end());
            }
        }
    }

    #[test]
    fn windows_agree_with_jiff(second in 946_684_800i64..4_102_444_800) {
        let zoned = jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let expected = [zoned.strftime("%Y-%m-%dT%H").to_string(), zoned.strftime("%Y-%m-%d").to_string(), zoned.strftime("%Y-%m").to_string()];
        let instant = Timestamp::from_seconds(second).unwrap();
        prop_assert_eq!(Window::DEFAULT.map(|window| window.containing(instant, Zone::UTC).key()), expected);
    }
}
