//! Every way in which a value can fail to fit its type. Faults have a code, a path and a message, and never contain the
//! value.

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
fn a_mismatch_says_what_was_expected_and_found() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2});
    let color = json!({"type": "enum", "name": "Color", "symbols": ["RED"]});
    let fixed = json!({"type": "fixed", "name": "F", "size": 2});
    let union = json!(["null", "int", "string"]);
    let (date, millis, micros) =
        (logical("date", "int"), logical("time-millis", "int"), logical("time-micros", "long"));
    let instant = |unit: &str| logical(&format!("timestamp-{unit}"), "long");
    let cases = [
        (json!("string"), Value::Null, "string, found NULL"),
        (json!("string"), n("1"), "string, found N"),
        (json!("null"), s(""), "null, found S"),
        (json!("boolean"), s("true"), "boolean, found S"),
        (json!("int"), n("2147483648"), "int, found N that isn't an integer in range"),
        (json!("int"), n("1.5"), "int, found N that isn't an integer in range"),
        (json!("long"), n("9223372036854775808"), "long, found N that isn't an integer in range"),
        (json!("long"), n("9E125"), "long, found N that isn't an integer in range"),
        (json!("long"), s("1"), "long, found S"),
        (json!("float"), n("3.5E38"), "float, found N out of range"),
        (json!("double"), b(&[1]), "double, found B"),
        (json!("bytes"), s("AA=="), "bytes, found S"),
        (fixed, b(&[1]), "fixed(2), found B of a different length"),
        (color.clone(), s("red"), "enum Color, found S that isn't one of its symbols"),
        (color, n("0"), "enum Color, found N"),
        (decimal.clone(), n("0.001"), "decimal(4, 2), found N with too many fraction digits"),
        (decimal.clone(), n("100"), "decimal(4, 2), found N with too many digits"),
        (decimal.clone(), n("1E125"), "decimal(4, 2), found N with too many digits"),
        (decimal, s("1"), "decimal(4, 2), found S"),
        (logical("uuid", "string"), s("x"), "uuid, found S that isn't a UUID"),
        (date.clone(), s("2026-09-17T00:00:00Z"), "date, found S that isn't a date (YYYY-MM-DD)"),
        (date.clone(), s("2026-02-29"), "date, found S that isn't a date (YYYY-MM-DD)"),
        (date, n("1.5"), "date, found N that isn't a day in range"),
        (millis.clone(), s("12:34:5"), "time-millis, found S that isn't a time of day (HH:MM or HH:MM:SS)"),
        (millis.clone(), s("12:345"), "time-millis, found S that isn't a time of day (HH:MM or HH:MM:SS)"),
        (micros, s("12:34:56+01:00"), "time-micros, found S that isn't a time of day (HH:MM or HH:MM:SS)"),
        (millis.clone(), n("86400000"), "time-millis, found N out of range"),
        (millis, n("-1"), "time-millis, found N out of range"),
        (
            instant("millis"),
            s("2026-09-17T00:00:00"),
            "timestamp-millis, found S that isn't an RFC 3339 time with an offset",
        ),
        (instant("micros"), n("1E125"), "timestamp-micros, found N out of range"),
        (instant("micros"), Value::Bool(true), "timestamp-micros, found BOOL"),
        (json!({"type": "array", "items": "int"}), m([]), "array of (int), found M"),
        (json!({"type": "map", "values": "int"}), l([]), "map of (int), found L"),
        (union.clone(), n("1.5"), "null or int or string, found N that isn't an integer in range"),
        (union, Value::Bool(true), "null or int or string, found BOOL"),
        (json!(["int", "long"]), n("1.5"), "int or long, found N"),
        (json!(["int", "string"]), Value::Null, "int or string, found NULL"),
    ];
    for (node, value, message) in cases {
        assert_eq!(fault(node, value), Fault::new(Code::InvalidValue, "f", format!("expected {message}")));
    }
}

#[test]
fn a_missing_attribute_is_reported_as_missing() {
    for (node, expected) in [(json!("string"), "string"), (json!(["int", "string"]), "int or string")] {
        let fault = row(&schema_of(node), item([])).unwrap_err();
        assert_eq!(fault, Fault::new(Code::MissingAttribute, "f", format!("expected {expected}, found nothing")));
    }
}

#[test]
fn the_path_leads_to_the_part_that_does_not_fit() {
    let line = json!({"type": "record", "name": "Line", "fields": [
        {"name": "price", "type": "int", "attribute": "p.amount"},
    ]});
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
fn a_fault_leaves_the_buffer_unchanged() {
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
fn nested_unions_do_not_take_exponential_time() {
    let next =
        |name: &str| json!({"type": "record", "name": name, "fields": [{"name": "next", "type": ["A", "B", "int"]}]});
    let a = json!({"type": "record", "name": "A", "fields": [{"name": "next", "type": ["A", next("B"), "int"]}]});
    let deep = (0..31).fold(s("not an int"), |value, _| m([("next", value)]));
    let fault = fault(a, deep);
    assert_eq!(fault.message, "expected record A or record B or int, found a value that partly fits too many branches");
}
