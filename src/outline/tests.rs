//! Lookups in an outline, against the item that it is of.

use super::*;
use crate::record::{Item, Value};

fn item() -> Item<'static> {
    let text = |text: &'static str| Value::S(text.into());
    let inner = Item(vec![("y".into(), text("deep")), ("list".into(), Value::L(vec![Value::Null, text("last")]))]);
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
    for path in ["a", "x", "x.y", "x.list", "x.z", "x.q", "tokens_tc", "tokens_cp", "tokens_xx", "q", ""] {
        let found = written.outline().at_path(path).map(Entry::value);
        assert_eq!(found.as_ref(), item.at_path(path), "{path}");
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
