//! The alarms of a CloudFormation template, evaluated over the embedded CloudWatch as CloudWatch does it: every minute, over
//! periods that end in that minute.
//!
//! `yaml` reads the template, `intrinsics` resolves its functions for one stack, `definition` reads an alarm and
//! `expression` its metric math, `missing` decides its state, and `rule` that of a composite alarm. The caller supplies the
//! time, so that hours can be evaluated in an instant.

mod definition;
mod expression;
mod intrinsics;
mod missing;
mod rule;
mod status;
mod yaml;

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;
use stream_types::Timestamp;

use super::Metrics;
use definition::Definition;
use intrinsics::{Scope, text_of};
use rule::Rule;

pub use intrinsics::Stack;
pub use status::{AlarmStatus, Severity, State};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// After a longer pause, as when a laptop slept, the minutes before these are skipped.
const CATCH_UP: i64 = 180 * MINUTE;
/// The composite alarm that pages.
const PAGE: &str = "Page";

/// The alarms of one stack, and their states.
#[derive(Debug)]
pub struct Alarms {
    metric: Vec<Alarm<Definition>>,
    composite: Vec<Alarm<Rule>>,
    /// The last evaluated minute, in seconds since the epoch.
    evaluated: Option<i64>,
}

/// An alarm that went into another state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The alarm's name in the template.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// The state since then.
    pub state: State,
}

#[derive(Debug)]
struct Alarm<T> {
    /// Its name in CloudWatch, to which composite alarms refer.
    full_name: String,
    definition: T,
    status: AlarmStatus,
    has_fired: bool,
}

impl Alarms {
    /// The alarms that `template` creates in `stack`.
    ///
    /// # Errors
    /// If the template can't be read, or an alarm uses something that isn't supported; the error names the alarm.
    pub fn of_template(template: &str, stack: &Stack) -> anyhow::Result<Alarms> {
        let template = yaml::read(template).context("read the template")?;
        let scope = Scope { template: &template, stack };
        let mut alarms = Alarms { metric: Vec::new(), composite: Vec::new(), evaluated: None };
        let resources =
            template.get("Resources").and_then(Value::as_object).context("the template has no resources")?;
        for (name, resource) in resources {
            alarms.add(name, resource, &scope).with_context(|| format!("read the alarm {name} of the template"))?;
        }
        let page = alarms.composite.iter().find(|composite| composite.status.name == PAGE);
        let pages: Vec<String> = page.iter().flat_map(|page| page.definition.alarms()).map(str::to_owned).collect();
        for alarm in alarms.metric.iter_mut().filter(|alarm| pages.contains(&alarm.full_name)) {
            alarm.status.severity = Severity::Page;
        }
        Ok(alarms)
    }

    fn add(&mut self, name: &str, resource: &Value, scope: &Scope<'_>) -> anyhow::Result<()> {
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
        let is_composite = kind == "AWS::CloudWatch::CompositeAlarm";
        if !is_composite && kind != "AWS::CloudWatch::Alarm" {
            return Ok(());
        }
        if let Some(condition) = resource.get("Condition").and_then(Value::as_str)
            && !scope.holds(condition)?
        {
            return Ok(());
        }
        let properties = resource.get("Properties").context("it has no properties")?;
        let full_name = text_of(&scope.resolve(properties.get("AlarmName").context("it has no AlarmName")?)?)?;
        let severity = if is_composite && name == PAGE { Severity::Page } else { Severity::Ticket };
        let status = AlarmStatus::new(name, severity);
        if is_composite {
            let text = text_of(&scope.resolve(properties.get("AlarmRule").context("it has no AlarmRule")?)?)?;
            let definition = Rule::parse(&text).with_context(|| format!("the rule `{text}`"))?;
            self.composite.push(Alarm { full_name, definition, status, has_fired: false });
        } else {
            let definition = Definition::read(properties, scope)?;
            self.metric.push(Alarm { full_name, definition, status, has_fired: false });
        }
        Ok(())
    }

