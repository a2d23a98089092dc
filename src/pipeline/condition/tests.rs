//! Conditions, as a pipeline has them, on attributes of every type; and against a naive oracle.

use proptest::prelude::*;

use crate::decode::attribute::plain_item;
use crate::outline::WrittenItems;
use crate::pipeline::{Condition, Folder, Mistakes, Pipeline};
use crate::record::{Item, Value};

/// The conditions of the only record type, which has this `where`.
fn parsed(conditions: &str) -> Result<Vec<Condition>, Mistakes> {
    let text = format!("[[record]]\ntype = \"r\"\nmatch = {{}}\nwhere = {{ {conditions} }}\n");
    let folder = Folder { name: "p".to_owned(), files: [("pipeline.toml".to_owned(), text)].into() };
    Ok(Pipeline::parse(&folder)?.routes.remove(0).conditions)
}

fn hold(conditions: &[Condition], item: &Item<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(WrittenItems::of(item).outline()))
}

#[test]
fn limits_compare_numbers_with_numbers_and_strings_with_strings() {
    let cases = [
        ("a = { ge = 500 }", r#"{"a":500}"#, true),
        ("a = { ge = 500 }", r#"{"a":499.9}"#, false),
        ("a = { ge = 500 }", r#"{"a":5E2}"#, true),
        ("a = { ge = 500 }", r#"{"a":"500"}"#, false),
        ("a = { ge = 500 }", r#"{"a":null}"#, false),
        ("a = { ge = 500 }", "{}", false),
        ("a = { lt = 500 }", r#"{"a":"1"}"#, false),
        ("a = { lt = 500 }", "{}", false),
        ("a = { lt = 500 }", r#"{"a":-1}"#, true),
        ("a = { gt = 0.1 }", r#"{"a":0.1}"#, false),
        ("a = { gt = 0.1 }", r#"{"a":0.10000000000000000000000000000000000001}"#, true),
        ("a = { le = 1 }", r#"{"a":1}"#, true),
        ("a = { ge = 400, lt = 500 }", r#"{"a":499}"#, true),
        ("a = { ge = 400, lt = 500 }", r#"{"a":500}"#, false),
        ("a = { between = [400, 499] }", r#"{"a":400}"#, true),
        ("a = { between = [400, 499] }", r#"{"a":499}"#, true),
        ("a = { between = [400, 499] }", r#"{"a":399}"#, false),
        ("a = { between = [5, 5] }", r#"{"a":5}"#, true),
        (r#"a = { ge = "2026-11-01", lt = "2026-12-01" }"#, r#"{"a":"2026-11-28T20:43:00Z"}"#, true),
        (r#"a = { ge = "2026-11-01", lt = "2026-12-01" }"#, r#"{"a":"2026-12-01T00:00:00Z"}"#, false),
        (r#"a = { ge = "2026-11-01" }"#, r#"{"a":20261128}"#, false),
        (r#"a = { gt = "B" }"#, r#"{"a":"a"}"#, true),
        (r#"a = { gt = "z" }"#, r#"{"a":"é"}"#, true),
        (r#"a = { ge = 5, not = 7 }"#, r#"{"a":7}"#, false),
        (r#"a = { ge = 5, not = [7, 8] }"#, r#"{"a":9}"#, true),
        (r#"a = { any_of = ["x", 1, true] }"#, r#"{"a":true}"#, true),
        (r#"a = { any_of = ["x", 1, true] }"#, r#"{"a":"y"}"#, false),
        (r#"a = { exists = true, not = "x" }"#, "{}", false),
        (r#"a = { exists = true, not = "x" }"#, r#"{"a":"y"}"#, true),
    ];
    for (condition, image, holds) in cases {
        let conditions = parsed(condition).unwrap_or_else(|mistakes| panic!("{condition}: {mistakes}"));
        assert_eq!(hold(&conditions, &plain_item(image).unwrap()), holds, "{condition} {image}");
    }
}

#[test]
fn a_prefix_needs_a_string_and_a_path_reaches_into_lists() {
    let cases = [
        (r#"a = { prefix = "/v1/" }"#, r#"{"a":"/v1/users"}"#, true),
        (r#"a = { prefix = "/v1/" }"#, r#"{"a":"/v1"}"#, false),
        (r#"a = { prefix = "1" }"#, r#"{"a":12}"#, false),
        (r#"a = { prefix = "/v1/", not = "/v1/health" }"#, r#"{"a":"/v1/health"}"#, false),
        (r#""lines[0].price" = { gt = 0 }"#, r#"{"lines":[{"price":2}]}"#, true),
        (r#""lines[1].price" = { gt = 0 }"#, r#"{"lines":[{"price":2}]}"#, false),
        (r#""lines[1]" = { exists = false }"#, r#"{"lines":[{"price":2}]}"#, true),
        (r#""m.grid[1][0]" = 3"#, r#"{"m":{"grid":[[1],[3]]}}"#, true),
    ];
    for (condition, image, holds) in cases {
        let conditions = parsed(condition).unwrap_or_else(|mistakes| panic!("{condition}: {mistakes}"));
        assert_eq!(hold(&conditions, &plain_item(image).unwrap()), holds, "{condition} {image}");
    }
}

#[test]
fn lists_maps_sets_strings_and_binary_values_have_a_size() {
    let two = [
        Value::L(vec![Value::Null, Value::Bool(true)]),
        Value::M(Item(vec![("a".into(), Value::L(vec![Value::Null])), ("b".into(), Value::Null)])),
        Value::Ss(vec!["a".into(), "b".into()]),
        Value::Ns(vec![1.into(), 2.into()]),
        Value::Bs(vec![vec![1], vec![2]]),
        Value::S("éß".into()),
        Value::B(vec![0, 255]),
    ];
    let cases =
        [("2", true), ("3", false), ("{ ge = 2 }", true), ("{ gt = 2 }", false), ("{ between = [1, 2] }", true)];
    for (size, holds) in cases {
        let conditions = parsed(&format!("a = {{ size = {size} }}")).unwrap();
        for value in &two {
            assert_eq!(hold(&conditions, &Item(vec![("a".into(), value.clone())])), holds, "{size} {value:?}");
        }
    }
    let any = parsed("a = { size = { ge = 0 } }").unwrap();
    for value in [Value::N(2.into()), Value::Bool(true), Value::Null] {
        assert!(!hold(&any, &Item(vec![("a".into(), value)])), "a value without a size");
    }
    assert!(!hold(&any, &Item::default()));
}

#[test]
fn what_was_found_shows_the_difference() {
    let cases = [
        ("a = { ge = 500 }", r#"{"a":200}"#, "at least 500, not 200"),
        ("a = { ge = 500 }", r#"{"a":"600"}"#, "at least 500, not the string 600"),
        (r#"a = { lt = "2026" }"#, r#"{"a":7.50}"#, "less than 2026, not the number 7.5"),
        ("a = [7, 8]", r#"{"a":"7"}"#, "7 or 8, not the string 7"),
        ("a = [7, true]", r#"{"a":false}"#, "7 or true, not false"),
        (r#"a = { prefix = "/v1" }"#, r#"{"a":"/v2"}"#, "a string that starts with /v1, not /v2"),
        (r#"a = { prefix = "/v1" }"#, r#"{"a":[1]}"#, "a string that starts with /v1, not L"),
        ("a = { size = { ge = 2 } }", r#"{"a":[1]}"#, "of size at least 2, not L of size 1"),
        ("a = { size = { ge = 2 } }", r#"{"a":1}"#, "of size at least 2, not the number 1"),
        (r#"a = { not = "x" }"#, r#"{"a":"x"}"#, "other than x, not x"),
    ];
    for (condition, image, expected) in cases {
        let conditions = parsed(condition).unwrap_or_else(|mistakes| panic!("{condition}: {mistakes}"));
        let written = WrittenItems::of(&plain_item(image).unwrap());
        let found = conditions[0].found(written.outline().attribute("a").unwrap());
        assert_eq!(format!("{}, not {found}", conditions[0].test), expected, "{condition}");
    }
}

/// An attribute, as the oracle sees it. Numbers are halves.
#[derive(Debug, Clone, PartialEq)]
enum Attribute {
    Absent,
    Null,
    Bool(bool),
    Halves(i32),
    Text(String),
    List(usize),
    Map(usize),
}

impl Attribute {
    fn json(&self) -> String {
        match self {
            Attribute::Absent => "{}".to_owned(),
            Attribute::Null => r#"{"a":null}"#.to_owned(),
            Attribute::Bool(value) => format!(r#"{{"a":{value}}}"#),
            Attribute::Halves(halves) => format!(r#"{{"a":{}}}"#, f64::from(*halves) / 2.0),
            Attribute::Text(text) => format!(r#"{{"a":"{text}"}}"#),
            Attribute::List(size) => format!(r#"{{"a":{:?}}}"#, vec![0; *size]),
            Attribute::Map(size) => {
                let members: Vec<String> = (0..*size).map(|member| format!(r#""m{member}":0"#)).collect();
                format!(r#"{{"a":{{{}}}}}"#, members.join(","))
            }
        }
    }

    fn size(&self) -> Option<usize> {
        match self {
            Attribute::Text(text) => Some(text.len()),
            Attribute::List(size) | Attribute::Map(size) => Some(*size),
            _ => None,
        }
    }

    /// At least one of every kind, and all that could matter to the generated operators.
    fn samples() -> Vec<Attribute> {
        let texts = (0..31_u32).map(|number| {
            let digits = format!("{:b}", number + 1);
            Attribute::Text(digits[1..].replace('0', "a").replace('1', "b"))
        });
        let sizes = (0..6).flat_map(|size| [Attribute::List(size), Attribute::Map(size)]);
        let others = [Attribute::Absent, Attribute::Null, Attribute::Bool(true), Attribute::Bool(false)];
        others.into_iter().chain((-8..=8).map(Attribute::Halves)).chain(texts).chain(sizes).collect()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Limit {
    Halves(i32),
    Text(String),
}

impl Limit {
    fn toml(&self) -> String {
        match self {
            Limit::Halves(halves) => format!("{:?}", f64::from(*halves) / 2.0),
            Limit::Text(text) => format!("\"{text}\""),
        }
    }

    /// -1, 0 or 1, as the attribute is less than, equal to or greater than the limit.
    fn order(&self, attribute: &Attribute) -> Option<i32> {
        let order = match (attribute, self) {
            (Attribute::Halves(value), Limit::Halves(limit)) => value.cmp(limit),
            (Attribute::Text(value), Limit::Text(limit)) => value.cmp(limit),
            _ => return None,
        };
        Some(sign(order))
    }
}

fn sign(order: std::cmp::Ordering) -> i32 {
    i32::from(order.is_gt()) - i32::from(order.is_lt())
}

#[derive(Debug, Clone)]
enum Clause {
    Limit(&'static str, Limit),
    Between(Limit, Limit),
    AnyOf(Vec<Limit>),
    Not(Vec<Limit>),
    Exists(bool),
    Prefix(String),
    Size(&'static str, usize),
}

impl Clause {
    fn key(&self) -> &'static str {
        match self {
            Clause::Limit(key, _) => key,
            Clause::Between(..) => "between",
            Clause::AnyOf(_) => "any_of",
            Clause::Not(_) => "not",
            Clause::Exists(_) => "exists",
            Clause::Prefix(_) => "prefix",
            Clause::Size(..) => "size",
        }
    }

    fn toml(&self) -> String {
        let list = |limits: &[Limit]| limits.iter().map(Limit::toml).collect::<Vec<_>>().join(", ");
        let value = match self {
            Clause::Limit(_, limit) => limit.toml(),
            Clause::Between(least, most) => format!("[{}, {}]", least.toml(), most.toml()),
            Clause::AnyOf(limits) | Clause::Not(limits) => format!("[{}]", list(limits)),
            Clause::Exists(exists) => exists.to_string(),
            Clause::Prefix(prefix) => format!("\"{prefix}\""),
            Clause::Size("", size) => size.to_string(),
            Clause::Size(operator, size) => format!("{{ {operator} = {size} }}"),
        };
        format!("{} = {value}", self.key())
    }

    fn holds(&self, attribute: &Attribute) -> bool {
        let admits = |operator: &str, order: i32| match operator {
            "ge" => order >= 0,
            "gt" => order > 0,
            "le" => order <= 0,
            "lt" => order < 0,
            _ => order == 0,
        };
        let limited = |operator, limit: &Limit| limit.order(attribute).is_some_and(|order| admits(operator, order));
        match self {
            Clause::Limit(operator, limit) => limited(operator, limit),
            Clause::Between(least, most) => limited("ge", least) && limited("le", most),
            Clause::AnyOf(limits) => limits.iter().any(|limit| limited("", limit)),
            Clause::Not(limits) => !limits.iter().any(|limit| limited("", limit)),
            Clause::Exists(exists) => !matches!(attribute, Attribute::Absent | Attribute::Null) == *exists,
            Clause::Prefix(prefix) => matches!(attribute, Attribute::Text(text) if text.starts_with(prefix)),
            Clause::Size(operator, limit) => {
                attribute.size().is_some_and(|size| admits(operator, sign(size.cmp(limit))))
            }
        }
    }
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![3 => (-6..=6).prop_map(Limit::Halves), 2 => "[ab]{0,3}".prop_map(Limit::Text)]
}

fn clause() -> impl Strategy<Value = Clause> {
    let operator = || prop::sample::select(vec!["ge", "gt", "le", "lt"]);
    prop_oneof![
        6 => (operator(), limit()).prop_map(|(operator, limit)| Clause::Limit(operator, limit)),
        2 => (limit(), limit()).prop_map(|(least, most)| Clause::Between(least, most)),
        2 => prop::collection::vec(limit(), 1..4).prop_map(Clause::AnyOf),
        2 => prop::collection::vec(limit(), 1..4).prop_map(Clause::Not),
        1 => any::<bool>().prop_map(Clause::Exists),
        2 => "[ab]{1,3}".prop_map(Clause::Prefix),
        2 => (prop_oneof![operator(), Just("")], 0..5_usize).prop_map(|(operator, size)| Clause::Size(operator, size)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn conditions_hold_as_a_naive_reading_says_and_only_impossible_ones_are_refused(
        mut clauses in prop::collection::vec(clause(), 1..4)
    ) {
        let mut keys = Vec::new();
        clauses.retain(|clause| {
            let is_new = !keys.contains(&clause.key());
            keys.push(clause.key());
            is_new
        });
        let text = clauses.iter().map(Clause::toml).collect::<Vec<_>>().join(", ");
        let conditions = parsed(&format!("a = {{ {text} }}"));
        for attribute in Attribute::samples() {
            let expected = clauses.iter().all(|clause| clause.holds(&attribute));
            match &conditions {
                Ok(conditions) => {
                    let json = attribute.json();
                    prop_assert_eq!(hold(conditions, &plain_item(&json).unwrap()), expected, "{} {}", text, json);
                }
                Err(mistakes) => prop_assert!(!expected, "{text} is met by {attribute:?}: {mistakes}"),
            }
        }
    }
}
