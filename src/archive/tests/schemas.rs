//! Schemas: what is taken, and every mistake with its field and its remedy.

use super::*;

fn mistakes(fields: Json) -> Vec<String> {
    let text = json!({"type": "record", "name": "Row", "fields": fields}).to_string();
    RecordSchema::parse(&text).expect_err(&text)
}

#[test]
fn every_mistake_names_its_field_and_what_to_write() {
    let logical = |name: &str, node: &str| json!({"type": node, "logicalType": name});
    let decimal = |precision: u32, scale: u32| {
        json!({
            "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale,
        })
    };
    let small = json!({"type": "fixed", "name": "D", "size": 2, "logicalType": "decimal", "precision": 5});
    let duration = json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"});
    let insert = json!({"type": "enum", "name": "E", "symbols": ["INSERT"]});
    let cases = [
        (json!({"name": "f", "type": "strng"}), "f: unknown type `strng`; write an Avro type or define it before"),
        (json!({"name": "f", "type": "string", "as": "text"}), "f: unknown as; write json, or leave it out"),
        (json!({"name": "f", "type": "string", "as": 1}), "f: unknown as; write json, or leave it out"),
        (
            json!({"name": "f", "type": ["string", "long"], "as": "json"}),
            "f: as json on string or long; write string, or null or string",
        ),
        (
            json!({"name": "f", "type": "string", "as": "json", "source": "record_id"}),
            "f: source record_id as anything, as JSON; write string, bytes or a fixed of size 16",
        ),
        (json!({"name": "f"}), "f: has no type; write \"type\": <type>"),
        (json!({"name": "f", "type": 1}), "f: has no type; write a type's name, an object or a list of types"),
        (json!({"type": "int"}), "the schema: a field without a name; write {\"name\": …, \"type\": …}"),
        (json!("f"), "the schema: a field without a name; write {\"name\": …, \"type\": …}"),
        (json!({"name": "f", "type": []}), "f: a union of nothing; write at least one type in it"),
        (json!({"name": "f", "type": {"type": "array"}}), "f: has no items; write \"items\": <type>"),
        (json!({"name": "f", "type": {"type": "map"}}), "f: has no values; write \"values\": <type>"),
        (
            json!({"name": "f", "type": {"type": "fixed", "name": "F"}}),
            "f: a fixed without a size; write \"size\": <number of bytes>",
        ),
        (
            json!({"name": "f", "type": {"type": "enum", "name": "E"}}),
            "f: an enum without symbols; write \"symbols\": [\"A\", \"B\"]",
        ),
        (
            json!({"name": "f", "type": {"type": "fixed", "size": 1}}),
            "f: a record, enum or fixed without a name; write \"name\": \"…\"",
        ),
        (
            json!({"name": "f", "type": {"type": "record", "name": "R"}}),
            "f: a record without fields; write \"fields\": […]",
        ),
        (
            json!({"name": "f", "type": {"type": "fixed", "name": "Row", "size": 1}}),
            "f: `Row` is defined twice; name it where it is used again",
        ),
        (
            json!({"name": "f", "type": "long", "logicalType": "date"}),
            "f: logicalType beside the type; write \"type\": {\"type\": …, \"logicalType\": …}",
        ),
        (json!({"name": "f", "type": logical("date", "long")}), "f: logicalType date on long; write it on int"),
        (
            json!({"name": "f", "type": logical("uuid", "bytes")}),
            "f: logicalType uuid on bytes; write it on string or a fixed of size 16",
        ),
        (
            json!({"name": "f", "type": logical("timestamp-mills", "long")}),
            "f: logicalType timestamp-mills on long; write decimal, uuid, date, time-millis, time-micros, \
             timestamp-millis or timestamp-micros, or leave it out",
        ),
        (
            json!({"name": "f", "type": logical("timestamp-nanos", "long")}),
            "f: logicalType timestamp-nanos on long; write timestamp-micros",
        ),
        (
            json!({"name": "f", "type": logical("local-timestamp-micros", "long")}),
            "f: logicalType local-timestamp-micros on long; write timestamp-millis or timestamp-micros",
        ),
        (
            json!({"name": "f", "type": logical("big-decimal", "bytes")}),
            "f: logicalType big-decimal on bytes; write decimal with a precision and a scale",
        ),
        (
            json!({"name": "f", "type": duration}),
            "f: logicalType duration on fixed(12); write a long and say the unit in the field's name",
        ),
        (
            json!({"name": "f", "type": decimal(39, 0)}),
            "f: a decimal's precision is 1 to 38; write \"precision\": <digits>",
        ),
        (
            json!({"name": "f", "type": decimal(4, 5)}),
            "f: a decimal's scale is 0 to its precision; write \"scale\": <fraction digits>",
        ),
        (json!({"name": "f", "type": small}), "f: a fixed of size 2 holds 4 digits; write a larger size"),
        (
            json!({"name": "f", "type": "int", "unit": "seconds"}),
            "f: unit on int; leave it out or write a date or time type",
        ),
        (
            json!({"name": "f", "type": logical("date", "int"), "unit": "s"}),
            "f: unknown unit; write seconds, milliseconds or microseconds",
        ),
        (
            json!({"name": "f", "type": "int", "attribute": ""}),
            "f: attribute is no name; write \"attribute\": \"<attribute's name>\"",
        ),
        (
            json!({"name": "f", "type": "string", "attribute": "a", "source": "event_id"}),
            "f: both source and attribute; leave one out",
        ),
        (
            json!({"name": "f", "type": "string", "source": "id"}),
            "f: unknown source; write one of record_id, event_id, event_name, sequence_number, created_at, \
             stream_arn, source_name, expired",
        ),
        (
            json!({"name": "f", "type": "int", "source": "record_id"}),
            "f: source record_id as int; write string, bytes or a fixed of size 16",
        ),
        (json!({"name": "f", "type": "string", "source": "expired"}), "f: source expired as string; write boolean"),
        (
            json!({"name": "f", "type": insert, "source": "event_name"}),
            "f: source event_name as enum E; write string or an enum with the symbols INSERT, MODIFY and REMOVE",
        ),
        (json!({"name": "f", "type": "int", "default": "1"}), "f: the default is no int; write one, or leave it out"),
        (
            json!({"name": "f", "type": ["null", "int"], "default": "1"}),
            "f: the default is no null or int; write one, or leave it out",
        ),
        (
            json!({"name": "f", "type": {"type": "array", "items": "int"}, "default": ["1"]}),
            "f: the default is no int; write one, or leave it out",
        ),
        (
            json!({"name": "f", "type": "bytes", "default": "€"}),
            "f: the default is no bytes; write one, or leave it out",
        ),
    ];
    for (field, mistake) in cases {
        assert_eq!(mistakes(json!([field])), [mistake]);
    }
}

