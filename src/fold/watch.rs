//! What a state knows about thresholds: which of its groups have crossed which of them, and how often. It is part of the
//! state, so whoever wins the swap decides, and each crossing is counted once.

use std::collections::BTreeMap;

use super::limits::LimitsOf;
use super::totals::{Totals, read_key, write_key};
use crate::decimal::Decimal;
use crate::ledger::{Aggregate, Damaged, GroupKey, Measure, Reader, Writer};
use crate::pipeline::{Alert, Limit, Rule, Snapshot};
use crate::window::Window;

/// A group at a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Watch {
    /// The version of the state in which the value crossed first. A state that is written anew, because it was damaged or
    /// belongs to an earlier epoch, begins again with other numbers.
    pub since: u64,
    /// How often the value has crossed and fallen back, so it is odd while the value is above.
    pub events: u64,
    /// The numbers of the events at which a correction took the value back.
    pub corrected: Vec<u64>,
    /// If each group has a limit of its own: the numbers of the events since which it was another one, and that limit.
    pub limits: Vec<(u64, Decimal)>,
}

impl Watch {
    fn is_above(&self) -> bool {
        self.events % 2 == 1
    }

    fn read(rule: &Rule, reader: &mut Reader<'_>) -> Result<Watch, Damaged> {
        let (since, events, count) = (reader.uint()?, reader.uint()?, reader.count()?);
        let corrected = (0..count).map(|_| reader.uint()).collect::<Result<_, _>>()?;
        let count = if matches!(rule.limit, Limit::Item(_)) { reader.count()? } else { 0 };
        let limits = (0..count).map(|_| Ok((reader.uint()?, reader.decimal()?))).collect::<Result<_, _>>()?;
        Ok(Watch { since, events, corrected, limits })
    }

    /// The limit that applied at an event.
    pub(super) fn limit(&self, rule: &Rule, event: u64) -> Option<Decimal> {
        match rule.limit {
            Limit::Number(limit) => Some(limit),
            Limit::Item(_) => self.limits.iter().rev().find(|(since, _)| *since <= event).map(|(_, limit)| *limit),
        }
    }
}

/// The groups that have crossed a threshold at least once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Watches(BTreeMap<GroupKey, BTreeMap<Rule, Watch>>);

/// A new version of a state.
pub(super) struct NewVersion<'v> {
    pub snapshot: &'v Snapshot,
    /// The window of snapshots; a minute is none.
    pub window: Option<Window>,
    pub version: u64,
    pub old: &'v Totals,
    pub new: &'v Totals,
}

