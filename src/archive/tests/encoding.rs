//! Every type and logical type is encoded and read back.

use std::str::FromStr;

use super::*;

fn logical(name: &str, node: &str) -> Json {
    json!({"type": node, "logicalType": name})
}

#[test]
fn every_primitive_type_reads_back() {
    let cases = [
        ("null", Value::Null, Avro::Null),
        ("boolean", Value::Bool(true), Avro::Boolean(true)),
        ("boolean", Value::Bool(false), Avro::Boolean(false)),
        ("int", n("-2147483648"), Avro::Int(i32::MIN)),
        ("int", n("2147483647.0"), Avro::Int(i32::MAX)),
        ("long", n("9007199254740993"), Avro::Long(9_007_199_254_740_993)),
        ("long", n("-9223372036854775808"), Avro::Long(i64::MIN)),
        ("long", n("1E18"), Avro::Long(1_000_000_000_000_000_000)),
        ("float", n("0.1"), Avro::Float(0.1)),
        // Converting through a double would give 1.0000001.
        ("float", n("1.00000005960464477540"), Avro::Float(1.000_000_1)),
        ("float", n("1E-130"), Avro::Float(0.0)),
        ("double", n("0.1"), Avro::Double(0.1)),
        ("double", n("9.9E125"), Avro::Double(9.9e125)),
        ("bytes", b(&[0, 255, 128]), Avro::Bytes(vec![0, 255, 128])),
        ("bytes", b(&[]), Avro::Bytes(vec![])),
        ("string", s("ä\0\n\u{202e}"), Avro::String("ä\0\n\u{202e}".into())),
        ("string", s(""), Avro::String(String::new())),
    ];
    for (node, value, expected) in cases {
        assert_eq!(read_back(&json!(node), value), expected, "{node}");
    }
}

#[test]
fn every_complex_type_reads_back() {
    let long = json!("long");
    let array = |items: &str| json!({"type": "array", "items": items});
    let point = json!({"type": "record", "name": "Point", "fields": [
        {"name": "x", "type": "int"},
        {"name": "y", "type": "int"},
    ]});
    let strings = |texts: [&str; 2]| Avro::Array(texts.map(|text| Avro::String(text.into())).into());
    let cases = [
        (json!({"type": "fixed", "name": "F", "size": 3}), b(&[1, 2, 3]), Avro::Fixed(3, vec![1, 2, 3])),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), s("B"), Avro::Enum(1, "B".into())),
        (array("long"), l([n("1"), n("-2")]), Avro::Array(vec![Avro::Long(1), Avro::Long(-2)])),
        (array("long"), l([]), Avro::Array(vec![])),
        (array("string"), Value::Ss(vec!["a".into(), "b".into()]), strings(["a", "b"])),
        (array("int"), Value::Ns(vec![Decimal::from(7)]), Avro::Array(vec![Avro::Int(7)])),
        (array("bytes"), Value::Bs(vec![vec![9]]), Avro::Array(vec![Avro::Bytes(vec![9])])),
        (
            json!({"type": "map", "values": long}),
            m([("a", n("1")), ("", n("2"))]),
            Avro::Map([("a".to_owned(), Avro::Long(1)), (String::new(), Avro::Long(2))].into()),
        ),
        (json!({"type": "map", "values": long}), m([]), Avro::Map([].into())),
        (
            point,
            m([("y", n("2")), ("other", Value::Null), ("x", n("1"))]),
            Avro::Record(vec![("x".into(), Avro::Int(1)), ("y".into(), Avro::Int(2))]),
        ),
        (json!({"type": {"type": "string"}}), s("a"), Avro::String("a".into())),
    ];
    for (node, value, expected) in cases {
        assert_eq!(read_back(&node, value), expected, "{node}");
    }
}

#[test]
fn every_logical_type_reads_back() {
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let fixed_uuid = json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"});
    let parsed = apache_avro::Uuid::from_str(uuid).unwrap();
    let day = 20_713;
    let noon = (12 * 60 + 34) * 60 + 56;
    let cases = [
        (logical("uuid", "string"), s(uuid), Avro::Uuid(parsed)),
        (logical("uuid", "string"), s(&uuid.to_uppercase()), Avro::Uuid(parsed)),
        (fixed_uuid, s(&uuid.replace('-', "")), Avro::Uuid(parsed)),
        (logical("date", "int"), s("2026-09-17"), Avro::Date(day)),
        (logical("date", "int"), s("0001-01-01"), Avro::Date(-719_162)),
        (logical("date", "int"), n("20713"), Avro::Date(day)),
        (logical("time-millis", "int"), s("12:34:56.7899"), Avro::TimeMillis(noon * 1_000 + 789)),
        (logical("time-millis", "int"), s("09:30"), Avro::TimeMillis((9 * 60 + 30) * 60_000)),
        (logical("time-millis", "int"), n("86399999"), Avro::TimeMillis(86_399_999)),
        (logical("time-micros", "long"), s("12:34:56"), Avro::TimeMicros(i64::from(noon) * 1_000_000)),
        (logical("time-micros", "long"), n("1"), Avro::TimeMicros(1)),
        (logical("timestamp-millis", "long"), s("2026-09-17T13:27:40.5Z"), Avro::TimestampMillis(1_789_651_660_500)),
        (logical("timestamp-millis", "long"), s("1969-12-31T23:59:59.9999Z"), Avro::TimestampMillis(-1)),
        (logical("timestamp-millis", "long"), n("-1"), Avro::TimestampMillis(-1)),
        (logical("timestamp-millis", "long"), n("-0.5"), Avro::TimestampMillis(-1)),
        (
            logical("timestamp-micros", "long"),
            s("2026-09-17T15:27:40+02:00"),
            Avro::TimestampMicros(1_789_651_660_000_000),
        ),
        (logical("timestamp-micros", "long"), n("1789651660000001"), Avro::TimestampMicros(1_789_651_660_000_001)),
    ];
    for (node, value, expected) in cases {
        assert_eq!(read_back(&node, value), expected, "{node}");
    }
}