    /// Evaluates all minutes since the last call, up to `now`, and returns what changed. The first call only starts the clock.
    pub fn advance(&mut self, metrics: &Metrics, now: Timestamp) -> Vec<Transition> {
        let last = now.seconds().div_euclid(MINUTE) * MINUTE;
        let mut minute = self.evaluated.unwrap_or(last).max(last - CATCH_UP);
        let mut transitions = Vec::new();
        while minute < last {
            minute += MINUTE;
            self.evaluate(metrics, minute, &mut transitions);
        }
        self.evaluated = Some(minute);
        transitions
    }

    fn evaluate(&mut self, metrics: &Metrics, end: i64, transitions: &mut Vec<Transition>) {
        let Some(at) = Timestamp::from_seconds(end) else { return };
        for alarm in &mut self.metric {
            let Definition { period, periods, .. } = alarm.definition;
            // Alarms over more than a day are evaluated once per hour.
            let span = i64::try_from(periods.evaluated).unwrap_or(i64::MAX).saturating_mul(period);
            if span > DAY && end % HOUR != 0 {
                continue;
            }
            let values = alarm.definition.values(metrics, end);
            let breaching: Vec<Option<bool>> =
                values.iter().map(|value| value.map(|value| alarm.definition.is_breaching(value))).collect();
            if let Some(state) = missing::state(&breaching, periods, alarm.definition.missing) {
                let reason = status::reason(&alarm.definition, &values);
                transitions.extend(alarm.enter(state, at, reason));
            }
        }
        // Composites may refer to composites: one round for each is enough.
        for _ in 0..self.composite.len() {
            let states: BTreeMap<String, (State, String)> = self.states();
            let state = |name: &str| states.get(name).map(|(state, _)| *state);
            for alarm in &mut self.composite {
                let now = if alarm.definition.holds(&state) { State::Alarm } else { State::Ok };
                let firing = alarm.definition.alarms().into_iter().filter_map(|name| states.get(name));
                let firing: Vec<&str> =
                    firing.filter(|(state, _)| *state == State::Alarm).map(|(_, name)| name.as_str()).collect();
                let reason =
                    if firing.is_empty() { "none of its alarms is firing".to_owned() } else { firing.join(", ") };
                transitions.extend(alarm.enter(now, at, reason));
            }
        }
    }

    /// The state and the short name of each alarm, by its name in CloudWatch.
    fn states(&self) -> BTreeMap<String, (State, String)> {
        let metric = self.metric.iter().map(|alarm| (&alarm.full_name, &alarm.status));
        let composite = self.composite.iter().map(|alarm| (&alarm.full_name, &alarm.status));
        metric.chain(composite).map(|(name, status)| (name.clone(), (status.state, status.name.clone()))).collect()
    }

    /// All metric alarms, and then the composite alarms.
    pub fn statuses(&self) -> impl Iterator<Item = &AlarmStatus> {
        self.metric.iter().map(|alarm| &alarm.status).chain(self.composite.iter().map(|alarm| &alarm.status))
    }

    /// The alarms that are or were in the state ALARM since the first evaluation, composites first, then those that page.
    pub fn fired(&self) -> Vec<AlarmStatus> {
        let metric = self.metric.iter().filter(|alarm| alarm.has_fired).map(|alarm| &alarm.status);
        let mut metric: Vec<&AlarmStatus> = metric.collect();
        metric.sort_by_key(|status| (status.severity, status.state != State::Alarm));
        let composite = self.composite.iter().filter(|alarm| alarm.has_fired).map(|alarm| &alarm.status);
        composite.chain(metric).cloned().collect()
    }
}

impl<T> Alarm<T> {
    fn enter(&mut self, state: State, at: Timestamp, reason: String) -> Option<Transition> {
        if self.status.state == state {
            return None;
        }
        (self.status.state, self.status.since, self.status.reason) = (state, Some(at.to_string()), reason);
        self.has_fired |= state == State::Alarm;
        Some(Transition { name: self.status.name.clone(), at, state })
    }
}

#[cfg(test)]
mod tests;
