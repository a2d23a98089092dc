//! Readable values, and hostile files.

use super::*;

#[test]
fn decimals_are_exact_at_every_size() {
    for (number, scale, text) in [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (-1, 2, "-0.01"),
        (12_990, 2, "129.90"),
        (-12_990, 2, "-129.90"),
        (i128::MAX, 0, "170141183460469231731687303715884105727"),
        (i128::MIN, 38, "-1.70141183460469231731687303715884105728"),
    ] {
        assert_eq!(decimal_text(&i128::to_be_bytes(number), scale).unwrap(), text);
    }
    assert_eq!(decimal_text(&[0x80], 0).unwrap(), "-128");
    assert_eq!(decimal_text(&[], 0).unwrap(), "0");
    assert_eq!(decimal_text(&[0; 65], 0), None);
}

#[test]
fn times_are_readable_and_those_outside_the_calendar_are_numbers() {
    for (value, text) in [
        (Avro::Date(20_412), json!("2025-11-20")),
        (Avro::Date(-1), json!("1969-12-31")),
        (Avro::TimestampMicros(1_795_181_258_500_000), json!("2026-11-20T13:27:38.5Z")),
        (Avro::LocalTimestampMillis(0), json!("1970-01-01T00:00:00")),
        (Avro::TimeMillis(3_600_001), json!("01:00:00.001")),
        (Avro::TimestampMillis(i64::MAX), json!(i64::MAX)),
    ] {
        assert_eq!(scalar(&value), text, "{value:?}");
    }
}

#[test]
fn endless_schemas_are_refused() {
    let file = |schema: &str| {
        let schema = Schema::parse_str(schema).unwrap();
        apache_avro::Writer::new(&schema, Vec::new()).unwrap().into_inner().unwrap()
    };
    let list = r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#;
    let error = read_rows(&file(list), 1, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("contains itself"), "{error}");

    let mut laughs = r#"{"type":"record","name":"T0","fields":[]}"#.to_owned();
    for level in 1..20 {
        let inner = level - 1;
        laughs = format!(
            r#"{{"type":"record","name":"T{level}","fields":[{{"name":"a","type":{laughs}}},{{"name":"b","type":"T{inner}"}}]}}"#
        );
    }
    let error = read_rows(&file(&laughs), 1, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("types in a row"), "{error}");
}

#[test]
fn broken_files_are_errors() {
    let schema = Schema::parse_str(r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","string"]},{"name":"b","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#).unwrap();
    let mut writer = apache_avro::Writer::new(&schema, Vec::new()).unwrap();
    let decimal = Avro::Decimal(apache_avro::Decimal::from([4, 1]));
    let text = Avro::Union(1, Box::new(Avro::String("x".into())));
    writer.append_value(Avro::Record(vec![("a".into(), text), ("b".into(), decimal)])).unwrap();
    let file = writer.into_inner().unwrap();
    let mut rows = Vec::new();
    read_rows(&file, 9, |row| {
        rows.push(row);
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, [json!({ "a": "x", "b": "10.25" })]);
    // Whichever byte is wrong or missing, reading returns a value or an error.
    for at in 0..file.len() {
        let _ = read_rows(&file[..at], 9, |_| Ok(()));
        for wrong in [0, 0x7f, 0xff] {
            let mut broken = file.clone();
            broken[at] = wrong;
            let _ = read_rows(&broken, 9, |_| Ok(()));
        }
    }
}

#[test]
fn rows_of_another_schema_have_the_names_and_defaults_of_the_current_one() {
    let id = r#"{"name":"id","type":"bytes","source":"record_id"}"#;
    let schema = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{id},{fields}]}}"#);
    let written = Schema::parse_str(&schema(r#"{"name":"a","type":"int"}"#)).unwrap();
    let mut writer = apache_avro::Writer::new(&written, Vec::new()).unwrap();
    let id = Avro::Bytes(7_u128.to_be_bytes().to_vec());
    writer.append_value(Avro::Record(vec![("id".into(), id), ("a".into(), Avro::Int(5))])).unwrap();
    let file = writer.into_inner().unwrap();
    let read = |fields: &str| {
        let mut rows = Vec::new();
        let read = read_rows_as(&RecordSchema::parse(&schema(fields)).unwrap(), &file, |row| {
            rows.push(row);
            Ok(())
        });
        read.map(|_| rows).map_err(|error| format!("{error:#}"))
    };
    let id = "AAAAAAAAAAAAAAAAAAAABw==";
    assert_eq!(read(r#"{"name":"a","type":"int"}"#), Ok(vec![json!({ "id": id, "a": 5 })]));
    let changed = r#"{"name":"b","type":"long","aliases":["a"]},{"name":"c","type":"string","default":"x"}"#;
    assert_eq!(read(changed), Ok(vec![json!({ "id": id, "b": 5, "c": "x" })]));
    let record = "00000000000000000000000000000007";
    let refused = format!("read row 1 (record {record}) with the current schema: a: Int has become String");
    assert_eq!(read(r#"{"name":"a","type":"string"}"#), Err(refused));
}
