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
    /// An attribute of an item, which each group has its own of: the table, the attribute and the key as the pipeline has
    /// them.
    Item(String),
}

/// The item that has the limit of a group.
#[derive(Debug, Clone)]
pub struct LimitItem {
    /// The name or ARN of the table.
    pub table: String,
    /// The names and templates of the key.
    pub key: Vec<(String, Template)>,
    /// The attribute with the limit.
    pub attribute: String,
}

/// An alert of a pipeline, for one of its `at`.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The rule.
    pub rule: Rule,
    /// The window whose value is compared.
    pub window: Window,
    /// The fraction of the limit below which it is armed again.
    pub rearm: Decimal,
    /// Where the limit is, unless it is a number.
    pub item: Option<LimitItem>,
    /// The templates of the counter that has the alert.
    pub group: Vec<Template>,
    /// The templates of other counters with the same measure, each of which gives a part of the texts that `group` gives: such
    /// groups are theirs.
    pub others: Vec<Vec<Template>>,
}

impl Alert {
    /// Whether a group with these texts belongs to the counter of this alert.
    pub fn is_for(&self, texts: &[String]) -> bool {
        variables(&self.group, texts).is_some() && !self.others.iter().any(|other| variables(other, texts).is_some())
    }

    /// The key of the item that has the limit of a group with these texts.
    pub fn limit_key(&self, texts: &[String]) -> Option<Vec<(String, String)>> {
        let variables = variables(&self.group, texts)?;
        let value = |slot: usize| variables.get(&slot).map_or("", String::as_str);
        let key = self.item.as_ref()?.key.iter();
        Some(key.map(|(name, template)| (name.clone(), template.render(value))).collect())
    }
}

/// The variables from which these templates render these texts.
fn variables(group: &[Template], texts: &[String]) -> Option<BTreeMap<usize, String>> {
    if group.len() != texts.len() {
        return None;
    }
    let mut variables = BTreeMap::new();
    for (template, text) in group.iter().zip(texts) {
        for (slot, value) in template.read_back(text)? {
            let known: &mut String = variables.entry(slot).or_insert_with(|| value.clone());
            if *known != value {
                return None;
            }
        }
    }
    let value = |slot: usize| variables.get(&slot).map_or("", String::as_str);
    // Reading back can be ambiguous. Only texts that would be rendered in exactly this way are meant.
    let same = group.iter().zip(texts).all(|(template, text)| template.render(value) == *text);
    same.then_some(variables)
}
