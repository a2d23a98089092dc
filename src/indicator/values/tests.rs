//! Every kind of value, against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::indicator::contribution;
use crate::outline::WrittenItems;
use crate::pipeline::{Folder, Pipeline};

const PIPELINE: &str = r##"
[[record]]
type = "finding"
match = { pk = "GROUP#{group}", sk = "FINDING#{finding}" }

[[indicator]]
name = "findings"
records = ["finding"]
target = { pk = "GROUP#{group}", sk = "GROUP" }
query = { pk = "GROUP#{group}", sk = { prefix = "FINDING#" } }
[[indicator.value]]
name = "items"
kind = "count"
[[indicator.value]]
name = "open"
kind = "count"
where = { open = true }
[[indicator.value]]
name = "by_score"
kind = "count_by"
attribute = "score"
[[indicator.value]]
name = "total"
kind = "sum"
attribute = "score"
where = { open = true }
[[indicator.value]]
name = "least"
kind = "min"
attribute = "score"
[[indicator.value]]
name = "most"
kind = "max"
attribute = "score"
[[indicator.value]]
name = "newest"
kind = "newest"
by = "at"
[[indicator.value]]
name = "oldest"
kind = "oldest"
by = "at"
[[indicator.value]]
name = "scores"
kind = "distinct"
attribute = "score"
[[indicator.value]]
name = "any_open"
kind = "any"
where = { open = true }
[[indicator.value]]
name = "all_open"
kind = "all"
where = { open = true }
[[indicator.value]]
name = "last_score"
kind = "latest"
attribute = "score"
by = "at"
"##;

