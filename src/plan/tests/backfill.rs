//! Records of `usagectl backfill`: items that existed before the stream was attached.

use super::super::backfill::{ARCHIVED, COUNTED, WHOLE};
use super::*;

/// The orders pipeline with a total that the items that existed open.
fn with_baseline() -> Pipeline {
    let mut folder = shipped("orders").unwrap();
    let text = folder.files.get_mut("pipeline.toml").unwrap();
    *text = text.replace(r#"windows = ["hour", "day", "month"]"#, r#"windows = ["day", "total"]"#);
    *text = text.replace("hour_days = 90, ", "");
    *text = text
        .replace("kind = \"delta\"\nattribute = \"total\"", "kind = \"delta\"\nbaseline = true\nattribute = \"total\"");
    Pipeline::parse(&folder).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// An order that existed, in a record that is for this.
fn existing(sequence: usize, id: &str, attributes: &str) -> String {
    let record = order(sequence, "1", attributes)
        .replace(&format!("\"eventID\":\"e{sequence}\""), &format!("\"eventID\":\"{id}\""));
    record.replace("/stream/2026-11-02T08:15:27.416", "/stream/backfill")
}

fn measures(plan: &Plan) -> Vec<&str> {
    plan.groups
        .iter()
        .flat_map(|group| &group.effects)
        .flat_map(|effect| &effect.amounts)
        .map(|a| &*a.measure)
        .collect()
}

#[test]
fn an_item_that_existed_counts_only_for_measures_with_a_baseline() {
    let plan = planned_by(&with_baseline(), &[existing(1, WHOLE, GOOD)], &PlanContext::default());
    assert_eq!((counts(&plan), measures(&plan)), ([1, 1, 1, 0, 0], vec!["amount"]));
    // The same item, inserted.
    let plan = planned_by(&with_baseline(), &[order(1, "1", GOOD)], &PlanContext::default());
    assert_eq!(measures(&plan), ["changes", "orders", "amount"]);
    // Without a baseline, it is only archived.
    let plan = planned(&[existing(1, WHOLE, GOOD)], &PlanContext::default());
    assert_eq!((counts(&plan), measures(&plan).len()), ([1, 0, 1, 0, 0], 0));
    // A canceled order doesn't meet the measure's condition.
    let canceled = GOOD.replace("NEW", "CANCELLED");
    let plan = planned_by(&with_baseline(), &[existing(1, WHOLE, &canceled)], &PlanContext::default());
    assert_eq!(counts(&plan), [1, 0, 1, 0, 0]);
}

#[test]
fn a_record_of_a_backfill_may_only_count_or_only_be_archived() {
    for (id, expected) in [(COUNTED, [1, 1, 0, 0, 0]), (ARCHIVED, [1, 0, 1, 0, 0])] {
        let plan = planned_by(&with_baseline(), &[existing(1, id, GOOD)], &PlanContext::default());
        assert_eq!(counts(&plan), expected, "{id}");
    }
    let count_from = Timestamp::parse("2026-11-21T03:06:00Z");
    let context = PlanContext { count_from, ..PlanContext::default() };
    let plan = planned_by(&with_baseline(), &[existing(1, WHOLE, GOOD)], &context);
    assert_eq!(counts(&plan), [1, 0, 1, 0, 0], "before COUNT_FROM");
}

#[test]
fn an_item_that_existed_is_rejected_like_any_other() {
    let plan = planned_by(&with_baseline(), &[existing(1, WHOLE, r#""total":{"S":"x"}"#)], &PlanContext::default());
    assert!(plan.rejected.unwrap().to_string().contains("NewImage.total: expected N, found S"));
}

/// Seats that count in the hour of `ts`, and whose level `entries` defines further.
fn seats(entries: &str, snapshot: &str) -> Pipeline {
    let text = format!(
        r##"
        [snapshot]
        {snapshot}
        partition_key = {{ name = "pk", value = "U#{{entity}}" }}
        sort_key = {{ name = "sk", value = "{{resource}}#{{window_key}}" }}
        [[record]]
        type = "seat"
        match = {{ pk = "CUSTOMER#{{customer}}" }}
        window_time = {{ attribute = "ts", late = "1d", beyond = "creation_time" }}
        entity = "{{customer}}"
        resource = "seats"
        [[record.measure]]
        name = "seats"
        kind = "level"
        attribute = "n"
        {entries}
        "##
    );
    let files = [("pipeline.toml".to_owned(), text)].into();
    let pipeline = Pipeline::parse(&crate::pipeline::Folder { name: "seats".to_owned(), files });
    pipeline.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

const DAYS: &str = r#"windows = ["day", "total"]"#;
const ADJUSTING: &str = "windows = [\"day\", \"total\"]\nclosing = { grace = \"1h\", late = \"adjust\" }";

/// A seat with this time.
fn seat(ts: &str) -> String {
    format!(r#""n":{{"N":"5"}},"ts":{{"S":"{ts}"}}"#)
}

/// What records count: each measure with its amount, and the hour if that isn't the one of the record.
fn counted(pipeline: &Pipeline, records: &[String], count_from: &str) -> Vec<String> {
    let context = PlanContext { count_from: Timestamp::parse(count_from), ..PlanContext::default() };
    let plan = planned_by(pipeline, records, &context);
    assert_eq!((plan.rejected, plan.records), (None, records.len()));
    let shown = |group: &Group| {
        let hour = group.event_hour.map_or_else(String::new, |hour| format!(" in {}", hour.text()));
        let amounts = group.effects.iter().flat_map(|effect| &effect.amounts);
        let texts = amounts.map(|a| format!("{} {}{hour}", a.measure, a.amount().unwrap()));
        texts.collect::<Vec<_>>()
    };
    plan.groups.iter().flat_map(shown).collect()
}

/// All records are created at 2026-11-21T03:05:05Z.
#[test]
fn regression_opening_values_count_at_the_cut_whatever_time_their_items_have() {
    let pipelines = [DAYS, ADJUSTING].map(|snapshot| seats("baseline = true", snapshot));
    for ts in ["2026-11-20T10:00:00Z", "2026-11-21T02:00:00Z", "2026-11-01T10:00:00Z", "2026-11-21T03:05:05Z"] {
        for pipeline in &pipelines {
            for count_from in ["", "2026-11-21T00:00:00Z", "2026-11-21T03:05:05Z"] {
                let amounts = counted(pipeline, &[existing(1, WHOLE, &seat(ts))], count_from);
                assert_eq!(amounts, ["seats 5"], "{ts}, counted from {count_from}");
            }
        }
    }
}

#[test]
fn regression_what_is_left_out_when_it_comes_is_left_out_when_it_goes() {
    let inserted = |ts: &str| order(1, "1", &seat(ts));
    let removed = |ts: &str| order(2, "1", &seat(ts)).replace("INSERT", "REMOVE").replace("NewImage", "OldImage");
    let day = "2026-11-21T00:00:00Z";
    // Within `late`, and beyond it.
    for ts in ["2026-11-20T10:00:00Z", "2026-11-19T10:00:00Z"] {
        for snapshot in [DAYS, ADJUSTING] {
            for record in [inserted(ts), removed(ts)] {
                assert_eq!(counted(&seats("", snapshot), &[record], day), [""; 0], "{ts}");
            }
            // Its opening value has all items, so it follows all of them.
            let followed = counted(&seats("baseline = true", snapshot), &[inserted(ts), removed(ts)], day);
            assert_eq!(followed, ["seats 5", "seats -5"], "{ts}");
        }
    }
    let at_two = ["seats 5 in 2026-11-21T02:00", "seats -5 in 2026-11-21T02:00"];
    assert_eq!(
        counted(&seats("", DAYS), &[inserted("2026-11-21T02:00:00Z"), removed("2026-11-21T02:00:00Z")], day),
        at_two
    );
}

/// Only the total may begin within an hour.
#[test]
fn regression_counting_that_begins_within_an_hour_leaves_out_what_is_before_the_minute() {
    let pipeline = seats("", r#"windows = ["total"]"#);
    let inserted = |ts: &str| counted(&pipeline, &[order(1, "1", &seat(ts))], "2026-11-21T02:30:00Z");
    assert_eq!(inserted("2026-11-21T02:30:00Z"), ["seats 5 in 2026-11-21T02:00"]);
    assert_eq!(inserted("2026-11-21T02:29:59Z"), [""; 0]);
}
