//! Rows of one schema as rows of another.

use apache_avro::types::Value as Avro;
use apache_avro::{Decimal, Reader, Schema, Writer};
use serde_json::{Map, Value as Json, json};
use usage_aggregator::archive::RecordSchema;

use super::super::reads;
use super::{Conversion, same_meaning};

fn row_of(fields: &Json) -> Json {
    json!({ "type": "record", "name": "Row", "namespace": "shop", "fields": fields })
}

/// A row that was written in a file with the fields `old`, as the schema with the fields `new` has it.
fn converted(old: &Json, new: &Json, row: &[(&str, Avro)]) -> Result<Vec<(String, Avro)>, String> {
    let old = Schema::parse(&row_of(old)).unwrap();
    let new = RecordSchema::parse(&row_of(new).to_string()).unwrap();
    let mut writer = Writer::new(&old, Vec::new()).unwrap();
    let row = row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    writer.append_value(Avro::Record(row)).unwrap();
    let file = writer.into_inner().unwrap();
    let mut rows = Reader::new(file.as_slice()).unwrap();
    let written = rows.writer_schema().clone();
    match Conversion::new(&written, &new)?.row(&rows.next().unwrap().unwrap())? {
        Avro::Record(fields) => Ok(fields),
        other => panic!("{other:?}"),
    }
}

/// One field of the type `old`, as the type `new`.
fn value(old: Json, new: Json, value: Avro) -> Result<Avro, String> {
    let field = |node: Json| json!([{ "name": "a", "type": node }]);
    converted(&field(old), &field(new), &[("a", value)]).map(|mut fields| fields.remove(0).1)
}

fn text(text: &str) -> Avro {
    Avro::String(text.to_owned())
}

fn record(fields: &[(&str, Avro)]) -> Avro {
    Avro::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn symbol(index: u32, name: &str) -> Avro {
    Avro::Enum(index, name.to_owned())
}

fn some(branch: u32, value: Avro) -> Avro {
    Avro::Union(branch, Box::new(value))
}

#[test]
fn a_renamed_field_keeps_its_values_by_its_alias() {
    let line =
        |fields: Json| json!({ "type": "array", "items": { "type": "record", "name": "Line", "fields": fields } });
    let old = json!([
        { "name": "old", "type": "string", "default": "none" },
        { "name": "gone", "type": "long" },
        { "name": "lines", "type": line(json!([{ "name": "sku", "type": "string" }, { "name": "count", "type": "int" }])) },
    ]);
    let new = json!([
        { "name": "lines", "type": line(json!([
            { "name": "quantity", "type": "long", "aliases": ["number", "count"], "default": 0 },
            { "name": "sku", "type": "string" },
        ])) },
        { "name": "new", "type": "string", "aliases": ["old"], "attribute": "old", "default": "none" },
        { "name": "added", "type": ["null", "string"], "default": null },
    ]);
    let lines = Avro::Array(vec![record(&[("sku", text("x")), ("count", Avro::Int(3))])]);
    let row = converted(&old, &new, &[("old", text("kept")), ("gone", Avro::Long(1)), ("lines", lines)]).unwrap();
    let lines = Avro::Array(vec![record(&[("quantity", Avro::Long(3)), ("sku", text("x"))])]);
    let expected = [("lines", lines), ("new", text("kept")), ("added", some(0, Avro::Null))];
    assert_eq!(Avro::Record(row), record(&expected));
}

#[test]
fn decimals_have_as_many_bytes_as_they_need() {
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2 });
    let old = json!([{ "name": "total", "type": decimal }]);
    let new = json!([{ "name": "total", "type": decimal }, { "name": "country", "type": "string", "default": "DE" }]);
    for bytes in [vec![0x04, 0xd2], vec![0xff], vec![0], vec![0x7f; 9]] {
        let total = Avro::Decimal(Decimal::from(bytes));
        let row = converted(&old, &new, &[("total", total.clone())]).unwrap();
        assert_eq!(Avro::Record(row), record(&[("total", total), ("country", text("DE"))]));
    }
    let fixed =
        json!({ "type": "fixed", "name": "Money", "size": 3, "logicalType": "decimal", "precision": 5, "scale": 2 });
    let nullable = json!(["null", fixed]);
    let total = Avro::Decimal(Decimal::from([0xff, 0xfb, 0x2e]));
    assert_eq!(value(fixed, nullable, total.clone()), Ok(some(1, total)));
}

