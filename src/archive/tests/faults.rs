//! Every way in which a value can miss its type: the code, the path, the words, and never the value.

use super::*;
use crate::record::Code;

fn fault(node: Json, value: Value<'static>) -> Fault {
    let schema = schema_of(node.clone());
    match row(&schema, item([("f", value)])) {
        Err(fault) => fault,
        Ok(row) => panic!("{node}: {row:?}"),
    }
}

fn logical(name: &str, node: &str) -> Json {
    json!({"type": node, "logicalType": name})
}

#[test]
fn a_misfit_says_what_was_expected_and_found() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2});
    let color = json!({"type": "enum", "name": "Color", "symbols": ["RED"]});
    let number = "no integer in range";
    let cases = [
        (json!("string"), Value::Null, "expected string, found NULL".to_owned()),
        (json!("string"), n("1"), "expected string, found N".to_owned()),
        (json!("null"), s(""), "expected null, found S".to_owned()),
        (json!("boolean"), s("true"), "expected boolean, found S".to_owned()),
        (json!("int"), n("2147483648"), format!("expected int, found N that is {number}")),
        (json!("int"), n("1.5"), format!("expected int, found N that is {number}")),
        (json!("long"), n("9223372036854775808"), format!("expected long, found N that is {number}")),
        (json!("long"), n("9E125"), format!("expected long, found N that is {number}")),
        (json!("long"), s("1"), "expected long, found S".to_owned()),
        (json!("float"), n("3.5E38"), "expected float, found N out of range".to_owned()),
        (json!("double"), b(&[1]), "expected double, found B".to_owned()),
        (json!("bytes"), s("AA=="), "expected bytes, found S".to_owned()),
        (
            json!({"type": "fixed", "name": "F", "size": 2}),
            b(&[1]),
            "expected fixed(2), found B of another length".to_owned(),
        ),
        (color.clone(), s("red"), "expected enum Color, found S that is none of its symbols".to_owned()),
        (color, n("0"), "expected enum Color, found N".to_owned()),
        (decimal.clone(), n("0.001"), "expected decimal(4, 2), found N with more fraction digits".to_owned()),
        (decimal.clone(), n("100"), "expected decimal(4, 2), found N with more digits".to_owned()),
        (decimal.clone(), n("1E125"), "expected decimal(4, 2), found N with more digits".to_owned()),
        (decimal, s("1"), "expected decimal(4, 2), found S".to_owned()),
        (logical("uuid", "string"), s("x"), "expected uuid, found S that is no UUID".to_owned()),
        (
            logical("date", "int"),
            s("2026-09-17T00:00:00Z"),
            "expected date, found S that is no date (YYYY-MM-DD)".to_owned(),
        ),
        (logical("date", "int"), s("2026-02-29"), "expected date, found S that is no date (YYYY-MM-DD)".to_owned()),
        (logical("date", "int"), n("1.5"), "expected date, found N that is no day in range".to_owned()),
        (
            logical("time-millis", "int"),
            s("12:34"),
            "expected time-millis, found S that is no time of day (HH:MM:SS)".to_owned(),
        ),
        (
            logical("time-micros", "long"),
            s("12:34:56+01:00"),
            "expected time-micros, found S that is no time of day (HH:MM:SS)".to_owned(),
        ),
        (logical("time-millis", "int"), n("86400000"), "expected time-millis, found N out of range".to_owned()),
        (logical("time-millis", "int"), n("-1"), "expected time-millis, found N out of range".to_owned()),
        (
            logical("timestamp-millis", "long"),
            s("2026-09-17T00:00:00"),
            "expected timestamp-millis, found S that is no RFC 3339 time with an offset".to_owned(),
        ),
        (logical("timestamp-micros", "long"), n("1E125"), "expected timestamp-micros, found N out of range".to_owned()),
        (logical("timestamp-micros", "long"), Value::Bool(true), "expected timestamp-micros, found BOOL".to_owned()),
        (json!({"type": "array", "items": "int"}), m([]), "expected array of (int), found M".to_owned()),
        (json!({"type": "map", "values": "int"}), l([]), "expected map of (int), found L".to_owned()),
        (
            json!(["null", "int", "string"]),
            n("1.5"),
            format!("expected null or int or string, found N that is {number}"),
        ),
        (json!(["null", "int", "string"]), Value::Bool(true), "expected null or int or string, found BOOL".to_owned()),
        (json!(["int", "long"]), n("1.5"), "expected int or long, found N".to_owned()),
        (json!(["int", "string"]), Value::Null, "expected int or string, found NULL".to_owned()),
    ];
    for (node, value, message) in cases {
        assert_eq!(fault(node, value), Fault::new(Code::InvalidValue, "f", message));
    }
}

