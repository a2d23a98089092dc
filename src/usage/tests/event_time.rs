//! Event time: the hour that each image counts in.

use super::*;

/// A pipeline with a delta and a count, whose `window_time` also has these entries.
fn with_time(entries: &str, zone: &str) -> Pipeline {
    closing(entries, zone, "")
}

fn closing(entries: &str, zone: &str, closing: &str) -> Pipeline {
    let text = format!(
        r##"
        [snapshot]
        time_zone = "{zone}"
        {closing}
        partition_key = {{ name = "pk", value = "U#{{entity}}" }}
        sort_key = {{ name = "sk", value = "{{resource}}#{{window_key}}" }}
        [[record]]
        type = "order"
        match = {{ pk = "CUSTOMER#{{customer}}", sk = "ORDER#{{order}}" }}
        window_time = {{ attribute = "ts", beyond = "reject", {entries} }}
        entity = "{{customer}}"
        resource = "orders"
        [[record.measure]]
        name = "n"
        kind = "delta"
        attribute = "n"
        [[record.measure]]
        name = "changes"
        kind = "count"
        "##
    );
    let files = [("pipeline.toml".to_owned(), text)].into();
    Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// All records are created at 2026-11-21T03:05:05Z.
#[test]
fn each_image_counts_in_the_hour_of_its_own_time() {
    let pipeline = with_time("", "UTC");
    let (late, later, now) = (
        r#"{"n":5,"ts":"2026-11-20T08:59:59Z"}"#,
        r#"{"n":5,"ts":"2026-11-20T09:00:00Z"}"#,
        r#"{"n":7,"ts":1795230305}"#,
    );
    let cases = [
        (insert(late), "7/orders changes 1 in 2026-11-20T08:00, 7/orders n 5 in 2026-11-20T08:00"),
        (insert(now), "7/orders changes 1, 7/orders n 7"),
        (
            modify(late, later),
            "7/orders changes 1 in 2026-11-20T09:00, 7/orders n 5 in 2026-11-20T09:00, 7/orders n -5 in 2026-11-20T08:00",
        ),
        (modify(late, now), "7/orders changes 1, 7/orders n 7, 7/orders n -5 in 2026-11-20T08:00"),
        (modify(late, late), "7/orders changes 1 in 2026-11-20T08:00"),
        (remove(late), "7/orders changes 1 in 2026-11-20T08:00, 7/orders n -5 in 2026-11-20T08:00"),
        (expire(now), "7/orders changes 1, 7/orders n -7"),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
}

#[test]
fn a_record_without_a_valid_time_is_rejected() {
    let pipeline = with_time("", "UTC");
    let missing = "missing_attribute: NewImage.ts: is missing, but it decides in which windows a `order` counts";
    assert_eq!(counted(&pipeline, insert(r#"{"n":5}"#)), missing);
    for ts in [r#""SECRET""#, "true", r#""2026-11-20T08:59:59""#, "17952303050", r#""2026-11-20 ""#, "[]"] {
        let shown = counted(&pipeline, insert(&format!(r#"{{"n":5,"ts":{ts}}}"#)));
        assert!(
            shown.starts_with("invalid_value: NewImage.ts: decides in which windows a `order` counts, but"),
            "{shown}"
        );
        assert!(!shown.contains("SECRET") && shown.contains("number of seconds since 1970"), "{shown}");
    }
    let old = counted(&pipeline, modify(r#"{"n":5}"#, r#"{"n":5,"ts":1795230305}"#));
    assert_eq!(old, missing.replace("NewImage", "OldImage"));
}

#[test]
fn a_time_beyond_the_bounds_is_rejected_or_counts_at_creation() {
    let counted_at = |pipeline: &Pipeline, ts: &str| {
        counted(pipeline, insert(&format!(r#"{{"n":5,"ts":"{ts}"}}"#)))
            .replace("7/orders changes 1", "")
            .replace("7/orders n 5", "")
    };
    let rejecting = with_time(r#"late = "26h", early = "30m""#, "UTC");
    for (ts, expected) in [
        ("2026-11-20T01:05:05Z", " in 2026-11-20T01:00,  in 2026-11-20T01:00"),
        ("2026-11-21T03:35:05Z", ", "),
        (
            "2026-11-20T01:05:04Z",
            "invalid_value: NewImage.ts: lies further before the creation of the record than `late` of the `window_time` of `order` allows; raise it, or set beyond = \"creation_time\"",
        ),
        (
            "2026-11-21T03:35:06Z",
            "invalid_value: NewImage.ts: lies further after the creation of the record than `early` of the `window_time` of `order` allows; raise it, or set beyond = \"creation_time\"",
        ),
    ] {
        assert_eq!(counted_at(&rejecting, ts), expected, "{ts}");
    }
    let mut lenient = with_time(r#"late = "26h", early = "30m""#, "UTC");
    lenient.routes[0].window_time.as_mut().unwrap().beyond = crate::pipeline::Beyond::CreationTime;
    for ts in ["2026-11-20T01:05:04Z", "2026-11-21T03:35:06Z"] {
        assert_eq!(counted_at(&lenient, ts), ", ", "{ts}");
    }
}

#[test]
fn hours_and_dates_are_those_of_the_time_zone() {
    let kolkata = with_time(r#"unit = "milliseconds""#, "Asia/Kolkata");
    for (ts, expected) in [
        // 02:30 to 03:30 is the hour of the record.
        ("1795228200000", ""),
        (r#""2026-11-21T02:29:59Z""#, " in 2026-11-21T01:30"),
        (r#""2026-11-20""#, " in 2026-11-19T18:30"),
    ] {
        let shown = counted(&kolkata, insert(&format!(r#"{{"n":5,"ts":{ts}}}"#)));
        assert_eq!(shown, format!("7/orders changes 1{expected}, 7/orders n 5{expected}"));
    }
}

#[test]
fn what_is_late_for_a_closed_window_counts_at_creation_as_an_adjustment() {
    // The hour of 23:59 closes at 03:00, before the record, and that of 00:00 at 04:00.
    let hours = closing("", "UTC", r#"closing = { grace = "3h", late = "adjust" }"#);
    let (late, open) = (r#"{"n":5,"ts":"2026-11-20T23:59:59Z"}"#, r#"{"n":5,"ts":"2026-11-21T00:00:00Z"}"#);
    let adjusted = "7/orders changes_adjusted 1, 7/orders changes 1, 7/orders n_adjusted 5, 7/orders n 5";
    assert_eq!(counted(&hours, insert(late)), adjusted);
    let usual = "7/orders changes 1 in 2026-11-21T00:00, 7/orders n 5 in 2026-11-21T00:00";
    assert_eq!(counted(&hours, insert(open)), usual);
    let mut corrected = counted(&hours, modify(late, r#"{"n":7,"ts":"2026-11-21T03:00:00Z"}"#));
    assert_eq!(corrected, "7/orders changes 1, 7/orders n 2, 7/orders n_adjusted -5");
    // With its day, it closes at 04:00.
    let days = closing("", "UTC", r#"closing = { grace = "4h", late = "adjust", window = "day" }"#);
    corrected = counted(&days, insert(late));
    assert_eq!(corrected, usual.replace("2026-11-21T00:00", "2026-11-20T23:00"));
    // Beyond the bounds, it is late as well.
    let mut beyond = closing(r#"late = "1h""#, "UTC", r#"closing = { grace = "3h", late = "adjust" }"#);
    beyond.routes[0].window_time.as_mut().unwrap().beyond = crate::pipeline::Beyond::CreationTime;
    assert_eq!(counted(&beyond, insert(late)), adjusted);
    assert_eq!(counted(&beyond, insert(open)), "7/orders changes 1, 7/orders n 5");
}
