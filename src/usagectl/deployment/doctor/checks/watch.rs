//! Checks of alarms and logs.

use super::super::facts::{Alarm, AlarmState, Facts};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::of;

fn list(alarms: &[&Alarm]) -> String {
    alarms.iter().map(|alarm| alarm.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Alarms exist, and each of them notifies someone.
pub(crate) fn alarm_actions(facts: &Facts) -> CheckResult {
    let alarms = of(&facts.alarms)?;
    if alarms.is_empty() {
        return warning("there are no alarms, so no one is notified of problems", facts.deploy("Alarms=true"));
    }
    let off: Vec<&Alarm> = alarms.iter().filter(|alarm| !alarm.actions_enabled).collect();
    if !off.is_empty() {
        let names: Vec<&str> = off.iter().map(|alarm| alarm.name.as_str()).collect();
        return problem(
            format!("alarms with disabled actions, which notify no one: {}", list(&off)),
            format!("aws cloudwatch enable-alarm-actions --alarm-names {}", names.join(" ")),
        );
    }
    let silent: Vec<&Alarm> = alarms.iter().filter(|alarm| alarm.actions == 0).collect();
    if !silent.is_empty() {
        return problem(format!("alarms without an action, which notify no one: {}", list(&silent)), recreate(facts));
    }
    ok(format!("each of the {} alarms has an action", alarms.len()))
}

/// No alarm is firing, and the alarms that must have data have it.
pub(crate) fn alarm_state(facts: &Facts) -> CheckResult {
    let alarms = of(&facts.alarms)?;
    let firing: Vec<&Alarm> = alarms.iter().filter(|alarm| alarm.state == AlarmState::Alarm).collect();
    if !firing.is_empty() {
        return problem(
            format!("alarms firing: {}; see the runbook of each in docs/operations.md", list(&firing)),
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
            format!("alarms without data although the function runs, so they watch the wrong metric: {}", list(&blind)),
            recreate(facts),
        );
    }
    ok(format!("none of the {} alarms is firing", alarms.len()))
}

/// Commands that create the alarms again.
fn recreate(facts: &Facts) -> String {
    format!("{} && {}", facts.deploy("Alarms=false"), facts.deploy("Alarms=true"))
}

/// Whether an alarm is on a metric that every invocation emits.
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

/// Log events expire.
pub(crate) fn log_retention(facts: &Facts) -> CheckResult {
    let group = of(&facts.log_group)?;
    match group.retention_days {
        Some(days) => ok(format!("log events of {} expire after {days} days", group.name)),
        None => warning(
            format!("log events of {} never expire, so storage costs keep growing", group.name),
            format!("aws logs put-retention-policy --log-group-name \"{}\" --retention-in-days 30", group.name),
        ),
    }
}
