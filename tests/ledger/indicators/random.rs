//! Random histories: applications change findings and their group, put maps back that they have read before, delete the group, and
//! put it again; functions recompute, die after any request, and are given the same records once more. At the end, the group has
//! what a plain model gives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;

use usage_aggregator::indicator::Recomputed;
use usage_aggregator::plan::Plan;

use super::place::{Op, Source, finding, group, pipeline};
use crate::gate::{Actor, Gate, Work};

/// The maps of the group that there have been.
type Copies = Arc<Mutex<Vec<AttributeValue>>>;

fn op(random: &mut Rng, copies: &Copies) -> Op {
    let number = random.usize(1..4);
    match random.u8(0..10) {
        0..5 => Op::Put(finding(number, if random.bool() { "open" } else { "closed" }, random.i64(1..4))),
        5 => Op::Delete(format!("FINDING#{number}")),
        6 => Op::Put(group(None)),
        7..9 => {
            let copies = copies.lock().unwrap();
            Op::Put(group(random.choice(copies.iter()).cloned()))
        }
        _ => Op::Delete("GROUP".to_owned()),
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    steps: usize,
    crashes: usize,
    own_writes: usize,
    recomputed: Recomputed,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.own_writes += other.own_writes;
        self.recomputed.add(other.recomputed);
    }

    fn covers_everything(self) -> bool {
        let Recomputed { changed, equal, missing, conflicts } = self.recomputed;
        [self.steps, self.crashes, self.own_writes, changed, equal, missing, conflicts].iter().all(|count| *count > 0)
    }
}

/// Changes items, each with its record, which is delivered again after a crash, and sometimes for no reason.
fn actor(source: &Source, copies: &Copies, tally: &Arc<Mutex<Tally>>, mut random: Rng) -> Actor {
    let gate = Gate::new();
    let (own, copies, tally) = (source.clone(), Arc::clone(copies), Arc::clone(tally));
    let client = source.gated(&gate);
    let life = gate.clone();
    let work: Work = Box::pin(async move {
        let recompute = async |plan: &Plan| {
            let recomputed = own.recompute(&client, plan).await;
            tally.lock().unwrap().recomputed.add(recomputed);
        };
        for _ in 0..random.usize(1..4) {
            let op = op(&mut random, &copies);
            let Some(plan) = own.change(&client, &op).await else { continue };
            if random.u8(0..4) == 0 {
                let (mortal, death) = own.mortal(&life, random.usize(0..4));
                tokio::select! {
                    _ = own.recompute(&mortal, &plan) => {}
                    () = death.notified() => tally.lock().unwrap().crashes += 1,
                }
            }
            recompute(&plan).await;
            if random.u8(0..4) == 0 {
                recompute(&plan).await;
            }
            // The records of the function's own writes are delivered as well, by whoever comes first.
            for (old, new) in own.take_stream() {
                tally.lock().unwrap().own_writes += 1;
                recompute(&own.plan(old.as_ref(), new.as_ref())).await;
            }
        }
    });
    Actor::new(gate, work)
}

async fn history(seed: u64) -> Tally {
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed);
    let source = Source::lagging(&pipeline(random.u8(0..4) == 0));
    let copies = Copies::default();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let actors: Vec<Actor> = (0..random.usize(2..6)).map(|_| actor(&source, &copies, &tally, random.fork())).collect();
    let mut steps = 0;
    loop {
        let mut waiting = Vec::new();
        for actor in &actors {
            if actor.waits().await {
                waiting.push(actor);
            }
        }
        let Some(next) = random.choice(waiting) else { break };
        next.proceed();
        // What it has done is seen once it waits again.
        next.waits().await;
        if let Some(map) = source.map() {
            let mut copies = copies.lock().unwrap();
            if !copies.contains(&map) {
                copies.push(map);
            }
        }
        steps += 1;
    }
    for actor in actors {
        actor.end().await;
    }
    let mut rounds = 0;
    loop {
        let records = source.take_stream();
        if records.is_empty() {
            break;
        }
        rounds += 1;
        assert!(rounds < 4, "the stream doesn't fall silent: {records:?}");
        for (old, new) in records {
            let recomputed = source.recompute(source.client(), &source.plan(old.as_ref(), new.as_ref())).await;
            let mut tally = tally.lock().unwrap();
            tally.own_writes += 1;
            tally.recomputed.add(recomputed);
        }
    }
    let (stored, expected) = source.compared().await;
    assert_eq!(stored, expected, "after {steps} steps");
    let tally = *tally.lock().unwrap();
    Tally { steps, ..tally }
}

/// 100 histories with fixed seeds. HISTORIES runs others, starting with SEED.
#[test]
fn random_histories_of_indicators_are_exact() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let (count, first) = (number("HISTORIES").unwrap_or(100), number("SEED").unwrap_or(1));
    let (started, next) = (Instant::now(), AtomicU64::new(first));
    let work = || {
        let mut sum = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return sum;
            }
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let run = std::panic::AssertUnwindSafe(|| runtime.block_on(history(seed)));
            sum.add(std::panic::catch_unwind(run).unwrap_or_else(|_| {
                // The other threads don't start another history.
                next.store(first + count, Ordering::Relaxed);
                panic!("history {seed} failed; repeat it with SEED={seed} HISTORIES=1")
            }));
            let done = seed + 1 - first;
            if done.is_multiple_of(10_000) {
                println!("{done} of {count} histories of indicators in {:.0?}", started.elapsed());
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sum = Tally::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| sum.add(worker.join().unwrap()));
    });
    let seconds = started.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!(
        "{count} histories of indicators from seed {first} in {seconds:.0} s ({rate:.0} a second): {sum:?}, 0 violations"
    );
    assert!(count < 100 || sum.covers_everything(), "the histories no longer reach every case: {sum:?}");
}
