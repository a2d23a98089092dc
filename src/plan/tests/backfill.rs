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
