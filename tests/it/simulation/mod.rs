//! Deterministic simulation: both real mappings and the real handler with in-process services and virtual time, thousands
//! of times faster than real time. Each seed is one run. A failing run is simplified until nothing more can be removed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

pub mod bench;
mod chaos;
mod feed;
mod lambda;
pub mod ledger_stream;
mod run;
mod side;
mod table;
mod trouble;
mod upgrade;

use bench::Bench;
use chaos::{Chaos, Role};
use lambda::Counts;
use run::Report;

use crate::model::history::{Change, History};

/// The maximum number of runs for simplifying a failing run.
const SIMPLIFYING_RUNS: usize = 500;
/// What must happen at least once to both functions in a few hundred runs, by its name in [`Counts`].
const KINDS: [&str; 26] = [
    "503s",
    "acknowledged again",
    "at the same time",
    "calls throttled",
    "conflicts",
    "crashed",
    "crashes after a call",
    "crashes before a call",
    "died",
    "given up",
    "invocation responses lost",
    "mapping crashes",
    "merges",
    "partial",
    "redrives",
    "requests late",
    "requests lost",
    "responses lost",
    "rewinds",
    "rivals",
    "rivals' deaths",
    "splits",
    "succeeded",
    "throttled",
    "updates",
    "zombies",
];
/// The same for the function that appends.
const KINDS_OF_APPEND: [&str; 4] = ["calms", "documents kept", "left out", "writes"];

/// The same for the function that appends, in the runs that have an indicator.
const KINDS_OF_INDICATOR: [&str; 7] = [
    "own writes",
    "target conflicts",
    "targets missing",
    "targets recomputed",
    "targets touched",
    "targets unchanged",
    "targets written",
];

/// The same for the function that folds.
const KINDS_OF_FOLD: [&str; 4] = ["alerts cleared", "alerts fired", "alerts sent again", "restated"];

/// What must happen at least once to both functions while releases are upgraded.
const KINDS_OF_UPGRADE: [&str; 8] = [
    "crashed",
    "rivals",
    "served by generation 1",
    "served by generation 2",
    "served by generation 3",
    "shifts",
    "succeeded",
    "zombies",
];
/// The same for the function that folds.
const KINDS_OF_UPGRADED_FOLD: [&str; 3] = ["alerts fired", "changes of several generations", "counters left"];

/// 1,000 histories with fixed seeds. `make soak` runs HISTORIES of them, starting with another seed.
#[test]
fn simulated_histories_leave_every_invariant_intact() {
    let (count, totals) = run_histories(1_000, chaos_of);
    let kinds = Role::ALL.into_iter().flat_map(|role| KINDS.map(|kind| (role, kind)));
    let kinds = kinds.chain(KINDS_OF_APPEND.into_iter().chain(KINDS_OF_INDICATOR).map(|kind| (Role::Append, kind)));
    let kinds = kinds.chain(KINDS_OF_FOLD.map(|kind| (Role::Fold, kind)));
    let missing: Vec<_> = kinds.filter(|kind| !totals.contains_key(kind)).collect();
    assert!(count < 500 || missing.is_empty(), "the histories no longer reach every case: {missing:?}");
}

/// 100 histories with fixed seeds during which three releases serve both functions at once, back and forth, with a raised generation
/// and formats one apart. `make soak-upgrades` runs HISTORIES of them, starting with another seed.
#[test]
fn upgrades_and_rollbacks_under_load_leave_every_invariant_intact() {
    let (count, totals) = run_histories(100, |seed| upgrade::upgraded(chaos_of(seed)));
    let kinds = Role::ALL.into_iter().flat_map(|role| KINDS_OF_UPGRADE.map(|kind| (role, kind)));
    let kinds = kinds.chain(KINDS_OF_UPGRADED_FOLD.map(|kind| (Role::Fold, kind)));
    let missing: Vec<_> = kinds.filter(|kind| !totals.contains_key(kind)).collect();
    assert!(count < 100 || missing.is_empty(), "the histories no longer reach every case: {missing:?}");
}