#[test]
fn numbers_are_read_in_the_unit_of_their_field() {
    let cases = [
        (logical("timestamp-micros", "long"), "seconds", "1789651660.25", Avro::TimestampMicros(1_789_651_660_250_000)),
        (logical("timestamp-micros", "long"), "milliseconds", "1.5", Avro::TimestampMicros(1_500)),
        (logical("timestamp-millis", "long"), "microseconds", "1999", Avro::TimestampMillis(1)),
        (logical("timestamp-millis", "long"), "seconds", "4102444800", Avro::TimestampMillis(4_102_444_800_000)),
        (logical("date", "int"), "seconds", "1789651660", Avro::Date(20_713)),
        (logical("date", "int"), "milliseconds", "-1", Avro::Date(-1)),
        (logical("time-millis", "int"), "seconds", "1.5", Avro::TimeMillis(1_500)),
        (logical("time-micros", "long"), "milliseconds", "1.5", Avro::TimeMicros(1_500)),
    ];
    for (node, unit, number, expected) in cases {
        let schema = schema(json!([{"name": "f", "type": ["null", node], "unit": unit}]));
        let expected = Avro::Union(1, Box::new(expected));
        assert_eq!(row(&schema, item([("f", n(number))])).unwrap(), [expected], "{unit} {number}");
    }
}

#[test]
fn decimals_are_exact_in_bytes_and_fixed() {
    let node = |base: Json, precision: u32, scale: u32| {
        let mut node = base;
        node["logicalType"] = json!("decimal");
        node["precision"] = json!(precision);
        node["scale"] = json!(scale);
        node
    };
    let bytes = || json!({"type": "bytes"});
    let fixed = |size: usize| json!({"type": "fixed", "name": "D", "size": size});
    let nines = "9".repeat(38);
    let cases = [
        (node(bytes(), 9, 2), "0", 0),
        (node(bytes(), 9, 2), "1.27", 127),
        (node(bytes(), 9, 2), "1.28", 128),
        (node(bytes(), 9, 2), "-1.28", -128),
        (node(bytes(), 9, 2), "-1.29", -129),
        (node(bytes(), 9, 2), "9999999.99", 999_999_999),
        (node(bytes(), 38, 0), nines.as_str(), nines.parse().unwrap()),
        (node(fixed(4), 9, 2), "-0.01", -1),
        (node(fixed(16), 38, 0), nines.as_str(), nines.parse().unwrap()),
        (node(fixed(20), 38, 3), "-5", -5_000),
    ];
    for (node, number, expected) in cases {
        let Avro::Decimal(decimal) = read_back(&node, n(number)) else { panic!("{node}") };
        let bytes = <Vec<u8>>::try_from(&decimal).unwrap();
        let sign = if bytes[0] >= 0x80 { -1 } else { 0 };
        let units = bytes.iter().fold(sign, |units: i128, byte| (units << 8) | i128::from(*byte));
        assert_eq!(units, expected, "{node} {number}");
        let shortest =
            (1..=16).find(|size| *size == 16 || (-1_i128 << (8 * size - 1)..1 << (8 * size - 1)).contains(&expected));
        assert_eq!(
            bytes.len(),
            node["size"].as_u64().map_or(shortest.unwrap(), |size| size.try_into().unwrap()),
            "{number}"
        );
    }
}

#[test]
fn a_union_takes_the_first_branch_that_fits() {
    let branch = |index, value| Avro::Union(index, Box::new(value));
    let a =
        json!({"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int"}]});
    let b = json!({"type": "record", "name": "B", "fields": [{"name": "x", "type": "int"}]});
    let union = json!(["null", "int", "double", "string", a, b]);
    let cases = [
        (Value::Null, branch(0, Avro::Null)),
        (n("1"), branch(1, Avro::Int(1))),
        (n("2147483648"), branch(2, Avro::Double(2_147_483_648.0))),
        (s("1"), branch(3, Avro::String("1".into()))),
        (m([("x", n("1"))]), branch(5, Avro::Record(vec![("x".into(), Avro::Int(1))]))),
        (
            m([("x", n("1")), ("y", n("2"))]),
            branch(4, Avro::Record(vec![("x".into(), Avro::Int(1)), ("y".into(), Avro::Int(2))])),
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(read_back(&union, value), expected);
    }
    let missing = row(&schema_of(json!(["string", "null"])), item([])).unwrap();
    assert_eq!(missing, [branch(1, Avro::Null)]);
}

