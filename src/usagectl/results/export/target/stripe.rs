//! Stripe: meter events at `/v1/billing/meter_events`, one per request. They are meant for meters with the formula `sum` that
//! take pre-aggregated events by hour or day (`event_time_window`): Stripe uses the last event of such a window only, so an event
//! with the window's total replaces the one of an earlier version.

use usage_aggregator::decimal::Decimal;
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use usage_aggregator::window::{Span, Zone};

use super::{Event, Request, Response, Verdict};

/// 35 days: Stripe refuses older events.
const OLDEST_DAYS: i64 = 35;
/// 100: the maximum length of the name of an event.
const LONGEST_NAME: usize = 100;

/// The second of a window's event. Stripe uses one event of each UTC hour or day, which has `period` seconds, so that it must be in
/// another one than those of the windows before and after.
///
/// # Errors
/// If it isn't.
pub(super) fn second(window: Span, period: i64) -> Result<i64, String> {
    let before = window.window.at(window.start - 1, window.zone);
    let second = usual_second(window, period);
    if usual_second(before, period).div_euclid(period) != second.div_euclid(period) {
        return Ok(second);
    }
    let name = if period == HOUR_SECONDS { "hour" } else { "day" };
    Err(format!(
        "Stripe uses only one event of each {name} in UTC, and because of a clock change in {}, this window and the one before end in the \
         same: bill it without Stripe's meter",
        window.zone.name()
    ))
}

/// The last second, except for days that would share one of UTC (in Atlantic/Azores): where clocks are behind UTC, each day ends in
/// the next one of UTC, and if they catch up with it, the last such day ends in the same one as the day after it. There, all days
/// until then take the last second of the day of UTC in which they begin.
fn usual_second(window: Span, period: i64) -> i64 {
    let last = window.end() - 1;
    match period == DAY_SECONDS && catches_up(window.zone, last) {
        true => last.min((window.start.div_euclid(period) + 1) * period - 1),
        false => last,
    }
}

/// Whether clocks are behind UTC, and no longer after their next change.
fn catches_up(zone: Zone, second: i64) -> bool {
    let at = jiff::Timestamp::from_second(second).unwrap_or_default();
    let zone = zone.time_zone();
    zone.to_offset(at).is_negative() && zone.following(at).next().is_some_and(|change| !change.offset().is_negative())
}

/// Why Stripe wouldn't take an event, if it wouldn't.
pub(super) fn objection(event: &Event, now: Timestamp) -> Option<String> {
    // A text such as `007` reads like a number.
    let is_number = |value: &Decimal| value.to_string() == event.row.value;
    let is_whole = Decimal::parse(&event.row.value).ok().filter(is_number).is_some_and(|value| value.scale() == 0);
    if !is_whole {
        return Some(
            "Stripe takes whole numbers only: count a smaller unit, or select other measures with --measure".to_owned(),
        );
    }
    if event.second < now.seconds() - OLDEST_DAYS * DAY_SECONDS {
        return Some(format!("Stripe takes events of the last {OLDEST_DAYS} days only: choose a later --start"));
    }
    let length = event.name.chars().count();
    (length > LONGEST_NAME)
        .then(|| format!("the event name has {length} characters; Stripe takes at most {LONGEST_NAME}"))
}

/// The request with this event, of which there is one.
pub(super) fn request(events: &[Event]) -> Request {
    let fields = events.iter().flat_map(|event| {
        [
            ("event_name", event.name.clone()),
            ("identifier", event.id.clone()),
            ("payload[stripe_customer_id]", event.customer.clone()),
            ("payload[value]", event.row.value.clone()),
            ("timestamp", event.second.to_string()),
        ]
    });
    let field = |(name, value): (&str, String)| format!("{}={}", encoded(name), encoded(&value));
    Request {
        path: "/v1/billing/meter_events",
        // No Idempotency-Key: with one, Stripe would answer each repetition of a request that failed with the same server error, for
        // at least 24 hours. It recognizes a repeated event by its identifier.
        headers: vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())],
        body: fields.map(field).collect::<Vec<_>>().join("&"),
    }
}

/// Percent-encodes a name or value of a form.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What a response that isn't a success says about the event.
pub(super) fn judge(response: &Response) -> Verdict {
    let message = response.json().pointer("/error/message").and_then(|text| text.as_str()).map(str::to_owned);
    match message {
        // The identifier was used within the last 24 hours.
        Some(message) if response.status == 400 && message.contains("already exists with identifier") => {
            Verdict::Partly { known: vec![0], refused: Vec::new() }
        }
        _ => Verdict::Refused(response.describe()),
    }
}