/// Runs HISTORIES histories, or `count`, from SEED on. Returns how many, and what happened.
#[expect(clippy::print_stdout, reason = "the report of a test, which the lint's exception for tests doesn't cover")]
fn run_histories(count: u64, chaos_of: fn(u64) -> Chaos) -> (u64, Counts) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let (count, first) = (number("HISTORIES").unwrap_or(count), number("SEED").unwrap_or(1));
    let started = Instant::now();
    let progress = |done| println!("{done} of {count} histories in {:.0?}", started.elapsed());
    let totals =
        run_all(first, count, chaos_of, &progress).unwrap_or_else(|seed| panic!("{}", explain(chaos_of(seed))));
    let seconds = started.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!("{count} histories from seed {first} in {seconds:.0} s ({rate:.0} a second): {totals:?}, 0 violations");
    (count, totals)
}

/// A run doesn't depend on what the thread ran before.
#[test]
fn the_same_seed_gives_the_same_run() {
    let shared = Bench::new();
    let later: Vec<Report> = (1..=12).rev().map(|seed| simulate(&shared, &chaos_of(seed))).collect();
    for (seed, later) in (1..=12).rev().zip(later) {
        let alone = simulate(&Bench::new(), &chaos_of(seed));
        assert_eq!(alone.trace, later.trace, "seed {seed}");
        assert!(!alone.trace.is_empty());
    }
}

/// Runs `count` seeds from `first` on all cores. Stops at the first failure. Calls `progress` from time to time.
fn run_all(
    first: u64,
    count: u64,
    chaos_of: fn(u64) -> Chaos,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Counts, u64> {
    let (next, failed, is_over) = (AtomicU64::new(first), AtomicU64::new(u64::MAX), AtomicBool::new(false));
    let done = AtomicUsize::new(0);
    let work = || {
        let (bench, mut totals) = (Bench::new(), Counts::new());
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed - first >= count {
                break;
            }
            match simulate(&bench, &chaos_of(seed)).result {
                Ok(counts) => counts.into_iter().for_each(|(kind, count)| *totals.entry(kind).or_default() += count),
                Err(_) => {
                    failed.fetch_min(seed, Ordering::Relaxed);
                    is_over.store(true, Ordering::Relaxed);
                }
            }
            let done = 1 + done.fetch_add(1, Ordering::Relaxed);
            if done.is_multiple_of(10_000) {
                progress(done);
            }
        }
        totals
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut totals = Counts::new();
        for (kind, count) in workers.into_iter().flat_map(|worker| worker.join().unwrap()) {
            *totals.entry(kind).or_default() += count;
        }
        totals
    });
    match failed.into_inner() {
        u64::MAX => Ok(totals),
        seed => Err(seed),
    }
}

fn chaos_of(seed: u64) -> Chaos {
    Chaos::random(seed, &History::random(seed, run::CHANGES))
}

/// One run in virtual time. A panic of the code under test is a failure like any other.
fn simulate(bench: &Arc<Bench>, chaos: &Chaos) -> Report {
    bench.reset();
    // The function and the SDK draw the pauses between attempts from the thread's random number generator.
    fastrand::seed(chaos.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let run = AssertUnwindSafe(|| runtime.block_on(run::run(bench, chaos)));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Report { result: Err(format!("panicked: {}", text.unwrap_or_default())), trace: Vec::new() }
    })
}

/// Describes the failure of a seed by the simplest run that still fails.
fn explain(mut chaos: Chaos) -> String {
    let (bench, seed) = (Bench::new(), chaos.seed);
    let failure = |chaos: &Chaos| {
        let report = simulate(&bench, chaos);
        report.result.err().map(|message| (message, report.trace))
    };
    let Some(mut found) = failure(&chaos) else { return format!("seed {seed} failed once but not again") };
    let mut runs = 0;
    'simplifying: while runs < SIMPLIFYING_RUNS {
        for simpler in chaos.simpler() {
            runs += 1;
            if let Some(again) = failure(&simpler) {
                (chaos, found) = (simpler, again);
                continue 'simplifying;
            }
        }
        break;
    }
    let (message, trace) = found;
    let changes = run::history(&chaos).changes;
    let line = |(index, change): (usize, &Change)| {
        format!("{index}: {:?} of {} at second {}", change.what, change.customer, change.second)
    };
    let changes: Vec<String> = changes.iter().enumerate().map(line).collect();
    format!(
        "seed {seed}: {message}\n{chaos:#?}\n{}\n{}\nrepeat and simplify it with SEED={seed} HISTORIES=1",
        changes.join("\n"),
        trace.join("\n")
    )
}
