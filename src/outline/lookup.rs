//! Many lookups in one item.

use std::collections::HashMap;

use super::{Entry, Outline, Step, Tag};

/// So few attributes are searched one by one.
const FEW: usize = 64;

/// An item in which an attribute is looked up for each of another. An item may have tens of thousands, so that searching all of them each
/// time would take minutes.
#[derive(Debug)]
pub struct Lookup<'t> {
    item: Outline<'t>,
    /// The attributes by name, if there are many; if a name occurs more than once, the first.
    by_name: Option<HashMap<&'t str, Entry<'t>>>,
}

impl<'t> Lookup<'t> {
    /// Lookups in this item.
    pub fn of(item: Outline<'t>) -> Lookup<'t> {
        let is_large = item.nodes.len() > FEW && item.entries().nth(FEW).is_some();
        let by_name = is_large.then(|| {
            let mut by_name = HashMap::new();
            for (name, entry) in item.attributes() {
                by_name.entry(name).or_insert(entry);
            }
            by_name
        });
        Lookup { item, by_name }
    }

    /// As [`Outline::attribute`].
    pub fn attribute(&self, name: &str) -> Option<Entry<'t>> {
        match &self.by_name {
            Some(by_name) => by_name.get(name).copied(),
            None => self.item.attribute(name),
        }
    }

    /// As [`Outline::value_at`].
    pub fn value_at(&self, path: &str) -> Option<Entry<'t>> {
        let nested = || Step::split(path).and_then(|(name, steps)| self.attribute(name)?.at_steps(steps));
        self.attribute(path).or_else(nested).filter(|entry| entry.tag() != Tag::Null)
    }
}
