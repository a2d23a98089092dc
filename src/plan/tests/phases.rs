//! Reading and planning alternate, so that a caller can measure each.

use super::*;

/// How often an event with these records switches between reading and planning.
fn switches(records: &[String]) -> usize {
    let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let mut switches = 0;
    plan_event_in_phases(event.as_bytes(), &pipeline("orders"), &quarantine(), || switches += 1).unwrap();
    switches
}

#[tokio::test]
async fn each_record_and_the_end_of_a_plan_are_planned_between_two_switches() {
    let records: Vec<String> = (1..=4).map(|sequence| order(sequence, "1", GOOD)).collect();
    assert_eq!(switches(&records), 2 * (4 + 1));
    // At a panic, the plan ends with the third record. Then all are planned again without it.
    let panicking = panicking_at(&["3".to_owned()], async { switches(&records) }).await;
    assert_eq!(panicking, 2 * (3 + 1) + 2 * (4 + 1));
}
