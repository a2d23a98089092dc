//! What to change: the rules applied one after the other, each knowing what the ones before it changed. Pure.

use super::model::{ITEM_UNITS, Load, Outcome};
use super::row::Row;
use super::rules::{HEADROOM, Rules};
use super::settings::{Parameter, Settings};
use crate::deployment::cost::prices::Prices;
use crate::shell::numbers::{number, seconds};

/// One parameter's change may ask for another's; they are few.
const PASSES: usize = 8;

/// A change.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub parameter: Parameter,
    pub now: Option<f64>,
    pub value: f64,
    pub reason: String,
    /// What comes of it, together with the changes before it.
    pub before: Outcome,
    pub after: Outcome,
}

/// All that there is to change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub row: Row,
    pub proposals: Vec<Proposal>,
    pub settings: Settings,
    pub before: Outcome,
    pub after: Outcome,
    /// What no parameter mends.
    pub notes: Vec<String>,
}

/// Works out what to change in the settings that a deployment has now.
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
        // Why, given all the other changes.
        let mut others = settings;
        value.into_iter().for_each(|value| parameter.set(&mut others, value));
        let reason = rules.advice(parameter, &others).map(|advice| advice.reason).unwrap_or_default();
        proposals.push(Proposal { parameter, now: value, value: better, reason, before, after });
    }
    let (before, after) = (outcome(now), outcome(&settings));
    Plan { row: rules.row, notes: notes(load, now, &settings, &after), proposals, settings, before, after }
}

/// Applies the rules until none of them wants anything else.
fn settle(rules: &Rules<'_>, now: &Settings) -> Settings {
    let mut settings = *now;
    for _ in 0..PASSES {
        let before = settings;
        for parameter in Parameter::ALL {
            let value = parameter.of(&settings);
            let Some(advice) = rules.advice(parameter, &settings) else { continue };
            let right = value.is_some_and(|value| (advice.right.0..=advice.right.1).contains(&value));
            if !right && value != Some(advice.value) {
                parameter.set(&mut settings, advice.value);
            }
        }
        if settings == before {
            break;
        }
    }
    settings
}

/// What no parameter mends.
fn notes(load: &Load, now: &Settings, settings: &Settings, after: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    if now.reserved == Some(0.0) {
        notes.push("ReservedConcurrency is 0: the kill switch. Nothing is processed until it is raised.".to_owned());
    }
    if after.capacity < load.rate {
        let shards = (load.shards * load.rate * HEADROOM / after.capacity).ceil();
        notes.push(format!(
            "at most {} records/s can be taken: {} shards would be needed, or fewer windows",
            number(after.capacity),
            number(shards)
        ));
    }
    if after.item_units > ITEM_UNITS {
        notes.push(format!(
            "the busiest item would take {} write units a second of {}: spread the entity over several resources",
            number(after.item_units),
            number(ITEM_UNITS)
        ));
    }
    if load.goal.is_some_and(|goal| after.latency > goal) {
        notes.push(format!("a record takes up to {} even so: the goal isn't reached", seconds(after.latency)));
    }
    if let Some(seen) = load.seen.filter(|seen| seen.errors > 0.0) {
        notes.push(format!(
            "{} invocations failed: a shard waits for its failing batch whatever is tuned",
            number(seen.errors)
        ));
    }
    if after.groups > after.batch * 0.8 && settings.batch_size > 10.0 {
        notes.push("entities hardly repeat in a batch, so larger batches save little; fewer windows would".to_owned());
    }
    notes
}
