//! Indicators: aggregates over the items that a query finds, kept on another item of the same table, its target.

use super::Condition;
use super::snapshot::{PARTITION_KEY_BYTES, SORT_KEY_BYTES};
use super::template::Template;

/// The entry of an indicator's map that names one write: a token that no other write has.
pub const INDICATOR_VERSION: &str = "version";
/// The entry of an indicator's map with the token that the write replaced.
pub const INDICATOR_PREVIOUS: &str = "previous";

/// An indicator of a pipeline.
#[derive(Debug)]
pub struct Indicator {
    /// Its name, for messages and tools.
    pub name: String,
    /// The variables of `target` and `query`. A template's slot is an index into these.
    pub variables: Vec<String>,
    /// The record types whose items count.
    pub records: Vec<IndicatorRecord>,
    /// The key of the target: the name and the template of each of its attributes.
    pub target: Vec<(String, Template)>,
    /// What finds the items.
    pub query: IndicatorQuery,
    /// The attribute of the target with the values, a map that nothing else writes.
    pub attribute: String,
    /// What happens if there is no target.
    pub missing_target: MissingTarget,
    /// The maximum number of items that the query may find.
    pub max_items: usize,
    /// What is computed.
    pub values: Vec<IndicatorValue>,
}

/// A record type whose items count for an indicator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndicatorRecord {
    /// The index in [`super::Pipeline::routes`].
    pub route: usize,
    /// The slot of the record type for each of [`Indicator::variables`].
    pub slots: Vec<usize>,
}

/// The query of an indicator.
#[derive(Debug)]
pub struct IndicatorQuery {
    /// The index that is queried, which is eventually consistent; otherwise the table.
    pub index: Option<String>,
    /// The name and the template of the partition key.
    pub partition: (String, Template),
    /// The name of the sort key, and what it starts with.
    pub sort: Option<(String, Template)>,
}

/// What happens if a target doesn't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingTarget {
    /// It is counted in the metrics; nothing is written.
    Skip,
    /// It is created with the values and no other attributes.
    Create,
}

/// One value of an indicator.
#[derive(Debug)]
pub struct IndicatorValue {
    /// Its name in the map.
    pub name: String,
    /// What is computed.
    pub kind: IndicatorKind,
    /// Conditions that an item must meet to count.
    pub conditions: Vec<Condition>,
}

/// The kinds of values. An item without the attributes that a kind needs, or with others than numbers where numbers are
/// needed, doesn't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndicatorKind {
    /// The number of items.
    Count,
    /// The number of items by the value of an attribute.
    CountBy(String),
    /// The sum of an attribute.
    Sum(String),
    /// The smallest number in an attribute.
    Min(String),
    /// The greatest number in an attribute.
    Max(String),
    /// The greatest value of an attribute, which is a number or a string.
    Newest(String),
    /// The smallest value of an attribute, which is a number or a string.
    Oldest(String),
    /// The number of different values of an attribute.
    Distinct(String),
    /// Whether there is an item.
    Any,
    /// Whether all items meet the conditions.
    All,
    /// An attribute of the item that has the greatest value of another.
    Latest {
        /// The attribute that is taken.
        attribute: String,
        /// The attribute that is compared.
        by: String,
    },
}

impl IndicatorKind {
    /// The paths of the attributes that this kind reads.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            IndicatorKind::Count | IndicatorKind::Any | IndicatorKind::All => (None, None),
            IndicatorKind::CountBy(path)
            | IndicatorKind::Sum(path)
            | IndicatorKind::Min(path)
            | IndicatorKind::Max(path)
            | IndicatorKind::Newest(path)
            | IndicatorKind::Oldest(path)
            | IndicatorKind::Distinct(path) => (Some(path), None),
            IndicatorKind::Latest { attribute, by } => (Some(attribute), Some(by)),
        };
        first.into_iter().chain(second).map(String::as_str)
    }
}

impl Indicator {
    /// The key of the target that these variables name, or `None` if other variables name a target with the same key.
    pub fn target_key(&self, variables: &[&str]) -> Option<Vec<(String, String)>> {
        let value = |slot: usize| variables.get(slot).copied().unwrap_or_default();
        let key: Vec<(String, String)> =
            self.target.iter().map(|(name, template)| (name.clone(), template.render(value))).collect();
        let text = |name: &str| key.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        let read = self.target_variables(text)?;
        (read == variables).then_some(key)
    }

