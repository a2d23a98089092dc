//! The rules with typical loads.

use super::fold::FoldHealth;
use super::model::{Failures, Load, Observed, PARTITION_UNITS};
use super::plan::{Plan, plan};
use super::row::{BUSY, QUIET, REAL_TIME, STEADY};
use super::settings::{DEFAULTS, Parameter, Settings};
use crate::deployment::cost::indicators::IndicatorLoad;
use crate::deployment::cost::prices::Prices;
use crate::stack::BlockedShard;

pub(crate) fn load(rate: f64) -> Load {
    Load {
        rate,
        entities: 200.0,
        windows: 3.0,
        record_bytes: 700.0,
        shards: 2.0,
        files: 1.0,
        poll_seconds: 0.25,
        goal: None,
        freshness: None,
        indicators: IndicatorLoad::NONE,
        observed: None,
    }
}

/// Settings of which none is fine, so that every parameter is proposed.
const WRONG: Settings = Settings {
    batch_size: 1.0,
    window_seconds: 300.0,
    factor: 10.0,
    memory_megabytes: Some(10_240.0),
    reserved: Some(1.0),
    timeout_seconds: 899.0,
    commits: 1.0,
    fold_window_seconds: Some(300.0),
    folds_at_once: false,
};

fn planned(load: &Load, now: &Settings) -> Plan {
    plan(load, now, &Prices::read(None).unwrap())
}

fn changes(load: &Load, now: &Settings) -> Vec<(Parameter, f64)> {
    planned(load, now).proposals.iter().map(|proposal| (proposal.parameter, proposal.value)).collect()
}

#[test]
fn every_row_of_the_table_is_followed() {
    let goal = |goal, rate| Load { goal: Some(goal), ..load(rate) };
    for (load, name, batch, reserved, factor, window) in [
        (load(50.0), QUIET.name, 100.0..=100.0, 2.0, 1.0..=1.0, 0.0..=5.0),
        (load(500.0), STEADY.name, 100.0..=1_000.0, 5.0, 1.0..=1.0, 1.0..=5.0),
        (load(5_000.0), BUSY.name, 1_000.0..=10_000.0, 10.0, 2.0..=2.0, 1.0..=5.0),
        (goal(0.8, 500.0), REAL_TIME.name, 10.0..=50.0, 10.0, 2.0..=5.0, 0.0..=0.0),
    ] {
        let plan = planned(&load, &WRONG);
        let Settings { batch_size, window_seconds, factor: lanes, reserved: kept, .. } = plan.settings;
        assert_eq!(plan.row.name, name);
        assert!(batch.contains(&batch_size), "{name}: BatchSize {batch_size}");
        assert!(factor.contains(&lanes), "{name}: factor {lanes}");
        assert!(window.contains(&window_seconds), "{name}: window {window_seconds}");
        assert!(kept >= Some(reserved) && kept >= Some(load.shards * lanes), "{name}: reserved {kept:?}");
        assert!(plan.after.capacity >= load.rate, "{name}: {:?}", plan.after);
    }
}

#[test]
fn settings_that_are_fine_are_unchanged() {
    for rate in [50.0, 500.0] {
        assert_eq!(changes(&Load { goal: Some(2.0), ..load(rate) }, &DEFAULTS), [], "{rate}/s");
    }
    assert_eq!(changes(&load(0.01), &DEFAULTS), [], "a window that saves less than a dollar a month");
    let few = Load { entities: 20.0, ..load(50.0) };
    assert_eq!(changes(&few, &DEFAULTS), [(Parameter::BatchWindowSeconds, 5.0)]);
    // So are the proposed settings.
    for rate in [10.0, 99.0, 101.0, 1_000.0, 1_001.0, 5_000.0, 20_000.0] {
        for goal in [None, Some(0.5), Some(1.0), Some(10.0)] {
            let load = Load { goal, ..load(rate) };
            let settings = planned(&load, &WRONG).settings;
            assert_eq!(changes(&load, &settings), [], "{rate}/s, goal {goal:?}: {settings:?}");
        }
    }
}

#[test]
fn a_busy_stream_gets_larger_batches_that_cost_less() {
    let plan = planned(&load(5_000.0), &DEFAULTS);
    let parameters: Vec<Parameter> = plan.proposals.iter().map(|proposal| proposal.parameter).collect();
    assert!(parameters.contains(&Parameter::BatchSize), "{plan:#?}");
    // One lane per shard is fast enough, and keeps batches whole.
    assert!(!parameters.contains(&Parameter::ParallelizationFactor), "{plan:#?}");
    assert!(plan.after.write_units < plan.before.write_units, "{plan:#?}");
    assert!(plan.after.capacity > 7_500.0, "{plan:#?}");
    let heavy = Load { shards: 1.0, record_bytes: 2_000.0, ..load(20_000.0) };
    let plan = planned(&heavy, &DEFAULTS);
    assert!(plan.settings.factor >= 2.0 && plan.after.capacity > 30_000.0, "{plan:#?}");
}

