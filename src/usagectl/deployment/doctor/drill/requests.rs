//! The requests of a drill: alarms and their history in CloudWatch, subscriptions in SNS.

use anyhow::Context;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, HistoryItemType, StateValue};
use usage_aggregator::time::Timestamp;

use super::alarms::{Alarm, Subscription};
use crate::stack::Account;

/// The clients.
pub(super) struct Requests {
    cloudwatch: aws_sdk_cloudwatch::Client,
    sns: aws_sdk_sns::Client,
}

impl Requests {
    pub(super) fn new(account: &Account) -> Requests {
        Requests { cloudwatch: account.clients().cloudwatch, sns: account.sns() }
    }

    /// The alarms of a stack.
    pub(super) async fn alarms(&self, stack: &str) -> anyhow::Result<Vec<Alarm>> {
        let described = self.cloudwatch.describe_alarms().alarm_name_prefix(format!("{stack}-"));
        let described = described.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
        let mut pages = described.into_paginator().send();
        let mut alarms = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("read the alarms of {stack} (cloudwatch:DescribeAlarms)"))?;
            for alarm in page.metric_alarms() {
                let enabled = alarm.actions_enabled();
                alarms.push(plain(alarm.alarm_name(), alarm.state_value(), enabled, alarm.alarm_actions(), None));
            }
            for alarm in page.composite_alarms() {
                let (enabled, rule) = (alarm.actions_enabled(), Some(alarm.alarm_rule().unwrap_or_default()));
                alarms.push(plain(alarm.alarm_name(), alarm.state_value(), enabled, alarm.alarm_actions(), rule));
            }
        }
        Ok(alarms)
    }

    /// Sets the state of an alarm until its next evaluation.
    pub(super) async fn set(&self, alarm: &str, state: StateValue, reason: &str) -> anyhow::Result<()> {
        let set = self.cloudwatch.set_alarm_state().alarm_name(alarm).state_value(state.clone()).state_reason(reason);
        let set = set.send().await;
        set.map(drop).with_context(|| format!("set {alarm} to {} (cloudwatch:SetAlarmState)", state.as_str()))
    }

    /// The summaries of an alarm's actions since then, the newest first.
    pub(super) async fn actions(&self, alarm: &str, since: Timestamp) -> anyhow::Result<Vec<String>> {
        let history = self.cloudwatch.describe_alarm_history().alarm_name(alarm);
        // Without both types, only the history of metric alarms is returned.
        let history = history.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
        let history =
            history.history_item_type(HistoryItemType::Action).start_date(DateTime::from_secs(since.seconds()));
        let history = history.send().await;
        let history =
            history.with_context(|| format!("read the history of {alarm} (cloudwatch:DescribeAlarmHistory)"))?;
        let items = history.alarm_history_items.unwrap_or_default().into_iter();
        Ok(items.filter_map(|item| item.history_summary).collect())
    }

    /// The subscriptions of a topic.
    pub(super) async fn subscriptions(&self, topic: &str) -> anyhow::Result<Vec<Subscription>> {
        let mut subscriptions = Vec::new();
        let mut pages = self.sns.list_subscriptions_by_topic().topic_arn(topic).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.with_context(|| format!("read the subscriptions of {topic} (sns:ListSubscriptionsByTopic)"))?;
            let existing = page.subscriptions().iter().filter(|found| found.subscription_arn() != Some("Deleted"));
            subscriptions.extend(existing.map(|found| Subscription {
                protocol: found.protocol().unwrap_or_default().to_owned(),
                endpoint: shown(found.endpoint().unwrap_or_default()),
                // Otherwise, it is `PendingConfirmation`.
                is_confirmed: found.subscription_arn().is_some_and(|arn| arn.starts_with("arn:")),
            }));
        }
        Ok(subscriptions)
    }
}

fn plain(
    name: Option<&str>,
    state: Option<&StateValue>,
    enabled: Option<bool>,
    actions: &[String],
    rule: Option<&str>,
) -> Alarm {
    let is_topic = |action: &&String| enabled != Some(false) && action.split(':').nth(2) == Some("sns");
    Alarm {
        name: name.unwrap_or_default().to_owned(),
        state: state.cloned().unwrap_or(StateValue::InsufficientData),
        topics: actions.iter().filter(is_topic).cloned().collect(),
        rule: rule.map(str::to_owned),
    }
}

/// An endpoint without what may be a secret, such as PagerDuty's key in a URL.
fn shown(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}/…", rest.split(['/', '?']).next().unwrap_or_default()),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_in_a_url_is_not_shown() {
        assert_eq!(shown("https://events.pagerduty.com/integration/KEY/enqueue"), "https://events.pagerduty.com/…");
        assert_eq!(shown("https://hook.example?token=KEY"), "https://hook.example/…");
        assert_eq!(shown("ops@example.com"), "ops@example.com");
    }
}
