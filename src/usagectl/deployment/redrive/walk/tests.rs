//! Deliveries, written as `[1234] [2] [34]`: records count from 1.

#![expect(clippy::single_range_in_vec_init, reason = "a batch is a range, and a list of one batch is one range")]

use super::*;

/// Walks through records of one byte with a function that answers `behave`; gives the deliveries and what remains.
fn walk(records: usize, most: usize, mut behave: impl FnMut(&[usize]) -> Heard) -> (String, Vec<usize>) {
    let mut walk = Walk::new(vec![1; records], most);
    let mut deliveries = Vec::new();
    while let Some(batch) = walk.next() {
        assert!(deliveries.len() < 1_000, "it never ends");
        let numbers: Vec<usize> = batch.map(|index| index + 1).collect();
        deliveries.push(format!("[{}]", numbers.iter().map(usize::to_string).collect::<String>()));
        let heard = behave(&numbers);
        walk.hear(heard);
    }
    let durable = walk.durable();
    let remaining: Vec<usize> = walk.into_remaining().into_iter().map(|(index, _)| index + 1).collect();
    assert_eq!(durable + remaining.len(), records, "each record is the one or the other");
    (deliveries.join(" "), remaining)
}

/// Names the first record that is poison, as the function does.
fn naming(poison: &'static [usize]) -> impl Fn(&[usize]) -> Heard {
    move |batch| batch.iter().position(|number| poison.contains(number)).map_or(Heard::Durable, Heard::From)
}

/// Fails as a whole where a record is poison.
fn failing(poison: &'static [usize]) -> impl Fn(&[usize]) -> Heard {
    move |batch| {
        if batch.iter().any(|number| poison.contains(number)) {
            Heard::Failed("boom".to_owned())
        } else {
            Heard::Durable
        }
    }
}

#[test]
fn one_poisonous_record_holds_up_nobody() {
    for (poison, deliveries) in [
        (&[][..], "[1234]"),
        (&[1], "[1234] [1] [2] [34]"),
        (&[2], "[1234] [2] [34]"),
        (&[4], "[1234] [4]"),
        (&[1, 2], "[1234] [1] [2] [3] [4]"),
        (&[2, 3], "[1234] [2] [34] [3] [4]"),
        (&[1, 2, 3, 4], "[1234] [1] [2] [3] [4]"),
    ] {
        assert_eq!(walk(4, 100, naming(poison)), (deliveries.to_owned(), poison.to_vec()), "{poison:?} named");
    }
    for (poison, deliveries) in [
        (&[][..], "[1234]"),
        (&[1], "[1234] [12] [1] [2] [34]"),
        (&[4], "[1234] [12] [34] [3] [4]"),
        (&[1, 2, 3, 4], "[1234] [12] [1] [2] [3] [4]"),
    ] {
        assert_eq!(walk(4, 100, failing(poison)), (deliveries.to_owned(), poison.to_vec()), "{poison:?} failing");
    }
}

#[test]
fn a_record_alone_is_delivered_once() {
    assert_eq!(walk(1, 100, naming(&[1])), ("[1]".to_owned(), vec![1]));
    assert_eq!(walk(1, 100, failing(&[1])), ("[1]".to_owned(), vec![1]));
    assert_eq!(walk(0, 100, naming(&[])), (String::new(), Vec::new()));
}

#[test]
fn what_was_only_a_passing_fault_is_durable_in_the_end() {
    let mut first = true;
    let (deliveries, remaining) =
        walk(5, 100, |_| if std::mem::take(&mut first) { Heard::From(2) } else { Heard::Durable });
    assert_eq!((deliveries.as_str(), remaining), ("[12345] [3] [45]", Vec::new()));
}

#[test]
fn no_batch_is_larger_than_before_nor_than_an_invocation_takes() {
    assert_eq!(walk(5, 2, naming(&[])).0, "[12] [34] [5]");
    let large = MAXIMUM_PAYLOAD_BYTES / 2;
    let batches = |sizes: Vec<usize>| {
        let mut walk = Walk::new(sizes, 100);
        let batches = std::iter::from_fn(|| {
            let batch = walk.next()?;
            walk.hear(Heard::Durable);
            Some(batch)
        });
        (batches.collect::<Vec<_>>(), walk.into_remaining())
    };
    assert_eq!(batches(vec![large; 3]), (vec![0..1, 1..2, 2..3], Vec::new()));
    // To the byte: the envelope, two records and the comma between them.
    let half = (MAXIMUM_PAYLOAD_BYTES - ENVELOPE_BYTES - 1) / 2;
    assert_eq!(batches(vec![half, half]).0, vec![0..2]);
    assert_eq!(batches(vec![half + 1, half + 1]).0, vec![0..1, 1..2]);
    let too_large = MAXIMUM_PAYLOAD_BYTES;
    let refused = |index| (index, Why::TooLarge);
    assert_eq!(batches(vec![too_large, 1, 1, too_large, 1]), (vec![1..3, 4..5], vec![refused(0), refused(3)]));
    assert_eq!(batches(vec![too_large - ENVELOPE_BYTES]), (vec![0..1], Vec::new()));
}

#[test]
fn a_document_of_poison_alone_costs_little_more_than_an_invocation_for_each_record() {
    let mut delivered = 0;
    let all: Vec<usize> = (1..=300).collect();
    let (deliveries, remaining) = walk(300, 300, |batch| {
        delivered += batch.len();
        Heard::From(0)
    });
    assert_eq!((remaining, deliveries.split(' ').count()), (all, 301));
    assert_eq!(delivered, 600, "records over all invocations");
}

#[test]
fn an_odd_position_is_taken_for_the_last_record() {
    let (_, remaining) = walk(3, 100, |batch| if batch.contains(&3) { Heard::From(9) } else { Heard::Durable });
    assert_eq!(remaining, [3]);
}

#[test]
fn random_poison_is_all_that_remains() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let (records, most) = (random.usize(0..60), random.usize(1..70));
        let share = random.f64();
        let poison: Vec<usize> = (1..=records).filter(|_| random.f64() < share).collect();
        let (named, crashing): (Vec<usize>, Vec<usize>) = poison.iter().copied().partition(|_| random.bool());
        let (_, remaining) = walk(records, most, |batch| {
            if batch.iter().any(|number| crashing.contains(number)) {
                return Heard::Failed(String::new());
            }
            batch.iter().position(|number| named.contains(number)).map_or(Heard::Durable, Heard::From)
        });
        assert_eq!(remaining, poison);
    }
}

#[test]
fn positions_make_runs() {
    assert!(runs([]).is_empty());
    assert_eq!(runs([0]), [0..1]);
    assert_eq!(runs([1, 2, 3, 5, 7, 8]), [1..4, 5..6, 7..9]);
}
