//! Which record type comes nearest to an item that none matches, and the first attribute that differs. Only tools use this.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::route::text_of;
use super::{Pipeline, Requirement, Route};
use crate::outline::{Entry, Outline, WrittenItems};
use crate::record::{Image, Item};

/// Why an item doesn't match a record type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch<'p> {
    /// The name of the record type.
    pub record_type: &'p str,
    /// The key of `[[record]]` that has the requirement: `match` or `where`.
    pub section: &'static str,
    /// The attribute that differs.
    pub attribute: &'p str,
    /// What it must be, as the pipeline has it.
    pub expected: String,
    /// The item's string or number, or the type of another value; `None` if the item doesn't have the attribute.
    pub found: Option<String>,
}

/// How many requirements an item meets before the first that it doesn't, and how many bytes of that one's text.
type Nearness = (usize, usize);

impl Pipeline {
    /// The record type whose requirements an item with these keys and this image meets best; `None` if it matches one.
    pub fn nearest(&self, keys: &Item<'_>, image: &Image<'_>) -> Option<Mismatch<'_>> {
        let (keys, item) = (WrittenItems::of(keys), image.item().map(WrittenItems::of));
        let item = item.as_ref().map(WrittenItems::outline);
        let mismatches = self.routes.iter().map(|route| route.mismatch(keys.outline(), item));
        let mismatches = mismatches.collect::<Option<Vec<_>>>()?.into_iter().enumerate();
        // The first of those that are equally near.
        mismatches.max_by_key(|(index, (nearness, _))| (*nearness, Reverse(*index))).map(|(_, (_, mismatch))| mismatch)
    }
}

impl Route {
    fn mismatch(&self, keys: Outline<'_>, item: Option<Outline<'_>>) -> Option<(Nearness, Mismatch<'_>)> {
        let find = |path: &str| keys.attribute(path).or_else(|| item?.at_path(path));
        let mismatch = |section, attribute, expected: String, found: Option<Entry<'_>>| {
            let found = found.map(|value| text_of(value).map_or_else(|| value.type_name().to_owned(), Cow::into_owned));
            Mismatch { record_type: &self.record_type, section, attribute, expected, found }
        };
        let is_met = |value: Option<Entry<'_>>, requirement: &Requirement| match requirement {
            Requirement::Pattern(pattern) => {
                value.and_then(text_of).is_some_and(|text| pattern.matches(&text, |_, _| {}))
            }
            Requirement::Equal(scalar) => value.is_some_and(|value| scalar.equals(value)),
        };
        for (met, matcher) in self.matchers.iter().enumerate() {
            let value = find(&matcher.attribute);
            if is_met(value, &matcher.requirement) {
                continue;
            }
            let mismatch = mismatch("match", &matcher.attribute, matcher.text.clone(), value);
            let same = mismatch.found.as_deref().map_or(0, |found| common_prefix(found, &matcher.text));
            return Some(((met, same), mismatch));
        }
        let unmet = |condition: &&super::Condition| !item.is_some_and(|item| condition.holds(item));
        let condition = self.conditions.iter().find(unmet)?;
        let value = item.and_then(|item| item.at_path(&condition.path));
        let nearness = (self.matchers.len(), 0);
        Some((nearness, mismatch("where", &condition.path, condition.test.to_string(), value)))
    }
}

fn common_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::super::shipped;
    use super::*;
    use crate::record::{ImageOf, Value};

    fn item<'a>(attributes: &[(&'a str, &'a str)]) -> Item<'a> {
        Item(attributes.iter().map(|(name, text)| ((*name).into(), Value::S((*text).into()))).collect())
    }

    fn nearest(pk: &str, sk: &str) -> Option<[String; 3]> {
        let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        let keys = item(&[("pk", pk), ("sk", sk)]);
        let mismatch = pipeline.nearest(&keys, &ImageOf::Carried(keys.clone()))?;
        let Mismatch { record_type, attribute, expected, found, .. } = mismatch;
        assert!(found == Some(pk.to_owned()) || found == Some(sk.to_owned()), "{found:?}");
        Some([record_type.to_owned(), attribute.to_owned(), expected])
    }

    #[test]
    fn the_nearest_record_type_is_the_one_that_meets_most_requirements() {
        let texts = |texts: [&str; 3]| Some(texts.map(str::to_owned));
        assert_eq!(nearest("CUSTOMER#7", "ORDER#1"), None, "it matches");
        assert_eq!(nearest("CUSTOMER#7", "INVOICE#9"), texts(["order", "sk", "ORDER#{order}"]));
        assert_eq!(nearest("CUSTOMER#7", "PROFIT"), texts(["customer", "sk", "PROFILE"]));
        assert_eq!(nearest("CUSTOMR#7", "ORDER#1"), texts(["order", "pk", "CUSTOMER#{customer}"]));
        assert_eq!(nearest("ORDER#7", "LINES#1"), texts(["order_line", "sk", "LINE#{line}"]));
        assert_eq!(nearest("INVOICE#7", "ORDER#1"), texts(["order", "pk", "CUSTOMER#{customer}"]));
    }
}
