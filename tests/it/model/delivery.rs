//! Delivers a history in every way that Lambda may, with faults in calls, and checks what is stored against the model.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan};
use usage_aggregator::handler::Invocation;
use usage_aggregator::time::Timestamp;

use super::history::{Change, History, event};
use super::invariants::{Books, Stored};
use crate::world::{Function, PageKey, World, notices, page_keys};

/// The number of rounds after which faults stop, so that every history ends.
const ROUNDS_WITH_FAULTS: usize = 25;

/// What happened during the histories.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub invocations: usize,
    pub crashes: usize,
    pub errors: usize,
    pub partial: usize,
    pub parallel: usize,
    pub rewinds: usize,
    pub folds: usize,
    pub unsettled: usize,
    pub discarded: usize,
    pub duplicates: usize,
    pub unfinished: usize,
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts {
            invocations: self.invocations + other.invocations,
            crashes: self.crashes + other.crashes,
            errors: self.errors + other.errors,
            partial: self.partial + other.partial,
            parallel: self.parallel + other.parallel,
            rewinds: self.rewinds + other.rewinds,
            folds: self.folds + other.folds,
            unsettled: self.unsettled + other.unsettled,
            discarded: self.discarded + other.discarded,
            duplicates: self.duplicates + other.duplicates,
            unfinished: self.unfinished + other.unfinished,
        }
    }
}

impl Counts {
    /// Whether everything that can happen has happened.
    pub fn covers_everything(&self) -> bool {
        let Counts { invocations, crashes, errors: _, partial, parallel, rewinds, folds, unsettled, .. } = *self;
        let Counts { discarded, duplicates, unfinished, .. } = *self;
        let counts =
            [invocations, crashes, partial, parallel, rewinds, folds, unsettled, discarded, duplicates, unfinished];
        counts.iter().all(|count| *count > 0)
    }
}

pub struct Delivery {
    history: Arc<History>,
    world: World,
    function: Function,
    random: fastrand::Rng,
    /// The mapping's checkpoint: all records before this are settled.
    position: usize,
    acknowledged: BTreeSet<usize>,
    discarded: BTreeSet<usize>,
    /// Pages whose notices have been settled since the last check.
    settled: Vec<PageKey>,
    books: Books,
    counts: Counts,
}

fn faults_and_delays() -> Vec<Fault> {
    Fault::ALL.into_iter().chain([Fault::Delay(Duration::from_millis(8))]).collect()
}

/// How an invocation ended.
enum End {
    Response(Option<String>),
    Error,
    Crash,
}

