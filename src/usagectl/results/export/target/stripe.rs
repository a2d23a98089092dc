//! Stripe: meter events at `/v1/billing/meter_events`, one per request. They are meant for meters with the formula `sum` that
//! take pre-aggregated events by hour or day (`event_time_window`): Stripe uses the last event of such a window only, so an event
//! with the window's total replaces the one of an earlier version.

use usage_aggregator::decimal::Decimal;
use usage_aggregator::time::{DAY_SECONDS, Timestamp};

use super::{Event, Request, Response, Verdict};

/// 35 days: Stripe refuses older events.
const OLDEST_DAYS: i64 = 35;
/// 100: the maximum length of the name of an event.
const LONGEST_NAME: usize = 100;

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