#[cfg(test)]
mod tests {
    use usage_aggregator::window::Window;

    use super::super::event::tests::event;
    use super::*;

    fn now(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn what_stripe_would_refuse_is_not_sent() {
        let soon = now("2026-11-02T00:00:00Z");
        assert_eq!(objection(&event("7", "amount", "-130"), soon), None);
        assert!(objection(&event("7", "amount", "0.1"), soon).unwrap().starts_with("Stripe takes whole numbers only"));
        assert!(objection(&event("7", "plan_code", "007"), soon).is_some(), "a text");
        assert_eq!(objection(&event("7", "amount", "1"), now("2026-12-05T23:59:59Z")), None);
        assert!(objection(&event("7", "amount", "1"), now("2026-12-06T00:00:00Z")).unwrap().contains("35 days"));
        assert!(objection(&event("7", &"m".repeat(100), "1"), soon).unwrap().contains("107 characters"));
    }

    /// The seconds of the windows from 2026 to 2028 in a time zone, and the windows.
    fn seconds(zone: &str, window: Window) -> Vec<(Span, Result<i64, String>)> {
        let period = if window == Window::Hour { HOUR_SECONDS } else { DAY_SECONDS };
        let mut next = window.at(now("2026-01-01T12:00:00Z").seconds(), Zone::named(zone).unwrap());
        let mut found = Vec::new();
        while next.start < now("2028-01-01T00:00:00Z").seconds() {
            found.push((next, second(next, period)));
            next = window.at(next.end(), next.zone);
        }
        found
    }

    #[test]
    fn regression_each_day_has_a_day_of_utc_of_its_own() {
        let azores = "Atlantic/Azores";
        for zone in
            ["UTC", "Europe/London", "America/New_York", "America/Nuuk", "Pacific/Auckland", "Antarctica/Troll", azores]
        {
            let mut days = std::collections::BTreeSet::new();
            for (window, second) in seconds(zone, Window::Day) {
                let second = second.unwrap();
                assert!((window.start..window.end()).contains(&second), "{zone}: {window:?}");
                assert!(days.insert(second.div_euclid(DAY_SECONDS)), "{zone}: {window:?}");
                assert!(zone == azores || second == window.end() - 1, "{zone}: {window:?}");
            }
        }
        // Clocks go from an hour behind UTC to UTC at 01:00 on the 28th.
        let days = seconds(azores, Window::Day).into_iter();
        let days = days.filter(|(window, _)| ["2027-03-27", "2027-03-28"].contains(&&*window.key()));
        let days: Vec<String> =
            days.map(|(_, second)| Timestamp::from_seconds(second.unwrap()).unwrap().to_string()).collect();
        assert_eq!(days, ["2027-03-27T23:59:59Z", "2027-03-28T23:59:59Z"]);
    }

    #[test]
    fn regression_a_window_that_shares_its_hour_of_utc_is_refused_with_the_reason() {
        let refused = |zone: &str| -> Vec<(String, String)> {
            let hours = seconds(zone, Window::Hour).into_iter();
            hours.filter_map(|(window, second)| Some((window.key(), second.err()?))).collect()
        };
        assert_eq!(
            [refused("Asia/Kolkata"), refused("Europe/Berlin"), refused("Atlantic/Azores")],
            [const { Vec::new() }; 3]
        );
        // Clocks change by half an hour.
        let found = refused("Australia/Lord_Howe");
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["2026-10-04T02+11:00", "2027-10-03T02+11:00"]);
        assert_eq!(
            found[0].1,
            "Stripe uses only one event of each hour in UTC, and because of a clock change in Australia/Lord_Howe, this window and \
             the one before end in the same: bill it without Stripe's meter"
        );
    }

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(encoded("payload[value]"), "payload%5Bvalue%5D");
        assert_eq!(encoded("a b&c=ü+~"), "a%20b%26c%3D%C3%BC%2B~");
    }

    #[test]
    fn a_repeated_identifier_is_not_a_failure() {
        let response = |body: &str| Response { status: 400, retry_after: None, body: body.to_owned() };
        let known = response(r#"{"error":{"message":"An event already exists with identifier 1f."}}"#);
        assert_eq!(judge(&known), Verdict::Partly { known: vec![0], refused: Vec::new() });
        let unknown = response(r#"{"error":{"message":"No such customer: 'cus_1'"}}"#);
        assert_eq!(judge(&unknown), Verdict::Refused("400 No such customer: 'cus_1'".to_owned()));
    }
}