impl NewVersion<'_> {
    /// The alerts of this window.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.snapshot.alerts.iter().filter(|alert| Some(alert.window) == self.window)
    }

    /// Whether an alert with this rule is for the group. Alerts of two counters may have equal rules, and other values of `rearm`.
    fn has_alert_for(&self, rule: &Rule, key: &GroupKey) -> bool {
        self.alerts().any(|alert| alert.rule == *rule && is_for(alert, key))
    }

    /// Whether it changes a value to one that is known.
    pub(super) fn changes(&self, alert: &Alert, key: &GroupKey) -> bool {
        let now = self.value(self.new, alert, key);
        // A value that isn't known has neither crossed nor fallen back.
        now.is_some() && self.value(self.old, alert, key) != now
    }

    fn value(&self, totals: &Totals, alert: &Alert, key: &GroupKey) -> Option<Option<Decimal>> {
        let measure = &alert.rule.measure;
        totals.number(key, measure, self.snapshot.aggregate(measure))
    }
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules whose thresholds a group has crossed.
    pub(super) fn of(&self, key: &GroupKey) -> impl Iterator<Item = (&Rule, &Watch)> {
        self.0.get(key).into_iter().flatten()
    }

    /// The groups that have crossed a threshold, and which.
    pub(super) fn all(&self) -> impl Iterator<Item = (&GroupKey, &Rule, &Watch)> {
        self.0.iter().flat_map(|(key, rules)| rules.iter().map(move |(rule, watch)| (key, rule, watch)))
    }

    /// The groups that have crossed a threshold.
    pub(super) fn keys(&self) -> impl Iterator<Item = &GroupKey> {
        self.0.keys()
    }

    /// The groups of a part of a state.
    pub(super) fn part(&self, part: &str) -> Watches {
        let inside = self.0.iter().filter(|(key, _)| key.is_in_part(part));
        Watches(inside.map(|(key, rules)| (key.clone(), rules.clone())).collect())
    }

    /// What the next version knows. Only groups whose value it changes can cross, because only they are certain to be among
    /// the groups that the fold reports. Rules that the pipeline doesn't have are kept as they are.
    pub(super) fn next(&self, version: &NewVersion<'_>, limits: &LimitsOf) -> Watches {
        let mut next = self.clone();
        for alert in version.alerts() {
            for key in version.new.keys().filter(|key| version.changes(alert, key)) {
                let limit = match alert.rule.limit {
                    Limit::Number(limit) => Some(limit),
                    Limit::Item(_) => limits.get(&(alert.rule.clone(), key.clone())).copied(),
                };
                // Without a limit, nothing crosses, and what is above stays there.
                if let Some(limit) = limit {
                    next.update(alert, key, version, limit);
                }
            }
        }
        next
    }

    fn update(&mut self, alert: &Alert, key: &GroupKey, version: &NewVersion<'_>, limit: Decimal) {
        let now = version.value(version.new, alert, key).flatten();
        let is_above = self.0.get(key).and_then(|rules| rules.get(&alert.rule)).is_some_and(Watch::is_above);
        let crosses = match is_above {
            true => limit.checked_mul(alert.rearm).is_ok_and(|least| now.is_none_or(|now| now < least)),
            false => limit.checked_mul(alert.rule.at).is_ok_and(|least| now.is_some_and(|now| now >= least)),
        };
        // What is above falls back by another counter's alert only if no alert with this rule is for the group any more.
        let is_own = || is_for(alert, key) || is_above && !version.has_alert_for(&alert.rule, key);
        if !crosses || !is_own() {
            return;
        }
        let rules = self.0.entry(key.clone()).or_default();
        let first = || Watch { since: version.version, ..Watch::default() };
        let watch = rules.entry(alert.rule.clone()).or_insert_with(first);
        watch.events += 1;
        if is_above && version.old.corrections(key) != version.new.corrections(key) {
            watch.corrected.push(watch.events);
        }
        if alert.item.is_some() && watch.limits.last().is_none_or(|(_, last)| *last != limit) {
            watch.limits.push((watch.events, limit));
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let mut rules: Vec<&Rule> = self.0.values().flat_map(BTreeMap::keys).collect();
        rules.sort_unstable();
        rules.dedup();
        writer.size(rules.len());
        for Rule { measure, at, limit } in &rules {
            writer.bytes(measure.as_bytes());
            writer.decimal(*at);
            match limit {
                Limit::Number(limit) => {
                    writer.byte(NUMBER);
                    writer.decimal(*limit);
                }
                Limit::Item(text) => {
                    writer.byte(ITEM);
                    writer.bytes(text.as_bytes());
                }
            }
        }
        writer.size(self.0.len());
        let mut before: &[u8] = &[];
        for (key, watched) in &self.0 {
            write_key(writer, key, &mut before);
            writer.size(watched.len());
            for (rule, Watch { since, events, corrected, limits }) in watched {
                writer.size(rules.binary_search(&rule).unwrap_or(0));
                writer.uint(*since);
                writer.uint(*events);
                writer.size(corrected.len());
                corrected.iter().for_each(|number| writer.uint(*number));
                if matches!(rule.limit, Limit::Item(_)) {
                    writer.size(limits.len());
                    for (since, limit) in limits {
                        writer.uint(*since);
                        writer.decimal(*limit);
                    }
                }
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Watches, Damaged> {
        let count = reader.count()?;
        let mut rule = || {
            let (measure, at) = (reader.text()?.to_owned(), reader.decimal()?);
            match reader.byte()? {
                NUMBER => Ok(Rule { measure, at, limit: Limit::Number(reader.decimal()?) }),
                ITEM => Ok(Rule { measure, at, limit: Limit::Item(reader.text()?.to_owned()) }),
                _ => Err(Damaged("a newer release wrote it: it has an unknown limit")),
            }
        };
        let rules: Vec<Rule> = (0..count).map(|_| rule()).collect::<Result<_, _>>()?;
        let (count, mut key) = (reader.count()?, Vec::new());
        let mut watches = BTreeMap::new();
        for _ in 0..count {
            let group = read_key(reader, &mut key)?;
            let mut watched = BTreeMap::new();
            for _ in 0..reader.count()? {
                let rule = rules.get(reader.size()?).ok_or(Damaged("a threshold has no rule"))?;
                watched.insert(rule.clone(), Watch::read(rule, reader)?);
            }
            watches.insert(group, watched);
        }
        Ok(Watches(watches))
    }
}

/// The mark of a limit that is a number.
const NUMBER: u8 = 1;
/// The mark of a limit that is in an item.
const ITEM: u8 = 2;

fn is_for(alert: &Alert, key: &GroupKey) -> bool {
    key.counter_key().is_ok_and(|key| alert.is_for(&key.0))
}

impl Totals {
    /// The value of a measure that is compared with a limit: a number, or none if no record feeds it. Nothing if it isn't
    /// known.
    fn number(&self, key: &GroupKey, measure: &str, aggregate: Aggregate) -> Option<Option<Decimal>> {
        let mut values = self.group(key)?;
        let is_it = |found: &Measure| &*found.name == measure && found.aggregate.is_like(aggregate);
        values.find(|(found, _)| is_it(found)).and_then(|(_, value)| value.number())
    }
}

#[cfg(test)]
mod tests;
