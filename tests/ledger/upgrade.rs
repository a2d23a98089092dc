//! Every order of the requests of two and three releases that serve one ledger at once, as during an upgrade, a raised generation,
//! and a rollback. The simulation (`tests/it/simulation/upgrade.rs`) does the same with mappings, faults, and random histories.

use std::sync::Arc;

use usage_aggregator::fold::{Folder, Notice};
use usage_aggregator::ledger::{PageKind, pages};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::exhaustive::{EARLIER, TWO_ORDERS, Task, changes, enumerate, settle};
use crate::place::{Counted, MINUTE, Place, late_groups};

/// A release of the function: what a release may change without a new ledger.
#[derive(Debug, Clone)]
pub struct Release {
    generation: u64,
    id_bytes: u8,
    buckets: u32,
    late_days: i64,
    max_state_bytes: usize,
    pipeline: Arc<Pipeline>,
}

/// Counts in the hours of the records, without alerts: pages and states have the first format.
fn first() -> Release {
    let Place { folder, pipeline, .. } = Place::with_windows(&[Window::Hour]);
    let (id_bytes, buckets) = (folder.ledger.id_bytes, folder.ledger.buckets);
    Release { generation: 1, id_bytes, buckets, late_days: 0, max_state_bytes: folder.max_state_bytes, pipeline }
}

/// Counts in other hours, with alerts: pages and states have the second format. Ids are longer, and there are more buckets.
fn next() -> Release {
    let mut place = Place::with_windows(&[Window::Hour]);
    place.alert(TWO_ORDERS);
    Release { generation: 2, id_bytes: 10, buckets: 3, late_days: 7, pipeline: Arc::clone(&place.pipeline), ..first() }
}

/// What the pipeline of the first release is restored as.
fn restored() -> Release {
    Release { generation: 3, ..first() }
}

impl Release {
    /// Appends records, which count at other times, and folds their pages.
    pub async fn serve(&self, mut folder: Folder, records: &[(Counted<'_>, i64)]) {
        let notices = self.append(&mut folder, records).await;
        let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
        let fold = |notices: Vec<Notice>| {
            let (folder, pipeline) = (folder.clone(), Arc::clone(&self.pipeline));
            async move { folder.fold(pipeline.snapshot.as_ref().unwrap(), &notices, now, None).await.unwrap() }
        };
        settle(&fold, &notices).await;
    }

    async fn append(&self, folder: &mut Folder, records: &[(Counted<'_>, i64)]) -> Vec<Notice> {
        (folder.ledger.id_bytes, folder.ledger.buckets) = (self.id_bytes, self.buckets);
        (folder.ledger.late_days, folder.max_state_bytes) = (self.late_days, self.max_state_bytes);
        let mut notices = Vec::new();
        for page in pages(&late_groups(records, folder.ledger.zone), self.generation, self.id_bytes) {
            let reference = folder.ledger.put_page(&page, &PageKind::Usage, None).await.unwrap();
            notices.push(Notice { minute: page.minute, page: reference });
        }
        notices
    }
}

/// An order of "a" in the first minute, which each generation counts in another group and with another amount.
fn order(number: u64, generation: u64) -> (Counted<'static>, i64) {
    match generation {
        1 => ((number, "a", 0, 100), 0),
        2 => ((number, "b", 0, 200), EARLIER),
        _ => ((number, "c", 0, 400), 0),
    }
}

#[test]
fn two_releases_that_count_the_same_records_at_once() {
    let prepare = async |_: &mut Place| {
        let served = |release: Release| {
            let records = vec![order(1, release.generation), order(2, release.generation)];
            Task::Serve(release, records)
        };
        vec![served(first()), served(next())]
    };
    // Both orders count once, by the higher generation, and leave a 0 where the first one had counted them.
    assert!(enumerate("upgrade", changes(), prepare, &[("a", (0, 0)), ("b", (2, 400))]) >= 40);
}

#[test]
fn a_release_that_is_rolled_back_beside_the_one_that_replaced_it() {
    let prepare = async |place: &mut Place| {
        first().serve(place.folder.clone(), &[order(1, 1)]).await;
        next().serve(place.folder.clone(), &[order(1, 2), order(2, 2), order(3, 2)]).await;
        // The first release is back, and gets some records again, and a new one.
        let rolled_back = Task::Serve(first(), vec![order(2, 1), order(4, 1)]);
        vec![Task::Serve(next(), vec![order(3, 2), order(5, 2)]), rolled_back]
    };
    assert!(enumerate("rollback", changes().div_ceil(2), prepare, &[("a", (1, 100)), ("b", (4, 800))]) >= 15);
}

#[test]
fn a_pipeline_that_is_restored_while_its_successor_still_folds() {
    let prepare = async |place: &mut Place| {
        next().serve(place.folder.clone(), &[order(1, 2), order(2, 2)]).await;
        vec![
            Task::Serve(next(), vec![order(2, 2), order(3, 2)]),
            Task::Serve(restored(), vec![order(1, 3), order(3, 3)]),
        ]
    };
    assert!(enumerate("restored", changes().div_ceil(2), prepare, &[("b", (1, 200)), ("c", (2, 800))]) >= 15);
}

#[test]
fn three_releases_at_once() {
    let prepare = async |_: &mut Place| {
        [first(), next(), restored()]
            .map(|release| Task::Serve(release.clone(), vec![order(1, release.generation)]))
            .into()
    };
    let expected = [("a", (0, 0)), ("b", (0, 0)), ("c", (1, 400))];
    assert!(enumerate("three releases", changes().div_ceil(2), prepare, &expected) >= 30);
}

#[test]
fn a_release_that_splits_states_of_an_earlier_epoch_beside_one_that_does_not() {
    let prepare = async |place: &mut Place| {
        let records = [((1, "a", 0, 100), 0), ((2, "b", 0, 1), 0), ((3, "c", 0, 2), 0)];
        first().serve(place.folder.clone(), &records).await;
        place.folder.epoch = 1;
        let splits = Release { max_state_bytes: 60, ..first() };
        vec![Task::Serve(splits, vec![((4, "d", 0, 5), 0)]), Task::Serve(first(), vec![((5, "a", 0, 7), 0)])]
    };
    let expected = [("a", (2, 107)), ("b", (1, 1)), ("c", (1, 2)), ("d", (1, 5))];
    assert!(enumerate("epoch that splits", changes().div_ceil(2), prepare, &expected) >= 20);
}

#[test]
fn a_release_that_splits_states_beside_one_that_does_not() {
    let prepare = async |place: &mut Place| {
        let records = [((1, "a", 0, 100), 0), ((2, "b", 0, 1), 0), ((3, "c", 0, 2), 0)];
        first().serve(place.folder.clone(), &records).await;
        let splits = Release { max_state_bytes: 60, ..next() };
        vec![Task::Serve(splits, vec![((1, "d", 0, 100), 0)]), Task::Serve(first(), vec![((4, "a", 0, 5), 0)])]
    };
    let expected = [("a", (1, 5)), ("b", (1, 1)), ("c", (1, 2)), ("d", (1, 100))];
    assert!(enumerate("upgrade that splits", changes().div_ceil(2), prepare, &expected) >= 40);
}
