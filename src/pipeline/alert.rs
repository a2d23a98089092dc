//! Alerts: which values of a measure are reported when a group reaches them.

use std::collections::BTreeMap;

use super::template::Template;
use crate::decimal::Decimal;
use crate::window::Window;

/// A rule of an alert. Each group has a state for each rule: whether its value is above, and how often it has crossed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The measure that is compared.
    pub measure: String,
    /// The fraction of the limit that is reported.
    pub at: Decimal,
    /// What the measure is compared with.
    pub limit: Limit,
}

/// The limit of a measure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// The same number for all groups.
    Number(Decimal),
}

impl Limit {
    /// A fraction of the limit, if it has at most 38 digits.
    pub fn times(&self, fraction: Decimal) -> Option<Decimal> {
        let Limit::Number(limit) = self;
        limit.checked_mul(fraction).ok()
    }
}

/// An alert of a pipeline, for one of its `at`.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The rule.
    pub rule: Rule,
    /// The window whose value is compared.
    pub window: Window,
    /// The value from which on it fires.
    pub fires_at: Decimal,
    /// The value below which it is armed again.
    pub rearms_below: Decimal,
    /// The templates of the counter that has the alert: groups of other counters are left alone.
    pub group: Vec<Template>,
}

impl Alert {
    /// Whether the counter of this alert could have counted a group with these texts.
    pub fn is_for(&self, texts: &[String]) -> bool {
        texts.len() == self.group.len() && self.variables(texts).is_some()
    }

    /// The variables of the counter's templates, from which they render these texts.
    fn variables(&self, texts: &[String]) -> Option<BTreeMap<usize, String>> {
        let mut variables = BTreeMap::new();
        for (template, text) in self.group.iter().zip(texts) {
            for (slot, value) in template.read_back(text)? {
                let known: &mut String = variables.entry(slot).or_insert_with(|| value.clone());
                if *known != value {
                    return None;
                }
            }
        }
        let value = |slot: usize| variables.get(&slot).map_or("", String::as_str);
        // Reading back can be ambiguous. Only texts that would be rendered in exactly this way are meant.
        let same = self.group.iter().zip(texts).all(|(template, text)| template.render(value) == *text);
        same.then_some(variables)
    }
}
