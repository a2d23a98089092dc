//! Every order of the requests of two and three actors, as far as they change from one to another a few times.

use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;
use laptop::emulators::in_process::{self, Objects};
use usage_aggregator::fold::{Folded, Folder, Notice};
use usage_aggregator::ledger::{PageKind, pages};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::gate::{Actor, Gate, Schedule, Work};
use crate::place::{Counted, MINUTE, Place, groups, items};
use crate::upgrade::Release;

/// What an actor does.
#[derive(Debug, Clone)]
pub enum Task {
    /// It appends these records and then folds their pages.
    Append(Vec<Counted<'static>>),
    /// It folds these notices until they are settled.
    Fold(Vec<Notice>),
    /// It folds them once, whatever comes of it: a zombie.
    FoldOnce(Vec<Notice>),
    /// It folds them until they are settled, and then the ledger must have so many alerts.
    FoldAlerts(Vec<Notice>, usize),
    /// A release appends these records, which count at other times, and then folds their pages.
    Serve(Release, Vec<(Counted<'static>, i64)>),
}

impl Place {
    /// A folder whose requests pass a gate.
    pub fn gated(&self, gate: &Gate) -> Folder {
        let http = in_process::client(self.database.clone(), Objects::default());
        let client = in_process::clients(gate.client(&http)).dynamodb;
        let mut folder = self.folder.clone();
        folder.ledger.client = client.clone();
        folder.usage.client = client;
        folder
    }
}

async fn act(folder: Folder, pipeline: Arc<Pipeline>, database: Database, task: Task) {
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    let fold = |notices: Vec<Notice>| {
        let (folder, pipeline) = (folder.clone(), Arc::clone(&pipeline));
        async move { folder.fold(pipeline.snapshot.as_ref().unwrap(), &notices, now, None).await.unwrap() }
    };
    match task {
        Task::Append(records) => {
            let mut notices = Vec::new();
            for page in pages(&groups(&records), 1, 8) {
                let reference = folder.ledger.put_page(&page, &PageKind::Usage, None).await.unwrap();
                notices.push(Notice { minute: page.minute, page: reference });
            }
            settle(&fold, &notices).await;
        }
        Task::Serve(release, records) => release.serve(folder, &records).await,
        Task::FoldOnce(notices) => drop(fold(notices).await),
        Task::Fold(notices) => settle(&fold, &notices).await,
        Task::FoldAlerts(notices, alerts) => {
            settle(&fold, &notices).await;
            let there =
                items(&database, "ledger").iter().filter(|item| item["pk"].as_s().unwrap().starts_with("a#")).count();
            assert!(there >= alerts, "settled before the alert was put");
        }
    }
}

/// Folds until all notices are settled.
pub async fn settle<F: Future<Output = Folded>>(fold: &impl Fn(Vec<Notice>) -> F, notices: &[Notice]) {
    for _ in 0..1_000 {
        if fold(notices.to_vec()).await.settled == notices.len() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never settled: {:?}", fold(notices.to_vec()).await);
}

/// Runs every schedule with at most `changes` changes of actor. After each, what `expected` says must be in the month.
pub fn enumerate(
    name: &str,
    changes: usize,
    prepare: impl AsyncFn(&mut Place) -> Vec<Task>,
    expected: &[(&str, (i64, i64))],
) -> usize {
    let mut schedule = Some(Schedule::default());
    let mut count = 0;
    while let Some(next) = schedule {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let made = runtime.block_on(async {
            fastrand::seed(1);
            let mut place = Place::with_windows(&[Window::Hour]);
            let tasks = prepare(&mut place).await;
            let pipeline = Arc::clone(&place.pipeline);
            let actors = tasks.into_iter().map(|task| {
                let gate = Gate::new();
                let database = place.database.clone();
                let work: Work = Box::pin(act(place.gated(&gate), Arc::clone(&pipeline), database, task));
                Actor::new(gate, work)
            });
            let made = next.run(actors.collect()).await;
            for (entity, values) in expected {
                let (orders, cents, _) =
                    place.snapshots().get(&((*entity).to_owned(), "hour".to_owned())).copied().unwrap_or_default();
                assert_eq!((orders, cents), *values, "{name}: {entity} after {made:?}");
            }
            // Each crossing of the history that the swaps have made has one alert.
            assert!(place.has_all_alerts().await, "{name}: {:?} after {made:?}", place.alerted());
            made
        });
        count += 1;
        schedule = made.next(changes);
    }
    println!("{name}: {count} schedules");
    count
}

/// How many changes of actor `make test` enumerates; `make exhaust` sets CHANGES to more.
pub fn changes() -> usize {
    std::env::var("CHANGES").map_or(2, |text| text.parse().expect("a whole number"))
}

#[test]
fn two_folds_of_the_same_page() {
    let prepare = async |place: &mut Place| {
        let notices = place.append(&[(1, "a", 0, 100), (2, "b", 0, 5)], 1).await;
        vec![Task::FoldOnce(notices.clone()), Task::Fold(notices)]
    };
    assert!(enumerate("same page", changes(), prepare, &[("a", (1, 100)), ("b", (1, 5))]) >= 40);
}

#[test]
fn two_folds_of_pages_that_share_a_record() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
        let second = place.append(&[(2, "a", 0, 5), (3, "b", 0, 7)], 1).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("shared record", changes(), prepare, &[("a", (2, 105)), ("b", (1, 7))]) >= 40);
}

#[test]
fn two_folds_of_minutes_of_one_hour() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100)], 1).await;
        let second = place.append(&[(2, "a", 1, 5)], 1).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("minutes of one hour", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn two_generations_of_a_record() {
    let prepare = async |place: &mut Place| {
        let old = place.append(&[(1, "a", 0, 100)], 1).await;
        let new = place.append(&[(1, "b", 0, 200)], 2).await;
        vec![Task::Fold(old), Task::Fold(new)]
    };
    assert!(enumerate("generations", changes(), prepare, &[("a", (0, 0)), ("b", (1, 200))]) >= 40);
}

/// 06:10 of the same day, in minutes after the first one.
pub const EARLIER: i64 = -167;

#[test]
fn two_folds_of_minutes_that_say_something_about_another_hour() {
    let prepare = async |place: &mut Place| {
        let first = place.append_late(&[((1, "a", 0, 100), EARLIER)], 1).await;
        let second = place.append_late(&[((2, "a", 1, 5), EARLIER), ((3, "b", 1, 7), 1)], 1).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("one piece", changes(), prepare, &[("a", (2, 105)), ("b", (1, 7))]) >= 40);
}

#[test]
fn two_folds_of_hours_that_say_something_about_another_hour() {
    let prepare = async |place: &mut Place| {
        // 08:57 and 09:05.
        let first = place.append_late(&[((1, "a", 0, 100), EARLIER)], 1).await;
        let second = place.append_late(&[((2, "a", 8, 5), EARLIER)], 1).await;
        vec![Task::FoldOnce(first.clone()), Task::Fold(second), Task::Fold(first)]
    };
    assert!(enumerate("two pieces", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn two_generations_that_count_a_record_in_different_hours() {
    let prepare = async |place: &mut Place| {
        let old = place.append_late(&[((1, "a", 0, 100), EARLIER)], 1).await;
        let new = place.append_late(&[((1, "b", 0, 100), EARLIER - 60)], 2).await;
        vec![Task::Fold(old), Task::Fold(new)]
    };
    assert!(enumerate("generations with pieces", changes(), prepare, &[("a", (0, 0)), ("b", (1, 100))]) >= 40);
}

#[test]
fn two_folds_of_a_closed_hour() {
    let prepare = async |place: &mut Place| {
        // It ends at 09:00, and the folds are at 09:07.
        place.close_after(300);
        let first = place.append(&[(1, "a", 0, 100)], 1).await;
        let second = place.append(&[(2, "a", 1, 5)], 1).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("closed hour", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn a_fold_and_a_writer() {
    let prepare = async |place: &mut Place| {
        let notices = place.append(&[(1, "a", 0, 100)], 1).await;
        vec![Task::Fold(notices), Task::Append(vec![(1, "a", 0, 100), (2, "a", 0, 5)])]
    };
    assert!(enumerate("fold and writer", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn a_zombie_beside_its_redelivery_and_a_new_page() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100)], 1).await;
        let both: Vec<Notice> = first.iter().copied().chain(place.append(&[(2, "a", 0, 5)], 1).await).collect();
        vec![Task::FoldOnce(first.clone()), Task::Fold(both), Task::Fold(first)]
    };
    assert!(enumerate("three folds", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn three_folds_of_three_pages_in_two_minutes() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
        let second = place.append(&[(2, "a", 0, 5), (3, "b", 0, 7)], 1).await;
        let third = place.append(&[(4, "a", 1, 9)], 1).await;
        vec![Task::Fold(first), Task::Fold(second), Task::Fold(third)]
    };
    assert!(enumerate("three pages", changes(), prepare, &[("a", (3, 114)), ("b", (1, 7))]) >= 40);
}

#[test]
fn a_fold_and_two_writers() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
        let again = vec![(2, "a", 0, 5), (3, "b", 0, 7)];
        vec![Task::Fold(first), Task::Append(again), Task::Append(vec![(4, "a", 1, 9)])]
    };
    assert!(enumerate("fold and two writers", changes(), prepare, &[("a", (3, 114)), ("b", (1, 7))]) >= 40);
}

/// Folds these notices, and dies after so many requests.
async fn die_after(place: &Place, requests: usize, notices: Vec<Notice>) {
    let gate = Gate::new();
    let task = act(place.gated(&gate), Arc::clone(&place.pipeline), place.database.clone(), Task::FoldOnce(notices));
    let fold = Actor::new(gate, Box::pin(task));
    for _ in 0..requests {
        assert!(fold.waits().await);
        fold.proceed();
    }
    assert!(fold.waits().await, "it has ended after {requests} requests");
    fold.crash().await;
}

/// The requests of a fold of one page whose record was in another group.
const REQUESTS: usize = 8;

#[test]
fn a_fold_of_a_moved_record_that_died_is_delivered_again_beside_another() {
    let mut schedules = 0;
    for requests in 0..REQUESTS {
        let prepare = async |place: &mut Place| {
            let first = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
            place.fold(&first).await;
            let moved = place.append(&[(1, "b", 0, 200)], 2).await;
            let more = place.append(&[(2, "a", 0, 5), (3, "a", 0, 7)], 1).await;
            die_after(place, requests, moved.clone()).await;
            vec![Task::Fold(moved), Task::Fold(more)]
        };
        let name = format!("moved, died after {requests} requests");
        schedules += enumerate(&name, changes(), prepare, &[("a", (2, 12)), ("b", (1, 200))]);
    }
    assert!(schedules >= 300);
}

#[test]
fn folds_while_a_state_is_split() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1), (3, "c", 0, 2)], 1).await;
        place.fold(&first).await;
        place.folder.max_state_bytes = 60;
        let second = place.append(&[(4, "d", 0, 5)], 1).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    let expected = [("a", (1, 100)), ("b", (1, 1)), ("c", (1, 2)), ("d", (1, 5))];
    assert!(enumerate("split", changes().div_ceil(2), prepare, &expected) >= 40);
}

