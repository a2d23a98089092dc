//! Every order of the requests of two and three actors: changes by an application, each followed by the recomputation that its
//! record asks for, and zombies, which recompute and die after any request.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use usage_aggregator::plan::Plan;

use super::place::{Op, Source, finding, group, pipeline};
use crate::gate::{Actor, Gate, Schedule, Work};

/// What an actor does.
#[derive(Debug, Clone)]
enum Task {
    /// It makes a change. Its record is then delivered until it is done.
    Change(Op),
    /// It makes these changes one after the other, each with its record.
    Changes(Vec<Op>),
    /// It recomputes the group, for a record that was delivered before, and dies after this many requests.
    Zombie(usize),
}

/// How many requests a recomputation makes.
const REQUESTS: usize = 3;

async fn change(source: &Source, client: &Client, op: &Op) {
    if let Some(plan) = source.change(client, op).await {
        source.recompute(client, &plan).await;
    }
}

/// A plan that asks for the group.
fn asking(source: &Source) -> Plan {
    source.plan(None, Some(&finding(9, "open", 1)))
}

fn actor(source: &Source, task: Task) -> Actor {
    let gate = Gate::new();
    let own = source.clone();
    let work: Work = match task {
        Task::Change(op) => {
            let client = source.gated(&gate);
            Box::pin(async move { change(&own, &client, &op).await })
        }
        Task::Changes(ops) => {
            let client = source.gated(&gate);
            Box::pin(async move {
                for op in ops {
                    change(&own, &client, &op).await;
                }
            })
        }
        Task::Zombie(requests) => {
            let (client, death) = source.mortal(&gate, requests);
            Box::pin(async move {
                let plan = asking(&own);
                tokio::select! {
                    _ = own.recompute(&client, &plan) => {}
                    () = death.notified() => {}
                }
            })
        }
    };
    Actor::new(gate, work)
}

/// A group with two open findings, whose indicator was written twice. Returns the map after the first write.
async fn prepared(source: &Source) -> Option<aws_sdk_dynamodb::types::AttributeValue> {
    let client = source.client();
    change(source, &client, &Op::Put(group(None))).await;
    change(source, &client, &Op::Put(finding(1, "open", 5))).await;
    let first = source.map().await;
    change(source, &client, &Op::Put(finding(2, "open", 9))).await;
    first
}

/// The changes that an application may make. `copy` is an old map of the group.
fn ops(copy: Option<aws_sdk_dynamodb::types::AttributeValue>) -> Vec<(&'static str, Op)> {
    vec![
        ("close", Op::Put(finding(2, "closed", 9))),
        ("reopen", Op::Put(finding(2, "open", 9))),
        ("add", Op::Put(finding(3, "open", 7))),
        ("remove", Op::Delete("FINDING#2".to_owned())),
        ("drop the map", Op::Put(group(None))),
        ("put an old map back", Op::Put(group(copy))),
        ("delete the group", Op::Delete("GROUP".to_owned())),
    ]
}

/// Runs every schedule of these tasks with at most `changes` changes of actor. Returns how many there are.
fn enumerate(name: &str, changes: usize, creates: bool, tasks: impl Fn(&[(&'static str, Op)]) -> Vec<Task>) -> usize {
    let pipeline = pipeline(creates);
    let mut schedule = Some(Schedule::default());
    let mut count = 0;
    while let Some(next) = schedule {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let made = runtime.block_on(async {
            fastrand::seed(1);
            let source = Source::new(&Arc::clone(&pipeline));
            let ops = ops(prepared(&source).await);
            let actors = tasks(&ops).into_iter().map(|task| actor(&source, task)).collect();
            let made = next.run(actors).await;
            let (stored, expected) = source.compared().await;
            assert_eq!(stored, expected, "{name} after {made:?}");
            made
        });
        count += 1;
        schedule = made.next(changes);
    }
    count
}

/// How many changes of actor the schedules of three actors have; those of two have any number.
fn changes() -> usize {
    std::env::var("CHANGES").map_or(2, |text| text.parse().expect("a whole number"))
}

const ALL: usize = usize::MAX;
const OPS: usize = 7;

#[test]
fn two_changes_in_every_order() {
    let mut count = 0;
    for creates in [false, true] {
        for first in 0..OPS {
            for second in first..OPS {
                let tasks =
                    |ops: &[(&'static str, Op)]| [first, second].map(|op| Task::Change(ops[op].1.clone())).to_vec();
                count += enumerate(&format!("{first} and {second}"), ALL, creates, tasks);
            }
        }
    }
    println!("two changes: {count} schedules");
    assert!(count >= 1_000, "{count}");
}

#[test]
fn a_change_and_a_zombie_that_dies_after_any_request() {
    let mut count = 0;
    for op in 0..OPS {
        for requests in 0..=REQUESTS {
            let tasks = |ops: &[(&'static str, Op)]| vec![Task::Zombie(requests), Task::Change(ops[op].1.clone())];
            count += enumerate(&format!("{op} and a zombie of {requests}"), ALL, false, tasks);
        }
    }
    println!("a change and a zombie: {count} schedules");
    assert!(count >= 200, "{count}");
}

#[test]
fn three_changes() {
    let mut count = 0;
    for first in 0..OPS {
        for second in first..OPS {
            for third in second..OPS {
                let tasks = |ops: &[(&'static str, Op)]| {
                    [first, second, third].map(|op| Task::Change(ops[op].1.clone())).to_vec()
                };
                count += enumerate(&format!("{first}, {second} and {third}"), changes().min(3), false, tasks);
            }
        }
    }
    println!("three changes: {count} schedules");
    assert!(count > 1_000, "{count}");
}

/// A finding is closed and opened again: the values are as before, so that whoever writes last must not have read the state in
/// between.
#[test]
fn a_value_that_returns_is_not_replaced_by_the_one_in_between() {
    let tasks = |ops: &[(&'static str, Op)]| vec![Task::Change(ops[0].1.clone()), Task::Change(ops[1].1.clone())];
    let count = enumerate("there and back", ALL, false, tasks);
    assert!(count >= 30, "{count}");
}

/// The application drops the map, so that the function starts from nothing while another recomputation still has the version of
/// the old map.
#[test]
fn a_version_never_returns() {
    let tasks = |ops: &[(&'static str, Op)]| {
        vec![Task::Change(ops[0].1.clone()), Task::Change(ops[1].1.clone()), Task::Change(ops[4].1.clone())]
    };
    let count = enumerate("a version", changes() + 2, false, tasks);
    let tasks = |ops: &[(&'static str, Op)]| {
        vec![Task::Change(ops[0].1.clone()), Task::Changes(vec![ops[1].1.clone(), ops[5].1.clone(), ops[2].1.clone()])]
    };
    println!("a version: {} schedules", count + enumerate("an old map", ALL, false, tasks));
}

/// A group that is deleted and put again while a recomputation still has the version of the old one.
#[test]
fn a_new_target_is_not_taken_for_the_old_one() {
    let tasks = |ops: &[(&'static str, Op)]| {
        let again = vec![ops[6].1.clone(), ops[5].1.clone(), ops[1].1.clone()];
        vec![Task::Change(ops[0].1.clone()), Task::Changes(again), Task::Zombie(REQUESTS)]
    };
    let count = enumerate("a new target", changes(), false, tasks);
    println!("a new target: {count} schedules");
}
