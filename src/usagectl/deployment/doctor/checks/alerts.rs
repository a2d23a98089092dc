//! Checks of the pipeline's alerts.

use super::super::facts::{AlertRule, AlertTarget, Facts, Topic};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::of;
use crate::shell::console::counted;

/// Alerts are sent, and somebody receives them.
pub(crate) fn target(facts: &Facts) -> CheckResult {
    let target = of(&facts.alert_target)?;
    let failed = facts.measured.as_ref().ok().and_then(|numbers| numbers.fold.alerts_failed).unwrap_or_default();
    let place = match target {
        AlertTarget::Bus { name, .. } => format!("the event bus {name}"),
        AlertTarget::Topic(topic) => format!("the topic {}", topic.arn),
    };
    if failed > 0.0 {
        return warning(
            format!("alerts that could not be sent to {place} {}: {failed:.0}; they are retried", facts.period()),
            facts.errors_of_the_fold(),
        );
    }
    match target {
        AlertTarget::Bus { name, rules } => bus(facts, name, rules),
        AlertTarget::Topic(topic) => subscribed(topic),
    }
}

fn bus(facts: &Facts, bus: &str, rules: &[AlertRule]) -> CheckResult {
    let unheard = |rule: &AlertRule| rule.topics.iter().filter(|topic| topic.confirmed == 0).count();
    let receives = |rule: &&AlertRule| rule.is_enabled && rule.targets > unheard(rule);
    let names: Vec<&str> = rules.iter().filter(receives).map(|rule| rule.name.as_str()).collect();
    if !names.is_empty() {
        return ok(format!("alerts go to the event bus {bus}, where they match {}", names.join(", ")));
    }
    if let Some(topic) = rules.iter().filter(|rule| rule.is_enabled).find_map(|rule| rule.topics.first()) {
        return subscribed(topic);
    }
    let sent = format!("alerts go to the event bus {bus}, and EventBridge discards them");
    match rules.first() {
        None => problem(
            format!("{sent}: no rule matches a sample alert of the pipeline"),
            facts.deploy("AlertEmail=ADDRESS"),
        ),
        Some(AlertRule { name, is_enabled: false, .. }) => problem(
            format!("{sent}: the rule {name} matches them, but it is disabled"),
            format!("aws events enable-rule --event-bus-name {bus} --name {name}"),
        ),
        Some(AlertRule { name, .. }) => problem(
            format!("{sent}: the rule {name} matches them, but it has no target"),
            format!("aws events put-targets --event-bus-name {bus} --rule {name} --targets Id=alerts,Arn=ARN"),
        ),
    }
}

fn subscribed(topic: &Topic) -> CheckResult {
    let Topic { arn, confirmed, pending } = topic;
    if *confirmed > 0 {
        return ok(format!("alerts go to a topic with {}", counted(*confirmed, "confirmed subscription")));
    }
    let pending = match pending {
        0 => String::new(),
        _ => format!(" ({} must be confirmed: follow the link that SNS sent)", counted(*pending, "subscription")),
    };
    problem(
        format!("no alert reaches anyone: no confirmed subscription of {arn}{pending}"),
        format!("aws sns list-subscriptions-by-topic --topic-arn {arn}"),
    )
}
