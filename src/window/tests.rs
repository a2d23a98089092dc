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
            // The last week ends after the last timestamp.
            for edge in [span.start, span.end() - 1].into_iter().filter_map(Timestamp::from_seconds) {
                prop_assert_eq!(window.containing(edge, Zone::UTC), span);
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

/// A zone with whole hours, one with half hours, two whose clocks change by half an hour or did so one minute after midnight,
/// one that skipped a day, and UTC.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "UTC"];

/// Checks the windows that contain a second: it lies in them, they begin and end where their neighbors do, each lies in the
/// next longer one, and their texts read back. Returns the hour.
fn check(second: i64, zone: Zone) -> Span {
    let spans = Window::ALL.map(|window| window.at(second, zone));
    for span in spans {
        let Span { window, start, .. } = span;
        let shown = || format!("{} {span} {second}", zone.name());
        assert!(start <= second && second < span.end(), "{}", shown());
        assert_eq!((start % 60, span.end() % 60), (0, 0), "a minute lies in one window: {}", shown());
        assert_eq!((window.at(start, zone), window.at(span.end() - 1, zone)), (span, span), "{}", shown());
        if window != Window::Total {
            assert_eq!(window.at(start - 1, zone).end(), start, "{}", shown());
            assert_eq!(window.at(span.end(), zone).start, span.end(), "{}", shown());
        }
        for text_of in [Span::key, Span::start_text, Span::end_text] {
            let text = text_of(span);
            assert_eq!(Span::with_text(window, &text, zone, text_of), Some(span), "{text} {}", shown());
        }
    }
    let [hour, day, ..] = spans;
    for (child, parent) in [(hour, day), (day, spans[2]), (day, spans[3])] {
        assert!(parent.start <= child.start && child.end() <= parent.end(), "{child} isn't in {parent}");
    }
    hour
}

/// The times at which the offset of a zone changes.
fn changes(zone: Zone, from: &str, to: &str) -> Vec<i64> {
    let [from, to] = [from, to].map(|text| text.parse::<jiff::Timestamp>().unwrap());
    let changes = zone.time_zone();
    let changes = changes.following(from).map(|change| change.timestamp()).take_while(|at| *at < to);
    changes.map(jiff::Timestamp::as_second).collect()
}

#[test]
fn windows_of_time_zones_tile_nest_and_read_back() {
    for name in ZONES {
        let zone = Zone::named(name).unwrap();
        let mut keys = std::collections::BTreeSet::new();
        for change in changes(zone, "2000-01-04T00:00:00Z", "2040-01-01T00:00:00Z") {
            let mut at = change - 30 * HOUR_SECONDS;
            while at < change + 30 * HOUR_SECONDS {
                let hour = check(at, zone);
                assert!(keys.insert((hour.key(), hour.start)), "{hour}");
                at = hour.end();
            }
        }
        let names: std::collections::BTreeSet<&String> = keys.iter().map(|(key, _)| key).collect();
        assert_eq!(names.len(), keys.len(), "two hours of {name} have the same name");
        // Every eleventh day, at a time of day that moves on.
        for day in 0..1_300 {
            check(947_000_000 + day * (11 * DAY_SECONDS + 701), zone);
        }
    }
}

#[test]
fn the_windows_around_every_change_of_every_zone_tile_and_nest() {
    let database = jiff::tz::TimeZoneDatabase::bundled();
    let names: Vec<String> = database.available().map(|name| name.to_string()).collect();
    assert!(names.len() > 500, "{}", names.len());
    for name in names {
        let Some(zone) = Zone::named(&name) else { continue };
        for change in changes(zone, "2016-01-01T00:00:00Z", "2027-01-01T00:00:00Z") {
            let (before, after) = (check(change - 1, zone), check(change, zone));
            assert_eq!(before.end(), after.start, "{name}");
            assert_ne!(before.key(), after.key(), "{name}");
        }
    }
}

#[test]
fn days_with_a_change_of_the_clock_have_their_own_length() {
    let day = |name: &str, at: &str| {
        let span = Window::Day.containing(self::at(at), Zone::named(name).unwrap());
        (span.key(), (span.end() - span.start) / 60)
    };
    for (name, at, key, minutes) in [
        ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29", 23 * 60),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25", 25 * 60),
        ("Australia/Lord_Howe", "2026-10-04T00:00:00Z", "2026-10-04", 23 * 60 + 30),
        ("Australia/Lord_Howe", "2026-04-05T00:00:00Z", "2026-04-05", 24 * 60 + 30),
        // At 00:01, the clock went back to 23:01 of the day before, which had ended.
        ("America/St_Johns", "2006-10-29T03:00:00Z", "2006-10-29", 25 * 60),
        ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29", 24 * 60),
        ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", 24 * 60),
        ("Asia/Kolkata", "2026-03-29T18:30:00Z", "2026-03-30", 24 * 60),
    ] {
        assert_eq!(day(name, at), (key.to_owned(), minutes), "{name} {at}");
    }
    let apia = Zone::named("Pacific/Apia").unwrap();
    assert_eq!(Span::with_text(Window::Day, "2011-12-30", apia, Span::key), None, "the day that Apia skipped");
}

