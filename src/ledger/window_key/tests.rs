//! The windows that have states: texts, nesting, and expiry.

use super::*;

#[test]
fn windows_nest_and_read_back() {
    let at = Timestamp::parse("2026-02-28T23:59:30Z").unwrap();
    let texts = Level::ALL.map(|level| {
        let found = WindowKey::containing(level, at, Zone::UTC);
        assert_eq!(WindowKey::parse(&found.text(), Zone::UTC), Some(found));
        if let Some(below) = level.below() {
            let child = WindowKey::containing(below, at, Zone::UTC);
            assert!(found.start() <= child.start() && child.end() <= found.end());
            assert_eq!(child.within(level), found);
        }
        found.text()
    });
    assert_eq!(texts, ["2026-02-28T23:59", "2026-02-28T23", "2026-02-28", "2026-W09", "2026-02", "total"]);
    for wrong in
        ["", "2026", "2026-13", "2026-02-30", "2026-02-28T24", "2026-02-28T23:60", "2026-02-28t23:59", "totals"]
    {
        assert_eq!(WindowKey::parse(wrong, Zone::UTC), None, "{wrong}");
    }
}

#[test]
fn a_piece_is_between_the_minutes_of_one_hour_and_another_hour() {
    let minute = |text: &str, zone| WindowKey::minute(Segment::parse(text).unwrap(), zone);
    let berlin = Zone::named("Europe/Berlin").unwrap();
    for (zone, text, hour) in [
        (Zone::UTC, "2026-11-28T22@2026-11-29T01", "2026-11-28T22"),
        (berlin, "2026-11-28T23+01:00@2026-11-29T02+01:00", "2026-11-28T23+01:00"),
    ] {
        let home = minute("2026-11-29T01:30", zone);
        let piece = WindowKey::piece(Segment::parse("2026-11-28T22:00").unwrap(), home);
        assert_eq!((piece.text().as_str(), WindowKey::parse(text, zone)), (text, Some(piece)));
        assert_eq!((piece.home(), piece.children()), (hour.to_owned(), home.within(Level::Hour).children()));
        let about = piece.within(Level::Hour);
        assert_eq!((about.text().as_str(), piece.end()), (hour, about.end()));
        assert!(piece.is_sum_of(home) && about.is_sum_of(piece) && !piece.is_sum_of(minute("2026-11-28T22:10", zone)));
        assert_eq!((piece.level.below(), piece.span()), (Some(Level::Minute), None));
    }
    assert_eq!(WindowKey::parse("2026-11-28T22@", Zone::UTC), None);
    let early = WindowKey::parse("2026-11-28T22@2026-11-30T01", Zone::UTC).unwrap();
    let end = Timestamp::parse("2026-11-30T02:00:00Z").unwrap().seconds();
    assert_eq!(early.expires_at(&Window::DEFAULT, 0), Some(end + GRACE_DAYS * DAY_SECONDS), "its minutes are needed");
}

#[test]
fn levels_are_needed_down_to_the_hour() {
    let needed = |windows: &[Window]| Level::needed(windows).collect::<Vec<_>>();
    assert_eq!(needed(&[]), []);
    assert_eq!(needed(&[Window::Hour]), [Level::Hour]);
    assert_eq!(needed(&[Window::Month]), [Level::Hour, Level::Day, Level::Month]);
    assert_eq!(needed(&[Window::Week]), [Level::Hour, Level::Day, Level::Week]);
    assert_eq!(needed(&[Window::Total, Window::Hour]), [Level::Hour, Level::Day, Level::Month, Level::Total]);
}

#[test]
fn a_state_outlives_what_may_be_summed_from_it() {
    let day = 86_400;
    let of = |windows: &[Window], text: &str| {
        WindowKey::parse(text, Zone::UTC).unwrap().expires_at(windows, 18).map(|at| at - 25 * day)
    };
    let end = |text: &str| Some(Timestamp::parse(text).unwrap().seconds());
    let usual = |text: &str| of(&Window::DEFAULT, text);
    assert_eq!(usual("2026-02-28T23:59"), end("2026-03-01T00:00:00Z"), "the end of its hour");
    assert_eq!(usual("2026-02-28T22"), end("2026-03-01T00:00:00Z"), "the end of its day");
    assert_eq!(usual("2026-02-03"), end("2026-03-01T00:00:00Z"), "the end of its month");
    assert_eq!((usual("2026-02"), usual("total")), (None, None), "a total may be added at any time, and never ends");
    let with_week = |text: &str| of(&[Window::Week], text);
    assert_eq!(with_week("2026-02-03"), end("2026-03-01T00:00:00Z"), "the end of its month");
    assert_eq!(with_week("2026-03-30"), end("2026-04-06T00:00:00Z"), "the end of its week");
    assert_eq!(with_week("2026-W14"), end("2026-04-06T00:00:00Z"), "its own end");
    let with_total = |text: &str| of(&[Window::Total], text);
    assert_eq!(with_total("2026-02-03"), end("2026-03-01T00:00:00Z"), "the end of its month");
    assert_eq!((with_total("2026-02"), with_total("total")), (None, None), "the total never ends");
    assert_eq!(with_week("2026-02"), None);
}
