//! Where a replicator continues, of a stream in memory that is trimmed.

use std::num::NonZeroU32;

use event_source_mapping::StreamKind;
use event_source_mapping::sources::MemoryStream;
use tempfile::TempDir;

use super::tests::streamed;
use super::*;

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-02T08:15:27.416";

struct Place {
    folder: TempDir,
    streams: Streams,
    table: Arc<MemoryStream>,
}

/// A table whose stream has these changes, and an empty Kinesis stream.
fn place(changes: impl IntoIterator<Item = u64>) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(&folder.path().join("kinesis")).unwrap();
    streams.create_stream("orders", NonZeroU32::MIN, time()).unwrap();
    let table = Arc::new(MemoryStream::new(StreamKind::DynamoDb, ARN));
    table.open("s", &[]);
    let place = Place { folder, streams, table };
    place.push(changes);
    place
}

impl Place {
    fn push(&self, changes: impl IntoIterator<Item = u64>) {
        changes.into_iter().for_each(|number| self.table.push("s", SourceRecord::clone(&streamed(number, number))));
    }

    fn replicator(&self) -> Replicator {
        let (table, positions): (Arc<MemoryStream>, _) =
            (self.table.clone(), self.folder.path().join("positions.json"));
        Replicator::open(table, &self.streams, "orders", Precision::Microsecond, &positions).unwrap()
    }
}

fn time() -> Timestamp {
    Timestamp::from_seconds(1_795_230_305).unwrap()
}

async fn step(replicator: &mut Replicator) -> (usize, u64) {
    let copied = replicator.step(time(), Disturbance::default()).await.unwrap();
    (copied.records, copied.trimmed_gaps)
}

/// Each start of `usagectl local` used to fail.
#[tokio::test]
async fn regression_a_replicator_that_was_left_behind_reports_the_gap_and_copies_the_rest() {
    let place = place(1..=5);
    assert_eq!(step(&mut place.replicator()).await, (5, 0));
    place.push(6..=9);
    place.table.trim("s", 7);
    let mut replicator = place.replicator();
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.push(step(&mut replicator).await);
    }
    assert_eq!(steps, [(0, 1), (2, 0), (0, 0)]);
    assert_eq!(step(&mut place.replicator()).await, (0, 0), "the next process continues there");
}

#[tokio::test]
async fn a_gap_after_which_nothing_has_come_yet_is_reported_once() {
    let place = place(1..=5);
    let mut replicator = place.replicator();
    assert_eq!(step(&mut replicator).await, (5, 0));
    place.push(6..=9);
    place.table.trim("s", 9);
    assert_eq!(step(&mut replicator).await, (0, 1));
    assert_eq!(step(&mut replicator).await, (0, 0));
    place.push(10..=11);
    assert_eq!((step(&mut replicator).await, step(&mut replicator).await), ((2, 0), (0, 0)));
}

#[tokio::test]
async fn changes_behind_the_position_are_not_copied_yet() {
    let place = place(1..=2_000);
    let mut replicator = place.replicator();
    assert!(replicator.has_uncopied().await);
    assert_eq!(step(&mut replicator).await, (1_000, 0));
    assert!(replicator.has_uncopied().await, "half of them");
    assert_eq!(step(&mut replicator).await, (1_000, 0));
    assert!(!replicator.has_uncopied().await);
    place.push([2_001]);
    assert!(replicator.has_uncopied().await);
}
