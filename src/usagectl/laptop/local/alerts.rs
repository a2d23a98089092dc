//! The alerts of the pipeline that a local run has sent to the embedded EventBridge.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use laptop::emulators::{ALERTS, BusEvent};
use serde::Serialize;
use usage_aggregator::fold::{Alert, AlertState};

use crate::shell::alert_text::{alert_of, alert_text};
use crate::shell::console::counted;

/// How many of the last alerts are shown.
const SHOWN: usize = 3;

/// What a run has sent so far. An alert that was sent again counts once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct SentAlerts {
    /// Thresholds that were reached.
    pub fired: usize,
    /// Values that have fallen back.
    pub cleared: usize,
    /// Values that a correction took back.
    pub corrected: usize,
    /// Deliveries of an alert that was delivered before.
    pub repeated: usize,
    /// The last alerts, oldest first.
    pub last: VecDeque<Alert>,
    /// Events that have been counted.
    #[serde(skip)]
    pub events: usize,
    #[serde(skip)]
    ids: BTreeSet<String>,
}

impl SentAlerts {
    /// Counts further events.
    pub(super) fn add(&mut self, events: &[BusEvent]) {
        self.events += events.len();
        for alert in events.iter().filter_map(|event| alert_of(&event.source, event.detail.get())) {
            if !self.ids.insert(alert.id.clone()) {
                self.repeated += 1;
                continue;
            }
            *match alert.state {
                AlertState::Fired => &mut self.fired,
                AlertState::Cleared => &mut self.cleared,
                AlertState::Corrected => &mut self.corrected,
            } += 1;
            self.last.push_back(alert);
            if self.last.len() > SHOWN {
                self.last.pop_front();
            }
        }
    }

    /// Whether there are none.
    pub(super) fn is_none(&self) -> bool {
        self.ids.is_empty()
    }

    /// `3 fired, 1 cleared, 2 delivered again`
    fn counts(&self) -> String {
        let counts = [(self.cleared, "cleared"), (self.corrected, "corrected"), (self.repeated, "delivered again")];
        let others = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{} fired{}", self.fired, others.collect::<String>())
    }

    /// The counts, and the last alerts, newest first.
    pub(super) fn lines(&self) -> Vec<String> {
        let last = self.last.iter().rev().map(alert_text);
        std::iter::once(self.counts()).chain(last).collect()
    }

    /// The counts and where the events are, if there are any.
    pub(super) fn summary(&self, data: &Path) -> Option<String> {
        let lines = (!self.is_none()).then(|| self.lines())?;
        let file = data.join(ALERTS);
        let events = counted(self.events, "event");
        let (counts, last) = lines.split_first()?;
        let last: String = last.iter().map(|line| format!("\n  {line}")).collect();
        Some(format!("alerts: {counts} ({events} in {}){last}", file.display()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::shell::alert_text::tests::alert;
    use laptop::emulators::EventBus;
    use serde_json::json;

    /// Alerts that were sent, one of them twice, and what somebody else sent.
    pub(in crate::laptop::local) fn sent() -> SentAlerts {
        let bus = EventBus::default();
        let alerts = [
            alert("7", AlertState::Fired, 1),
            alert("8", AlertState::Fired, 1),
            alert("8", AlertState::Fired, 1),
            alert("9", AlertState::Fired, 1),
            alert("9", AlertState::Cleared, 2),
        ];
        for alert in &alerts {
            bus.put("usage-aggregator", "Usage alert", &json!(alert).to_string()).unwrap();
        }
        bus.put("aws.s3", "Object Created", "{}").unwrap();
        let mut sent = SentAlerts::default();
        sent.add(&bus.events());
        sent
    }

    #[test]
    fn an_alert_that_is_delivered_again_counts_once() {
        let sent = sent();
        assert_eq!((sent.fired, sent.cleared, sent.corrected, sent.repeated, sent.events), (3, 1, 0, 1, 6));
        insta::assert_snapshot!(sent.summary(Path::new(".usage")).unwrap());
        assert_eq!(SentAlerts::default().summary(Path::new(".usage")), None);
    }
}