#[test]
fn measurements_override_the_table() {
    let healthy = Observed { batch: 500.0, groups: 90.0, seconds: 0.2, ..Observed::default() };
    let with = |observed| Load { observed: Some(observed), goal: Some(2.0), ..load(500.0) };
    assert_eq!(changes(&with(healthy), &DEFAULTS), []);
    for (observed, expected) in [
        (Observed { age_seconds: 90.0, ..healthy }, (Parameter::ParallelizationFactor, 2.0)),
        (Observed { throttles: 3.0, ..healthy }, (Parameter::ReservedConcurrency, 20.0)),
        (Observed { table_throttles: 3.0, ..healthy }, (Parameter::CommitConcurrency, 4.0)),
        (Observed { p99_seconds: Some(20.0), ..healthy }, (Parameter::TimeoutSeconds, 120.0)),
    ] {
        let now = Settings { reserved: Some(10.0), ..DEFAULTS };
        assert_eq!(changes(&with(observed), &now), [expected], "{observed:?}");
    }
}

#[test]
fn concurrency_is_reserved_only_for_a_function_that_is_throttled() {
    let healthy = Observed { batch: 500.0, groups: 90.0, seconds: 0.2, ..Observed::default() };
    let changed = |throttles| {
        let observed = Some(Observed { throttles, ..healthy });
        let changes = changes(&Load { observed, goal: Some(2.0), ..load(500.0) }, &DEFAULTS);
        changes.into_iter().find(|(parameter, _)| *parameter == Parameter::ReservedConcurrency)
    };
    assert_eq!(changed(0.0), None);
    assert!(changed(3.0).is_some_and(|(_, value)| value >= 2.0), "{:?}", changed(3.0));
}

/// Issue 14: one shard was blocked by a rejected record, and `tune` said that more concurrency was needed.
#[test]
fn regression_more_concurrency_is_never_proposed_while_a_batch_is_failing() {
    let slow = Observed { batch: 500.0, groups: 90.0, seconds: 0.2, age_seconds: 90.0, ..Observed::default() };
    let blocked = Some(BlockedShard { age_seconds: 90.0, growing_seconds: 120.0 });
    for (failures, note) in [
        (Failures { errors: 5.0, ..Failures::default() }, "5 invocations failed as a whole; a failing batch blocks"),
        // Partial failures aren't errors of the function.
        (Failures { deliveries: 7.0, ..Failures::default() }, "7 records were in deliveries that failed; a failing"),
        (Failures { deliveries: 7.0, deliveries_now: 7.0, ..Failures::default() }, "failed in the last 15 minutes"),
        (Failures { rejected: Some(3.0), deliveries: 7.0, blocked, ..Failures::default() }, "a shard is blocked now: "),
    ] {
        let plan =
            planned(&Load { observed: Some(Observed { failures, ..slow }), goal: Some(2.0), ..load(500.0) }, &DEFAULTS);
        assert!(plan.proposals.is_empty() && plan.notes[0].contains(note), "{plan:#?}");
    }
    // Rejected records that are quarantined don't fail a batch.
    let quarantined = Failures { rejected: Some(3.0), ..Failures::default() };
    let plan = planned(&Load { observed: Some(Observed { failures: quarantined, ..slow }), ..load(500.0) }, &DEFAULTS);
    assert_eq!(plan.settings.factor, 2.0, "{plan:#?}");
    assert!(plan.notes[0].starts_with("3 records were rejected; `usagectl redrive --dry-run`"), "{plan:#?}");
    // Whatever asks for it: the table of loads, the capacity, throttles.
    for throttles in [0.0, 9.0] {
        let failures = Failures { deliveries: 7.0, deliveries_now: 7.0, blocked, ..Failures::default() };
        let busy = Load { observed: Some(Observed { throttles, failures, ..slow }), shards: 8.0, ..load(50_000.0) };
        let now = Settings { reserved: Some(2.0), ..DEFAULTS };
        let plan = planned(&busy, &now);
        assert_eq!((plan.settings.factor, plan.settings.reserved), (1.0, Some(2.0)), "{plan:#?}");
        let fine = planned(
            &Load { observed: Some(Observed { failures: Failures::default(), throttles, ..slow }), ..busy },
            &now,
        );
        assert!(fine.settings.reserved > Some(2.0), "{fine:#?}");
    }
}

