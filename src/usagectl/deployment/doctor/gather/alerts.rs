//! EventBridge and SNS: where the alerts of the pipeline are sent, and who receives them there.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{Rule, RuleState};
use event_source_mapping::{Filters, SourceRecord, StreamKind};
use serde_json::{Value, json};
use usage_aggregator::decimal::Decimal;
use usage_aggregator::fold::{ALERT_DETAIL_TYPE, ALERT_SOURCE, Alert, AlertState};
use usage_aggregator::pipeline::{self, Pipeline};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

use super::super::facts::{AlertRule, AlertTarget, Fact, Function, Part, Topic, Unavailable};
use super::{seen, topics};
use crate::stack::Account;

/// What the function uses if ALERT_BUS isn't set.
const DEFAULT_BUS: &str = "default";

/// Where the fold function sends the alerts of the pipeline, if it has any.
pub(super) async fn of(
    account: &Account,
    fold: &Fact<Function>,
    pipeline: &Pipeline,
    now: Timestamp,
) -> Fact<AlertTarget> {
    if pipeline.snapshot.as_ref().is_none_or(|snapshot| snapshot.alerts.is_empty()) {
        return Err(Unavailable::NotApplicable("the pipeline has no alerts"));
    }
    let Function { name: function, variables, .. } = fold.as_ref().map_err(Clone::clone)?;
    let samples = samples(pipeline, function, now);
    let variable = |name| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(topic) = variable("ALERT_TOPIC") {
        return Ok(AlertTarget::Topic(topics::topic(&account.sns(), topic).await?));
    }
    let (client, name) = (account.clients().eventbridge, variable("ALERT_BUS").unwrap_or(DEFAULT_BUS));
    let bus = || Part::Other(format!("the event bus {name}"));
    seen("events:DescribeEventBus", bus, client.describe_event_bus().name(name).send().await)?;
    let mut rules = Vec::new();
    for rule in all_rules(&client, name).await?.into_iter().filter(|rule| matches(rule, &samples)) {
        let arns = targets(&client, name, &rule).await?;
        rules.push(AlertRule {
            name: rule.name().unwrap_or_default().to_owned(),
            is_enabled: rule.state() != Some(&RuleState::Disabled),
            targets: arns.len(),
            topics: topics_of(&account.sns(), &arns).await,
        });
    }
    Ok(AlertTarget::Bus { name: name.to_owned(), rules })
}

async fn all_rules(client: &Client, bus: &str) -> Fact<Vec<Rule>> {
    let (mut rules, mut next) = (Vec::new(), None);
    loop {
        let page = client.list_rules().event_bus_name(bus).set_next_token(next).send().await;
        let page = seen("events:ListRules", || Part::Other(format!("the event bus {bus}")), page)?;
        rules.extend(page.rules.unwrap_or_default());
        next = page.next_token;
        if next.is_none() {
            return Ok(rules);
        }
    }
}

/// The ARNs of a rule's targets.
async fn targets(client: &Client, bus: &str, rule: &Rule) -> Fact<Vec<String>> {
    let name = rule.name().unwrap_or_default();
    let targets = client.list_targets_by_rule().event_bus_name(bus).rule(name).send().await;
    let targets = seen("events:ListTargetsByRule", || Part::Other(format!("the rule {name}")), targets)?;
    Ok(targets.targets().iter().map(|target| target.arn().to_owned()).collect())
}

/// Who subscribes to those of the targets that are topics. Without the permission for somebody else's topic, it is left out.
async fn topics_of(client: &aws_sdk_sns::Client, targets: &[String]) -> Vec<Topic> {
    let mut found = Vec::new();
    for arn in targets.iter().filter(|arn| arn.contains(":sns:")) {
        found.extend(topics::topic(client, arn).await.ok());
    }
    found
}

/// Whether the rule matches one of these events. A filter of a mapping has the same syntax.
fn matches(rule: &Rule, samples: &[SourceRecord]) -> bool {
    let Some(pattern) = rule.event_pattern() else { return false };
    let filters = Filters::parse(&[pattern.to_owned()]);
    filters.is_ok_and(|filters| samples.iter().any(|sample| filters.matches(StreamKind::DynamoDb, sample)))
}

/// An event for each alert of the pipeline that fires, as the fold function with this name sends it.
fn samples(pipeline: &Pipeline, function: &str, now: Timestamp) -> Vec<SourceRecord> {
    let alerts = pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.alerts);
    let record = |alert: &pipeline::Alert| {
        let detail = serde_json::to_string(&sample(alert, &pipeline.name, now)).ok()?;
        let mut detail: Value = serde_json::from_str(&detail).ok()?;
        detail.as_object_mut()?.insert("function".to_owned(), function.into());
        let event = json!({
            "version": "0", "id": "sample", "detail-type": ALERT_DETAIL_TYPE, "source": ALERT_SOURCE,
            "account": "000000000000", "time": now.to_string(), "region": "us-east-1", "resources": [], "detail": detail,
        });
        let sequence = SequenceNumber::parse("1")?;
        Some(SourceRecord { sequence, item: 0, created_at: now, json: event.to_string() })
    };
    alerts.filter_map(record).collect()
}

/// An alert that has fired, of an entity that doesn't exist.
fn sample(alert: &pipeline::Alert, pipeline: &str, now: Timestamp) -> Alert {
    let limit = Decimal::from(100);
    Alert {
        id: format!("a#{pipeline}#sample"),
        pipeline: pipeline.to_owned(),
        entity: "sample".to_owned(),
        resource: "sample".to_owned(),
        variables: std::collections::BTreeMap::new(),
        measure: alert.rule.measure.clone(),
        window: alert.window.name().to_owned(),
        window_start: now.to_string(),
        window_end: now.to_string(),
        limit,
        at: alert.rule.at,
        threshold: limit.checked_mul(alert.rule.at).unwrap_or(limit),
        state: AlertState::Fired,
        crossing: 1,
    }
}
