//! `cost --assume`, `tune --what-if` and a measured run agree on the same load.

use std::collections::HashSet;

use super::assume::Assumptions;
use super::cost::assumed::predict;
use super::cost::measured::Measured;
use super::cost::model::{Load as CostLoad, total};
use super::cost::prices::Prices;
use super::tune::model::Load;
use super::tune::settings::{DEFAULTS, Settings};

const RATE: f64 = 50.0;
const ENTITIES: usize = 100;

/// The fold window and a second.
const FOLD_CYCLE: f64 = 31.0;

/// What CloudWatch would show after an hour of this load: the mapping collects for the batching window, and then for as long
/// as the invocation takes; the fold writes the snapshots of all entities that a cycle touched.
fn run(settings: &Settings, entities: usize, seconds: f64) -> Measured {
    let mut random = fastrand::Rng::with_seed(14);
    let (mut time, mut invocations, mut records, mut snapshots) = (0.0, 0.0, 0.0, 0.0);
    let interval = if settings.window_seconds > 0.0 { settings.window_seconds + seconds } else { 0.25 };
    let (mut counters, mut folded) = (HashSet::new(), 0.0);
    while time < 3_600.0 {
        time += interval;
        let arrived = (RATE * time).floor() - records;
        counters.extend((0..num(arrived)).map(|_| random.usize(..entities)));
        records += arrived;
        invocations += 1.0;
        if time - folded >= FOLD_CYCLE {
            snapshots += 3.0 * f64::from(u32::try_from(counters.len()).unwrap());
            counters.clear();
            folded += FOLD_CYCLE;
        }
    }
    Measured {
        records,
        invocations,
        snapshots: Some(snapshots),
        files: Some(invocations),
        duration_ms: invocations * seconds * 1_000.0,
        busy_seconds: 3_600.0,
        ..Measured::default()
    }
}

/// A small count as an integer.
fn num(count: f64) -> u32 {
    format!("{count:.0}").parse().unwrap()
}

/// Issue 14: they were $0.12, $4.05 and $5.76 per million records.
#[test]
fn regression_assumed_predicted_and_measured_costs_of_one_load_agree() {
    let prices = Prices::read(None).unwrap();
    for window_seconds in [0.0, 1.0, 5.0] {
        let settings = Settings { window_seconds, ..DEFAULTS };
        let load = Load { rate: RATE, entities: 100.0, ..Load::assumed(3.0) };
        let outcome = load.outcome(&settings, &settings, &prices);

        let text = format!("records=50/s,entities={ENTITIES},windows=3,window={window_seconds}s");
        let names = ["records", "entities", "windows", "window"];
        let assumed = predict(&Assumptions::parse("--assume", &text, &names).unwrap());
        let assumed = assumed.unwrap().load;

        let measured = run(&settings, ENTITIES, outcome.seconds);
        let measured = measured.load(&CostLoad::assumed(3.0), 0.25, 3_600.0);

        let dollars = |load: &CostLoad| total(&load.per_million(&prices, None));
        let all = [dollars(&assumed), outcome.dollars, dollars(&measured)];
        let (low, high) = all.iter().fold((f64::MAX, 0.0_f64), |(low, high), one| (low.min(*one), high.max(*one)));
        assert!(high / low < 1.05, "window {window_seconds}: {all:?}");
    }
}
