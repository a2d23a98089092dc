//! CloudWatch: the stack's alarms, whose names begin with its own.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};

use super::super::facts::{Alarm, AlarmState, Part, Seen, Unseen};
use super::seen;

pub async fn of(client: &Client, stack: Option<&str>) -> Seen<Vec<Alarm>> {
    let stack = stack.ok_or(Unseen::Unnamed { option: "--stack" })?;
    let mut alarms = Vec::new();
    let described = client.describe_alarms().alarm_name_prefix(format!("{stack}-"));
    let described = described.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
    let mut pages = described.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = seen("cloudwatch:DescribeAlarms", || Part::Other(format!("the alarms of {stack}")), page)?;
        alarms.extend(page.metric_alarms().iter().map(|alarm| Alarm {
            name: alarm.alarm_name().unwrap_or_default().to_owned(),
            state: state(alarm.state_value()),
            actions_enabled: alarm.actions_enabled().unwrap_or(true),
            actions: alarm.alarm_actions().len(),
        }));
        alarms.extend(page.composite_alarms().iter().map(|alarm| Alarm {
            name: alarm.alarm_name().unwrap_or_default().to_owned(),
            state: state(alarm.state_value()),
            actions_enabled: alarm.actions_enabled().unwrap_or(true),
            actions: alarm.alarm_actions().len(),
        }));
    }
    Ok(alarms)
}

fn state(value: Option<&StateValue>) -> AlarmState {
    match value {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        _ => AlarmState::InsufficientData,
    }
}
