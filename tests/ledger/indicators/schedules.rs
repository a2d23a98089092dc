//! Every order of the requests of two and three actors: changes by an application, each followed by the recomputation that its
//! record asks for, and zombies, which recompute and die after any request. Where all orders are enumerated, requests that
//! commute aren't exchanged: a query reads the findings, and neither the group's map nor its version.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::plan::Plan;

use super::place::{Op, Source, access, finding, group, pipeline};
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

fn actor(source: &Source, task: Task, gate: Gate) -> Actor {
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

/// How often the indicator has been written at first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Writes {
    Once,
    Thrice,
}
use Writes::{Once, Thrice};

/// A group with two open findings. Returns a map that it had before.
async fn prepared(source: &Source, writes: Writes) -> Option<AttributeValue> {
    let client = source.client();
    let findings = [Op::Put(finding(1, "open", 5)), Op::Put(finding(2, "open", 9))];
    let put_group = Op::Put(group(None));
    let [first, second] = &findings;
    let order = match writes {
        Once => [first, second, &put_group],
        Thrice => [&put_group, first, second],
    };
    let mut before = None;
    for op in order {
        before = source.map();
        change(source, client, op).await;
    }
    before
}

/// The changes that an application may make. `copy` is an old map of the group.
fn ops(copy: Option<AttributeValue>) -> [Op; 7] {
    [
        Op::Put(finding(2, "closed", 9)),
        Op::Put(finding(2, "open", 9)),
        Op::Put(finding(3, "open", 7)),
        Op::Delete("FINDING#2".to_owned()),
        Op::Put(group(None)),
        Op::Put(group(copy)),
        Op::Delete("GROUP".to_owned()),
    ]
}

const CLOSE: usize = 0;
const REOPEN: usize = 1;
const ADD: usize = 2;
const REMOVE: usize = 3;
const DROP_THE_MAP: usize = 4;
const PUT_AN_OLD_MAP_BACK: usize = 5;
const DELETE_THE_GROUP: usize = 6;
const OPS: [&str; 7] = ["close", "reopen", "add", "remove", "drop the map", "put an old map back", "delete the group"];

/// What is enumerated.
struct Case {
    name: String,
    writes: Writes,
    creates: bool,
    lags: bool,
    /// The maximum number of changes of actor.
    changes: usize,
    /// Whether the group is deleted and not put again.
    deletes: bool,
}

impl Case {
    fn of(ops: &[usize], changes: usize) -> Case {
        let name = ops.iter().map(|op| OPS[*op]).collect::<Vec<_>>().join(", ");
        let has = |op| ops.contains(&op);
        let deletes = has(DELETE_THE_GROUP) && !has(DROP_THE_MAP) && !has(PUT_AN_OLD_MAP_BACK);
        Case { name, writes: Thrice, creates: false, lags: false, changes, deletes }
    }

    /// A gate. It may know what requests access only if all schedules are enumerated, because the one that is run in place of
    /// others may have more changes of actor, and if a read sees the last write, because otherwise it depends on each write.
    fn gate(&self) -> Gate {
        if self.changes == ALL && !self.lags { Gate::knowing(access) } else { Gate::new() }
    }

    /// Runs every schedule of these tasks. Returns how many there are.
    fn enumerate(&self, tasks: impl Fn(&[Op; 7]) -> Vec<Task>) -> usize {
        let pipeline = pipeline(self.creates);
        let mut schedule = Some(Schedule::default());
        let mut count = 0;
        while let Some(next) = schedule {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let made = runtime.block_on(async {
                fastrand::seed(1);
                let source = if self.lags { Source::lagging(&pipeline) } else { Source::new(&pipeline) };
                let ops = ops(prepared(&source, self.writes).await);
                let actors = tasks(&ops).into_iter().map(|task| actor(&source, task, self.gate())).collect();
                let made = next.run(actors).await;
                if made.is_redundant {
                    return made;
                }
                let (stored, expected) = source.compared().await;
                assert_eq!(stored, expected, "{} after {made:?}", self.name);
                // A deleted group isn't revived.
                let is_gone = !source.items().await.contains_key("GROUP");
                assert!(is_gone || !self.deletes || self.creates, "{} after {made:?}", self.name);
                made
            });
            count += usize::from(!made.is_redundant);
            schedule = made.next(self.changes);
        }
        count
    }
}