#[test]
fn a_missing_attribute_is_said_to_be_missing() {
    for (node, expected) in [(json!("string"), "string"), (json!(["int", "string"]), "int or string")] {
        let fault = row(&schema_of(node), item([])).unwrap_err();
        assert_eq!(fault, Fault::new(Code::MissingAttribute, "f", format!("expected {expected}, found nothing")));
    }
}

#[test]
fn the_path_leads_to_the_part_that_is_wrong() {
    let line = json!({"type": "record", "name": "Line", "fields": [{"name": "price", "type": "int", "attribute": "p.amount"}]});
    let lines = json!({"type": "array", "items": line});
    let good = || m([("p", m([("amount", n("1"))]))]);
    let bad = || m([("p", m([("amount", s("1"))]))]);
    let map = json!({"type": "map", "values": ["null", lines]});
    let cases = [
        (lines.clone(), l([good(), good(), good(), bad()]), "f[3].p.amount", "expected int, found S"),
        (lines.clone(), l([m([])]), "f[0].p.amount", "expected int, found nothing"),
        (json!(["null", lines]), l([bad()]), "f[0].p.amount", "expected int, found S"),
        (map, m([("secret", l([])), ("secret2", l([good(), bad()]))]), "f{1}[1].p.amount", "expected int, found S"),
        (json!({"type": "array", "items": "int"}), Value::Ss(vec!["x".into()]), "f[0]", "expected int, found S"),
    ];
    for (node, value, field, message) in cases {
        let fault = fault(node, value);
        assert_eq!((fault.field.as_str(), fault.message.as_str()), (field, message));
    }
}

#[test]
fn a_fault_leaves_the_buffer_as_it_was() {
    let schema = schema(json!([{"name": "a", "type": "string"}, {"name": "b", "type": ["int", "string"]}]));
    let mut out = b"before".to_vec();
    let image = item([("a", s("written before the fault")), ("b", Value::Bool(true))]);
    encode(&schema, &record(), &image, &mut out).unwrap_err();
    assert_eq!(out, b"before");
}

#[test]
fn a_fault_never_shows_the_value() {
    const MARKER: &str = "marker-7c1f";
    let nodes = [
        json!("int"),
        json!("bytes"),
        logical("uuid", "string"),
        logical("date", "int"),
        logical("time-millis", "int"),
        logical("timestamp-micros", "long"),
        json!({"type": "enum", "name": "E", "symbols": ["A"]}),
        json!({"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}),
        json!({"type": "map", "values": "int"}),
        json!({"type": "array", "items": "int"}),
        json!(["null", "int", {"type": "map", "values": "int"}]),
    ];
    let values =
        [s(MARKER), m([(MARKER, s(MARKER))]), l([s(MARKER)]), Value::Ss(vec![MARKER.into()]), m([("x", s(MARKER))])];
    for node in nodes {
        for value in values.clone() {
            let fault = fault(node.clone(), value).to_string();
            assert!(!fault.contains(MARKER), "{fault}");
        }
    }
}

#[test]
fn unions_in_unions_take_no_time_that_doubles_with_each_level() {
    let next =
        |name: &str| json!({"type": "record", "name": name, "fields": [{"name": "next", "type": ["A", "B", "int"]}]});
    let a = json!({"type": "record", "name": "A", "fields": [{"name": "next", "type": ["A", next("B"), "int"]}]});
    let deep = (0..31).fold(s("no int"), |value, _| m([("next", value)]));
    let start = std::time::Instant::now();
    let fault = fault(a, deep);
    assert_eq!(fault.code, Code::InvalidValue);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
