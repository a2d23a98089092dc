//! A subscription of the load, whose clock is the number of its changes.

use std::collections::BTreeMap;

use super::super::change::{Add, Attribute, CHANGE_ATTRIBUTE, Meaning, Write, hundredths};
use super::{group, key, meaning};

/// 2026-01-01T00:00:00Z. Subscriptions are dated by the number of the change, so that a short run has hours of seats.
const FIRST_SECOND: u64 = 1_767_225_600;
/// The time between two changes: a hundredth of an hour, so that seat-hours have two decimals.
const SECONDS_PER_CHANGE: u64 = 36;

#[derive(Debug, Clone)]
pub(super) struct Subscription {
    /// The number of the change that created it.
    pub number: u64,
    pub tenant: String,
    pub plan: &'static str,
    pub seats: i64,
    pub active: bool,
    /// The number of its last change, which is also its time.
    pub state: u64,
}

impl Subscription {
    pub(super) fn names(&self) -> [String; 2] {
        [format!("TENANT#{}", self.tenant), format!("SUBSCRIPTION#{}", self.number)]
    }

    pub(super) fn put(&self, replaces: Option<u64>) -> Write {
        let mut item = key(self.names());
        let attributes = [
            ("plan", Attribute::text(self.plan)),
            ("seats", Attribute::number(self.seats)),
            ("active", Attribute::Bool(self.active)),
            ("updated_at", Attribute::number(second(self.state))),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        Write::Put { item, replaces }
    }

    /// The seats that count.
    fn worth(&self) -> i64 {
        if self.active { self.seats } else { 0 }
    }

    /// What the change from `before` to this means.
    pub(super) fn meaning(&self, before: Option<&Subscription>) -> Meaning {
        let mut sums: BTreeMap<[String; 2], (i64, i64)> = BTreeMap::new();
        let groups = |of: &Subscription| [of.tenant.clone(), format!("plan:{}", of.plan)];
        for entity in groups(self) {
            sums.entry([entity, "subscriptions".to_owned()]).or_default().0 += self.worth();
        }
        for entity in before.into_iter().flat_map(groups) {
            let (seats, centihours) = sums.entry([entity, "subscriptions".to_owned()]).or_default();
            let worth = before.map_or(0, Subscription::worth);
            let stood = self.state - before.map_or(self.state, |before| before.state);
            *seats -= worth;
            *centihours += worth.saturating_mul(i64::try_from(stood).unwrap_or(i64::MAX));
        }
        let adds = sums.iter().flat_map(|([entity, resource], (seats, centihours))| {
            let add = |measure: &str, amount: String| Add {
                group: group(entity, resource),
                measure: measure.to_owned(),
                amount,
            };
            let seats = (*seats != 0).then(|| add("seats", seats.to_string()));
            seats.into_iter().chain((*centihours != 0).then(|| add("seat_hours", hundredths(*centihours))))
        });
        let [pk, sk] = self.names();
        meaning("subscription", [&pk, &sk], adds.collect())
    }
}

/// The second of a change.
fn second(number: u64) -> u64 {
    FIRST_SECOND.saturating_add(number.saturating_mul(SECONDS_PER_CHANGE))
}
