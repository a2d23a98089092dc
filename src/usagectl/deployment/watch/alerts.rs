//! The ledger: the alerts of the windows that are open now, in words. Of each window, the first 50 are read.

use std::collections::BTreeMap;

use anyhow::Context;
use usage_aggregator::fold::{Alert, AlertState, Folder};
use usage_aggregator::ledger::{AlertItem, Level, WindowKey};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::time::Timestamp;

use super::calls::ALERTS;
use crate::shell::alert_text::alert_text;

/// How many are shown.
const SHOWN: usize = 6;

/// The alerts that are firing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Firing {
    /// The last of them, newest first.
    pub texts: Vec<String>,
    /// Whether there are more.
    pub more: bool,
}

/// Reads them. A pipeline without alerts isn't read.
pub(super) async fn read(folder: &Folder, snapshot: &Snapshot, now: Timestamp) -> anyhow::Result<Firing> {
    if snapshot.alerts.is_empty() {
        return Ok(Firing::default());
    }
    let (mut items, mut more) = (Vec::new(), false);
    for window in &snapshot.windows {
        let window = WindowKey::containing(Level::of(*window), now, snapshot.zone);
        let read = folder.ledger.first_alerts(window, ALERTS).await;
        let (read, has_more) = read.context("read the alerts in the ledger")?;
        items.extend(read);
        more |= has_more;
    }
    Ok(firing(items, more))
}

fn firing(items: Vec<AlertItem>, more: bool) -> Firing {
    // The events of a group and threshold have the same beginning in their names, and are in order.
    let mut last: BTreeMap<String, (Option<Timestamp>, Alert)> = BTreeMap::new();
    for AlertItem { name, detail, raised_at } in items {
        let Ok(alert) = serde_json::from_str::<Alert>(&detail) else { continue };
        let group = name.split('#').next().unwrap_or_default();
        last.insert(format!("{}#{group}", alert.window), (raised_at, alert));
    }
    let mut firing: Vec<_> = last.into_values().filter(|(_, alert)| alert.state == AlertState::Fired).collect();
    firing.sort_by_key(|(raised_at, _)| std::cmp::Reverse(raised_at.map(Timestamp::micros)));
    let more = more || firing.len() > SHOWN;
    Firing { texts: firing.iter().take(SHOWN).map(|(_, alert)| alert_text(alert)).collect(), more }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::alert_text::tests::alert;

    #[test]
    fn an_alert_that_has_cleared_is_not_firing_and_the_newest_comes_first() {
        let item = |name: &str, entity: &str, state, second: i64| AlertItem {
            name: name.to_owned(),
            detail: serde_json::to_string(&alert(entity, state, 1)).unwrap(),
            raised_at: Timestamp::from_seconds(1_795_856_220 + second),
        };
        let items = vec![
            item("0a#0000000000000001#000001", "7", AlertState::Fired, 10),
            item("0b#0000000000000001#000001", "8", AlertState::Fired, 20),
            item("0b#0000000000000001#000002", "8", AlertState::Cleared, 30),
            item("0c#0000000000000001#000001", "9", AlertState::Fired, 40),
        ];
        let Firing { texts, more } = firing(items, false);
        let entities: Vec<&str> = texts.iter().filter_map(|text| text.split(' ').next()).collect();
        assert_eq!((entities, more), (vec!["9", "7"], false));
    }
}
