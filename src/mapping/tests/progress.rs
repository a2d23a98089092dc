//! What a mapping reports of itself while it runs: the batch that blocks a shard, its cause, and distinct records.

use super::*;
use crate::{Blocked, FailureCause, Progress, RejectionReason};

/// A function that gives a reason for the records that it rejects.
struct Explains(Arc<Script>);

#[async_trait::async_trait]
impl Function for Explains {
    fn arn(&self) -> &str {
        self.0.arn()
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
        self.0.invoke(event, request_id).await
    }

    fn rejection_reason(&self, _sequence: &SequenceNumber<'_>) -> Option<RejectionReason> {
        let text = |text: &str| text.to_owned();
        Some(RejectionReason { code: text("missing_attribute"), field: text("total"), reason: text("is missing") })
    }
}

/// Runs a mapping for this long; returns what it reports then and after it has stopped.
async fn seen_after(fixture: &Fixture, time: Duration) -> (Progress, Progress, Counts) {
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.function = Arc::new(Explains(Arc::clone(&fixture.function)));
    let (stop, stopped) = watch::channel(false);
    let meter = Arc::clone(&mapping.meter);
    let running = tokio::spawn(Arc::new(mapping).run(stopped));
    tokio::time::sleep(time).await;
    let seen = meter.progress();
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    (seen, meter.progress(), meter.counts())
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    let micros = u32::try_from(to.micros() - from.micros()).unwrap();
    f64::from(micros) / 1e6
}

fn retried(fixture: Fixture) -> Fixture {
    fixture.with(|settings| {
        settings.maximum_retry_attempts = Some(10);
        settings.bisect_batch_on_function_error = true;
    })
}

/// `usagectl reconcile` took such records for lost ones.
#[tokio::test(start_paused = true)]
async fn regression_records_of_a_shard_that_waits_for_its_parent_are_reported_as_unread() {
    let fixture = Fixture::new(fails_on(2)).records(3);
    fixture.stream.open("child", &["s"]);
    fixture.stream.push("child", record(4, 4, START_MICROS));
    fixture.stream.close("s");
    let (seen, _, _) = seen_after(&fixture, Duration::from_secs(5)).await;
    assert_eq!((seen.unsettled_records, seen.more_unread), (3, true), "{seen:#?}");
    let fixture = Fixture::new(|_, _| success()).records(3);
    fixture.stream.open("child", &["s"]);
    fixture.stream.close("s");
    let (seen, _, _) = seen_after(&fixture, Duration::from_secs(5)).await;
    assert_eq!((seen.unsettled_records, seen.more_unread), (0, false), "{seen:#?}");
}

