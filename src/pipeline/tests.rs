//! Which records match which route, and what is captured from their attributes. Items are written as plain JSON.

use super::*;
use crate::decode::attribute::plain_item;
use crate::record::{Fault, Image, Item};

fn pipeline(records: &str) -> Pipeline {
    let text = format!(
        "[snapshot]\npartition_key = {{ name = \"pk\", value = \"{{entity}}\" }}\nsort_key = {{ name = \"sk\", value = \"{{resource}}#{{window_key}}\" }}\n{records}"
    );
    let files = [("pipeline.toml".to_owned(), text)].into();
    Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn item(json: &str) -> Item<'_> {
    plain_item(json).unwrap()
}

/// The record type that an item matches, or why it matches none.
fn routed<'p>(pipeline: &'p Pipeline, keys: &str, image: &str) -> &'p str {
    let image = if image.is_empty() { Image::NotCarried } else { Image::Carried(item(image)) };
    match pipeline.route(&item(keys), &image) {
        Routed::To(route, _) => &route.record_type,
        Routed::Nowhere => "nowhere",
        Routed::NeedsImage(_) => "needs the image",
    }
}

#[test]
fn the_first_matching_route_wins() {
    let pipeline = pipeline(
        r##"
        [[record]]
        type = "special"
        match = { pk = "A#{a}", kind = "special" }
        [[record]]
        type = "key_only"
        match = { pk = "A#{a}" }
        [[record]]
        type = "line"
        match = { pk = "A#{a}#LINE#{b}" }
        "##,
    );
    let cases = [
        (r#"{"pk":"A#1"}"#, r#"{"kind":"special"}"#, "special"),
        (r#"{"pk":"A#1"}"#, r#"{"kind":"other"}"#, "key_only"),
        (r#"{"pk":"A#1"}"#, r#"{"kind":true}"#, "key_only"),
        (r#"{"pk":"A#1"}"#, "{}", "key_only"),
        (r#"{"pk":"A#1"}"#, "", "needs the image"),
        (r#"{"pk":"A#1#LINE#2"}"#, "", "line"),
        (r#"{"pk":"A#"}"#, "{}", "nowhere"),
        (r#"{"pk":"B#1"}"#, "", "nowhere"),
        (r#"{"pk":["A#1"]}"#, "{}", "nowhere"),
        (r#"{"id":1}"#, r#"{"pk":"A#1"}"#, "key_only"),
    ];
    for (keys, image, expected) in cases {
        assert_eq!(routed(&pipeline, keys, image), expected, "{keys} {image}");
    }
}

#[test]
fn a_match_may_compare_strings_numbers_booleans_and_paths() {
    let cases = [
        (r#"n = "7""#, r#"{"n":"7"}"#, true),
        (r#"n = "7""#, r#"{"n":7.0}"#, false),
        (r#"n = "{x}""#, r#"{"n":7.50}"#, true),
        (r#"n = "7""#, r#"{"n":true}"#, false),
        ("n = 7", r#"{"n":7}"#, true),
        ("n = 7", r#"{"n":7.00}"#, true),
        ("n = 7.5", r#"{"n":75e-1}"#, true),
        ("n = 1_000", r#"{"n":1000}"#, true),
        ("n = 7", r#"{"n":"7"}"#, false),
        ("n = 7", "{}", false),
        ("b = true", r#"{"b":true}"#, true),
        ("b = true", r#"{"b":false}"#, false),
        ("b = false", r#"{"b":null}"#, false),
        (r#""m.x" = 1"#, r#"{"m":{"x":1}}"#, true),
        (r#""m.x" = 1"#, r#"{"m.x":1,"m":{"x":2}}"#, true),
        (r#""m.x" = 1"#, r#"{"m":[1]}"#, false),
    ];
    for (condition, image, matches) in cases {
        let pipeline = pipeline(&format!("[[record]]\ntype = \"r\"\nmatch = {{ {condition} }}"));
        assert_eq!(routed(&pipeline, "{}", image) == "r", matches, "{condition} {image}");
    }
}

/// A number took the first one, and the second one was never reached, without a mistake.
#[test]
fn regression_a_text_without_captures_matches_no_number() {
    let types = r#"
        [[record]]
        type = "text"
        match = { version = "1" }
        [[record]]
        type = "number"
        match = { version = 1 }
        [[record]]
        type = "any"
        match = { version = "{any}" }
        "#;
    let pipeline = pipeline(types);
    for (image, expected) in
        [(r#"{"version":"1"}"#, "text"), (r#"{"version":1}"#, "number"), (r#"{"version":2}"#, "any")]
    {
        assert_eq!(routed(&pipeline, "{}", image), expected, "{image}");
    }
    let texts = types.replace("version = 1 }", "version = \"2\", kind = true }").replace("{any}", "v{any}");
    let texts = self::pipeline(&texts);
    let image = Image::Carried(item(r#"{"version":1}"#));
    let mismatch = texts.nearest(&item("{}"), &image).unwrap();
    assert_eq!((mismatch.expected.as_str(), mismatch.found.as_deref()), ("1", Some("the number 1")));
}

#[test]
fn where_tests_a_value_a_list_its_negation_or_existence() {
    let cases = [
        (r#"s = "A""#, r#"{"s":"A"}"#, true),
        (r#"s = "A""#, r#"{"s":"AB"}"#, false),
        (r#"s = "{x}""#, r#"{"s":"A"}"#, false),
        (r#"s = "{x}""#, r#"{"s":"{x}"}"#, true),
        (r#"s = "A""#, "{}", false),
        (r#"s = ["A", 1, true]"#, r#"{"s":"A"}"#, true),
        (r#"s = ["A", 1, true]"#, r#"{"s":1.0}"#, true),
        (r#"s = ["A", 1, true]"#, r#"{"s":true}"#, true),
        (r#"s = ["A", 1, true]"#, r#"{"s":"1"}"#, false),
        (r#"s = { not = ["A"] }"#, r#"{"s":"A"}"#, false),
        (r#"s = { not = "A" }"#, r#"{"s":"A"}"#, false),
        (r#"s = { not = ["A"] }"#, r#"{"s":"B"}"#, true),
        (r#"s = { not = ["A"] }"#, "{}", true),
        ("s = { exists = true }", r#"{"s":null}"#, false),
        ("s = { exists = true }", "{}", false),
        ("s = { exists = false }", r#"{"s":null}"#, true),
        ("s = { exists = false }", "{}", true),
        (r#"s = "A", t = "B""#, r#"{"s":"A","t":"C"}"#, false),
        (r#""m.s" = "A""#, r#"{"m":{"s":"A"}}"#, true),
    ];
    for (condition, image, holds) in cases {
        let pipeline = pipeline(&format!("[[record]]\ntype = \"r\"\nmatch = {{ k = 1 }}\nwhere = {{ {condition} }}"));
        assert_eq!(routed(&pipeline, r#"{"k":1}"#, image) == "r", holds, "{condition} {image}");
        assert_eq!(routed(&pipeline, r#"{"k":1}"#, ""), "needs the image");
    }
}

#[test]
fn a_bound_attribute_must_exist_and_be_a_string_or_number() {
    let pipeline = pipeline("[[record]]\ntype = \"r\"\nmatch = { k = \"{key}\" }\nbind = { who = \"user.name\" }");
    let bound = |image: &str| -> Result<String, String> {
        let (keys, image) = (item(r#"{"k":1}"#), item(image));
        let carried = Image::Carried(image.clone());
        let Routed::To(route, mut bindings) = pipeline.route(&keys, &carried) else { panic!("no route") };
        route.bind(&mut bindings, &image).map_err(|fault: Fault| fault.to_string())?;
        Ok(format!("{} {}", bindings.value(0), bindings.value(1)))
    };
    let cases = [
        (r#"{"user":{"name":"ada"}}"#, Ok("1 ada")),
        (r#"{"user.name":7.50}"#, Ok("1 7.5")),
        (r#"{"user":{"name":""}}"#, Err("invalid_value: user.name: is empty, so it can't be part of a key")),
        (r#"{"user":{"name":true}}"#, Err("invalid_value: user.name: expected S or N, found BOOL")),
        (r#"{"user":"SECRET"}"#, Err("missing_attribute: user.name: is missing, but record type `r` needs it")),
    ];
    for (image, expected) in cases {
        assert_eq!(bound(image).as_ref().map(String::as_str).map_err(String::as_str), expected, "{image}");
    }
}