#[test]
fn weeks_start_on_monday_and_belong_to_the_year_of_their_thursday() {
    let week = |zone: &str, instant: &str| {
        let span = Window::Week.containing(at(instant), Zone::named(zone).unwrap());
        [span.key(), span.start_text(), span.end_text()]
    };
    for (zone, instant, expected) in [
        ("UTC", "2026-11-29T23:59:59Z", ["2026-W48", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"]),
        ("UTC", "2026-11-30T00:00:00Z", ["2026-W49", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"]),
        ("UTC", "2027-01-03T12:00:00Z", ["2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"]),
        ("UTC", "2000-01-01T00:00:00Z", ["1999-W52", "1999-12-27T00:00:00Z", "2000-01-03T00:00:00Z"]),
        (
            "Europe/Berlin",
            "2026-10-25T23:00:00Z",
            ["2026-W44", "2026-10-26T00:00:00+01:00", "2026-11-02T00:00:00+01:00"],
        ),
        (
            "Europe/Berlin",
            "2026-10-25T22:59:59Z",
            ["2026-W43", "2026-10-19T00:00:00+02:00", "2026-10-26T00:00:00+01:00"],
        ),
    ] {
        assert_eq!(week(zone, instant), expected, "{zone} {instant}");
    }
    for wrong in ["2026-W00", "2026-W54", "2025-W53", "2026-W7", "2026-W48-1", "2026-w48", "-W01", "2026-W"] {
        assert_eq!(Span::with_text(Window::Week, wrong, Zone::UTC, Span::key), None, "{wrong}");
    }
}

#[test]
fn an_hour_that_comes_twice_is_two_windows() {
    let hours = |name: &str, instants: &[&str]| -> Vec<String> {
        let zone = Zone::named(name).unwrap();
        let hour = |instant: &&str| Window::Hour.containing(at(instant), zone);
        instants.iter().map(hour).map(|hour| format!("{} {}", hour.key(), (hour.end() - hour.start) / 60)).collect()
    };
    let berlin = hours("Europe/Berlin", &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]);
    assert_eq!(berlin, ["2026-10-25T02+02:00 60", "2026-10-25T02+01:00 60", "2026-10-25T03+01:00 60"]);
    // From 02:00 back to 01:30, and from 02:00 on to 02:30.
    let back = hours("Australia/Lord_Howe", &["2026-04-04T14:59:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"]);
    assert_eq!(back, ["2026-04-05T01+11:00 60", "2026-04-05T01+10:30 30", "2026-04-05T02+10:30 60"]);
    let forth = hours("Australia/Lord_Howe", &["2026-10-03T15:29:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"]);
    assert_eq!(forth, ["2026-10-04T01+10:30 60", "2026-10-04T02+11:00 30", "2026-10-04T03+11:00 60"]);
    let kolkata = hours("Asia/Kolkata", &["2026-03-29T18:29:59Z", "2026-03-29T18:30:00Z"]);
    assert_eq!(kolkata, ["2026-03-29T23+05:30 60", "2026-03-30T00+05:30 60"]);
}

#[test]
fn a_window_of_a_time_zone_has_its_offset_in_its_texts() {
    let of = |name: &str, window: Window| {
        let span = window.containing(at("2026-11-21T23:30:00Z"), Zone::named(name).unwrap());
        [span.key(), span.start_text(), span.end_text()]
    };
    let expected = [
        (
            "Europe/Berlin",
            Window::Hour,
            ["2026-11-22T00+01:00", "2026-11-22T00:00:00+01:00", "2026-11-22T01:00:00+01:00"],
        ),
        ("Europe/Berlin", Window::Day, ["2026-11-22", "2026-11-22T00:00:00+01:00", "2026-11-23T00:00:00+01:00"]),
        ("America/New_York", Window::Month, ["2026-11", "2026-11-01T00:00:00-04:00", "2026-12-01T00:00:00-05:00"]),
        ("Europe/London", Window::Day, ["2026-11-21", "2026-11-21T00:00:00+00:00", "2026-11-22T00:00:00+00:00"]),
        ("UTC", Window::Day, ["2026-11-21", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"]),
        ("UTC", Window::Total, ["total", "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]),
    ];
    for (name, window, texts) in expected {
        assert_eq!(of(name, window), texts, "{name} {window:?}");
    }
}

#[test]
fn a_zone_has_the_exact_name_of_the_database() {
    for wrong in ["", "europe/berlin", "Berlin", "CEST", "+01:00", "utc"] {
        assert_eq!(Zone::named(wrong), None, "{wrong}");
    }
    assert_eq!(Zone::named("UTC"), Some(Zone::UTC));
    assert_eq!(Zone::named("Europe/Berlin"), Zone::named("Europe/Berlin"));
    assert_ne!(Zone::named("Europe/Berlin"), Zone::named("Europe/Paris"));
}

proptest! {
    #[test]
    fn windows_of_time_zones_agree_with_jiff(second in 1_325_376_000i64..2_208_988_800, zone in 0..ZONES.len()) {
        let zone = Zone::named(ZONES[zone]).unwrap();
        let zoned = jiff::Timestamp::from_second(second).unwrap().to_zoned(zone.time_zone());
        let hour = if zone.is_utc() { "%Y-%m-%dT%H" } else { "%Y-%m-%dT%H%:z" };
        let expected = [hour, "%Y-%m-%d", "%Y-%m"].map(|format| zoned.strftime(format).to_string());
        prop_assert_eq!(Window::DEFAULT.map(|window| window.at(second, zone).key()), expected);
    }
}
