//! Which alarm to drill, and whom it notifies. Pure.

use aws_sdk_cloudwatch::types::StateValue;

/// An alarm of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alarm {
    pub(super) name: String,
    pub(super) state: StateValue,
    /// The SNS topics that it notifies when it fires.
    pub(super) topics: Vec<String>,
    /// The rule of a composite alarm.
    pub(super) rule: Option<String>,
}

/// A subscription of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) protocol: String,
    /// Who receives it. Of a URL only the host, because the rest may be a secret.
    pub(super) endpoint: String,
    pub(super) is_confirmed: bool,
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// CloudWatch has not reported it.
    Unknown,
    /// CloudWatch has given it to the topic.
    Sent,
    /// CloudWatch could not give it to the topic.
    Failed,
    /// Not sent, because the composite alarm was firing before.
    AlreadyFiring,
}

/// One alarm's notification of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) alarm: String,
    pub(super) topic: String,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) delivery: Delivery,
}

impl Notification {
    /// Whether someone receives it.
    pub(super) fn is_received(&self) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.is_confirmed)
    }

    /// Takes the result from the summaries of the alarm's history.
    pub(super) fn learn(&mut self, summaries: &[String]) {
        // Successfully executed action arn:aws:sns:us-east-1:123456789012:topic
        let is_about =
            |summary: &&String| summary.split_whitespace().any(|word| word.trim_end_matches(['.', ',']) == self.topic);
        let about = summaries.iter().find(is_about);
        match about.map(|summary| summary.starts_with("Successfully")) {
            Some(true) => self.delivery = Delivery::Sent,
            Some(false) => self.delivery = Delivery::Failed,
            None => {}
        }
    }
}

/// The alarms that a composite alarm's rule names.
fn children(rule: &str) -> impl Iterator<Item = &str> {
    rule.split("ALARM(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|name| name.trim_matches(['"', '\'', ' ']))
}

/// These also undo a gradual deployment.
const ROLLBACKS: [&str; 2] = ["ErrorRate", "RecordsFailed"];
/// Has no data unless records are lost, so it is quiet, and returns to OK by itself.
const USUAL: &str = "DroppedEvents";

/// The alarm to drill: the one that is `named`, or a quiet one that pages.
///
/// # Errors
/// With what to do instead, if there is none.
pub(super) fn chosen<'a>(alarms: &'a [Alarm], stack: &str, named: Option<&str>) -> Result<&'a Alarm, String> {
    let find = |name: &str| alarms.iter().find(|alarm| alarm.name == name || alarm.name == format!("{stack}-{name}"));
    if alarms.is_empty() {
        return Err(format!("{stack} has no alarms: make deploy STACK={stack} PARAMETERS='Alarms=true'"));
    }
    if let Some(name) = named {
        let alarm =
            find(name).ok_or_else(|| format!("{stack} has no alarm `{name}`; see `aws cloudwatch describe-alarms`"))?;
        return if alarm.rule.is_some() {
            Err(format!("{} is a composite alarm, whose state follows its children: name one of them", alarm.name))
        } else if alarm.state == StateValue::Alarm {
            Err(format!("{} is firing already, so it would notify no one: choose another with --alarm", alarm.name))
        } else {
            Ok(alarm)
        };
    }
    let page = find("Page").and_then(|page| page.rule.as_deref());
    let page =
        page.ok_or_else(|| format!("{stack} has no composite alarm {stack}-Page: choose an alarm with --alarm"))?;
    let is_quiet = |alarm: &&Alarm| alarm.state != StateValue::Alarm && !alarm.topics.is_empty();
    let paging = children(page).filter_map(find).filter(is_quiet);
    let mut quiet = paging.filter(|alarm| !ROLLBACKS.iter().any(|name| alarm.name.ends_with(&format!("-{name}"))));
    let first = quiet.next();
    let usual = find(USUAL).filter(|usual| is_quiet(usual) && children(page).any(|child| child == usual.name));
    usual.or(first).ok_or_else(|| format!("every alarm that pages is firing, so {stack} is tested already"))
}