/// What is in the ledger when [`folds_while_states_of_an_earlier_epoch_are_split`] begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Earlier {
    /// The state of the minute is whole.
    Whole,
    /// It is split.
    Split,
    /// It is split, and a half of it was lost when the ledger was restored.
    HalfLost,
}

/// A ledger in which the first minute and its hour have states of an earlier epoch that must be split.
async fn earlier_epoch(place: &mut Place, earlier: Earlier) -> Vec<Notice> {
    if earlier != Earlier::Whole {
        place.folder.max_state_bytes = 60;
    }
    let first = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1), (3, "c", 0, 2)], 1).await;
    place.fold(&first).await;
    if earlier == Earlier::HalfLost {
        place.delete("ledger", "s#orders#2026-11-28T08", "2026-11-28T08:57/0");
    }
    place.folder.epoch = 1;
    place.folder.max_state_bytes = 60;
    first
}

#[test]
fn folds_while_states_of_an_earlier_epoch_are_split() {
    // If a half was lost, the second fold waits for the first one.
    for earlier in [Earlier::Whole, Earlier::Split] {
        // The second fold publishes "a", which the first one doesn't, and must have what the first minute says about it.
        let prepare = async |place: &mut Place| {
            earlier_epoch(place, earlier).await;
            let first = place.append(&[(4, "d", 0, 5)], 1).await;
            let second = place.append(&[(5, "a", 1, 7)], 1).await;
            vec![Task::Fold(first), Task::Fold(second)]
        };
        let expected = [("a", (2, 107)), ("d", (1, 5))];
        let name = format!("{earlier:?} state of an earlier epoch");
        assert!(enumerate(&name, changes().div_ceil(2), prepare, &expected) >= 20);
    }
}