#[test]
fn limits_that_no_parameter_can_change_are_reported() {
    let one = Load { entities: 1.0, shards: 40.0, ..load(30_000.0) };
    let plan = planned(&one, &DEFAULTS);
    assert!(plan.settings.window_seconds >= 1.0 && plan.after.page_units <= PARTITION_UNITS, "{plan:#?}");
    let crowd = Load { entities: 1e6, shards: 1.0, ..load(5_000_000.0) };
    let notes = planned(&crowd, &DEFAULTS).notes.join("\n");
    assert!(
        notes.contains(" shards, or fewer windows") && notes.contains("a partition takes 1,000: raise LedgerBuckets"),
        "{notes}"
    );
    let off = Settings { reserved: Some(0.0), ..DEFAULTS };
    let plan = planned(&Load { goal: Some(2.0), ..load(50.0) }, &off);
    assert!(plan.proposals.is_empty() && plan.notes[0].contains("kill switch"), "{plan:#?}");
    let large = Load { record_bytes: 60_000.0, ..load(5_000.0) };
    assert!(planned(&large, &DEFAULTS).after.batch <= 100.0);
}

fn fold_window(load: &Load, now: f64) -> Option<f64> {
    let now = Settings { fold_window_seconds: Some(now), ..DEFAULTS };
    let proposed = planned(load, &now).proposals.into_iter();
    proposed.filter(|proposal| proposal.parameter == Parameter::FoldWindowSeconds).map(|proposal| proposal.value).next()
}

#[test]
fn the_fold_window_is_as_long_as_it_pays_and_as_short_as_the_goal_asks() {
    let of = |rate, entities| Load { entities, ..load(rate) };
    let fresh = |load: Load, seconds| Load { freshness: Some(seconds), ..load };
    for (load, now, proposed) in [
        // Pages cost most, so any window up to 30 s is fine.
        (of(1_000.0, 50.0), 30.0, None),
        (of(1_000.0, 10.0), 10.0, None),
        (of(1_000.0, 10.0), 300.0, Some(30.0)),
        // Snapshots cost most.
        (of(1_000.0, 5_000.0), 30.0, Some(60.0)),
        (of(1_000.0, 5_000.0), 10.0, Some(60.0)),
        (of(1_000.0, 5_000.0), 300.0, None),
        (of(1_000.0, 5_000.0), 45.0, None),
        // From 30 s on, it saves less than a third.
        (of(5_000.0, 200.0), 30.0, None),
        (of(1_000.0, 50_000.0), 30.0, None),
        // The same entities with so few records that it saves less than $10 a month.
        (of(0.1, 5_000.0), 30.0, None),
        (fresh(of(1_000.0, 50.0), 5.0), 30.0, Some(2.0)),
        (fresh(of(1_000.0, 50.0), 5.0), 2.0, None),
        (fresh(of(1_000.0, 5_000.0), 300.0), 60.0, Some(288.0)),
        (fresh(of(1_000.0, 50_000.0), 600.0), 30.0, Some(300.0)),
    ] {
        assert_eq!(fold_window(&load, now), proposed, "{} entities at {}/s, {now} s", load.entities, load.rate);
    }
    let plan = planned(&of(1_000.0, 5_000.0), &DEFAULTS);
    assert!(plan.after.dollars < plan.before.dollars * 0.7 && plan.after.freshness > plan.before.freshness + 25.0);
    let reason = &plan.proposals.last().unwrap().reason;
    assert!(reason.starts_with("a fold writes each snapshot once, ") && reason.contains(" less per month"), "{reason}");
}

#[test]
fn the_notes_name_what_no_fold_window_can_change() {
    let notes = |load: &Load, now: &Settings| planned(load, now).notes.join("\n");
    let at_once = Settings { folds_at_once: true, ..DEFAULTS };
    let plan = planned(&Load { goal: Some(0.8), ..load(500.0) }, &at_once);
    assert_eq!(plan.settings.fold_window_seconds, Some(300.0));
    assert!(
        plan.notes.join("\n").contains("set Freshness=stream") && plan.after.freshness < plan.after.latency + 1.0,
        "{plan:#?}"
    );
    let slow = Settings { fold_window_seconds: Some(0.0), ..DEFAULTS };
    let impatient = Load { entities: 5_000.0, freshness: Some(1.0), ..load(5_000.0) };
    let said = notes(&impatient, &slow);
    assert!(said.contains("the freshness goal can't be met") && said.contains("longer than its window"), "{said}");
    let archive = Settings { fold_window_seconds: None, ..DEFAULTS };
    assert_eq!(planned(&load(50.0), &archive).settings.fold_window_seconds, None, "a pipeline that only archives");
}