#[test]
fn a_type_that_is_used_twice_is_read_as_it_was_written() {
    let status = |symbols: &[&str]| json!({ "type": "enum", "name": "Status", "symbols": symbols });
    let address = |fields: Json| json!({ "type": "record", "name": "Address", "fields": fields });
    let old = json!([
        { "name": "status", "type": status(&["A", "C"]) },
        { "name": "previous", "type": "Status" },
        { "name": "shipping", "type": address(json!([{ "name": "city", "type": "string" }])) },
        { "name": "billing", "type": "Address" },
    ]);
    let new = json!([
        { "name": "status", "type": status(&["A", "B", "C"]) },
        { "name": "previous", "type": "Status" },
        { "name": "shipping", "type": address(json!([
            { "name": "zip", "type": "string", "default": "?" }, { "name": "city", "type": "string" },
        ])) },
        { "name": "billing", "type": "Address" },
    ]);
    let at = |city: &str| record(&[("city", text(city))]);
    let row = [("status", symbol(1, "C")), ("previous", symbol(1, "C")), ("shipping", at("x")), ("billing", at("y"))];
    let at = |city: &str| record(&[("zip", text("?")), ("city", text(city))]);
    let expected =
        [("status", symbol(2, "C")), ("previous", symbol(2, "C")), ("shipping", at("x")), ("billing", at("y"))];
    assert_eq!(Avro::Record(converted(&old, &new, &row).unwrap()), record(&expected));
}

#[test]
fn defaults_of_bytes_are_code_points() {
    let new = json!([
        { "name": "a", "type": "int" },
        { "name": "b", "type": "bytes", "default": "\u{ff}" },
        { "name": "c", "type": { "type": "fixed", "name": "Pair", "size": 2 }, "default": "\u{80}\u{1}" },
        { "name": "d", "type": { "type": "record", "name": "shop.deep.Part", "fields": [
            { "name": "e", "type": "bytes", "default": "\u{fe}" },
        ] }, "default": {} },
    ]);
    let row = converted(&json!([{ "name": "a", "type": "int" }]), &new, &[("a", Avro::Int(1))]).unwrap();
    let part = record(&[("e", Avro::Bytes(vec![0xfe]))]);
    let expected =
        [("a", Avro::Int(1)), ("b", Avro::Bytes(vec![0xff])), ("c", Avro::Fixed(2, vec![0x80, 1])), ("d", part)];
    assert_eq!(Avro::Record(row), record(&expected));
}

#[test]
fn numbers_and_texts_are_promoted() {
    for (old, new, before, after) in [
        ("int", "long", Avro::Int(-7), Avro::Long(-7)),
        ("int", "float", Avro::Int(7), Avro::Float(7.0)),
        ("int", "double", Avro::Int(7), Avro::Double(7.0)),
        ("long", "float", Avro::Long(1 << 40), Avro::Float(1_099_511_627_776.0)),
        ("long", "double", Avro::Long(-1), Avro::Double(-1.0)),
        ("float", "double", Avro::Float(0.5), Avro::Double(0.5)),
        ("string", "bytes", text("ä"), Avro::Bytes("ä".into())),
        ("bytes", "string", Avro::Bytes("ä".into()), text("ä")),
    ] {
        assert_eq!(value(json!(old), json!(new), before), Ok(after), "{old} {new}");
    }
}

#[test]
fn unions_take_the_branch_of_the_same_type_first() {
    let part = |name: &str, field: &str| json!({ "type": "record", "name": name, "fields": [{ "name": field, "type": "int" }] });
    for (old, new, before, after) in [
        (json!("int"), json!(["null", "long", "int"]), Avro::Int(1), some(2, Avro::Int(1))),
        (json!("int"), json!(["null", "double", "long"]), Avro::Int(1), some(1, Avro::Double(1.0))),
        (json!(["null", "int"]), json!(["int", "null"]), some(0, Avro::Null), some(1, Avro::Null)),
        (json!(["string", "int"]), json!("string"), some(0, text("x")), text("x")),
        (
            json!(["null", part("A", "x"), part("B", "x")]),
            json!(["null", part("B", "x"), part("A", "x")]),
            some(1, record(&[("x", Avro::Int(5))])),
            some(2, record(&[("x", Avro::Int(5))])),
        ),
    ] {
        assert_eq!(value(old.clone(), new.clone(), before), Ok(after), "{old} {new}");
    }
}

