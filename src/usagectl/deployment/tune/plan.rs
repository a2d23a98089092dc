//! Decides what to change: the rules are applied one after the other, each to the settings that the ones before it have
//! changed. Pure.

use super::model::{Failures, Load, Outcome, PARTITION_READ_UNITS, PARTITION_UNITS};
use super::row::Row;
use super::rules::{HEADROOM, Rules};
use super::settings::{Parameter, Settings};
use crate::deployment::cost::prices::Prices;
use crate::shell::numbers::{number, seconds};
use crate::stack::BlockedShard;

/// A change of one parameter may require a change of another, a few times.
const PASSES: usize = 8;
/// 2 invocations per second: above it, folding each batch at once costs more than it is worth.
const FOLDS_AT_ONCE: f64 = 2.0;

/// A proposed change of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The parameter.
    pub parameter: Parameter,
    /// Its current value, if it has one.
    pub now: Option<f64>,
    /// The proposed value.
    pub value: f64,
    /// Why to change it.
    pub reason: String,
    /// The prediction without this change, with those before it.
    pub before: Outcome,
    /// The prediction with this change.
    pub after: Outcome,
}

/// All proposed changes and their effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The row of the table that the load belongs to.
    pub row: Row,
    /// The changes.
    pub proposals: Vec<Proposal>,
    /// The settings with all changes.
    pub settings: Settings,
    /// The prediction with the current settings.
    pub before: Outcome,
    /// The prediction with all changes.
    pub after: Outcome,
    /// Problems that no parameter can fix.
    pub notes: Vec<String>,
}

/// Decides what to change in the current settings `now`.
pub fn plan(load: &Load, now: &Settings, prices: &Prices) -> Plan {
    let rules = Rules::new(load, now, prices);
    let outcome = |settings: &Settings| load.outcome(settings, now, prices);
    let settings = settle(&rules, now);
    let (mut changed, mut proposals) = (*now, Vec::new());
    for parameter in Parameter::ALL {
        let (before, value) = (changed, parameter.of(now));
        let Some(better) = parameter.of(&settings).filter(|better| Some(*better) != value) else { continue };
        parameter.set(&mut changed, better);
        let (before, after) = (outcome(&before), outcome(&changed));
        // The reason is given all other changes.
        let mut others = settings;
        value.into_iter().for_each(|value| parameter.set(&mut others, value));
        let reason = rules.advice(parameter, &others).map(|advice| advice.reason).unwrap_or_default();
        proposals.push(Proposal { parameter, now: value, value: better, reason, before, after });
    }
    let (before, after) = (outcome(now), outcome(&settings));
    Plan { row: rules.row, notes: notes(load, now, &settings, &after), proposals, settings, before, after }
}

/// Applies the rules until none of them changes anything.
fn settle(rules: &Rules<'_>, now: &Settings) -> Settings {
    let mut settings = *now;
    for _ in 0..PASSES {
        let before = settings;
        for parameter in Parameter::ALL {
            let value = parameter.of(&settings);
            let Some(advice) = rules.advice(parameter, &settings) else { continue };
            let is_fine = value.is_some_and(|value| (advice.fine.0..=advice.fine.1).contains(&value));
            if !is_fine && value != Some(advice.value) {
                parameter.set(&mut settings, advice.value);
            }
        }
        if settings == before {
            break;
        }
    }
    settings
}

/// Problems that no parameter can fix.
fn notes(load: &Load, now: &Settings, settings: &Settings, after: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    if now.reserved == Some(0.0) {
        notes.push("ReservedConcurrency is 0: the kill switch. Nothing is processed until it is raised.".to_owned());
    }
    if after.capacity < load.rate {
        let shards = (load.shards * load.rate * HEADROOM / after.capacity).ceil();
        notes.push(format!(
            "at most {} records/s can be processed: use {} shards, or fewer windows",
            number(after.capacity),
            number(shards)
        ));
    }
    if after.page_units > PARTITION_UNITS {
        notes.push(format!(
            "the pages of a minute need {} write units/s, but a partition takes {}: raise LedgerBuckets",
            number(after.page_units),
            number(PARTITION_UNITS)
        ));
    }
    if load.goal.is_some_and(|goal| after.latency > goal) {
        notes.push(format!("the latency goal can't be met: a record still takes up to {}", seconds(after.latency)));
    }
    notes.extend(indicator_notes(load, after));
    notes.extend(fold_notes(load, now, settings, after));
    if let Some(observed) = load.observed {
        notes.extend(failure_note(&observed.failures));
    }
    // Retries distort the batches of a failing shard.
    let is_failing = load.observed.is_some_and(|observed| observed.failures.is_failing_now());
    if after.groups > after.batch * 0.8 && settings.batch_size > 10.0 && !is_failing {
        notes.push(
            "entities rarely repeat within a batch, so larger batches save little; fewer windows would save more"
                .to_owned(),
        );
    }
    notes
}

