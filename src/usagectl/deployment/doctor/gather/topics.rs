//! SNS: who subscribes to the topics that the stack's alarms notify.

use std::collections::BTreeSet;

use aws_sdk_sns::Client;

use super::super::facts::{Alarm, Fact, Part, Topic, Unavailable};
use super::seen;

pub(super) async fn of(client: &Client, alarms: &Fact<Vec<Alarm>>) -> Fact<Vec<Topic>> {
    let alarms = alarms.as_ref().map_err(Clone::clone)?;
    let arns: BTreeSet<&String> = alarms.iter().flat_map(|alarm| &alarm.topics).collect();
    if arns.is_empty() {
        return Err(Unavailable::NoData("no alarm notifies a topic".to_owned()));
    }
    let mut topics = Vec::new();
    for arn in arns {
        topics.push(topic(client, arn).await?);
    }
    Ok(topics)
}

/// Who subscribes to a topic.
pub(super) async fn topic(client: &Client, arn: &str) -> Fact<Topic> {
    let mut topic = Topic { arn: arn.to_owned(), confirmed: 0, pending: 0 };
    let mut pages = client.list_subscriptions_by_topic().topic_arn(arn).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = seen("sns:ListSubscriptionsByTopic", || Part::Other(format!("the topic {arn}")), page)?;
        for subscription in page.subscriptions() {
            match subscription.subscription_arn() {
                Some("Deleted") => {}
                Some(arn) if arn.starts_with("arn:") => topic.confirmed += 1,
                // `PendingConfirmation`
                _ => topic.pending += 1,
            }
        }
    }
    Ok(topic)
}
