//! Predictions for typical loads.

use super::super::settings::DEFAULTS;
use super::super::tests::load;
use super::*;

#[test]
fn longer_windows_make_larger_batches_that_cost_less() {
    let prices = Prices::read(None).unwrap();
    let load = Load { entities: 50.0, ..load(500.0) };
    let of = |window_seconds| load.outcome(&Settings { window_seconds, ..DEFAULTS }, &DEFAULTS, &prices);
    let (short, long) = (of(0.0), of(5.0));
    assert!(short.batch < 200.0 && long.batch == 1_000.0, "{short:?} {long:?}");
    assert!(
        long.dollars < short.dollars / 1.5
            && long.write_units < short.write_units
            && long.latency > short.latency + 4.0
    );
    assert!(short.page_units > long.page_units);
}

#[test]
fn measurements_replace_the_constants() {
    // 14 files and 2 pages are two rounds of 8.
    let observed = Observed { batch: 1_000.0, groups: 390.0, seconds: 1.0, ..Observed::default() };
    let slow = Load { files: 14.0, entities: observed.entities(), observed: Some(observed), ..load(1_000.0) };
    let seconds = slow.seconds(1_000.0, &DEFAULTS, &DEFAULTS);
    assert!((seconds - 1.0).abs() < 0.05, "{seconds}");
    // Twice the concurrency takes half as long, except for CPU time.
    let faster = slow.seconds(1_000.0, &Settings { commits: 16.0, ..DEFAULTS }, &DEFAULTS);
    assert!((0.5..0.6).contains(&faster), "{faster}");
}

#[test]
fn memory_adds_cpu_up_to_one_core() {
    let load = load(100.0);
    let at = |megabytes| load.working_seconds(10_000.0, Some(megabytes));
    assert!((at(256.0) / at(512.0) - 2.0).abs() < 1e-9);
    assert_eq!(at(1_769.0), at(10_240.0));
    assert_eq!(load.working_seconds(10_000.0, None), at(1_769.0));
}

#[test]
fn a_longer_window_recomputes_each_target_less_often() {
    let prices = Prices::read(None).unwrap();
    let indicators = IndicatorLoad { targets: 20.0, items: 1_000.0, item_bytes: 500.0 };
    let load = Load { indicators, ..load(500.0) };
    let of = |window_seconds| load.outcome(&Settings { window_seconds, ..DEFAULTS }, &DEFAULTS, &prices);
    let (short, long) = (of(0.0), of(5.0));
    assert!(short.targets <= 20.0 && (long.targets - 20.0).abs() < 0.01, "{short:?} {long:?}");
    assert!(long.indicator_read_units < short.indicator_read_units / 3.0, "{short:?} {long:?}");
    assert!(long.dollars < short.dollars / 3.0 && long.target_units < short.target_units / 2.0, "{short:?} {long:?}");
    // 20 targets in rounds of 8, three requests each.
    assert!(short.seconds >= 0.045, "{short:?}");
    let without = super::super::tests::load(500.0).outcome(&DEFAULTS, &DEFAULTS, &prices);
    assert_eq!((without.targets, without.indicator_read_units, without.target_units), (0.0, 0.0, 0.0));
}