/// Whom this alarm notifies: its own topics, and those of the composite alarms that it belongs to.
pub(super) fn notifications(alarms: &[Alarm], alarm: &Alarm) -> Vec<Notification> {
    let parents = alarms
        .iter()
        .filter(|parent| parent.rule.as_deref().is_some_and(|rule| children(rule).any(|child| child == alarm.name)));
    let of = |notifier: &Alarm| -> Vec<Notification> {
        let is_firing = notifier.state == StateValue::Alarm;
        let delivery = if is_firing { Delivery::AlreadyFiring } else { Delivery::Unknown };
        let notification = |topic: &String| Notification {
            alarm: notifier.name.clone(),
            topic: topic.clone(),
            subscriptions: Vec::new(),
            delivery,
        };
        notifier.topics.iter().map(notification).collect()
    };
    std::iter::once(alarm).chain(parents).flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(name: &str, state: StateValue, topic: &str, rule: Option<&str>) -> Alarm {
        let (name, topics) = (format!("s-{name}"), vec![format!("arn:aws:sns:us-east-1:1:{topic}")]);
        Alarm { name, state, topics, rule: rule.map(str::to_owned) }
    }

    fn alarms(dropped: StateValue, page: StateValue) -> Vec<Alarm> {
        let rule = r#"ALARM("s-ErrorRate") OR ALARM("s-LedgerBehind") OR FALSE OR ALARM("s-DroppedEvents")"#;
        vec![
            alarm("ErrorRate", StateValue::Ok, "alarm", None),
            alarm("DroppedEvents", dropped, "alarm", None),
            alarm("LedgerBehind", StateValue::InsufficientData, "alarm", None),
            alarm("AnyError", StateValue::Ok, "alarm", None),
            alarm("Page", page, "page", Some(rule)),
        ]
    }

    #[test]
    fn a_quiet_alarm_that_pages_is_drilled_unless_one_is_named() {
        let name = |alarms: &[Alarm], named| chosen(alarms, "s", named).map(|alarm| alarm.name.clone());
        let quiet = alarms(StateValue::Ok, StateValue::Ok);
        assert_eq!(name(&quiet, None).as_deref(), Ok("s-DroppedEvents"));
        assert_eq!(name(&quiet, Some("AnyError")).as_deref(), Ok("s-AnyError"));
        assert_eq!(name(&quiet, Some("s-AnyError")).as_deref(), Ok("s-AnyError"));
        // ErrorRate would undo a gradual deployment.
        let firing = alarms(StateValue::Alarm, StateValue::Alarm);
        assert_eq!(name(&firing, None).as_deref(), Ok("s-LedgerBehind"));
        let wrong = |named| name(&firing, Some(named)).unwrap_err();
        assert!(wrong("DroppedEvents").contains("is firing already"));
        assert!(wrong("Page").contains("name one of them"));
        assert!(wrong("Nothing").contains("has no alarm `Nothing`"));
        assert!(name(&[], None).unwrap_err().contains("Alarms=true"));
        assert!(name(&quiet[..4], None).unwrap_err().contains("no composite alarm s-Page"));
    }

    #[test]
    fn an_alarm_notifies_its_topics_and_those_of_its_composites() {
        let notified = |dropped: StateValue, page| {
            let all = alarms(dropped, page);
            let of = notifications(&all, &all[1]).into_iter();
            of.map(|one| (one.alarm, one.topic.rsplit(':').next().unwrap().to_owned(), one.delivery))
                .collect::<Vec<_>>()
        };
        let to = |alarm: &str, topic: &str, delivery| (alarm.to_owned(), topic.to_owned(), delivery);
        let own = to("s-DroppedEvents", "alarm", Delivery::Unknown);
        let paged = |delivery| vec![own.clone(), to("s-Page", "page", delivery)];
        assert_eq!(notified(StateValue::Ok, StateValue::Ok), paged(Delivery::Unknown));
        assert_eq!(notified(StateValue::Ok, StateValue::Alarm), paged(Delivery::AlreadyFiring));
    }

    #[test]
    fn the_history_says_what_became_of_a_notification() {
        let topic = "arn:aws:sns:us-east-1:1:page";
        let delivery = |summary: &str| {
            let all = alarms(StateValue::Ok, StateValue::Ok);
            let mut page = notifications(&all, &all[1]).remove(1);
            page.learn(&[summary.replace("TOPIC", topic)]);
            page.delivery
        };
        assert_eq!(delivery("Successfully executed action TOPIC"), Delivery::Sent);
        assert_eq!(delivery("Failed to execute action TOPIC. Received error: \"not authorized\""), Delivery::Failed);
        assert_eq!(delivery("Successfully executed action TOPIC-of-another"), Delivery::Unknown);
    }
}
