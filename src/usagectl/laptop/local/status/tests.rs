//! Sums, the summary at the end of a run, and what waits.

use super::*;

#[test]
fn records_of_the_load_that_have_not_been_read_wait() {
    let mapping = Counts { distinct_processed: 10, distinct_discarded: 2, ..Counts::default() };
    let mut status = Status { written: Some(400), written_to_stream: 20, mapping, ..Status::default() };
    status.set_waiting(Waiting { records: 3, ..Waiting::default() });
    assert_eq!(status.waiting.records, 8);
    status.set_waiting(Waiting { records: 9, more_unread: true, ..Waiting::default() });
    assert_eq!(status.waiting.count(), "9+");
    let blocked = vec![crate::shell::waiting::tests::blocked()];
    status.set_waiting(Waiting { records: 3, more_unread: true, blocked, ..Waiting::default() });
    assert_eq!((status.waiting.count(), status.waiting.blocked[0].waiting_records), ("8".to_owned(), 7));
}

#[test]
fn counts_are_summed_and_of_ages_the_highest_is_kept() {
    let point = |name: &str, unit: &str, values: &[f64]| DataPoint {
        namespace: "UsageAggregator".to_owned(),
        name: name.to_owned(),
        dimensions: BTreeMap::new(),
        values: values.to_vec(),
        counts: Vec::new(),
        unit: Some(unit.to_owned()),
    };
    let mut status = Status::default();
    status.add(vec![point("NoticesFolded", "Count", &[3.0, 4.0]), point("FoldAge", "Milliseconds", &[900.0, 20.0])]);
    status.add(vec![point("NoticesFolded", "Count", &[5.0]), point("FoldAge", "Milliseconds", &[30.0])]);
    assert_eq!(status.function, BTreeMap::from([("NoticesFolded".to_owned(), 12.0)]));
    assert_eq!(status.function_maximum, BTreeMap::from([("FoldAge".to_owned(), 900.0)]));
}

#[test]
fn the_summary_begins_with_one_line_and_leaves_out_what_did_not_occur() {
    let mapping = Counts { distinct_processed: 1_250, invocations: 9, ..Counts::default() };
    let waiting = Waiting { records: 3, ..Waiting::default() };
    let status = Status { seconds: 12.4, mapping, waiting, ..Status::default() };
    insta::assert_snapshot!(status.summary());
}

#[test]
fn the_summary_shows_the_highest_age_the_faults_of_each_mapping_and_the_alarms() {
    let fold = MappingStatus { injected: [("crash", 7)].into(), ..MappingStatus::default() };
    let status = Status {
        injected: [("crash", 1_200), ("poison", 1)].into(),
        fold: Some(fold),
        function: [("NoticesFolded".to_owned(), 12.0)].into(),
        function_maximum: [("FoldAge".to_owned(), 900.4), ("PagesInMinute".to_owned(), 60.0)].into(),
        alarms: crate::laptop::local::screen::tests::alarms(),
        ..Status::default()
    };
    insta::assert_snapshot!(
        [status.function_table(), status.fault_table(), status.alarm_table()].map(Option::unwrap).join("\n")
    );
}