#[test]
fn all_mistakes_come_at_once_with_their_paths() {
    let line = json!({"type": "record", "name": "Line", "fields": [
        {"name": "price", "type": "money"},
        {"name": "id", "type": "string", "source": "event_id"},
    ]});
    let found = mistakes(json!([
        {"name": "lines", "type": {"type": "array", "items": line}},
        {"name": "union", "type": ["nil", "strin"]},
        {"name": "fine", "type": "int"},
        {"name": "unit", "type": "lng", "unit": "hours"},
        {"name": "default", "type": "int", "source": "event_id", "default": "1"},
    ]));
    let places: Vec<_> = found.iter().map(|mistake| mistake.split(';').next().unwrap()).collect();
    let expected = [
        "lines.price: unknown type `money`",
        "lines.id: source in an inner record",
        "union: unknown type `nil`",
        "union: unknown type `strin`",
        "unit: unknown unit",
        "unit: unknown type `lng`",
        "default: source event_id as int",
        "default: the default is no int",
    ];
    assert_eq!(places, expected);
}

#[test]
fn what_the_avro_library_refuses_is_refused() {
    for fields in [
        json!([{"name": "f-f", "type": "int"}]),
        json!([{"name": "f", "type": "int"}, {"name": "f", "type": "int"}]),
        json!([{"name": "f", "type": ["int", "int"]}]),
        json!([{"name": "f", "type": ["int", ["null", "int"]]}]),
        json!([{"name": "f", "type": {"type": "enum", "name": "E", "symbols": ["A", "A"]}}]),
    ] {
        let found = mistakes(fields);
        assert!(found.len() == 1 && found[0].starts_with("the schema is no Avro schema: "), "{found:?}");
    }
    for text in ["", "{", "\"string\"", "[]", "{\"type\": \"string\"}", "{\"type\": \"record\"}"] {
        assert_eq!(RecordSchema::parse(text).unwrap_err().len(), 1, "{text}");
    }
}

#[test]
fn the_schema_keeps_its_name_and_custom_attributes() {
    let text = r#"{"type": "record", "namespace": "com.example", "name": "Order", "owner": "billing", "fields": [
        {"name": "f", "type": "string", "attribute": "other"}]}"#;
    let schema = RecordSchema::parse(text).unwrap();
    assert_eq!(schema.name(), "Order");
    assert_eq!(
        schema.json(),
        r#"{"fields":[{"attribute":"other","name":"f","type":"string"}],"name":"Order","namespace":"com.example","owner":"billing","type":"record"}"#
    );
    assert_eq!(schema.parsed(), &apache_avro::Schema::parse_str(schema.json()).unwrap());
}
