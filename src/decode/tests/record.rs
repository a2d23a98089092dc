//! Records of DynamoDB Streams: what they decode to, and what rejects a single record.

use super::*;

const NEW: &str = r#""NewImage":{"a":{"S":"SECRET"},"b":{"N":"2"}},"#;
const OLD: &str = r#""OldImage":{"a":{"S":"SECRET old"}},"#;
const TIME: &str = "1.795230305E9";

#[test]
fn a_record_has_its_event_item_time_and_source() {
    let seen = decoded_alone(RECORD, |record| {
        assert_eq!(record.event_id, "9cdf975187b7d7f668abf98414c08f05");
        assert_eq!(record.source.name, "orders");
        assert!(record.source.stream_arn.ends_with("table/orders/stream/2026-11-02T08:15:27.416"));
        (record.change.event(), record.created_at.to_string(), record.sequence.to_string(), record.keys.0.len())
    });
    let expected = (Kind::Modify, "2026-11-21T03:05:05Z".to_owned(), "2900002759746085485437".to_owned(), 2);
    assert_eq!(seen, Ok(expected));
}

#[test]
fn an_invalid_record_is_rejected_with_code_and_field() {
    let keys = r#""Keys":{"pk":{"S":"SECRET"},"sk":{"N":"1"}},"#;
    let view_type = r#""StreamViewType":"NEW_AND_OLD_IMAGES""#;
    let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-02T08:15:27.416";
    let value = r#""b":{"N":"2"}"#;
    let cases = [
        (r#""MODIFY""#, r#""SECRET""#, "unknown_event_name: eventName: is not one of INSERT, MODIFY, REMOVE"),
        (r#""MODIFY""#, r#""modify""#, "unknown_event_name: eventName: is not one of INSERT, MODIFY, REMOVE"),
        (r#""MODIFY""#, "null", "malformed: eventName: is not a string"),
        (r#""eventName":"MODIFY","#, "", "malformed: eventName: is missing"),
        (r#""eventID""#, r#""id""#, "malformed: eventID: is missing"),
        (r#""eventSourceARN""#, r#""arn""#, "malformed: eventSourceARN: is missing"),
        (arn, "SECRET", "malformed: eventSourceARN: is not the ARN of a DynamoDB stream"),
        (keys, "", "malformed: Keys: is missing"),
        (keys, r#""Keys":{},"#, "malformed: Keys: is empty"),
        (keys, r#""Keys":null,"#, "malformed: Keys: expected an object at byte 0"),
        (keys, r#""Keys":{"pk":"SECRET"},"#, "malformed: Keys.pk: expected an object at byte 6"),
        (
            view_type,
            r#""StreamViewType":"SECRET""#,
            "unknown_view_type: StreamViewType: is not one of KEYS_ONLY, NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES",
        ),
        (view_type, r#""StreamViewType":7"#, "malformed: StreamViewType: is not a string"),
        (NEW, "", "malformed: NewImage: is missing, although the view type includes it"),
        (OLD, "", "malformed: OldImage: is missing, although the view type includes it"),
        (NEW, r#""NewImage":["SECRET"],"#, "malformed: NewImage: expected an object at byte 0"),
        (
            value,
            r#""b":{"Z":"SECRET"}"#,
            "invalid_attribute: NewImage.b: has an unknown type tag; expected one of S, N, B, BOOL, NULL, M, L, SS, NS, BS",
        ),
        (
            value,
            r#""b":{"n":"2"}"#,
            "invalid_attribute: NewImage.b: has an unknown type tag; expected one of S, N, B, BOOL, NULL, M, L, SS, NS, BS",
        ),
        (value, r#""b":{"N":2}"#, "malformed: NewImage.b: expected a string at byte 29"),
        (value, r#""b":{"N":"NaN"}"#, "invalid_number: NewImage.b: is not a decimal number"),
        (value, r#""b":{"N":"Infinity"}"#, "invalid_number: NewImage.b: is not a decimal number"),
        (value, r#""b":{"N":" 2"}"#, "invalid_number: NewImage.b: is not a decimal number"),
        (value, r#""b":{"N":"0x2"}"#, "invalid_number: NewImage.b: is not a decimal number"),
        (
            value,
            r#""b":{"N":"1e126"}"#,
            "invalid_number: NewImage.b: is outside the range of DynamoDB's numbers (1E-130 to 9.99E+125)",
        ),
        (
            value,
            r#""b":{"N":"1e999999999"}"#,
            "invalid_number: NewImage.b: is outside the range of DynamoDB's numbers (1E-130 to 9.99E+125)",
        ),
        (
            value,
            r#""b":{"N":"123456789012345678901234567890123456789"}"#,
            "invalid_number: NewImage.b: has more than 38 significant digits",
        ),
        (
            value,
            r#""b":{"L":[{"S":"SECRET"},{"M":{"c":{"B":"SECRET*"}}}]}"#,
            "invalid_attribute: NewImage.b[1].c: is a binary value that isn't valid base64",
        ),
        (
            value,
            r#""b":{"SS":["SECRET","x","SECRET"]}"#,
            "invalid_attribute: NewImage.b: is a set with a duplicate member",
        ),
        (value, r#""b":{"NS":["1","1.0"]}"#, "invalid_attribute: NewImage.b: is a set with a duplicate member"),
        (value, r#""b":{"BS":["AA==","AA=="]}"#, "invalid_attribute: NewImage.b: is a set with a duplicate member"),
        (value, r#""b":{"NS":[]}"#, "invalid_attribute: NewImage.b: is an empty set"),
        (
            value,
            r#""b":{"S":"SECRET\ud800"}"#,
            "malformed: NewImage.b: expected the second half of a surrogate pair at byte 42",
        ),
        (
            value,
            r#""b":{"S":"SECRET\udc00"}"#,
            "malformed: NewImage.b: expected a character that isn't half of a surrogate pair at byte 42",
        ),
        (TIME, "null", "invalid_time: ApproximateCreationDateTime: is not a number"),
        (TIME, r#""1795230305""#, "invalid_time: ApproximateCreationDateTime: is not a number"),
        (TIME, "NaN", "invalid_time: ApproximateCreationDateTime: is not a number"),
        (TIME, "1795230305abc", "invalid_time: ApproximateCreationDateTime: is not a number"),
        (TIME, "1e300", "invalid_time: ApproximateCreationDateTime: is not a number"),
        (
            r#""ApproximateCreationDateTime":1.795230305E9,"#,
            "",
            "invalid_time: ApproximateCreationDateTime: is missing",
        ),
        (
            r#""dynamodb":{"#,
            r#""dynamodb":{"SequenceNumber":"2900002759746085485437",x,"#,
            "malformed: dynamodb: expected a string at byte 43",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(fault_of(&with(RECORD, from, to)), expected, "{to}");
    }
}

#[test]
fn a_time_is_recognized_in_every_notation_and_unit() {
    let cases = [
        ("1.795230305E9", Some("2026-11-21T03:05:05Z")),
        ("1795230305", Some("2026-11-21T03:05:05Z")),
        ("1795230305.0", Some("2026-11-21T03:05:05Z")),
        ("1795230305.5", Some("2026-11-21T03:05:05.5Z")),
        ("17952303050e-1", Some("2026-11-21T03:05:05Z")),
        ("1.79523030525E12", Some("2026-11-21T03:05:05.25Z")),
        ("1795230305250", Some("2026-11-21T03:05:05.25Z")),
        ("1795230305250001", Some("2026-11-21T03:05:05.250001Z")),
        ("1795230305.2500019", Some("2026-11-21T03:05:05.250001Z")),
        ("946684800", Some("2000-01-01T00:00:00Z")),
        ("4102444799", Some("2099-12-31T23:59:59Z")),
        ("0", None),
        ("-1", None),
        ("-1795230305", None),
        ("-62135596800", None),
        ("253402300800", None),
        ("946684799", None),
        ("4102444800", None),
        ("1795230305250000000", None),
        ("1e-300", None),
    ];
    for (time, expected) in cases {
        let found = decoded_alone(&with(RECORD, TIME, time), |record| record.created_at.to_string());
        assert_eq!(found.as_deref().ok(), expected, "{time}");
        assert!(
            found.is_ok() || found.unwrap_err().contains(": invalid_time: ApproximateCreationDateTime: "),
            "{time}"
        );
    }
}

#[test]
fn every_view_type_and_event_has_exactly_its_images() {
    let none = |_: &str| String::new();
    let keep = |image: &str| image.to_owned();
    // View type, event name, whether the record has the new and the old image, and what is decoded.
    let cases: [(&str, &str, [bool; 2], &str); 13] = [
        ("NEW_AND_OLD_IMAGES", "INSERT", [true, false], "new"),
        ("NEW_AND_OLD_IMAGES", "MODIFY", [true, true], "old new"),
        ("NEW_AND_OLD_IMAGES", "REMOVE", [false, true], "old"),
        ("NEW_IMAGE", "INSERT", [true, false], "new"),
        ("NEW_IMAGE", "MODIFY", [true, false], "(old) new"),
        ("NEW_IMAGE", "REMOVE", [false, false], "(old)"),
        ("OLD_IMAGE", "INSERT", [false, false], "(new)"),
        ("OLD_IMAGE", "MODIFY", [false, true], "old (new)"),
        ("OLD_IMAGE", "REMOVE", [false, true], "old"),
        ("KEYS_ONLY", "INSERT", [false, false], "(new)"),
        ("KEYS_ONLY", "MODIFY", [false, false], "(old) (new)"),
        ("KEYS_ONLY", "REMOVE", [false, false], "(old)"),
        ("NEW_AND_OLD_IMAGES", "INSERT", [true, true], "new"),
    ];
    let named = |name: &str, image: &Image<'_>| image.item().map_or(format!("({name})"), |_| name.to_owned());
    for (view_type, event_name, [new, old], expected) in cases {
        let record = with(RECORD, "NEW_AND_OLD_IMAGES", view_type);
        let record = with(&record, r#""MODIFY""#, &format!("\"{event_name}\""));
        let record = with(&record, NEW, &if new { keep(NEW) } else { none(NEW) });
        let record = with(&record, OLD, &if old { keep(OLD) } else { none(OLD) });
        let found = decoded_alone(&record, |record| match &record.change {
            Change::Insert { new } => named("new", new),
            Change::Modify { old, new } => format!("{} {}", named("old", old), named("new", new)),
            Change::Remove { old, .. } => named("old", old),
        });
        assert_eq!(found.as_deref(), Ok(expected), "{view_type} {event_name}");
    }
}

#[test]
fn only_deletions_by_dynamodb_itself_are_expiries() {
    let cases = [
        ("", Kind::Remove),
        (r#""userIdentity":null,"#, Kind::Remove),
        (r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"#, Kind::Expire),
        (r#""userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"},"#, Kind::Expire),
        (r#""userIdentity":{"type":"Service","principalId":"replication.dynamodb.amazonaws.com"},"#, Kind::Remove),
        (r#""userIdentity":{"type":"Service","principalId":null},"#, Kind::Remove),
        (r#""userIdentity":{},"#, Kind::Remove),
    ];
    let removed = with(&with(RECORD, NEW, ""), r#""MODIFY""#, r#""REMOVE""#);
    for (identity, expected) in cases {
        let record = with(&removed, r#""eventVersion""#, &format!(r#"{identity}"eventVersion""#));
        assert_eq!(decoded_alone(&record, |record| record.change.event()), Ok(expected), "{identity}");
    }
    let invalid = with(&removed, r#""eventVersion""#, r#""userIdentity":"SECRET","eventVersion""#);
    assert_eq!(fault_of(&invalid), "malformed: userIdentity: expected an object at byte 0");
}

#[test]
fn a_record_nested_too_deep_is_rejected_by_itself() {
    let nested = |levels: usize, open: &str, close: &str| {
        let image = format!(r#""NewImage":{{"deep":{}{{"S":"x"}}{}}},"#, open.repeat(levels), close.repeat(levels));
        with(RECORD, NEW, &image)
    };
    for (open, close) in [(r#"{"L":["#, "]}"), (r#"{"M":{"m":"#, "}}")] {
        let records =
            [nested(32, open, close), nested(33, open, close), nested(200_000, open, close), RECORD.to_owned()];
        let outcomes = decoded(&event_of(&records), |_| "decoded");
        assert_eq!((&outcomes[0], &outcomes[3]), (&Ok("decoded"), &Ok("decoded")));
        for rejected in &outcomes[1..3] {
            let message = rejected.as_ref().unwrap_err();
            assert!(message.contains(": too_deep: NewImage.deep"), "{message}");
            assert!(message.ends_with(": is nested deeper than 32 levels, DynamoDB's limit"), "{message}");
        }
    }
}

#[test]
fn an_invalid_record_does_not_affect_its_neighbors() {
    let invalid = with(RECORD, r#""MODIFY""#, "[NaN :,]");
    assert!(decoded(&event_of(&[RECORD, &invalid, RECORD]), |_| ()).iter().map(Result::is_ok).eq([true, false, true]));
}