/// `usagectl local` ended without a word about them, and `usagectl reconcile` took them for lost ones.
#[tokio::test(start_paused = true)]
async fn regression_records_that_were_written_after_the_last_read_are_unread() {
    let fixture = Fixture::new(|_, _| success()).records(3);
    let fixture = fixture.with(|settings| {
        settings.polling_interval = Duration::from_secs(60);
        settings.filters = Filters::parse(&[r#"{"eventName":["INSERT"]}"#.to_owned()]).unwrap();
    });
    let mapping = fixture.mapping();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&mapping).run(stopped));
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    assert!(!mapping.has_unread().await);
    let filtered_out = SourceRecord { json: r#"{"eventName":"REMOVE"}"#.to_owned(), ..record(4, 4, START_MICROS) };
    fixture.stream.push("s", filtered_out);
    assert!(!mapping.has_unread().await, "the mapping would not deliver it");
    let inserted = SourceRecord { json: r#"{"eventName":"INSERT"}"#.to_owned(), ..record(5, 5, START_MICROS) };
    fixture.stream.push("s", inserted);
    assert_eq!((mapping.meter.progress().more_unread, mapping.has_unread().await), (false, true));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_record_is_reported_as_what_blocks_its_shard() {
    let fixture = retried(Fixture::new(reports(4)).records(9));
    let (seen, stopped, counts) = seen_after(&fixture, Duration::from_secs(5)).await;
    assert_eq!(seen.unsettled_records, 6, "records 4 to 9");
    let [Blocked { shard, sequence_number, records, waiting_records, failed_attempts, maximum_attempts, .. }] =
        seen.blocked.as_slice()
    else {
        panic!("{seen:#?}")
    };
    assert_eq!((shard.as_str(), sequence_number), ("s", &sequence(4)));
    assert_eq!((*records, *waiting_records), (1, 5));
    // After pauses of 0.2, 0.4, 0.8 and 1.6 s.
    assert_eq!((*failed_attempts, *maximum_attempts), (5, Some(11)));
    let blocked = &seen.blocked[0];
    assert!(seconds(blocked.since, blocked.next_attempt) > 6.0, "{blocked:#?}");
    // 6.2 s have passed by the next attempt; pauses of 6.4, 12.8, 25.6, 30 and 30 s follow.
    let left = seconds(blocked.next_attempt, blocked.retried_until.unwrap());
    assert!((left - 104.8).abs() < 0.01, "{left}");
    let FailureCause::Reported(Some(reason)) = &blocked.cause else { panic!("{blocked:#?}") };
    assert_eq!(reason.code, "missing_attribute");
    assert_eq!(seen.last_rejected.as_ref().map(|last| &last.sequence_number), Some(sequence_number));
    assert_eq!(stopped, seen, "what waits when the mapping stops is still reported");
    assert_eq!(counts.distinct_processed, 3);
    assert!(counts.failures_by_cause["missing_attribute total"] > 5, "{counts:#?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_blocks_once_the_record_is_discarded() {
    let fixture = retried(Fixture::new(reports(4)).records(9));
    let (seen, _, counts) = seen_after(&fixture, Duration::from_secs(130)).await;
    assert_eq!((seen.unsettled_records, seen.oldest_unsettled, seen.blocked.as_slice()), (0, None, &[][..]));
    assert_eq!(seen.last_rejected.unwrap().failed_attempts, 10, "the last failure is remembered");
    assert_eq!((counts.distinct_processed, counts.distinct_discarded), (8, 1));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_unsettled_record_is_known_between_retries() {
    let fixture = Fixture::new(fails_on(1)).records(2);
    let (seen, ..) = seen_after(&fixture, Duration::from_secs(40)).await;
    assert_eq!(seen.oldest_unsettled.map(Timestamp::micros), Some(START_MICROS));
    let blocked = &seen.blocked[0];
    assert_eq!((blocked.maximum_attempts, blocked.retried_until), (None, None), "without a limit there is no end");
    assert_eq!(blocked.cause, FailureCause::FunctionError("boom".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_becomes_too_old_first_is_retried_until_then() {
    let fixture = retried(Fixture::new(fails_on(1)).records(1));
    let fixture = fixture.with(|settings| settings.maximum_record_age = Some(Duration::from_secs(60)));
    let (seen, ..) = seen_after(&fixture, Duration::from_secs(3)).await;
    let until = seen.blocked[0].retried_until.unwrap();
    assert_eq!(until.micros(), START_MICROS + 60_000_000);
}

/// The page, `doctor`, and `reconcile` named it as what blocks the shard, although the failure destination had it.
#[tokio::test(start_paused = true)]
async fn regression_a_batch_that_was_discarded_for_its_age_blocks_nothing() {
    let fixture = Fixture::new(|_, _| InvocationResult::FunctionError("boom".to_owned())).with(|settings| {
        settings.parallelization_factor = 2;
        settings.maximum_record_age = Some(Duration::from_secs(60));
        settings.maximum_backoff = Duration::from_millis(200);
    });
    fixture.stream.push("s", record(1, 1, START_MICROS));
    fixture.stream.push("s", record(2, 2, START_MICROS + 50_000_000));
    let (seen, ..) = seen_after(&fixture, Duration::from_secs(70)).await;
    let blocked: Vec<&String> = seen.blocked.iter().map(|blocked| &blocked.sequence_number).collect();
    assert_eq!((seen.unsettled_records, blocked), (1, vec![&sequence(2)]));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_delivered_again_are_counted_once() {
    let fixture = Fixture::new(|_, _| success()).records(9).with(|settings| settings.batch_size = 2);
    let mapping = fixture.mapping();
    let meter = Arc::clone(&mapping.meter);
    for _ in 0..2 {
        let mut again = Arc::into_inner(fixture.mapping()).unwrap();
        again.meter = Arc::clone(&meter);
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(Arc::new(again).run(stopped));
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.send_replace(true);
        running.await.unwrap().unwrap();
        // As after a crash that loses the latest checkpoints.
        fixture.checkpoints.lock().unwrap().rewind(3).unwrap();
    }
    let counts = meter.counts();
    assert!(counts.invoked_event_count > 9, "{counts:?}");
    assert_eq!(counts.distinct_processed, 9);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_is_dropped_leaves_no_progress_behind() {
    let fixture = Fixture::new(fails_on(1)).records(2);
    let mapping = fixture.mapping();
    let meter = Arc::clone(&mapping.meter);
    let (_stop, stopped) = watch::channel(false);
    let crashed = tokio::time::timeout(Duration::from_secs(2), mapping.run(stopped)).await;
    assert!(crashed.is_err());
    // The shards run in tasks, which end when they are scheduled again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(meter.progress(), Progress::default());
}

#[tokio::test(start_paused = true)]
async fn causes_that_always_differ_are_counted_together() {
    let fixture = Fixture::new(|_, number| {
        let letter = char::from_u32(u32::try_from(number).unwrap() + 0x4e00).unwrap();
        InvocationResult::FunctionError(letter.to_string())
    });
    let fixture = fixture.records(1).with(|settings| settings.maximum_backoff = Duration::from_millis(200));
    let counts = fixture.run_for(Duration::from_secs(20)).await;
    assert!(counts.failures_by_cause.len() == 33, "{counts:#?}");
    assert!(counts.failures_by_cause["other causes"] > 10, "{counts:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_a_success_once_it_has_settled_records() {
    type Rule = fn(&[u64], usize) -> InvocationResult;
    // Two records: neither, only the first, or both are settled.
    let rules: [(Rule, u64); 3] = [
        (|items, number| fails_on(1)(items, number), 0),
        (|items, number| reports(2)(items, number), 1),
        (|_, _| success(), 1),
    ];
    for (rule, successes) in rules {
        let mut fixture = Fixture::new(rule).records(2);
        Arc::get_mut(&mut fixture.function).unwrap().duration = Duration::from_secs(30);
        let mapping = fixture.mapping();
        let meter = Arc::clone(&mapping.meter);
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(mapping.run(stopped));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let started = meter.counts();
        assert_eq!((started.invocations, started.successes, started.errors), (1, 0, 0), "it is still running");
        stop.send_replace(true);
        running.await.unwrap().unwrap();
        let ended = meter.counts();
        assert_eq!((ended.invocations, ended.successes), (1, successes));
    }
}
