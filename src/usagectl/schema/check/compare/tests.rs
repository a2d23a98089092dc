//! Each kind of change, checked against the Avro library's own compatibility check.

use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::{Value, json};

use super::*;

fn schema(field: &Value) -> Schema {
    let fields = if field.is_null() { vec![] } else { vec![field] };
    Schema::parse(&json!({ "type": "record", "name": "Row", "fields": fields })).unwrap()
}

fn field(node: Value) -> Value {
    json!({ "name": "a", "type": node })
}

fn with_default(node: Value, default: Value) -> Value {
    json!({ "name": "a", "type": node, "default": default })
}

fn symbols(names: &[&str]) -> Value {
    json!({ "type": "enum", "name": "E", "symbols": names })
}

#[test]
fn each_change_has_its_verdict_and_avro_agrees() {
    let inner = |fields: Value| field(json!({ "type": "record", "name": "Inner", "fields": fields }));
    let safe = Verdict::Safe;
    let not = Verdict::Unsafe;
    let cases = [
        ("added with a default", Value::Null, with_default(json!("int"), json!(1)), safe),
        ("added without", Value::Null, field(json!("int")), not),
        ("removed with a default", with_default(json!("int"), json!(1)), Value::Null, safe),
        ("removed without", field(json!("int")), Value::Null, not),
        ("promoted", field(json!("int")), field(json!("long")), not),
        ("another type", field(json!("int")), field(json!("string")), not),
        ("made nullable", field(json!("int")), field(json!(["null", "int"])), not),
        ("no longer nullable", field(json!(["null", "int"])), field(json!("int")), not),
        ("branch added", field(json!(["null", "int"])), field(json!(["null", "int", "string"])), not),
        ("branch removed", field(json!(["null", "int"])), field(json!(["int"])), not),
        ("branches in another order", field(json!(["null", "int"])), field(json!(["int", "null"])), safe),
        ("symbol added", field(symbols(&["A"])), field(symbols(&["A", "B"])), not),
        ("symbol removed", field(symbols(&["A", "B"])), field(symbols(&["A"])), not),
        ("symbols in another order", field(symbols(&["A", "B"])), field(symbols(&["B", "A"])), safe),
        (
            "an inner field with a default",
            inner(json!([{ "name": "x", "type": "int" }])),
            inner(json!([{ "name": "x", "type": "int" }, { "name": "y", "type": "int", "default": 0 }])),
            safe,
        ),
        (
            "items of another type",
            field(json!({ "type": "array", "items": "int" })),
            field(json!({ "type": "array", "items": "bytes" })),
            not,
        ),
        (
            "a decimal of another scale",
            field(json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 })),
            field(json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3 })),
            not,
        ),
    ];
    for (what, old, new, verdict) in cases {
        let (old, new) = (schema(&old), schema(&new));
        let findings = compare(&old, &new);
        let worst = findings.iter().any(|finding| finding.verdict == Verdict::Unsafe);
        assert_eq!(worst, verdict == Verdict::Unsafe, "{what}: {findings:?}");
        let avro = SchemaCompatibility::mutual_read(&old, &new);
        assert_eq!(matches!(avro, Ok(Compatibility::Full)), verdict == Verdict::Safe, "{what}: {avro:?}");
    }
}

#[test]
fn changes_of_meaning_are_reported_too() {
    let old = with_default(json!({ "type": "long", "logicalType": "timestamp-millis" }), json!(0));
    let mut other_source = old.clone();
    other_source["attribute"] = json!("b");
    let other_default = with_default(json!({ "type": "long", "logicalType": "timestamp-millis" }), json!(1));
    let micros = with_default(json!({ "type": "long", "logicalType": "timestamp-micros" }), json!(0));
    let verdicts = |new: &Value| -> Vec<(Verdict, String)> {
        compare(&schema(&old), &schema(new)).into_iter().map(|finding| (finding.verdict, finding.change)).collect()
    };
    assert_eq!(verdicts(&other_source), [(Verdict::Unsafe, "`attribute` changed".to_owned())]);
    assert_eq!(verdicts(&other_default), [(Verdict::Safe, "default changed".to_owned())]);
    assert_eq!(verdicts(&micros), [(Verdict::Unsafe, "timestamp-millis becomes timestamp-micros".to_owned())]);
    assert_eq!(verdicts(&old), []);
}

#[test]
fn a_recursive_type_is_compared_once() {
    let node = |kind: &str| {
        field(json!({ "type": "record", "name": "Node", "fields": [
            { "name": "value", "type": kind },
            { "name": "next", "type": ["null", "Node"] },
        ] }))
    };
    let findings = compare(&schema(&node("int")), &schema(&node("string")));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].path, "a.value");
}