#[test]
fn two_folds_that_split_the_same_state_of_an_earlier_epoch() {
    for earlier in [Earlier::Whole, Earlier::Split, Earlier::HalfLost] {
        let prepare = async |place: &mut Place| {
            let again = earlier_epoch(place, earlier).await;
            let first = place.append(&[(4, "d", 0, 5)], 1).await;
            let second = place.append(&[(5, "a", 0, 7)], 1).await;
            vec![Task::Fold(first), Task::Fold(second), Task::FoldOnce(again)]
        };
        let expected = [("a", (2, 107)), ("b", (1, 1)), ("c", (1, 2)), ("d", (1, 5))];
        let name = format!("{earlier:?} state of an earlier epoch, twice");
        assert!(enumerate(&name, changes().div_ceil(2), prepare, &expected) >= 20);
    }
}

#[test]
fn two_folds_of_more_measures_than_an_update_takes() {
    let names: Vec<String> = (0..210).map(|number| format!("m{number}")).collect();
    let measures: Vec<(&str, i64)> =
        ["orders"].into_iter().chain(names.iter().map(String::as_str)).map(|name| (name, 1)).collect();
    let prepare = async |place: &mut Place| {
        let first = place.append_measures(1, 0, &measures).await;
        let second = place.append_measures(2, 1, &measures).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("many measures", changes(), prepare, &[("a", (2, 0))]) >= 40);
}

