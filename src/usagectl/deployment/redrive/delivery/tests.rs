//! Deliveries, written as `[1234] [2] [34]`: records count from 1.

#![expect(clippy::single_range_in_vec_init, reason = "a batch is a range, and a list of one batch is one range")]

use super::*;

/// Delivers records of one byte to a function that responds as `behave` does; returns the deliveries and the failed records.
fn deliver(records: usize, most: usize, mut behave: impl FnMut(&[usize]) -> BatchOutcome) -> (String, Vec<usize>) {
    let mut plan = DeliveryPlan::new(vec![1; records], most);
    let mut deliveries = Vec::new();
    while let Some(batch) = plan.next_batch() {
        assert!(deliveries.len() < 1_000, "the plan never ends");
        let numbers: Vec<usize> = batch.map(|index| index + 1).collect();
        deliveries.push(format!("[{}]", numbers.iter().map(usize::to_string).collect::<String>()));
        let outcome = behave(&numbers);
        plan.settle(outcome);
    }
    let durable = plan.durable();
    let remaining: Vec<usize> = plan.into_failed().into_iter().map(|(index, _)| index + 1).collect();
    assert_eq!(durable + remaining.len(), records, "each record is either durable or failed");
    (deliveries.join(" "), remaining)
}

/// Names the first bad record, as the function does.
fn naming(bad: &'static [usize]) -> impl Fn(&[usize]) -> BatchOutcome {
    move |batch| {
        batch.iter().position(|number| bad.contains(number)).map_or(BatchOutcome::Durable, BatchOutcome::FailedFrom)
    }
}

/// Fails as a whole if any record is bad.
fn failing(bad: &'static [usize]) -> impl Fn(&[usize]) -> BatchOutcome {
    move |batch| {
        if batch.iter().any(|number| bad.contains(number)) {
            BatchOutcome::Failed("boom".to_owned())
        } else {
            BatchOutcome::Durable
        }
    }
}

#[test]
fn one_bad_record_holds_up_no_others() {
    for (bad, deliveries) in [
        (&[][..], "[1234]"),
        (&[1], "[1234] [1] [2] [34]"),
        (&[2], "[1234] [2] [34]"),
        (&[4], "[1234] [4]"),
        (&[1, 2], "[1234] [1] [2] [3] [4]"),
        (&[2, 3], "[1234] [2] [34] [3] [4]"),
        (&[1, 2, 3, 4], "[1234] [1] [2] [3] [4]"),
    ] {
        assert_eq!(deliver(4, 100, naming(bad)), (deliveries.to_owned(), bad.to_vec()), "{bad:?} named");
    }
    for (bad, deliveries) in [
        (&[][..], "[1234]"),
        (&[1], "[1234] [12] [1] [2] [34]"),
        (&[4], "[1234] [12] [34] [3] [4]"),
        (&[1, 2, 3, 4], "[1234] [12] [1] [2] [3] [4]"),
    ] {
        assert_eq!(deliver(4, 100, failing(bad)), (deliveries.to_owned(), bad.to_vec()), "{bad:?} failing");
    }
}

#[test]
fn a_record_alone_is_delivered_once() {
    assert_eq!(deliver(1, 100, naming(&[1])), ("[1]".to_owned(), vec![1]));
    assert_eq!(deliver(1, 100, failing(&[1])), ("[1]".to_owned(), vec![1]));
    assert_eq!(deliver(0, 100, naming(&[])), (String::new(), Vec::new()));
}

#[test]
fn records_are_durable_after_a_transient_failure() {
    let mut first = true;
    let (deliveries, remaining) =
        deliver(
            5,
            100,
            |_| if std::mem::take(&mut first) { BatchOutcome::FailedFrom(2) } else { BatchOutcome::Durable },
        );
    assert_eq!((deliveries.as_str(), remaining), ("[12345] [3] [45]", Vec::new()));
}

#[test]
fn a_batch_is_never_larger_than_the_original_or_the_payload_limit() {
    assert_eq!(deliver(5, 2, naming(&[])).0, "[12] [34] [5]");
    let large = MAXIMUM_PAYLOAD_BYTES / 2;
    let batches = |sizes: Vec<usize>| {
        let mut plan = DeliveryPlan::new(sizes, 100);
        let batches = std::iter::from_fn(|| {
            let batch = plan.next_batch()?;
            plan.settle(BatchOutcome::Durable);
            Some(batch)
        });
        (batches.collect::<Vec<_>>(), plan.into_failed())
    };
    assert_eq!(batches(vec![large; 3]), (vec![0..1, 1..2, 2..3], Vec::new()));
    // To the byte: the envelope, two records and the comma between them.
    let half = (MAXIMUM_PAYLOAD_BYTES - ENVELOPE_BYTES - 1) / 2;
    assert_eq!(batches(vec![half, half]).0, vec![0..2]);
    assert_eq!(batches(vec![half + 1, half + 1]).0, vec![0..1, 1..2]);
    let too_large = MAXIMUM_PAYLOAD_BYTES;
    let refused = |index| (index, Failure::TooLarge);
    assert_eq!(batches(vec![too_large, 1, 1, too_large, 1]), (vec![1..3, 4..5], vec![refused(0), refused(3)]));
    assert_eq!(batches(vec![too_large - ENVELOPE_BYTES]), (vec![0..1], Vec::new()));
}

#[test]
fn a_document_of_bad_records_costs_about_one_invocation_per_record() {
    let mut delivered = 0;
    let all: Vec<usize> = (1..=300).collect();
    let (deliveries, remaining) = deliver(300, 300, |batch| {
        delivered += batch.len();
        BatchOutcome::FailedFrom(0)
    });
    assert_eq!((remaining, deliveries.split(' ').count()), (all, 301));
    assert_eq!(delivered, 600, "records over all invocations");
}

#[test]
fn an_index_beyond_the_batch_means_the_last_record() {
    let (_, remaining) =
        deliver(3, 100, |batch| if batch.contains(&3) { BatchOutcome::FailedFrom(9) } else { BatchOutcome::Durable });
    assert_eq!(remaining, [3]);
}

#[test]
fn only_the_bad_records_of_a_random_document_remain() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let (records, most) = (random.usize(0..60), random.usize(1..70));
        let share = random.f64();
        let bad: Vec<usize> = (1..=records).filter(|_| random.f64() < share).collect();
        let (named, crashing): (Vec<usize>, Vec<usize>) = bad.iter().copied().partition(|_| random.bool());
        let (_, remaining) = deliver(records, most, |batch| {
            if batch.iter().any(|number| crashing.contains(number)) {
                return BatchOutcome::Failed(String::new());
            }
            batch
                .iter()
                .position(|number| named.contains(number))
                .map_or(BatchOutcome::Durable, BatchOutcome::FailedFrom)
        });
        assert_eq!(remaining, bad);
    }
}

#[test]
fn consecutive_indexes_make_runs() {
    assert!(runs([]).is_empty());
    assert_eq!(runs([0]), [0..1]);
    assert_eq!(runs([1, 2, 3, 5, 7, 8]), [1..4, 5..6, 7..9]);
}
