//! CloudWatch: the stack's alarms, whose names start with the stack's name.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};

use super::super::facts::{Alarm, AlarmState, Fact, Part, Unavailable};
use super::seen;

pub(super) async fn of(client: &Client, stack: Option<&str>) -> Fact<Vec<Alarm>> {
    let stack = stack.ok_or(Unavailable::Unnamed { option: "--stack" })?;
    let mut alarms = Vec::new();
    let described = client.describe_alarms().alarm_name_prefix(format!("{stack}-"));
    let described = described.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
    let mut pages = described.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = seen("cloudwatch:DescribeAlarms", || Part::Other(format!("the alarms of {stack}")), page)?;
        for alarm in page.metric_alarms() {
            let actions = alarm.alarm_actions();
            alarms.push(plain(alarm.alarm_name(), alarm.state_value(), alarm.actions_enabled(), actions));
        }
        for alarm in page.composite_alarms() {
            let actions = alarm.alarm_actions();
            alarms.push(plain(alarm.alarm_name(), alarm.state_value(), alarm.actions_enabled(), actions));
        }
    }
    Ok(alarms)
}

fn plain(name: Option<&str>, state: Option<&StateValue>, enabled: Option<bool>, actions: &[String]) -> Alarm {
    let state = match state {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        _ => AlarmState::InsufficientData,
    };
    let topics = actions.iter().filter(|action| action.split(':').nth(2) == Some("sns")).cloned().collect();
    Alarm {
        name: name.unwrap_or_default().to_owned(),
        state,
        actions_enabled: enabled.unwrap_or(true),
        actions: actions.len(),
        topics,
    }
}