#[test]
fn folds_with_different_buckets() {
    let prepare = async |place: &mut Place| {
        let first = place.append(&[(1, "a", 0, 100)], 1).await;
        place.folder.ledger.buckets = 16;
        let second = place.append(&[(2, "a", 0, 5)], 1).await;
        assert!(second[0].page.bucket > 0);
        place.folder.ledger.buckets = 1;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("buckets", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

pub const TWO_ORDERS: &str = "measure = \"orders\"\nwindow = \"hour\"\nlimit = 2";

#[test]
fn two_folds_of_a_page_that_crosses_a_threshold() {
    let prepare = async |place: &mut Place| {
        place.alert(TWO_ORDERS);
        let notices = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
        vec![Task::FoldAlerts(notices.clone(), 1), Task::FoldAlerts(notices, 1)]
    };
    assert!(enumerate("same crossing", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn two_folds_that_cross_a_threshold_together() {
    let prepare = async |place: &mut Place| {
        place.alert(TWO_ORDERS);
        let first = place.append(&[(1, "a", 0, 100)], 1).await;
        let second = place.append(&[(2, "a", 1, 5)], 1).await;
        vec![Task::Fold(first), Task::Fold(second)]
    };
    assert!(enumerate("crossing together", changes(), prepare, &[("a", (2, 105))]) >= 40);
}

#[test]
fn a_zombie_whose_crossing_is_taken_back() {
    let prepare = async |place: &mut Place| {
        place.alert(TWO_ORDERS);
        let crossing = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
        let back = place.take_back(&groups(&[(2, "a", 0, 5)])).await;
        vec![Task::FoldOnce(crossing.clone()), Task::Fold(back), Task::Fold(crossing)]
    };
    assert!(enumerate("taken back", changes(), prepare, &[("a", (1, 100))]) >= 40);
}
