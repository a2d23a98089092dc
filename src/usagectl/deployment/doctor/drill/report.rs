//! What a drill found, as text and as JSON.

use aws_sdk_cloudwatch::types::StateValue;
use serde_json::json;

use super::alarms::{Delivery, Notification, Subscription};
use crate::shell::console::{counted, plain};

/// How far a drill went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was set, because nothing should be.
    DryRun,
    /// Nothing was set, because nobody would be notified.
    NobodyToNotify,
    /// The alarm was set to ALARM, and back.
    Fired,
}

/// What a drill found.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) stack: String,
    /// The alarm.
    pub(super) alarm: String,
    /// Its state before and after the drill.
    pub(super) state: StateValue,
    pub(super) stage: Stage,
    pub(super) notifications: Vec<Notification>,
}

impl Report {
    /// Whether no topic has a confirmed subscription.
    pub(super) fn reaches_nobody(&self) -> bool {
        !self.notifications.iter().any(Notification::is_received)
    }

    /// Whether the result of each notification is known.
    pub(super) fn is_settled(&self) -> bool {
        self.notifications.iter().all(|notification| notification.delivery != Delivery::Unknown)
    }

    /// Whether each notification reaches someone.
    pub(super) fn is_good(&self) -> bool {
        let is_sent = |notification: &Notification| match self.stage {
            Stage::Fired => notification.delivery == Delivery::Sent,
            Stage::DryRun | Stage::NobodyToNotify => notification.delivery != Delivery::AlreadyFiring,
        };
        !self.reaches_nobody() && self.notifications.iter().all(|found| found.is_received() && is_sent(found))
    }

    pub(super) fn json(&self) -> String {
        let subscription = |found: &Subscription| json!({ "protocol": found.protocol, "endpoint": found.endpoint, "confirmed": found.is_confirmed });
        let notification = |found: &Notification| {
            json!({
                "alarm": found.alarm, "topic": found.topic,
                "subscriptions": found.subscriptions.iter().map(subscription).collect::<Vec<_>>(),
                "notification": delivery(found.delivery, self.stage),
            })
        };
        let stage = match self.stage {
            Stage::DryRun => "dry run",
            Stage::NobodyToNotify => "nobody to notify",
            Stage::Fired => "fired",
        };
        json!({
            "alarm": self.alarm, "state": self.state.as_str(), "drill": stage, "good": self.is_good(),
            "notifications": self.notifications.iter().map(notification).collect::<Vec<_>>(),
        })
        .to_string()
    }

    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for found in &self.notifications {
            let topic = found.topic.rsplit(':').next().unwrap_or_default();
            lines.push(format!("{} notifies {topic}: {}", found.alarm, delivery(found.delivery, self.stage)));
            let subscription = |found: &Subscription| {
                let state = if found.is_confirmed { "confirmed" } else { "PENDING: follow the link that SNS sent" };
                format!("  {} {} ({state})", plain(&found.protocol), plain(&found.endpoint))
            };
            lines.extend(found.subscriptions.iter().map(subscription));
            if found.subscriptions.is_empty() {
                lines.push(format!(
                    "  NO subscription: make deploy STACK={} PARAMETERS='{}'",
                    self.stack,
                    parameter(topic)
                ));
            }
        }
        if self.notifications.is_empty() {
            lines.push(format!("{} notifies no topic", self.alarm));
        }
        lines.push(self.conclusion());
        lines.join("\n")
    }

    fn conclusion(&self) -> String {
        let state = self.state.as_str();
        match self.stage {
            Stage::DryRun => format!("dry run: would set {} to ALARM, and then back to {state}", self.alarm),
            Stage::NobodyToNotify => "nobody would be notified, so no alarm was set".to_owned(),
            Stage::Fired => {
                let sent = self.notifications.iter().filter(|found| found.delivery == Delivery::Sent).count();
                let of = counted(self.notifications.len(), "topic");
                format!("{} was set to ALARM and back to {state}; {sent} of {of} notified", self.alarm)
            }
        }
    }
}

/// The parameter that subscribes to the topic that CloudFormation has given this name.
fn parameter(topic: &str) -> &'static str {
    if topic.contains("PageTopic") {
        "PageEndpoint=URL"
    } else if topic.contains("TicketTopic") {
        "TicketEndpoint=URL"
    } else {
        "AlarmEmail=ADDRESS"
    }
}

fn delivery(delivery: Delivery, stage: Stage) -> &'static str {
    match (delivery, stage) {
        (Delivery::AlreadyFiring, _) => "not again, because it is firing already",
        (_, Stage::DryRun | Stage::NobodyToNotify) => "not tested",
        (Delivery::Sent, _) => "sent",
        (Delivery::Failed, _) => "FAILED: the topic's policy or key refuses CloudWatch",
        (Delivery::Unknown, _) => "NOT SENT within 90 seconds",
    }
}
