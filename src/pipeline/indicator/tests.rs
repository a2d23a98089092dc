//! Keys of targets, back and forth, and what the query of one indicator has to do with the target of another.

use super::super::template::ParsedText;
use super::*;

fn template(text: &str, names: &[&str]) -> Template {
    let slot = |name: &str| names.iter().position(|known| *known == name);
    Template::verbatim(&ParsedText::parse(text).unwrap(), slot).unwrap()
}

/// An indicator with these templates for `pk` and `sk` of the target, and for the query.
fn indicator(target: [&str; 2], query: &str, prefix: Option<&str>) -> Indicator {
    let names = ["a", "b"].map(str::to_owned);
    let used = ["a", "b"].into_iter().filter(|name| target.concat().contains(&format!("{{{name}}}")));
    let variables = used.map(str::to_owned).collect();
    let template = |text: &str| template(text, &names.each_ref().map(String::as_str));
    Indicator {
        name: "test".to_owned(),
        variables,
        records: Vec::new(),
        target: vec![("pk".to_owned(), template(target[0])), ("sk".to_owned(), template(target[1]))],
        query: IndicatorQuery {
            index: None,
            partition: ("pk".to_owned(), template(query)),
            sort: prefix.map(|prefix| ("sk".to_owned(), template(prefix))),
        },
        attribute: "indicators".to_owned(),
        missing_target: MissingTarget::Skip,
        max_items: 10,
        values: Vec::new(),
    }
}

#[test]
fn a_targets_key_has_the_captured_texts_as_they_are() {
    let one = indicator(["GROUP#{a}", "GROUP"], "GROUP#{a}", Some("FINDING#"));
    let key = one.target_key(&["50%/x#y-z"]).unwrap();
    assert_eq!(key, [("pk", "GROUP#50%/x#y-z"), ("sk", "GROUP")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(one.query_key(&["50%"]), ("GROUP#50%".to_owned(), Some("FINDING#".to_owned())));
    let two = indicator(["T#{a}#G#{b}", "G"], "T#{a}#G#{b}", None);
    assert!(two.target_key(&["x", "y#z"]).is_some());
    // The same key as that of "x" and "y#G#z".
    assert_eq!(two.target_key(&["x#G#y", "z"]), None);
}

#[test]
fn a_key_is_a_targets_only_if_the_templates_give_it() {
    let one = indicator(["GROUP#{a}", "GROUP#{a}"], "GROUP#{a}", Some("FINDING#"));
    let read = |pk: &'static str, sk: &'static str| {
        one.target_variables(move |name| match name {
            "pk" => Some(pk),
            "sk" => Some(sk),
            _ => None,
        })
    };
    assert_eq!(read("GROUP#7", "GROUP#7"), Some(vec!["7".to_owned()]));
    for (pk, sk) in [("GROUP#7", "GROUP#8"), ("GROUP#7", "GROUP"), ("GROUP#", "GROUP#"), ("X", "GROUP#7")] {
        assert_eq!(read(pk, sk), None, "{pk} {sk}");
    }
    assert_eq!(one.target_variables(|name| (name == "pk").then_some("GROUP#7")), None);
}

#[test]
fn a_query_may_find_targets_if_the_literals_allow_it() {
    let cases = [
        (["G#{a}", "G"], "G#{a}", None, true, true),
        (["G#{a}", "G"], "G#{a}", Some("F#"), false, false),
        (["G#{a}", "F#{a}"], "G#{a}", Some("F#"), true, true),
        (["G#{a}", "F"], "G#{a}", Some("F#"), false, false),
        // Not the target itself, but that of another group, as "x#F" has the partition of "x".
        (["G#{a}", "G"], "G#{a}#F", None, false, true),
        (["G#{a}", "G"], "T#{a}", None, false, false),
        (["ALL", "G#{a}"], "ALL", Some("G#{a}"), true, true),
    ];
    for (target, query, prefix, own, any) in cases {
        let indicator = indicator(target, query, prefix);
        assert_eq!(indicator.finds_its_target(), own, "{target:?} {query} {prefix:?}");
        assert_eq!(indicator.may_find_target_of(&indicator), any, "{target:?} {query} {prefix:?}");
    }
}

#[test]
fn targets_are_shared_if_one_key_can_be_that_of_both() {
    let target = |target| indicator(target, "X", None);
    let group = target(["G#{a}", "G"]);
    for (other, shared) in [
        (["G#{b}", "G"], true),
        (["G#7", "G"], true),
        (["{a}", "{b}"], true),
        (["G#{a}", "H"], false),
        (["T#{a}", "G"], false),
    ] {
        assert_eq!(group.may_share_targets(&target(other)), shared, "{other:?}");
    }
}