fn pipeline() -> Pipeline {
    let files = [("pipeline.toml".to_owned(), PIPELINE.to_owned())].into();
    Pipeline::parse(&Folder { name: "findings".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// A finding: whether it is open, its score in hundredths, and when it was written; the latter two may be missing.
type Finding = (bool, Option<i64>, Option<u8>);

fn decimal(hundredths: i64) -> Decimal {
    Decimal::from_parts(hundredths.into(), -2).unwrap()
}

fn item(number: usize, (open, score, at): Finding) -> Item<'static> {
    let key = [("pk", "GROUP#7".to_owned()), ("sk", format!("FINDING#{number}"))];
    let key = key.map(|(name, text)| (Cow::Borrowed(name), Value::S(text.into())));
    let open = (Cow::Borrowed("open"), Value::Bool(open));
    let score = score.map(|score| (Cow::Borrowed("score"), Value::N(decimal(score))));
    let at = at.map(|at| (Cow::Borrowed("at"), Value::S(format!("2026-11-{at:02}").into())));
    Item(key.into_iter().chain([open]).chain(score).chain(at).collect())
}

/// The entries as texts.
fn computed(items: &[Item<'static>]) -> BTreeMap<String, String> {
    let pipeline = pipeline();
    let indicator = &pipeline.indicators[0];
    let mut values = Values::new(indicator);
    for item in items {
        let written = WrittenItems::of(item);
        if let Some(given) = contribution(&pipeline, indicator, written.outline()).unwrap() {
            assert_eq!(given.target[0].1, "GROUP#7");
            values.add(given).unwrap();
        }
    }
    values.entries().0.iter().map(|(name, value)| (name.to_string(), said(value))).collect()
}

fn said(value: &Value<'_>) -> String {
    match value {
        Value::N(number) => number.to_string(),
        Value::S(text) => text.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::M(entries) => {
            let mut entries: Vec<_> = entries.0.iter().map(|(name, value)| format!("{name} {}", said(value))).collect();
            entries.sort();
            entries.join(", ")
        }
        other => panic!("{other:?}"),
    }
}

/// The same by plain means.
fn model(findings: &[Finding]) -> BTreeMap<String, String> {
    let scores: Vec<i64> = findings.iter().filter_map(|(_, score, _)| *score).collect();
    let open: Vec<&Finding> = findings.iter().filter(|(open, ..)| *open).collect();
    let mut by_score = BTreeMap::<String, usize>::new();
    scores.iter().for_each(|score| *by_score.entry(decimal(*score).to_string()).or_default() += 1);
    let by_score: BTreeSet<String> = by_score.iter().map(|(score, count)| format!("{score} {count}")).collect();
    let total: i64 = open.iter().filter_map(|(_, score, _)| *score).sum();
    let day = |at: u8| format!("2026-11-{at:02}");
    let latest = findings.iter().filter_map(|(_, score, at)| Some(((*at)?, (*score)?))).max();
    let some = [
        ("items", Some(findings.len().to_string())),
        ("open", Some(open.len().to_string())),
        ("by_score", Some(by_score.into_iter().collect::<Vec<_>>().join(", "))),
        ("total", Some(decimal(total).to_string())),
        ("least", scores.iter().min().map(|score| decimal(*score).to_string())),
        ("most", scores.iter().max().map(|score| decimal(*score).to_string())),
        ("newest", findings.iter().filter_map(|(.., at)| *at).max().map(day)),
        ("oldest", findings.iter().filter_map(|(.., at)| *at).min().map(day)),
        ("scores", Some(scores.iter().collect::<BTreeSet<_>>().len().to_string())),
        ("any_open", Some((!open.is_empty()).to_string())),
        ("all_open", Some((open.len() == findings.len()).to_string())),
        ("last_score", latest.map(|(_, score)| decimal(score).to_string())),
    ];
    some.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

proptest! {
    #[test]
    fn values_are_what_a_plain_model_gives(
        findings in prop::collection::vec((any::<bool>(), prop::option::of(-300..300_i64), prop::option::of(1..5_u8)), 0..8),
    ) {
        let mut items: Vec<_> = findings.iter().enumerate().map(|(number, finding)| item(number, *finding)).collect();
        prop_assert_eq!(computed(&items), model(&findings));
        items.reverse();
        prop_assert_eq!(computed(&items), model(&findings));
    }
}

#[test]
fn values_of_other_types_do_not_count() {
    let odd = |value: Value<'static>| {
        let mut item = item(1, (true, None, None));
        item.0.extend([(Cow::Borrowed("score"), value.clone()), (Cow::Borrowed("at"), value)]);
        computed(&[item])
    };
    let nothing = computed(&[item(1, (true, None, None))]);
    assert_eq!(odd(Value::Null), nothing);
    assert_eq!(odd(Value::L(Vec::new())), nothing);
    // A string has no sum, but an order; and it can be counted by.
    let text = odd(Value::S("high".into()));
    assert_eq!((text["by_score"].as_str(), text["newest"].as_str(), text.get("most")), ("high 1", "high", None));
    assert_eq!(text["total"], "0");
}

#[test]
fn numbers_come_before_strings() {
    let finding = |number: usize, at: Value<'static>| {
        let mut item = item(number, (true, Some(100), None));
        item.0.push((Cow::Borrowed("at"), at));
        item
    };
    let items =
        [finding(1, Value::S("10".into())), finding(2, Value::N(Decimal::from(20))), finding(3, Value::S("9".into()))];
    let values = computed(&items);
    assert_eq!((values["oldest"].as_str(), values["newest"].as_str()), ("20", "9"));
}

#[test]
fn items_that_the_query_finds_but_no_record_type_has_do_not_count() {
    let mut other = item(1, (true, Some(100), Some(1)));
    other.0[1].1 = Value::S("REPORT#1".into());
    assert_eq!(computed(&[other])["items"], "0");
}

#[test]
fn a_sum_of_more_than_38_digits_is_an_error() {
    let pipeline = pipeline();
    let indicator = &pipeline.indicators[0];
    let mut values = Values::new(indicator);
    let mut add = |number: usize, score: &str| {
        let mut item = item(number, (true, None, None));
        item.0.push((Cow::Borrowed("score"), Value::N(Decimal::parse(score).unwrap())));
        let written = WrittenItems::of(&item);
        values.add(contribution(&pipeline, indicator, written.outline()).unwrap().unwrap())
    };
    assert_eq!(add(1, "1e37"), Ok(()));
    assert_eq!(add(2, "1e-20"), Err("total"));
}

#[test]
fn regression_a_name_that_dynamodb_does_not_allow_is_found() {
    let pipeline = pipeline();
    let indicator = &pipeline.indicators[0];
    let found = |bytes: usize| {
        let mut item = item(1, (true, None, None));
        item.0.push((Cow::Borrowed("score"), Value::S("x".repeat(bytes).into())));
        let written = WrittenItems::of(&item);
        let mut values = Values::new(indicator);
        values.add(contribution(&pipeline, indicator, written.outline()).unwrap().unwrap()).unwrap();
        values.too_long_name()
    };
    assert_eq!([65_535, 65_536].map(found), [None, Some(("by_score", 65_536))]);
}