    /// Why DynamoDB doesn't have a target with this key, if an attribute of it is too long. Only a query of the table says which one is
    /// the partition key.
    pub fn key_refusal(&self, key: &[(String, String)]) -> Option<String> {
        let is_sort = |name: &str| self.query.index.is_none() && name != self.query.partition.0;
        let most = |name: &str| if is_sort(name) { SORT_KEY_BYTES } else { PARTITION_KEY_BYTES };
        let (name, text) = key.iter().find(|(name, text)| text.len() > most(name))?;
        Some(format!(
            "`{name}` of the target of the indicator \"{}\" would have {} bytes; DynamoDB allows at most {}",
            self.name,
            text.len(),
            most(name)
        ))
    }

    /// The variables that name the target with a key whose attributes have these texts, or `None` if it isn't a target.
    pub fn target_variables<'k>(&self, text: impl Fn(&str) -> Option<&'k str>) -> Option<Vec<String>> {
        let mut values: Vec<Option<String>> = vec![None; self.variables.len()];
        for (name, template) in &self.target {
            for (slot, value) in template.read_back(text(name)?)? {
                match values.get_mut(slot)? {
                    Some(known) if *known != value => return None,
                    known => *known = Some(value),
                }
            }
        }
        // An empty value can't be captured.
        let values: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        let value = |slot: usize| values.get(slot).map_or("", String::as_str);
        let is_same = |(name, template): &(String, Template)| text(name) == Some(template.render(value).as_str());
        (values.iter().all(|value| !value.is_empty()) && self.target.iter().all(is_same)).then_some(values)
    }

    /// The partition key that the query for these variables reads, and what the sort keys start with.
    pub fn query_key(&self, variables: &[&str]) -> (String, Option<String>) {
        let value = |slot: usize| variables.get(slot).copied().unwrap_or_default();
        let (_, partition) = &self.query.partition;
        (partition.render(value), self.query.sort.as_ref().map(|(_, prefix)| prefix.render(value)))
    }

    /// The templates of the target's key, for messages.
    pub fn target_text(&self) -> String {
        let names: Vec<String> = self.variables.iter().map(|name| format!("{{{name}}}")).collect();
        let value = |slot: usize| names.get(slot).map_or("", String::as_str);
        let texts = self.target.iter().map(|(name, template)| format!("{name} = {}", template.render(value)));
        texts.collect::<Vec<_>>().join(", ")
    }

    /// The paths of the attributes that the values depend on, each as often as it is read.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.values.iter().flat_map(|value| {
            value.kind.paths().chain(value.conditions.iter().map(|condition| condition.path.as_str()))
        })
    }

    /// The first path that reads the attribute `name` or something in it.
    pub fn path_into(&self, name: &str) -> Option<&str> {
        self.paths().find(|path| leads_into(path, name))
    }

    /// Whether an item that is a target of `other` may be among the items that this indicator reads.
    pub fn may_find_target_of(&self, other: &Indicator) -> bool {
        let (partition, template) = &self.query.partition;
        let of_key = |name: &str| other.target.iter().find(|(known, _)| known == name).map(|(_, template)| template);
        of_key(partition).is_none_or(|target| target.may_equal(template))
            && self
                .query
                .sort
                .as_ref()
                .is_none_or(|(name, prefix)| of_key(name).is_none_or(|target| target.may_start_with(prefix)))
    }

    /// Whether the query of each target finds the target itself.
    pub fn finds_its_target(&self) -> bool {
        // Texts that no template has stand for the variables.
        let marks: Vec<String> = (0..self.variables.len()).map(|slot| format!("\u{1}{slot}\u{1}")).collect();
        let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
        let value = |slot: usize| marks.get(slot).copied().unwrap_or_default();
        let of_target =
            |name: &str| self.target.iter().find(|(known, _)| known == name).map(|(_, key)| key.render(value));
        let (partition, prefix) = self.query_key(&marks);
        let starts = |text: String| prefix.as_ref().is_none_or(|prefix| text.starts_with(prefix.as_str()));
        of_target(&self.query.partition.0).is_some_and(|text| text == partition)
            && self.query.sort.as_ref().is_none_or(|(name, _)| of_target(name).is_some_and(starts))
    }

    /// Whether a target may also be one of `other`.
    pub fn may_share_targets(&self, other: &Indicator) -> bool {
        self.target.len() == other.target.len()
            && self.target.iter().all(|(name, template)| {
                other.target.iter().any(|(known, of_other)| known == name && template.may_equal(of_other))
            })
    }
}

/// Whether a path reads the attribute `name` or something in it.
pub(super) fn leads_into(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests;
