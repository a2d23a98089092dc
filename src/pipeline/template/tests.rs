//! Tests of patterns and templates.

use super::*;
use proptest::prelude::*;

fn captures(pattern: &str, value: &str) -> Option<Vec<String>> {
    let mut count = 0;
    let pattern = Pattern::new(&ParsedText::parse(pattern).unwrap(), |_| {
        count += 1;
        count - 1
    });
    let mut found = vec![String::new(); count];
    pattern.unwrap().matches(value, |slot, text| found[slot] = text.to_owned()).then_some(found)
}

#[test]
fn patterns_capture_the_text_between_their_literals() {
    let cases: &[(&str, &str, Option<&[&str]>)] = &[
        ("ORDER#{order}", "ORDER#7", Some(&["7"])),
        ("ORDER#{order}", "ORDER#7#LINE#1", None),
        ("ORDER#{order}#LINE#{line}", "ORDER#7#LINE#1", Some(&["7", "1"])),
        ("ORDER#{order}", "ORDER#", None),
        ("ORDER#{order}", "order#7", None),
        ("PROFILE", "PROFILE", Some(&[])),
        ("PROFILE", "PROFILES", None),
        ("{ns}/BUCKET#{entity}#{resource}#{shard}", "n-1/BUCKET#a:b#gpt/4#0", Some(&["n-1", "a:b", "gpt/4", "0"])),
        ("{ns}/BUCKET#{entity}#{resource}#{shard}", "n/BUCKET#a#b", None),
        ("b_{limit}_tc", "b_tokens_tc_tc", Some(&["tokens_tc"])),
        ("b_{limit}_tc", "b__tc", None),
        ("{{x}}{y}", "{x}1", Some(&["1"])),
        ("{x}", "é", Some(&["é"])),
    ];
    for (pattern, value, expected) in cases {
        let expected = expected.map(|list| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(captures(pattern, value), expected, "{pattern} on {value}");
    }
}

#[test]
fn only_the_last_variable_keeps_its_punctuation() {
    let slot = |name: &str| Some(usize::from(name == "resource"));
    let template = Template::new(&ParsedText::parse("{space}/RESOURCE#{resource}").unwrap(), slot).unwrap();
    assert_eq!(template.render(|slot| ["a/b", "gpt/4#x"][slot]), "a%2Fb/RESOURCE#gpt/4#x");
    for other in ["a/RESOURCE", "a/RESOURCES#b", "a%2/RESOURCE#b", "RESOURCE#b"] {
        assert_eq!(template.read_back(other), None, "{other}");
    }
}

#[test]
fn invalid_texts_are_errors() {
    for text in ["{a", "a}", "{A}", "{}", "{a b}", "{1}"] {
        assert!(ParsedText::parse(text).is_err(), "{text}");
    }
    assert!(Pattern::new(&ParsedText::parse("{a}{b}").unwrap(), |_| 0).is_err());
}

proptest! {
    #[test]
    fn different_values_never_give_the_same_key(a in "[a#%/]{0,4}", b in "[a#%/]{0,4}", c in "[a#%/]{0,4}", d in "[a#%/]{0,4}") {
        let template = Template::new(&ParsedText::parse("X#{a}#{b}").unwrap(), |name| Some(usize::from(name == "b"))).unwrap();
        let render = |values: [&str; 2]| template.render(|slot| if slot == 0 { values[0] } else { values[1] }.to_owned().leak());
        prop_assert_eq!(render([&a, &b]) == render([&c, &d]), (a, b) == (c, d));
    }

    #[test]
    fn rendered_text_reads_back(
        values in [".{0,4}", "[a#%/é]{0,4}", "[a#%/é]{0,4}"],
        text in prop_oneof!["X#\\{a\\}#\\{b\\}/é\\{c\\}", "\\{a\\}b#\\{b\\}-a/\\{c\\}#z", "\\{a\\}", "x/\\{b\\}y"],
    ) {
        let slot = |name: &str| ["a", "b", "c"].iter().position(|known| *known == name);
        let template = Template::new(&ParsedText::parse(&text).unwrap(), slot).unwrap();
        let rendered = template.render(|slot| values[slot].as_str());
        let expected: Vec<_> = template.slots().map(|slot| (slot, values[slot].clone())).collect();
        prop_assert_eq!(template.read_back(&rendered), Some(expected));
    }

    #[test]
    fn captures_inserted_into_the_pattern_give_the_value(value in "[a-z#/]{0,20}") {
        let text = ParsedText::parse("{a}/x#{b}").unwrap();
        let slot = |name: &str| usize::from(name == "b");
        let mut found = [String::new(), String::new()];
        if Pattern::new(&text, slot).unwrap().matches(&value, |slot, text| found[slot] = text.to_owned()) {
            prop_assert_eq!(format!("{}/x#{}", found[0], found[1]), value);
        }
    }
}

#[test]
fn a_verbatim_template_inserts_values_as_they_are() {
    let slot = |name: &str| Some(usize::from(name == "b"));
    let template = Template::verbatim(&ParsedText::parse("X#{a}#{b}").unwrap(), slot).unwrap();
    assert_eq!(template.render(|slot| ["a%41/b", "c#d"][slot]), "X#a%41/b#c#d");
    let expected = vec![(0, "a%41/b".to_owned()), (1, "c#d".to_owned())];
    assert_eq!(template.read_back("X#a%41/b#c#d"), Some(expected));
}
