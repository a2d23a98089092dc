//! Checks of alarms and logs.

use super::super::facts::{Alarm, AlarmState, Facts, Topic};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::of;
use crate::shell::console::counted;

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

/// Each topic that the alarms notify has a subscription that is confirmed.
pub(crate) fn alarm_subscribers(facts: &Facts) -> CheckResult {
    let topics = of(&facts.topics)?;
    let unheard: Vec<&Topic> = topics.iter().filter(|topic| topic.confirmed == 0).collect();
    let Some(first) = unheard.first() else {
        let subscriptions: usize = topics.iter().map(|topic| topic.confirmed).sum();
        return ok(format!("the alarms' topics have {}", counted(subscriptions, "confirmed subscription")));
    };
    let names: Vec<&str> = unheard.iter().filter_map(|topic| topic.arn.rsplit(':').next()).collect();
    let (names, pending) = (names.join(", "), unheard.iter().map(|topic| topic.pending).sum::<usize>());
    let (why, command) = match pending {
        0 => (String::new(), facts.deploy(&subscriptions_of(&names))),
        _ => (
            format!(" ({} must be confirmed: follow the link that SNS sent)", counted(pending, "subscription")),
            format!("aws sns list-subscriptions-by-topic --topic-arn {}", first.arn),
        ),
    };
    if unheard.len() == topics.len() {
        problem(format!("no alarm reaches anyone: no confirmed subscription of {names}{why}"), command)
    } else {
        warning(format!("no confirmed subscription of {names}{why}"), command)
    }
}

/// The parameters that subscribe to these topics.
fn subscriptions_of(names: &str) -> String {
    let all = [
        ("AlarmTopic", "AlarmEmail=ADDRESS"),
        ("PageTopic", "PageEndpoint=URL"),
        ("TicketTopic", "TicketEndpoint=URL"),
    ];
    let parameters = all.iter().filter(|(topic, _)| names.contains(topic)).map(|(_, parameter)| *parameter);
    let parameters: Vec<&str> = parameters.collect();
    if parameters.is_empty() { "AlarmEmail=ADDRESS".to_owned() } else { parameters.join(" ") }
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