#[test]
fn a_record_type_can_contain_itself() {
    let node = json!({"type": "record", "name": "Node", "namespace": "a.b", "fields": [
        {"name": "value", "type": "int"},
        {"name": "next", "type": ["null", "Node"]},
        {"name": "children", "type": {"type": "array", "items": "a.b.Node"}, "default": []},
    ]});
    let value = m([("value", n("1")), ("next", m([("value", n("2"))])), ("children", l([m([("value", n("3"))])]))]);
    let expected = |value, next, children| {
        let next = match next {
            Some(next) => Avro::Union(1, Box::new(next)),
            None => Avro::Union(0, Box::new(Avro::Null)),
        };
        Avro::Record(vec![
            ("value".into(), Avro::Int(value)),
            ("next".into(), next),
            ("children".into(), Avro::Array(children)),
        ])
    };
    assert_eq!(read_back(&node, value), expected(1, Some(expected(2, None, vec![])), vec![expected(3, None, vec![])]));
}

#[test]
fn attributes_are_found_by_field_name_by_attribute_and_inside_maps() {
    let schema = schema(json!([
        {"name": "a", "type": "int"},
        {"name": "b", "type": "int", "attribute": "other-name"},
        {"name": "c", "type": "int", "attribute": "outer.inner"},
        {"name": "d", "type": "int", "attribute": "with.dot"},
    ]));
    let image = item([("other-name", n("2")), ("outer", m([("inner", n("3"))])), ("with.dot", n("4")), ("a", n("1"))]);
    assert_eq!(row(&schema, image).unwrap(), [1, 2, 3, 4].map(Avro::Int));
}

#[test]
fn a_missing_attribute_gets_the_default() {
    let string = |text: &str| Avro::String(text.into());
    let inner = json!({"type": "record", "name": "R", "fields": [
        {"name": "x", "type": "int"},
        {"name": "y", "type": "int", "default": 5},
    ]});
    let cases = [
        (json!("string"), json!("a"), string("a")),
        (json!("int"), json!(-3), Avro::Int(-3)),
        (json!("long"), json!(3_000_000_000_i64), Avro::Long(3_000_000_000)),
        (json!("float"), json!(0.1), Avro::Float(0.1)),
        (json!("double"), json!(1), Avro::Double(1.0)),
        (json!("boolean"), json!(true), Avro::Boolean(true)),
        (json!("bytes"), json!("\u{ff}a"), Avro::Bytes(vec![0xff, b'a'])),
        (json!(["null", "string"]), json!(null), Avro::Union(0, Box::new(Avro::Null))),
        (json!(["string", "null"]), json!("a"), Avro::Union(0, Box::new(string("a")))),
        (json!(["null", "string"]), json!("a"), Avro::Union(1, Box::new(string("a")))),
        (json!({"type": "array", "items": "int"}), json!([1]), Avro::Array(vec![Avro::Int(1)])),
        (
            json!({"type": "map", "values": "int"}),
            json!({"b": 1, "a": 2}),
            Avro::Map([("a".to_owned(), Avro::Int(2)), ("b".to_owned(), Avro::Int(1))].into()),
        ),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), json!("B"), Avro::Enum(1, "B".into())),
        (logical("date", "int"), json!(7), Avro::Date(7)),
        (logical("timestamp-micros", "long"), json!(7), Avro::TimestampMicros(7)),
        (inner, json!({"x": 4}), Avro::Record(vec![("x".into(), Avro::Int(4)), ("y".into(), Avro::Int(5))])),
    ];
    for (node, default, expected) in cases {
        let schema = schema(json!([{"name": "f", "type": node, "default": default}]));
        assert_eq!(row(&schema, item([])).unwrap(), [expected], "{node}");
    }
}

#[test]
fn a_named_type_can_be_referred_to() {
    let amount =
        json!({"type": "fixed", "name": "Amount", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2});
    let schema = schema(json!([
        {"name": "a", "type": amount},
        {"name": "b", "type": ["null", "Amount"]},
        {"name": "c", "type": {"type": "enum", "name": "x.E", "symbols": ["A", "B"]}},
        {"name": "d", "type": {"type": "map", "values": "x.E"}},
    ]));
    let image = item([("a", n("0.01")), ("b", n("0.02")), ("c", s("A")), ("d", m([("k", s("B"))]))]);
    let mut out = Vec::new();
    encode(&schema, &record(), &image, &mut out).unwrap();
    assert_eq!(out, [0, 0, 0, 1, 2, 0, 0, 0, 2, 0, 2, 2, b'k', 2, 0]);
    assert_eq!(row(&schema, image).unwrap().len(), 4);
}
