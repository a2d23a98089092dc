//! Lookups in an outline, against the item that it is of.

use super::*;
use crate::record::{Item, Value};

fn item() -> Item<'static> {
    let text = |text: &'static str| Value::S(text.into());
    let line = Item(vec![("price".into(), text("7")), ("a[0]".into(), text("own"))]);
    let inner = Item(vec![
        ("y".into(), text("deep")),
        ("list".into(), Value::L(vec![Value::Null, text("last"), Value::L(vec![Value::M(line), text("inner")])])),
    ]);
    Item(vec![
        ("a".into(), text("first")),
        ("x".into(), Value::M(inner)),
        ("tokens_tc".into(), text("1")),
        ("tokens_cp".into(), text("2")),
        ("x.z".into(), text("dotted")),
    ])
}

#[test]
fn every_attribute_and_path_is_found_as_in_the_item() {
    let (item, written) = (item(), WrittenItems::of(&item()));
    let paths = ["a", "x", "x.y", "x.list", "x.z", "x.q", "tokens_tc", "tokens_cp", "tokens_xx", "q", ""];
    let members = ["x.list[0]", "x.list[1]", "x.list[2][1]", "x.list[2][0].price", "x.list[2][0].a[0]", "x.list[3]"];
    let nowhere = ["x[0]", "a[0]", "x.list[", "x.list[]", "x.list[-1]", "x.list[1]y", "x.list.0", "[0]", "x.list[1].y"];
    for path in paths.into_iter().chain(members).chain(nowhere) {
        let found = written.outline().at_path(path).map(Entry::value);
        assert_eq!(found.as_ref(), item.at_path(path), "{path}");
        assert!(!members.contains(&path) || found.is_some() != path.ends_with("[3]"), "{path} {found:?}");
        assert!(!nowhere.contains(&path) || found.is_none(), "{path} {found:?}");
    }
}

#[test]
fn a_value_inside_a_map_is_not_an_attribute() {
    let written = WrittenItems::of(&item());
    let names: Vec<&str> = written.outline().attributes().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "x", "tokens_tc", "tokens_cp", "x.z"]);
    assert!(written.outline().attribute("y").is_none());
}

#[test]
fn a_name_pattern_excludes_only_names_that_begin_or_end_otherwise() {
    let written = WrittenItems::of(&item());
    let matching = |first, last| -> Vec<&str> {
        written.outline().attributes_matching(NamePattern::new(first, last)).map(|(name, _)| name).collect()
    };
    assert_eq!(matching(None, None).len(), 5);
    assert_eq!(matching(Some(b't'), Some(b'p')), ["tokens_cp"]);
    assert_eq!(matching(None, Some(b'c')), ["tokens_tc"]);
}

#[test]
fn a_lookup_finds_what_the_outline_has_however_many_attributes_there_are() {
    for more in [0, 40, 100] {
        let mut item = item();
        item.0.extend((0..more).map(|number| (format!("more{number}").into(), Value::Bool(true))));
        // Only the first of several attributes with one name is found.
        item.0.extend([("a".into(), Value::Null), ("null".into(), Value::Null)]);
        let written = WrittenItems::of(&item);
        let lookup = Lookup::of(written.outline());
        for path in ["a", "x", "x.y", "x.z", "x.list[1]", "x.list[9]", "more7", "null", "q", "q.x", ""] {
            let value = |entry: Option<Entry<'_>>| entry.map(|entry| format!("{:?}", entry.value()));
            assert_eq!(value(lookup.attribute(path)), value(written.outline().attribute(path)), "{path}");
            assert_eq!(value(lookup.value_at(path)), value(written.outline().value_at(path)), "{path}");
        }
    }
}

#[test]
fn values_are_spelled_alike_only_if_they_are_the_same() {
    let text = |text: &'static str| Value::S(text.into());
    let list = |members: &[Value<'static>]| Value::L(members.to_vec());
    let map = |name: &'static str, value| Value::M(Item(vec![(name.into(), value)]));
    let values = [
        text("a"),
        text("b"),
        Value::N(1.into()),
        text("1"),
        Value::Bool(true),
        Value::Bool(false),
        Value::Null,
        list(&[]),
        list(&[text("a")]),
        list(&[text("a"), text("b")]),
        list(&[list(&[text("a")]), text("b")]),
        list(&[list(&[text("a"), text("b")])]),
        map("a", text("a")),
        map("b", text("a")),
        map("a", list(&[])),
        Value::Ss(vec!["a".into()]),
        Value::Ss(vec!["a".into(), "b".into()]),
    ];
    for (number, one) in values.iter().enumerate() {
        for (of_other, other) in values.iter().enumerate() {
            // The name of an attribute isn't a part of its value.
            let [one, other] = [("x", one), ("y", other)]
                .map(|(name, value)| WrittenItems::of(&Item(vec![(name.into(), value.clone())])));
            let [one, other] = [&one, &other].map(|written| written.outline().entries().next().unwrap());
            assert_eq!(one.is_spelled_like(other), number == of_other, "{:?} {:?}", one.value(), other.value());
        }
    }
}
