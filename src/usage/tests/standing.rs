//! Levels, and values times the time that they stood.

use super::*;

/// The record of each change is created at 2026-11-21T03:05:05Z.
fn seats(more: &str) -> Pipeline {
    with_keys("", more)
}

/// The same, with more keys of the record type.
fn with_keys(keys: &str, more: &str) -> Pipeline {
    in_zone("UTC", keys, more)
}

fn in_zone(zone: &str, keys: &str, more: &str) -> Pipeline {
    let text = format!(
        r##"
        [snapshot]
        windows = ["hour", "total"]
        time_zone = "{zone}"
        partition_key = {{ name = "pk", value = "U#{{entity}}" }}
        sort_key = {{ name = "sk", value = "{{resource}}#{{window_key}}" }}

        [[record]]
        type = "subscription"
        match = {{ pk = "CUSTOMER#{{customer}}" }}
        bind = {{ plan = "plan" }}
        entity = "{{customer}}"
        resource = "{{plan}}"
        {keys}

        [[record.measure]]
        name = "seats"
        kind = "level"
        attribute = "seats"
        where = {{ active = true }}

        [[record.measure]]
        name = "seat_hours"
        kind = "weighted"
        attribute = "seats"
        since = "at"
        where = {{ active = true }}
        {more}
        "##
    );
    let files = [("pipeline.toml".to_owned(), text)].into();
    Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn subscription(seats: &str, active: bool, plan: &str, at: &str) -> String {
    format!(r#"{{"seats":{seats},"active":{active},"plan":"{plan}","at":{at}}}"#)
}

/// A change from the state `old` to `new`; an empty text means that the item doesn't exist.
fn change<'a>(old: &'a str, new: &'a str) -> Change<'a> {
    match (old, new) {
        ("", new) => insert(new),
        (old, "") => remove(old),
        (old, new) => modify(old, new),
    }
}

fn active(seats: &str, at: &str) -> String {
    subscription(seats, true, "pro", at)
}

#[test]
fn an_old_value_counts_for_the_time_until_its_successor_or_its_removal() {
    let pipeline = seats("");
    // 1795219200 is midnight, and 1795230305 the time of the record.
    let old = active("5", "\"2026-11-21T00:00:00Z\"");
    let inactive = |at| subscription("5", false, "pro", at);
    let (none, without) = (String::new, r#"{"seats":5,"active":true,"plan":"pro"}"#.to_owned());
    let cases = [
        (none(), old.clone(), "7/pro seats 5"),
        (old.clone(), active("8", "\"2026-11-21T02:30:00+01:00\""), "7/pro seats 3, 7/pro seat_hours 7.5"),
        (old.clone(), active("5", "\"2026-11-21T03:00:00Z\""), "7/pro seat_hours 15"),
        // The value still stands since the same time.
        (old.clone(), active("5", "\"2026-11-21T00:00:00Z\""), ""),
        (old.clone(), inactive("1795228800"), "7/pro seats -5, 7/pro seat_hours 13.333333333"),
        (
            old.clone(),
            subscription("6", true, "team", "1795228800.5"),
            "7/team seats 6, 7/pro seats -5, 7/pro seat_hours 13.334027778",
        ),
        (inactive("0"), old.clone(), "7/pro seats 5"),
        (active("0", "0"), old.clone(), "7/pro seats 5"),
        // A removed item has no successor, and neither has a value if the new image lacks the time.
        (old.clone(), none(), "7/pro seats -5, 7/pro seat_hours 15.423611111"),
        (inactive("0"), none(), ""),
        (old.clone(), without, "7/pro seat_hours 15.423611111"),
        (active("5", "1795230305"), none(), "7/pro seats -5"),
        // Written within the second of the removal.
        (active("5", "1795230305.7"), none(), "7/pro seats -5"),
    ];
    for (old, new, expected) in &cases {
        assert_eq!(counted(&pipeline, change(old, new)), *expected, "{old} => {new}");
    }
    assert_eq!(counted(&pipeline, expire(&old)), "7/pro seats -5, 7/pro seat_hours 15.423611111");
}

/// A date was midnight in UTC here, but in the time zone where it decides in which windows a record counts.
#[test]
fn regression_a_value_that_stands_since_a_date_stands_since_its_begin_in_the_time_zone() {
    let [utc, berlin] = ["UTC", "Europe/Berlin"].map(|zone| in_zone(zone, "", ""));
    let old = active("5", "\"2026-11-21\"");
    assert_eq!(counted(&utc, change(&old, "")), "7/pro seats -5, 7/pro seat_hours 15.423611111");
    assert_eq!(counted(&berlin, change(&old, "")), "7/pro seats -5, 7/pro seat_hours 20.423611111");
    // A day of 25 hours.
    let [old, new] = ["\"2026-10-25\"", "\"2026-10-26\""].map(|at| active("1", at));
    assert_eq!(counted(&utc, change(&old, &new)), "7/pro seat_hours 24");
    assert_eq!(counted(&berlin, change(&old, &new)), "7/pro seat_hours 25");
}

#[test]
fn a_time_that_would_be_wrong_rejects_the_record_and_is_named() {
    let pipeline = seats("");
    let old = active("5", "1795219200");
    let (none, without) = (String::new, r#"{"seats":5,"active":true,"plan":"pro"}"#.to_owned());
    let cases = [
        (
            without,
            none(),
            "missing_attribute: OldImage.at: is missing, but measure `seat_hours` needs it as the time since which the value stood",
        ),
        (
            old.clone(),
            active("5", "1795219199"),
            "invalid_value: OldImage.at: is at least a second later than NewImage.at, so measure `seat_hours` would count a negative time",
        ),
        (
            active("5", "1795230306"),
            none(),
            "invalid_value: OldImage.at: is at least a second later than the record, 2026-11-21T03:05:05Z, so measure `seat_hours` would count a negative time",
        ),
        (
            active("5", "1795219200000"),
            none(),
            "invalid_value: OldImage.at: expected an instant with an offset, a date, or seconds since 1970, from 2000 to 2099; found an invalid N",
        ),
        (
            old.clone(),
            active("5", "\"now\""),
            "invalid_value: NewImage.at: expected an instant with an offset, a date, or seconds since 1970, from 2000 to 2099; found an invalid S",
        ),
        (
            active("99999999999999999999999999999999999999", "1795219200"),
            none(),
            "invalid_value: OldImage.at: times its value for measure `seat_hours`, has more than 38 significant digits",
        ),
    ];
    for (old, new, expected) in &cases {
        assert_eq!(counted(&pipeline, change(old, new)), *expected, "{old} => {new}");
    }
    assert_eq!(
        counted(&pipeline, modify("", &old)),
        "image_not_carried: OldImage: isn't in the stream; set the view type to NEW_AND_OLD_IMAGES"
    );
}

#[test]
fn items_and_patterns_can_be_weighted_in_any_unit() {
    let pipeline = seats(
        r#"
        [[record.measure]]
        name = "item_minutes"
        kind = "weighted"
        since = "at_ms"
        since_unit = "milliseconds"
        unit = "minutes"

        [[record.measure]]
        name = "{disk}_gb_days"
        kind = "weighted"
        attributes = "{disk}_bytes"
        factor = 0.000000001
        since = "at"
        unit = "days"
        "#,
    );
    let old = r#"{"seats":0,"active":true,"plan":"pro","at":1795143905,"at_ms":1795230245000,"ssd_bytes":2e9,"hdd_bytes":5e8}"#;
    assert_eq!(counted(&pipeline, remove(old)), "7/pro item_minutes 1, 7/pro ssd_gb_days 2, 7/pro hdd_gb_days 0.5");
}

/// What all changes of an item add up to is what stood, whatever the order in which they are counted.
#[test]
fn the_durations_of_an_item_fit_together() {
    let pipeline = seats("");
    let at = |second: i64| subscription("3", true, "pro", &(1_795_219_200 + second).to_string());
    let seconds = [0, 7, 7, 1_000, 3_601, 9_999];
    let hours = |old: &str, new: &str| -> Decimal {
        let text = counted(&pipeline, change(old, new));
        text.rsplit_once("seat_hours ").map_or(Decimal::ZERO, |(_, hours)| Decimal::parse(hours).unwrap())
    };
    let steps = seconds.windows(2).map(|pair| hours(&at(pair[0]), &at(pair[1])));
    let sum = steps.fold(hours(&at(9_999), ""), |sum, step| sum.checked_add(step).unwrap());
    // 3 seats for 11,105 seconds.
    assert_eq!(sum.to_string(), "9.254166667");
}

/// Each record is created at 2026-11-21T03:05:05Z.
#[test]
fn with_event_time_a_value_counts_in_the_hour_since_which_it_stood() {
    let pipeline = with_keys(r#"window_time = { attribute = "at", late = "1d", beyond = "creation_time" }"#, "");
    let [old, new] = ["2026-11-21T00:00:00Z", "2026-11-21T02:30:00Z"].map(|at| active("5", &format!("\"{at}\"")));
    let (long_ago, now) = (active("5", "\"2026-11-19T00:00:00Z\""), active("5", "\"2026-11-21T03:00:00Z\""));
    for (old, new, expected) in [
        ("", &*new, "7/pro seats 5 in 2026-11-21T02:00"),
        (
            &*old,
            &*new,
            "7/pro seats 5 in 2026-11-21T02:00, 7/pro seats -5 in 2026-11-21T00:00, 7/pro seat_hours 12.5 in 2026-11-21T00:00",
        ),
        (&*old, "", "7/pro seats -5 in 2026-11-21T00:00, 7/pro seat_hours 15.423611111 in 2026-11-21T00:00"),
        // What has stood for longer than `late` counts when it changes.
        (&*long_ago, &*now, "7/pro seat_hours 255"),
    ] {
        assert_eq!(counted(&pipeline, change(old, new)), expected, "{old} {new}");
    }
}
