//! CloudWatch: the stack's alarms that are firing. One request reads up to 100 alarms, with the rules of the composites, which say who
//! pages.

use std::collections::BTreeSet;

use anyhow::Context;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, MetricAlarm, StateValue};
use laptop::emulators::{AlarmStatus, Severity, State};
use usage_aggregator::time::Timestamp;

/// 100: the DescribeAlarms limit.
const ALARMS: i32 = 100;
/// The template's composite alarms. They fire with others.
const COMPOSITES: [&str; 2] = ["Page", "Ticket"];

/// The alarms of a stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Alarms {
    /// Those that are firing, those that page first.
    pub firing: Vec<AlarmStatus>,
    /// How many the stack has, apart from the composites.
    pub total: usize,
}

/// Reads them. The names of a stack's alarms start with the name of the stack.
pub(super) async fn read(client: &Client, stack: &str) -> anyhow::Result<Alarms> {
    let described = client.describe_alarms().alarm_name_prefix(format!("{stack}-")).max_records(ALARMS);
    let described = described.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
    let mut pages = described.into_paginator().send();
    let (mut alarms, mut composites) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| format!("read the alarms of the stack {stack} (cloudwatch:DescribeAlarms)"))?;
        alarms.extend(page.metric_alarms.unwrap_or_default());
        composites.extend(page.composite_alarms.unwrap_or_default());
    }
    Ok(summary(stack, &alarms, &composites))
}

fn summary(stack: &str, alarms: &[MetricAlarm], composites: &[CompositeAlarm]) -> Alarms {
    let own = |name: Option<&str>| name?.strip_prefix(stack)?.strip_prefix('-').map(str::to_owned);
    let page_rules = composites.iter().filter(|composite| own(composite.alarm_name()).as_deref() == Some("Page"));
    // ALARM("usage-aggregator-ErrorRate") OR ALARM("usage-aggregator-RecordsFailed")
    let paging: BTreeSet<&str> =
        page_rules.filter_map(CompositeAlarm::alarm_rule).flat_map(|rule| rule.split('"').skip(1).step_by(2)).collect();
    let firing = alarms.iter().filter(|alarm| alarm.state_value() == Some(&StateValue::Alarm));
    let mut firing: Vec<AlarmStatus> = firing
        .filter_map(|alarm| {
            let full = alarm.alarm_name()?;
            Some(AlarmStatus {
                name: own(Some(full)).filter(|name| !COMPOSITES.contains(&name.as_str()))?,
                state: State::Alarm,
                since: alarm
                    .state_transitioned_timestamp()
                    .or(alarm.state_updated_timestamp())
                    .and_then(|at| Timestamp::from_seconds(at.secs()))
                    .map(|at| at.to_string()),
                reason: alarm.state_reason().unwrap_or("CloudWatch gave no reason").to_owned(),
                severity: if paging.contains(full) { Severity::Page } else { Severity::Ticket },
            })
        })
        .collect();
    firing.sort_by_key(|alarm| (alarm.severity != Severity::Page, alarm.name.clone()));
    Alarms { firing, total: alarms.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_pages_if_the_composite_names_it_and_other_stacks_alarms_are_not_ours() {
        let alarm = |name: &str, state| {
            MetricAlarm::builder().alarm_name(name).state_value(state).state_reason("because").build()
        };
        let alarms = [
            alarm("usage-AnyError", StateValue::Alarm),
            alarm("usage-ErrorRate", StateValue::Alarm),
            alarm("usage-FoldAge", StateValue::Ok),
            alarm("usage-RecordsFailed", StateValue::InsufficientData),
        ];
        let rule = r#"ALARM("usage-ErrorRate") OR ALARM("usage-RecordsFailed") OR FALSE"#;
        let composites = [CompositeAlarm::builder().alarm_name("usage-Page").alarm_rule(rule).build()];
        let Alarms { firing, total } = summary("usage", &alarms, &composites);
        let found: Vec<(&str, Severity)> = firing.iter().map(|alarm| (alarm.name.as_str(), alarm.severity)).collect();
        assert_eq!(found, [("ErrorRate", Severity::Page), ("AnyError", Severity::Ticket)]);
        assert_eq!((total, firing[0].reason.as_str()), (4, "because"));
    }
}
