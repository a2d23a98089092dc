//! Random histories: applications change findings and their group, put maps back that they have read before, delete the group, and
//! put it again; functions recompute, die after any request, and are given the same records once more. At the end, the group has
//! what a plain model gives.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;

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

/// Changes items, each with its record, which is delivered again after a crash, and sometimes for no reason.
fn actor(source: &Source, copies: &Copies, mut random: Rng) -> Actor {
    let gate = Gate::new();
    let (own, copies) = (source.clone(), Arc::clone(copies));
    let client = source.gated(&gate);
    let life = gate.clone();
    let work: Work = Box::pin(async move {
        for _ in 0..random.usize(1..4) {
            let op = op(&mut random, &copies);
            let Some(plan) = own.change(&client, &op).await else { continue };
            if random.u8(0..4) == 0 {
                let (mortal, death) = own.mortal(&life, random.usize(0..4));
                tokio::select! {
                    _ = own.recompute(&mortal, &plan) => {}
                    () = death.notified() => {}
                }
            }
            own.recompute(&client, &plan).await;
            if random.u8(0..4) == 0 {
                own.recompute(&client, &plan).await;
            }
            // The records of the function's own writes are delivered as well, by whoever comes first.
            for (old, new) in own.take_stream() {
                own.recompute(&client, &own.plan(old.as_ref(), new.as_ref())).await;
            }
        }
    });
    Actor::new(gate, work)
}

/// Returns how many steps there were.
async fn history(seed: u64) -> usize {
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed);
    let source = Source::lagging(&pipeline(random.u8(0..4) == 0));
    let copies = Copies::default();
    let actors: Vec<Actor> = (0..random.usize(2..6)).map(|_| actor(&source, &copies, random.fork())).collect();
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
        if let Some(map) = source.map().await {
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
            source.recompute(source.client(), &source.plan(old.as_ref(), new.as_ref())).await;
        }
    }
    let (stored, expected) = source.compared().await;
    assert_eq!(stored, expected, "after {steps} steps");
    steps
}

/// 100 histories with fixed seeds. HISTORIES runs others, starting with SEED.
#[test]
fn random_histories_of_indicators_are_exact() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let (count, first) = (number("HISTORIES").unwrap_or(100), number("SEED").unwrap_or(1));
    let started = Instant::now();
    let mut steps = 0;
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(history(seed)));
        steps += std::panic::catch_unwind(run)
            .unwrap_or_else(|_| panic!("history {seed} failed; repeat it with SEED={seed} HISTORIES=1"));
    }
    println!("{count} histories of indicators from seed {first}, {steps} steps, in {:.0?}", started.elapsed());
}