/// Whether this is `make exhaust`, which runs all schedules, of all pairs and triples of changes. `make test` runs those with a few
/// changes of actor.
fn is_exhaustive() -> bool {
    std::env::var("CHANGES").is_ok_and(|text| text.parse::<usize>().expect("a whole number") > 2)
}

const ALL: usize = usize::MAX;

/// The maximum number of changes of actor, unless all schedules are run.
fn at_most(changes: usize) -> usize {
    if is_exhaustive() { ALL } else { changes }
}

#[test]
fn two_changes_in_every_order() {
    let mut count = 0;
    for creates in [false, true] {
        for first in 0..OPS.len() {
            for second in first + usize::from(!is_exhaustive())..OPS.len() {
                // Whether a missing group is created matters if it is deleted.
                if creates && !is_exhaustive() && second != DELETE_THE_GROUP {
                    continue;
                }
                let case = Case { creates, ..Case::of(&[first, second], at_most(2)) };
                count += case.enumerate(|ops| [first, second].map(|op| Task::Change(ops[op].clone())).to_vec());
            }
        }
    }
    println!("two changes: {count} schedules");
    assert!(count >= 200, "{count}");
}

#[test]
fn a_change_and_a_zombie_that_dies_after_any_request() {
    let mut count = 0;
    for op in 0..OPS.len() {
        for requests in 0..=REQUESTS {
            let case = Case::of(&[op], at_most(2));
            count += case.enumerate(|ops| vec![Task::Zombie(requests), Task::Change(ops[op].clone())]);
        }
    }
    println!("a change and a zombie: {count} schedules");
    assert!(count >= 80, "{count}");
}

/// Three changes of findings, each with its recomputation, have 1,002,690 schedules, of which 3,054 differ in more than requests
/// that commute.
#[test]
fn three_changes() {
    let mut count = 0;
    for first in 0..OPS.len() {
        for second in first + usize::from(!is_exhaustive())..OPS.len() {
            for third in second + usize::from(!is_exhaustive())..OPS.len() {
                let case = Case::of(&[first, second, third], at_most(1));
                count += case.enumerate(|ops| [first, second, third].map(|op| Task::Change(ops[op].clone())).to_vec());
            }
        }
    }
    println!("three changes: {count} schedules");
    assert!(count >= 100, "{count}");
}

/// A finding is closed and opened again: the values are as before, so that whoever writes last must not have read the state in
/// between.
#[test]
fn a_value_that_returns_is_not_replaced_by_the_one_in_between() {
    let case = Case { lags: true, ..Case::of(&[CLOSE, REOPEN], ALL) };
    let count = case.enumerate(|ops| vec![Task::Change(ops[CLOSE].clone()), Task::Change(ops[REOPEN].clone())]);
    println!("there and back: {count} schedules");
    assert!(count >= 30, "{count}");
}

/// The application drops the map, so that the function starts from nothing while another recomputation still has the version of
/// the old map; or it puts an old map back.
#[test]
fn a_version_never_returns() {
    let mut count = 0;
    for (writes, last) in [(Once, DROP_THE_MAP), (Thrice, PUT_AN_OLD_MAP_BACK)] {
        let case = Case { writes, ..Case::of(&[CLOSE, REOPEN, last], at_most(2)) };
        count += case.enumerate(|ops| {
            let there_and_back = vec![ops[REOPEN].clone(), ops[last].clone()];
            vec![Task::Change(ops[CLOSE].clone()), Task::Changes(there_and_back)]
        });
    }
    println!("a version: {count} schedules");
    assert!(count >= 30, "{count}");
}

/// A group that is deleted and put again while another recomputation still has the version of the old one.
#[test]
fn a_new_target_is_not_taken_for_the_old_one() {
    let case = Case::of(&[REMOVE, DELETE_THE_GROUP, PUT_AN_OLD_MAP_BACK, ADD], at_most(2));
    let count = case.enumerate(|ops| {
        let again = [DELETE_THE_GROUP, PUT_AN_OLD_MAP_BACK, ADD].map(|op| ops[op].clone()).to_vec();
        vec![Task::Change(ops[REMOVE].clone()), Task::Changes(again)]
    });
    println!("a new target: {count} schedules");
    assert!(count >= 20, "{count}");
}