#[test]
fn a_type_stored_in_another_encoding_is_unsafe_both_ways() {
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 });
    let in_fixed =
        json!({ "type": "fixed", "name": "Money", "size": 8, "logicalType": "decimal", "precision": 10, "scale": 2 });
    let uuid = json!({ "type": "string", "logicalType": "uuid" });
    let uuid_in_fixed = json!({ "type": "fixed", "name": "Uuid", "size": 16, "logicalType": "uuid" });
    for (one, other) in [(decimal, in_fixed), (uuid, uuid_in_fixed)] {
        for (one, other) in [(&one, &other), (&other, &one)] {
            let wraps = |node: &Value| [node.clone(), json!({ "type": "array", "items": node }), json!(["null", node])];
            for (one, other) in wraps(one).into_iter().zip(wraps(other)) {
                let findings = compare(&schema(&field(one.clone())), &schema(&field(other.clone())));
                assert!(
                    findings.iter().any(|finding| finding.verdict == Verdict::Unsafe),
                    "{one} {other}: {findings:?}"
                );
            }
        }
    }
}

#[test]
fn a_column_keeps_its_meaning_if_a_default_is_written_out() {
    let millis = json!({ "type": "long", "logicalType": "timestamp-millis" });
    let days = json!({ "type": "int", "logicalType": "date" });
    let plain = |node: &Value| json!({ "name": "a", "type": node });
    let with = |node: &Value, key: &str, value: &str| {
        let mut field = plain(node);
        field[key] = json!(value);
        field
    };
    let text = json!("string");
    let cases = [
        (plain(&text), with(&text, "attribute", "a"), None),
        (plain(&millis), with(&millis, "unit", "milliseconds"), None),
        (plain(&text), with(&text, "attribute", "b"), Some("`attribute` changed")),
        (plain(&text), with(&text, "as", "json"), Some("`as` changed")),
        (plain(&text), with(&text, "source", "event_id"), Some("`source` changed")),
        (plain(&millis), with(&millis, "unit", "seconds"), Some("`unit` changed")),
        (plain(&days), with(&days, "unit", "seconds"), Some("`unit` changed")),
    ];
    for (old, new, change) in cases {
        for (old, new) in [(&old, &new), (&new, &old)] {
            let found: Vec<String> =
                compare(&schema(old), &schema(new)).into_iter().map(|finding| finding.change).collect();
            assert_eq!(found, Vec::from_iter(change.map(str::to_owned)), "{old} {new}");
        }
    }
}

#[test]
fn a_renamed_field_keeps_its_values_by_an_alias() {
    let named = |name: &str, default: bool| {
        let mut field = json!({ "name": name, "type": ["null", "string"], "attribute": "a" });
        if default {
            field["default"] = Value::Null;
        }
        field
    };
    let aliased = |mut field: Value, alias: &str| {
        field["aliases"] = json!([alias]);
        field
    };
    let cases = [
        ("an alias", named("a", true), aliased(named("b", true), "a"), Verdict::Safe, "a renamed to b"),
        ("no default", named("a", false), aliased(named("b", false), "a"), Verdict::Unsafe, "a renamed to b"),
        ("another case", named("a", true), named("A", true), Verdict::Unsafe, "a renamed to A"),
        ("case and alias", named("a", true), aliased(named("A", true), "a"), Verdict::Safe, "a renamed to A"),
        ("without the alias", aliased(named("b", true), "a"), named("b", true), Verdict::Unsafe, "b alias a removed"),
    ];
    for (what, old, new, verdict, change) in cases {
        let findings = compare(&schema(&old), &schema(&new));
        let found: Vec<_> = findings.iter().map(|it| (it.verdict, format!("{} {}", it.path, it.change))).collect();
        assert_eq!(found, [(verdict, change.to_owned())], "{what}: {findings:?}");
    }
}

#[test]
fn regression_a_renamed_field_inside_a_record_is_unsafe() {
    let record = |inner: Value| json!({ "type": "record", "name": "Inner", "fields": [inner] });
    let wraps = |node: Value| [node.clone(), json!({ "type": "array", "items": node }), json!(["null", node])];
    let old = json!({ "name": "x", "type": "int", "default": 0 });
    let new = json!({ "name": "y", "type": "int", "default": 0, "aliases": ["x"], "attribute": "x" });
    for (old, new) in wraps(record(old)).into_iter().zip(wraps(record(new))) {
        let findings = compare(&schema(&field(old)), &schema(&field(new)));
        let found: Vec<_> = findings.iter().map(|it| (it.verdict, it.path.as_str(), it.change.as_str())).collect();
        assert_eq!(found, [(Verdict::Unsafe, "a.x", "renamed to y")], "{findings:?}");
        assert!(findings[0].reason.contains("compacted rows would lose the values"), "{findings:?}");
    }
}

#[test]
fn regression_an_alias_that_becomes_the_name_of_another_field_is_unsafe() {
    let text = |name: &str| json!({ "name": name, "type": "string", "default": "" });
    let renamed = json!({ "name": "b", "type": "string", "default": "", "aliases": ["A"] });
    let schema = |fields: Value| Schema::parse(&json!({ "type": "record", "name": "Row", "fields": fields })).unwrap();
    let (old, new) = (schema(json!([renamed])), schema(json!([renamed, text("a")])));
    let findings = compare(&old, &new);
    let found: Vec<_> = findings.iter().map(|it| (it.verdict, format!("{}: {}", it.path, it.change))).collect();
    assert_eq!(
        found,
        [(Verdict::Safe, "a: added".to_owned()), (Verdict::Unsafe, "b: alias A is another field".to_owned())]
    );
    // It stays so, which is nothing new.
    assert_eq!(compare(&new, &new), []);
}