#[test]
fn what_the_current_schema_cannot_have_names_its_field_and_why() {
    let decimal = |scale: u32| json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale });
    let timestamp = |unit: &str| json!({ "type": "long", "logicalType": format!("timestamp-{unit}") });
    let colors = |symbols: &[&str]| json!({ "type": "enum", "name": "Color", "symbols": symbols });
    let fixed = |size: u32| json!({ "type": "fixed", "name": "Key", "size": size });
    let map = |node: Json| json!({ "type": "map", "values": node });
    let mut errors = vec![
        value(decimal(2), decimal(3), Avro::Decimal(Decimal::from([1]))),
        value(timestamp("millis"), timestamp("micros"), Avro::TimestampMillis(1)),
        value(json!("long"), timestamp("millis"), Avro::Long(1)),
        value(json!("long"), json!("int"), Avro::Long(1)),
        value(json!("int"), json!("string"), Avro::Int(1)),
        value(json!("bytes"), json!("string"), Avro::Bytes(vec![0xff])),
        value(colors(&["RED"]), colors(&["BLUE"]), symbol(0, "RED")),
        value(fixed(2), fixed(3), Avro::Fixed(2, vec![0; 2])),
        value(json!(["null", "string"]), json!(["null", "int"]), some(1, text("x"))),
        value(map(json!("long")), map(json!("int")), Avro::Map([("k".to_owned(), Avro::Long(1))].into())),
    ];
    let mut with_default = colors(&["BLUE", "GREEN"]);
    with_default["default"] = json!("GREEN");
    assert_eq!(value(colors(&["RED"]), with_default, symbol(0, "RED")), Ok(symbol(1, "GREEN")));
    let part =
        |fields: Json| json!([{ "name": "part", "type": { "type": "record", "name": "Part", "fields": fields } }]);
    let (old, new) = (json!([{ "name": "x", "type": "int" }]), json!([{ "name": "y", "type": "int" }]));
    let row = converted(&part(old), &part(new), &[("part", record(&[("x", Avro::Int(1))]))]);
    errors.push(row.map(Avro::Record));
    let expected = [
        "a: Decimal has become Decimal",
        "a: TimestampMillis has become TimestampMicros",
        "a: Long has become TimestampMillis",
        "a: Long has become Int",
        "a: Int has become String",
        "a: the bytes are not UTF-8, and the current schema has a string",
        "a: the current schema has no symbol RED",
        "a: Fixed has become Fixed",
        "a: the current schema's union has no type for String",
        "a: k: Long has become Int",
        "part: y: the row has no value for it, and the current schema has no default",
    ];
    assert_eq!(errors.into_iter().map(Result::unwrap_err).collect::<Vec<_>>(), expected);
}

/// What Java reads is converted, unless it has another meaning.
#[test]
fn all_types_that_java_reads_are_converted() {
    let lines = include_str!("../../../../tests/avro/types.json").lines().filter(|line| line.starts_with("  \""));
    let types: Vec<(String, Json)> = lines
        .flat_map(|line| -> Map<String, Json> {
            serde_json::from_str(&format!("{{{}}}", line.trim().trim_end_matches(','))).unwrap()
        })
        .collect();
    let mut converted = 0;
    for (reader, new) in &types {
        let Ok(new) = RecordSchema::parse(&row_of(&json!([{ "name": "a", "type": new }])).to_string()) else {
            continue;
        };
        for (writer, old) in &types {
            let old = Schema::parse(&row_of(&json!([{ "name": "a", "type": old }]))).unwrap();
            if !reads(new.parsed(), &old) {
                continue;
            }
            let row = Conversion::new(&old, &new).unwrap().row(&sample(&old));
            match row {
                Ok(_) => converted += 1,
                Err(why) => assert!(why.contains("has become"), "{reader} reads {writer}: {why}"),
            }
        }
    }
    assert!(converted > 180, "{converted}");
    assert!(!same_meaning(&Schema::Date, &Schema::Int));
}

/// A value of a type. A list has one element.
fn sample(schema: &Schema) -> Avro {
    use apache_avro::schema::InnerDecimalSchema;
    match schema {
        Schema::Null => Avro::Null,
        Schema::Boolean => Avro::Boolean(true),
        Schema::Int => Avro::Int(1),
        Schema::Long => Avro::Long(1),
        Schema::Float => Avro::Float(1.0),
        Schema::Double => Avro::Double(1.0),
        Schema::Bytes => Avro::Bytes(b"b".to_vec()),
        Schema::String => text("s"),
        Schema::Fixed(fixed) => Avro::Fixed(fixed.size, vec![1; fixed.size]),
        Schema::Enum(symbols) => symbol(0, &symbols.symbols[0]),
        Schema::Date => Avro::Date(1),
        Schema::TimeMillis => Avro::TimeMillis(1),
        Schema::TimeMicros => Avro::TimeMicros(1),
        Schema::TimestampMillis => Avro::TimestampMillis(1),
        Schema::TimestampMicros => Avro::TimestampMicros(1),
        Schema::Decimal(decimal) => Avro::Decimal(Decimal::from(match &decimal.inner {
            InnerDecimalSchema::Bytes => vec![1],
            InnerDecimalSchema::Fixed(fixed) => vec![0; fixed.size],
        })),
        Schema::Uuid(_) => Avro::Uuid(Default::default()),
        Schema::Array(array) => Avro::Array(vec![sample(&array.items)]),
        Schema::Map(map) => Avro::Map([("k".to_owned(), sample(&map.types))].into()),
        Schema::Union(union) => {
            match union.variants().iter().rposition(|variant| !matches!(variant, Schema::Ref { .. })) {
                Some(index) => some(u32::try_from(index).unwrap(), sample(&union.variants()[index])),
                None => panic!("{union:?}"),
            }
        }
        Schema::Record(record) => {
            Avro::Record(record.fields.iter().map(|field| (field.name.clone(), sample(&field.schema))).collect())
        }
        other => panic!("{other:?}"),
    }
}
