//! Instants and windows: what is written can be read again, and is the same.

use std::sync::LazyLock;

use stream_types::Decimal;
use stream_types::time::{DAY_SECONDS, EARLIEST_SECOND, END_SECOND, Timestamp, Unit};
use usage_aggregator::ledger::{Level, WindowKey};
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Zone;

/// An instant as a text and as a number.
pub(crate) fn timestamp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(at) = Timestamp::parse(text) {
        check(at);
    }
    let Ok(number) = Decimal::parse(text) else { return };
    for (unit, micros) in [(Unit::Seconds, 6), (Unit::Milliseconds, 3), (Unit::Microseconds, 0)] {
        let at = Timestamp::from_number(number, unit);
        assert_eq!(at.map(Timestamp::micros), micros_of(number, micros), "{number} {unit}");
        at.into_iter().for_each(check);
    }
    assert!(Timestamp::recognize(number).is_none_or(|(at, unit)| Timestamp::from_number(number, unit) == Some(at)));
}

/// `number` × 10^`places`, rounded down, if that is within 2000 to 2099 in microseconds.
fn micros_of(number: Decimal, places: i32) -> Option<i64> {
    let (mantissa, exponent) = number.parts();
    let exponent = i32::from(exponent) + places;
    let micros = match u32::try_from(exponent) {
        Ok(up) => 10_i128.checked_pow(up).and_then(|power| mantissa.checked_mul(power))?,
        Err(_) => match 10_i128.checked_pow(exponent.unsigned_abs()) {
            Some(power) => mantissa.div_euclid(power),
            // Less than one.
            None => 0,
        },
    };
    let micros = i64::try_from(micros).ok()?;
    (EARLIEST_SECOND * 1_000_000..END_SECOND * 1_000_000).contains(&micros).then_some(micros)
}

fn check(at: Timestamp) {
    let shown = at.to_string();
    assert_eq!(Timestamp::parse(&shown), Some(at), "{shown}");
    let day = at.date();
    assert!((0..DAY_SECONDS).contains(&(at.seconds() - day.start_seconds())), "{shown}");
    assert_eq!(day.to_string(), shown[..10]);
}

static ZONES: LazyLock<[Zone; 3]> = LazyLock::new(|| {
    ["UTC", "Europe/Berlin", "Australia/Lord_Howe"].map(|name| Zone::named(name).unwrap_or(Zone::UTC))
});

/// The text of a window, in a zone that the length of the text chooses.
pub(crate) fn window_key(data: &[u8]) {
    let zone = ZONES[data.len() % ZONES.len()];
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(minute) = Segment::parse(text) {
        assert_eq!(Segment::parse(&minute.text()), Some(minute), "{text}");
    }
    let Some(key) = WindowKey::parse(text, zone) else { return };
    assert_eq!(key.text(), text);
    assert_eq!(WindowKey::parse(&key.text(), zone), Some(key), "{text}");
    assert!(key.start() < key.end(), "{text}");
    for level in [Level::Hour, Level::Day, Level::Week, Level::Month, Level::Total] {
        // The first week began before any other window. Nothing is summed up from weeks.
        if key.level == Level::Week && level != Level::Week {
            continue;
        }
        let within = key.within(level);
        assert_eq!(WindowKey::parse(&within.text(), zone), Some(within), "{text}");
        assert!(key.level == Level::Piece || (within.start() <= key.start() && key.start() < within.end()), "{text}");
    }
}
