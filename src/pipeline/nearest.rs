//! Which record type comes nearest to an item that none matches, and the first attribute that differs; and which condition of
//! a measure isn't met. Only tools use this.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::route::text_of;
use super::{Condition, Measure, MeasureName, Pipeline, Requirement, Route};
use crate::outline::{Entry, Outline, Tag, WrittenItems};
use crate::record::{Image, Item};

/// Why an item doesn't match a record type, or isn't counted by a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch<'p> {
    /// The name of the record type.
    pub record_type: &'p str,
    /// The key of `[[record]]` that has the requirement: `match` or `where`.
    pub section: &'static str,
    /// The name of the measure that has the requirement, if it isn't the record type's own.
    pub measure: Option<String>,
    /// The attribute that differs.
    pub attribute: &'p str,
    /// What it must be, as the pipeline has it.
    pub expected: String,
    /// The item's value, or the type of a value that has no short text; `None` if the item doesn't have the attribute.
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

impl Pipeline {
    /// The first condition of a measure of `route` that this image doesn't meet.
    pub fn unmet<'p>(&self, route: &'p Route, image: &Image<'_>) -> Option<Mismatch<'p>> {
        let written = WrittenItems::of(image.item()?);
        let unmet = |measure: &'p Measure| Some((measure, first_unmet(&measure.conditions, Some(written.outline()))?));
        let (measure, (condition, found)) = route.measures().find_map(unmet)?;
        let name = match &measure.name {
            MeasureName::Fixed(slot) => self.measures.get(*slot).cloned().unwrap_or_default(),
            MeasureName::Captured(template) => template.render(|_| "…"),
        };
        Some(Mismatch { measure: Some(name), ..route.unmet(condition, found) })
    }
}

/// The first condition that an item doesn't meet, and what the item has instead.
fn first_unmet<'c>(conditions: &'c [Condition], item: Option<Outline<'_>>) -> Option<(&'c Condition, Option<String>)> {
    let condition = conditions.iter().find(|condition| !item.is_some_and(|item| condition.holds(item)))?;
    let value = item.and_then(|item| item.at_path(&condition.path));
    Some((condition, value.map(|value| condition.found(value))))
}

impl Route {
    fn unmet<'p>(&'p self, condition: &'p Condition, found: Option<String>) -> Mismatch<'p> {
        let (attribute, expected) = (condition.path.as_str(), condition.test.to_string());
        Mismatch { record_type: &self.record_type, section: "where", measure: None, attribute, expected, found }
    }

    fn mismatch(&self, keys: Outline<'_>, item: Option<Outline<'_>>) -> Option<(Nearness, Mismatch<'_>)> {
        let find = |path: &str| keys.attribute(path).or_else(|| item?.at_path(path));
        let is_met = |value: Option<Entry<'_>>, requirement: &Requirement| match requirement {
            Requirement::Pattern(pattern) => {
                value.and_then(|value| requirement.text_of(value)).is_some_and(|text| pattern.matches(&text, |_, _| {}))
            }
            Requirement::Equal(scalar) => value.is_some_and(|value| scalar.equals(value)),
        };
        for (met, matcher) in self.matchers.iter().enumerate() {
            let value = find(&matcher.attribute);
            if is_met(value, &matcher.requirement) {
                continue;
            }
            let text = |value: Entry<'_>| text_of(value).map_or_else(|| value.type_name().to_owned(), Cow::into_owned);
            let same = value.map_or(0, |value| common_prefix(&text(value), &matcher.text));
            let found = value.map(|value| match (&matcher.requirement, value.tag()) {
                // It may be written like the text that it must be.
                (Requirement::Pattern(_), Tag::N) => format!("the number {}", text(value)),
                _ => text(value),
            });
            let mismatch = Mismatch {
                record_type: &self.record_type,
                section: "match",
                measure: None,
                attribute: &matcher.attribute,
                expected: matcher.text.clone(),
                found,
            };
            return Some(((met, same), mismatch));
        }
        let (condition, found) = first_unmet(&self.conditions, item)?;
        Some(((self.matchers.len(), 0), self.unmet(condition, found)))
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

    #[test]
    fn the_condition_that_is_not_met_is_named() {
        let text = r#"
            [snapshot]
            partition_key = { name = "pk", value = "{entity}#{resource}#{window_key}" }
            [[record]]
            type = "request"
            match = { kind = "request" }
            where = { status = { ge = 200, lt = 600 } }
            entity = "all"
            resource = "requests"
            [[record.measure]]
            name = "errors"
            kind = "count"
            where = { status = { ge = 500 }, "tags[0]" = { exists = true } }
        "#;
        let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
        let pipeline = Pipeline::parse(&super::super::Folder { name: "p".to_owned(), files }).unwrap();
        let explained = |status: Value<'static>| {
            let image =
                ImageOf::Carried(Item(vec![("kind".into(), Value::S("request".into())), ("status".into(), status)]));
            let mismatch = match pipeline.nearest(&Item::default(), &image) {
                Some(mismatch) => mismatch,
                None => pipeline.unmet(&pipeline.routes[0], &image).unwrap(),
            };
            let Mismatch { section, measure, attribute, expected, found, .. } = mismatch;
            format!("{section} {measure:?}: {attribute} must be {expected}, not {found:?}")
        };
        let number = |number: i64| Value::N(number.into());
        assert_eq!(explained(number(600)), r#"where None: status must be less than 600, not Some("600")"#);
        assert_eq!(
            explained(Value::S("200".into())),
            r#"where None: status must be at least 200, not Some("the string 200")"#
        );
        assert_eq!(explained(number(404)), r#"where Some("errors"): status must be at least 500, not Some("404")"#);
        assert_eq!(explained(number(500)), r#"where Some("errors"): tags[0] must be present, not None"#);
    }
}