/// Problems of indicators.
fn indicator_notes(load: &Load, after: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    if after.target_units > PARTITION_READ_UNITS {
        notes.push(format!(
            "a target and its {} items need {} read units/s, but a partition takes {}: narrow the query, or count usage instead, which reads no items",
            number(load.indicators.items),
            number(after.target_units),
            number(PARTITION_READ_UNITS)
        ));
    }
    if load.indicators.targets > 0.0 && after.batch > 10.0 && after.targets > after.batch * 0.8 {
        notes.push(format!(
            "targets of indicators rarely repeat within a batch, so larger batches save few recomputations; each reads {} read units, which fewer or smaller items would reduce",
            number(load.indicators.target_read_units())
        ));
    }
    notes
}

/// Problems of the fold.
fn fold_notes(load: &Load, now: &Settings, settings: &Settings, after: &Outcome) -> Vec<String> {
    let Some(window) = settings.fold_window_seconds else { return Vec::new() };
    let measured = load.observed.zip(now.fold_window_seconds);
    let mut notes: Vec<String> =
        measured.and_then(|(observed, window)| observed.fold.note(window)).into_iter().collect();
    if load.freshness.is_some_and(|goal| after.freshness > goal) {
        notes.push(format!(
            "the freshness goal can't be met: a snapshot still lags by up to {}",
            seconds(after.freshness)
        ));
    }
    if settings.folds_at_once && load.rate / after.batch > FOLDS_AT_ONCE {
        notes.push(format!(
            "Freshness is now, which is for up to about {} invocations/s, and {} are needed: set Freshness=stream",
            number(FOLDS_AT_ONCE),
            number(load.rate / after.batch)
        ));
    }
    if after.fold_seconds > window.max(1.0) {
        notes.push(format!(
            "a fold takes about {}, longer than its window: raise CommitConcurrency or FoldWindowSeconds",
            seconds(after.fold_seconds)
        ));
    }
    notes
}

/// What failed, and that concurrency is no remedy for it.
fn failure_note(failures: &Failures) -> Option<String> {
    let Failures { errors, deliveries, deliveries_now, rejected, discarded, blocked } = failures;
    if let Some(BlockedShard { age_seconds, growing_seconds }) = blocked {
        return Some(format!(
            "a shard is blocked now: deliveries fail, and the iterator age has been growing for {}, to {}. No setting changes that, so no more concurrency is proposed; `usagectl doctor errors` shows why they fail",
            seconds(*growing_seconds),
            seconds(*age_seconds),
        ));
    }
    let rejected = rejected.unwrap_or_default();
    if !failures.any() && rejected == 0.0 {
        return None;
    }
    let counts = [
        (*errors, "invocations failed as a whole"),
        (*deliveries, "records were in deliveries that failed"),
        (rejected, "records were rejected"),
        (*discarded, "records were discarded to the failure destination"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0.0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{} {what}", number(*count))).collect();
    let meaning = if *deliveries_now > 0.0 {
        "; deliveries failed in the last 15 minutes, and a failing batch blocks its shard, so no more concurrency is proposed: `usagectl doctor errors` shows why they fail"
    } else if failures.any() {
        "; a failing batch blocks its shard, regardless of the settings: `usagectl doctor errors` shows why they fail"
    } else {
        "; `usagectl redrive --dry-run` lists them by cause"
    };
    Some(counts.join(", ") + meaning)
}
