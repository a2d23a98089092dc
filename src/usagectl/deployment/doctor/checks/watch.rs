//! Whether anybody would hear of it: alarms and logs.

use super::super::facts::{Alarm, AlarmState, Facts};
use super::super::finding::{Look, ok, problem, warning};
use super::of;

fn list(alarms: &[&Alarm]) -> String {
    alarms.iter().map(|alarm| alarm.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// There are alarms, and each tells somebody.
pub fn alarm_actions(facts: &Facts) -> Look {
    let alarms = of(&facts.alarms)?;
    if alarms.is_empty() {
        return warning("there are no alarms: nobody is told when something is wrong", facts.deploy("Alarms=true"));
    }
    let off: Vec<&Alarm> = alarms.iter().filter(|alarm| !alarm.actions_enabled).collect();
    if !off.is_empty() {
        let names: Vec<&str> = off.iter().map(|alarm| alarm.name.as_str()).collect();
        return problem(
            format!("alarms whose actions are switched off, so that nobody is told: {}", list(&off)),
            format!("aws cloudwatch enable-alarm-actions --alarm-names {}", names.join(" ")),
        );
    }
    let mute: Vec<&Alarm> = alarms.iter().filter(|alarm| alarm.actions == 0).collect();
    if !mute.is_empty() {
        return problem(format!("alarms without an action, of which nobody is told: {}", list(&mute)), anew(facts));
    }
    ok(format!("each of the {} alarms tells somebody", alarms.len()))
}

/// No alarm rings, and each has data where there must be some.
pub fn alarm_state(facts: &Facts) -> Look {
    let alarms = of(&facts.alarms)?;
    let ringing: Vec<&Alarm> = alarms.iter().filter(|alarm| alarm.state == AlarmState::Alarm).collect();
    if !ringing.is_empty() {
        return problem(
            format!("in alarm: {}; docs/operations.md has the runbook of each", list(&ringing)),
            format!(
                "aws cloudwatch describe-alarms --alarm-name-prefix \"{}-\" --state-value ALARM",
                facts.stack_name()
            ),
        );
    }
    let invoked = facts.measured.as_ref().is_ok_and(|numbers| numbers.invocations.unwrap_or_default() > 0.0);
    let blind: Vec<&Alarm> = alarms
        .iter()
        .filter(|alarm| alarm.state == AlarmState::InsufficientData && invoked && needs_data(&alarm.name))
        .collect();
    if !blind.is_empty() {
        return warning(
            format!("no data though the function runs, so they look at something else: {}", list(&blind)),
            anew(facts),
        );
    }
    ok(format!("none of the {} alarms rings", alarms.len()))
}

/// Commands that make the alarms again.
fn anew(facts: &Facts) -> String {
    format!("{} && {}", facts.deploy("Alarms=false"), facts.deploy("Alarms=true"))
}

/// The alarms on metrics that every invocation has.
fn needs_data(alarm: &str) -> bool {
    [
        "-AnyError",
        "-ErrorRate",
        "-DurationHigh",
        "-DurationAverage",
        "-IteratorAgeHigh",
        "-IteratorAgeWarning",
        "-Throttles",
    ]
    .iter()
    .any(|end| alarm.ends_with(end))
}

/// Log lines are forgotten some day.
pub fn log_retention(facts: &Facts) -> Look {
    let group = of(&facts.log_group)?;
    match group.retention_days {
        Some(days) => ok(format!("log lines of {} are kept for {days} days", group.name)),
        None => warning(
            format!("log lines of {} are kept, and paid for, for ever", group.name),
            format!("aws logs put-retention-policy --log-group-name \"{}\" --retention-in-days 30", group.name),
        ),
    }
}