impl Delivery {
    pub async fn new(seed: u64, history: History) -> Delivery {
        let history = Arc::new(history);
        let world = World::new(&format!("h{seed}"), "orders").await;
        let function = world.function();
        Delivery {
            books: Books::new(&history),
            history,
            world,
            function,
            random: fastrand::Rng::with_seed(seed ^ 0x9E37_79B9),
            position: 0,
            acknowledged: BTreeSet::new(),
            discarded: BTreeSet::new(),
            settled: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Delivers until all records are settled or, in one of eight histories, stops early.
    pub async fn run(&mut self) {
        let end = if self.random.u8(0..8) == 0 { self.random.usize(1..6) } else { usize::MAX };
        for round in 0.. {
            if self.position >= self.history.changes.len() {
                break;
            }
            if round == end {
                self.counts.unfinished += 1;
                break;
            }
            assert!(round < 500, "the delivery makes no progress at {}", self.position);
            self.round(round < ROUNDS_WITH_FAULTS).await;
            if self.random.u8(0..10) == 0 {
                self.check().await;
            }
        }
    }

    async fn round(&mut self, faults: bool) {
        let percent = [0, 5, 15, 40][self.random.usize(0..4)];
        let plan = if faults {
            FaultPlan::seeded(self.random.u64(..), percent, &faults_and_delays())
        } else {
            FaultPlan::none()
        };
        self.function.http.set_plan(plan);
        let batch = self.batch(self.position);
        match self.random.u8(0..13) {
            // Two pollers at the same time: overlapping batches in two sandboxes.
            0 => {
                let back = self.random.usize(0..4);
                let other = self.batch(self.position.saturating_sub(back));
                let sandbox = self.world.function();
                let (first, second) = futures::future::join(
                    self.invoke(&self.function, batch.clone(), self.deadline(faults)),
                    self.invoke(&sandbox, other.clone(), None),
                )
                .await;
                self.counts.parallel += 1;
                self.settle(other, second);
                self.settle(batch, first);
            }
            // A checkpoint that lags: settled records are delivered again, in other batches.
            1 if self.position > 0 => {
                self.counts.rewinds += 1;
                self.position -= self.random.usize(1..=self.position);
            }
            10.. => self.fold(faults).await,
            _ => {
                let end = self.invoke(&self.function, batch.clone(), self.deadline(faults)).await;
                self.settle(batch, end);
            }
        }
        self.function.http.revive();
    }

    fn batch(&mut self, from: usize) -> Range<usize> {
        from..(from + self.random.usize(1..15)).min(self.history.changes.len())
    }

    fn deadline(&self, faults: bool) -> Option<tokio::time::Instant> {
        faults.then(|| tokio::time::Instant::now() + Duration::from_millis(400))
    }

    async fn invoke(&self, function: &Function, batch: Range<usize>, deadline: Option<tokio::time::Instant>) -> End {
        let event = event(self.changes(&batch));
        let now = Timestamp::from_seconds(self.history.now).unwrap();
        let invocation = Invocation { request_id: "r".to_owned(), now, deadline };
        tokio::select! {
            outcome = function.handler.append(&event, &invocation) => match outcome {
                Ok(outcome) => End::Response(outcome.response().batch_item_failures.first().map(|failure| failure.item_identifier.clone().unwrap())),
                Err(_) => End::Error,
            },
            () = function.http.crashed() => End::Crash,
        }
    }

    /// Delivers the notices of some pages, in any order, to one or two sandboxes.
    async fn fold(&mut self, faults: bool) {
        let mut pages = page_keys(&self.world.items("ledger").await);
        self.random.shuffle(&mut pages);
        pages.truncate(self.random.usize(0..=pages.len()));
        let other = &pages[self.random.usize(0..=pages.len())..];
        let sandbox = self.world.function();
        let (first, second) = futures::future::join(
            self.invoke_fold(&self.function, &pages, self.deadline(faults)),
            self.invoke_fold(&sandbox, other, None),
        )
        .await;
        for (pages, end) in [(&pages[..], first), (other, second)] {
            self.counts.folds += 1;
            let settled = match end {
                End::Crash | End::Error => 0,
                End::Response(failed) => failed.map_or(pages.len(), |position| position.parse().unwrap()),
            };
            self.counts.unsettled += usize::from(settled < pages.len());
            // The settled pages are known once they have been read.
            self.settled.extend_from_slice(&pages[..settled]);
        }
    }

    async fn invoke_fold(&self, function: &Function, pages: &[PageKey], deadline: Option<tokio::time::Instant>) -> End {
        let event = notices(&self.world.variable("LEDGER_TABLE"), pages);
        let now = Timestamp::from_seconds(self.history.now).unwrap();
        let invocation = Invocation { request_id: "r".to_owned(), now, deadline };
        tokio::select! {
            outcome = function.handler.fold(&event, &invocation) => outcome.map_or(End::Error, |outcome| End::Response(outcome.failed)),
            () = function.http.crashed() => End::Crash,
        }
    }

    /// The changes of a batch, without discarded ones, which are never delivered again.
    fn changes(&self, batch: &Range<usize>) -> impl Iterator<Item = &Change> {
        let history = &self.history;
        let discarded = self.discarded.clone();
        batch.clone().filter(move |index| !discarded.contains(index)).map(|index| &history.changes[index])
    }

    fn settle(&mut self, batch: Range<usize>, end: End) {
        self.counts.invocations += 1;
        let failed = match end {
            End::Crash => return self.counts.crashes += 1,
            End::Error => return self.counts.errors += 1,
            End::Response(None) => batch.end,
            End::Response(Some(sequence)) => {
                self.counts.partial += 1;
                let failed = batch.clone().find(|index| self.history.changes[*index].sequence == sequence);
                failed.expect("the response names a record of the batch")
            }
        };
        self.counts.duplicates += (batch.start..failed).filter(|index| self.acknowledged.contains(index)).count();
        let discarded = self.discarded.clone();
        self.acknowledged.extend((batch.start..failed).filter(|index| !discarded.contains(index)));
        let hopeless = self.history.changes.get(failed).is_some_and(|change| self.history.is_hopeless(change));
        if failed < batch.end && hopeless {
            // Its retries are exhausted, so it goes to the failure destination.
            self.discarded.insert(failed);
            self.counts.discarded += 1;
        }
        if batch.start <= self.position {
            self.position = self.position.max(failed);
        }
    }

    async fn check(&mut self) {
        let stored = self.stored().await;
        self.books.settle(std::mem::take(&mut self.settled));
        self.books.check(&stored, &self.acknowledged).unwrap();
    }

    async fn stored(&self) -> Stored {
        Stored {
            usage: self.world.items("usage").await,
            ledger: self.world.items("ledger").await,
            objects: self.world.objects().await.into_iter().map(|(key, body)| (key, body.into())).collect(),
            documents: BTreeMap::new(),
        }
    }

    /// The final check: if all records are settled, all must be counted and archived. After a fold of everything, the
    /// snapshots are exact.
    pub async fn finish(mut self) -> Counts {
        if self.position >= self.history.changes.len() {
            let hopeful = |index: &usize| !self.discarded.contains(index);
            let all: BTreeSet<usize> = (0..self.history.changes.len()).filter(hopeful).collect();
            assert_eq!(self.acknowledged, all);
        }
        self.check().await;
        let now = Timestamp::from_seconds(self.history.now).unwrap();
        self.world.fold_all(&Invocation { request_id: "r".to_owned(), now, deadline: None }).await;
        self.books.check_exact(&self.stored().await).unwrap();
        self.world.delete().await;
        self.counts
    }
}