#[test]
fn a_fold_that_lags_or_fails_is_reported_whatever_the_append_function_does() {
    let notes = |fold, now: &Settings| {
        let observed = Observed { batch: 500.0, groups: 90.0, seconds: 0.2, fold, ..Observed::default() };
        let load = Load { observed: Some(observed), goal: Some(2.0), ..load(500.0) };
        planned(&load, now).notes.into_iter().filter(|note| note.contains("fold")).collect::<Vec<_>>().join("\n")
    };
    let health = FoldHealth::default();
    let blocked = Some(BlockedShard { age_seconds: 900.0, growing_seconds: 600.0 });
    for (fold, note) in [
        // Two windows of 30 s and a minute.
        (FoldHealth { age_seconds: 120.0, ..health }, ""),
        (FoldHealth { age_seconds: 121.0, ..health }, "the fold lags: its iterator age was up to 121 s"),
        (FoldHealth { errors: 2.0, ..health }, "2 folds failed as a whole, and the fold's iterator age was up to 0 ms"),
        (FoldHealth { errors: 2.0, unsettled: 9.0, ..health }, "2 folds failed as a whole, 9 notices weren't settled"),
        (FoldHealth { errors: 2.0, blocked, ..health }, "the fold is blocked now: folds fail"),
    ] {
        let said = notes(fold, &DEFAULTS);
        assert!(said.starts_with(note) && said.is_empty() == note.is_empty(), "{fold:?}: {said}");
    }
    let late = FoldHealth { age_seconds: 600.0, ..health };
    assert_eq!(notes(late, &Settings { fold_window_seconds: Some(290.0), ..DEFAULTS }), "");
    assert_eq!(notes(late, &Settings { fold_window_seconds: None, ..DEFAULTS }), "", "a pipeline that only archives");
}

#[test]
fn indicators_lengthen_the_batching_window_as_far_as_it_saves_recomputations() {
    let many_entities = Load { entities: 50_000.0, ..load(500.0) };
    let of = |targets, items| {
        let indicators = IndicatorLoad { targets, items, item_bytes: 500.0 };
        Load { indicators, ..many_entities.clone() }
    };
    assert_eq!(changes(&many_entities, &DEFAULTS), []);
    // Ten hot targets are recomputed with each batch.
    let hot = planned(&of(10.0, 5_000.0), &DEFAULTS);
    assert!(hot.settings.window_seconds > DEFAULTS.window_seconds, "{hot:#?}");
    assert!(hot.after.indicator_read_units < hot.before.indicator_read_units / 2.0, "{hot:#?}");
    let reason = &hot.proposals.iter().find(|one| one.parameter == Parameter::BatchWindowSeconds).unwrap().reason;
    assert!(reason.contains("and a target per batch"), "{reason}");
    // Targets that hardly ever repeat cost the same in any window.
    let cold = planned(&of(1e6, 10.0), &DEFAULTS);
    assert!(cold.notes.iter().any(|note| note.starts_with("targets of indicators rarely repeat")), "{cold:#?}");
    assert_eq!(cold.settings.window_seconds, DEFAULTS.window_seconds, "{cold:#?}");
}

#[test]
fn a_target_that_one_partition_cannot_serve_is_reported() {
    let indicators = |items| IndicatorLoad { targets: 1.0, items, item_bytes: 500.0 };
    let large = planned(&Load { indicators: indicators(10_000.0), goal: Some(0.8), ..load(500.0) }, &DEFAULTS);
    assert!(
        large.notes.iter().any(|note| note.contains("but a partition takes 3,000: narrow the query")),
        "{large:#?}"
    );
    // Without a goal, a longer window is enough.
    let patient = planned(&Load { indicators: indicators(20_000.0), ..load(500.0) }, &DEFAULTS);
    assert!(patient.before.target_units > 3_000.0 && patient.after.target_units <= 3_000.0, "{patient:#?}");
    // Batches of the largest size are as rare as they can be.
    let hopeless = planned(&Load { indicators: indicators(50_000.0), ..load(500.0) }, &DEFAULTS);
    assert!(hopeless.settings.window_seconds <= 5.0 && !hopeless.notes.is_empty(), "{hopeless:#?}");
}
