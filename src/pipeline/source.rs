//! Which items feed a group: what their attributes must be so that a record type counts them for it. Tools look for them.

use std::collections::BTreeMap;

use super::condition::Scalar;
use super::template::{Part, Template};
use super::{Requirement, Route};

impl Route {
    /// The attributes that an item must have so that its records count for the group with these values, whose templates are
    /// `group`. `None` if no item of this record type does.
    pub fn items_of(&self, group: &[Template], values: &[String]) -> Option<Vec<(&str, Vec<Part>)>> {
        let mut known: BTreeMap<usize, String> = BTreeMap::new();
        for (template, value) in group.iter().zip(values) {
            for (slot, text) in template.read_back(value)? {
                if known.insert(slot, text.clone()).is_some_and(|before| before != text) {
                    return None;
                }
            }
        }
        let value = |slot: usize| known.get(&slot).map(String::as_str);
        let matched = self.matchers.iter().filter_map(|matcher| match &matcher.requirement {
            Requirement::Pattern(pattern) => Some((matcher.attribute.as_str(), pattern.parts(value))),
            Requirement::Equal(Scalar::Text(text)) => {
                Some((matcher.attribute.as_str(), vec![Part::Text(text.clone())]))
            }
            // Numbers and truths don't name a group.
            Requirement::Equal(Scalar::Number(_) | Scalar::Bool(_)) => None,
        });
        let bound = self
            .binds
            .iter()
            .filter_map(|(path, slot)| Some((path.as_str(), vec![Part::Text(value(*slot)?.to_owned())])));
        Some(matched.chain(bound).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Pipeline, shipped};

    #[test]
    fn the_keys_of_items_are_known_from_the_group_as_far_as_it_names_them() {
        let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        let order = &pipeline.routes[0];
        let items = |entity: &str, resource: &str| {
            let values = [entity.to_owned(), resource.to_owned()];
            order.items_of(&order.counters[0].group, &values)
        };
        let text = |text: &str| Part::Text(text.to_owned());
        let expected = vec![("pk", vec![text("CUSTOMER#"), text("7")]), ("sk", vec![text("ORDER#"), Part::Anything])];
        assert_eq!(items("7", "orders"), Some(expected));
        assert_eq!(items("7", "lines"), None, "another resource");
    }
}
