//! Schemas: what is valid, and for every mistake the message with its field and what to write instead.

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
        (json!({"name": "f", "type": "strng"}), "f: unknown type `strng`; write an Avro type, or define it first"),
        (json!({"name": "f", "type": "string", "as": "text"}), "f: unknown value of as; write json, or leave it out"),
        (json!({"name": "f", "type": "string", "as": 1}), "f: unknown value of as; write json, or leave it out"),
        (
            json!({"name": "f", "type": ["string", "long"], "as": "json"}),
            "f: as json needs the type string, or null or string, not string or long",
        ),
        (
            json!({"name": "f", "type": "string", "as": "json", "source": "record_id"}),
            "f: source record_id doesn't fit any value as JSON; use string, bytes or a fixed of size 16",
        ),
        (json!({"name": "f"}), "f: has no type; write \"type\": <type>"),
        (
            json!({"name": "f", "type": 1}),
            "f: has no valid type; write the name of a type, an object or a list of types",
        ),
        (json!({"type": "int"}), "the schema: a field has no name; write {\"name\": …, \"type\": …}"),
        (json!("f"), "the schema: a field has no name; write {\"name\": …, \"type\": …}"),
        (json!({"name": "f", "type": []}), "f: the union is empty; write at least one type in it"),
        (json!({"name": "f", "type": {"type": "array"}}), "f: has no items; write \"items\": <type>"),
        (json!({"name": "f", "type": {"type": "map"}}), "f: has no values; write \"values\": <type>"),
        (
            json!({"name": "f", "type": {"type": "fixed", "name": "F"}}),
            "f: fixed has no valid size; write \"size\": <number of bytes>",
        ),
        (
            json!({"name": "f", "type": {"type": "enum", "name": "E"}}),
            "f: enum has no symbols; write \"symbols\": [\"A\", \"B\"]",
        ),
        (
            json!({"name": "f", "type": {"type": "fixed", "size": 1}}),
            "f: record, enum or fixed has no name; write \"name\": \"…\"",
        ),
        (
            json!({"name": "f", "type": {"type": "record", "name": "R"}}),
            "f: record has no fields; write \"fields\": […]",
        ),
        (
            json!({"name": "f", "type": {"type": "fixed", "name": "Row", "size": 1}}),
            "f: `Row` is defined twice; refer to it by name instead",
        ),
        (
            json!({"name": "f", "type": "long", "logicalType": "date"}),
            "f: logicalType must be inside the type; write \"type\": {\"type\": …, \"logicalType\": …}",
        ),
        (
            json!({"name": "f", "type": logical("date", "long")}),
            "f: logicalType date can't be used on long; use it on int",
        ),
        (
            json!({"name": "f", "type": logical("uuid", "bytes")}),
            "f: logicalType uuid can't be used on bytes; use it on string or a fixed of size 16",
        ),
        (
            json!({"name": "f", "type": logical("timestamp-mills", "long")}),
            "f: logicalType timestamp-mills can't be used on long; write decimal, uuid, date, time-millis, time-micros, \
             timestamp-millis or timestamp-micros, or leave it out",
        ),
        (
            json!({"name": "f", "type": logical("timestamp-nanos", "long")}),
            "f: logicalType timestamp-nanos can't be used on long; write timestamp-micros",
        ),
        (
            json!({"name": "f", "type": logical("local-timestamp-micros", "long")}),
            "f: logicalType local-timestamp-micros can't be used on long; write timestamp-millis or timestamp-micros",
        ),
        (
            json!({"name": "f", "type": logical("big-decimal", "bytes")}),
            "f: logicalType big-decimal can't be used on bytes; write decimal with a precision and a scale",
        ),
        (
            json!({"name": "f", "type": duration}),
            "f: logicalType duration can't be used on fixed(12); write a long and put the unit into the name of the field",
        ),
        (
            json!({"name": "f", "type": decimal(39, 0)}),
            "f: the precision of a decimal must be 1 to 38; write \"precision\": <digits>",
        ),
        (
            json!({"name": "f", "type": decimal(4, 5)}),
            "f: the scale of a decimal must be 0 to its precision; write \"scale\": <fraction digits>",
        ),
        (json!({"name": "f", "type": small}), "f: a fixed of size 2 holds 4 digits; write a larger size"),
        (
            json!({"name": "f", "type": "int", "unit": "seconds"}),
            "f: unit needs a date or time type, not int; leave it out or change the type",
        ),
        (
            json!({"name": "f", "type": logical("date", "int"), "unit": "s"}),
            "f: unknown unit; write seconds, milliseconds or microseconds",
        ),
        (
            json!({"name": "f", "type": "int", "attribute": ""}),
            "f: attribute is not a name; write \"attribute\": \"<attribute's name>\"",
        ),
        (
            json!({"name": "f", "type": "string", "attribute": "a", "source": "event_id"}),
            "f: source and attribute are both set; leave one out",
        ),
        (
            json!({"name": "f", "type": "string", "source": "id"}),
            "f: unknown source; write one of record_id, event_id, event_name, sequence_number, created_at, \
             stream_arn, source_name, expired",
        ),
        (
            json!({"name": "f", "type": "int", "source": "record_id"}),
            "f: source record_id doesn't fit int; use string, bytes or a fixed of size 16",
        ),
        (
            json!({"name": "f", "type": "string", "source": "expired"}),
            "f: source expired doesn't fit string; use boolean",
        ),
        (
            json!({"name": "f", "type": insert, "source": "event_name"}),
            "f: source event_name doesn't fit enum E; use string or an enum with the symbols INSERT, MODIFY and REMOVE",
        ),
        (
            json!({"name": "f", "type": "int", "default": "1"}),
            "f: the default is not a valid int; fix it or leave it out",
        ),
        (
            json!({"name": "f", "type": ["null", "int"], "default": "1"}),
            "f: the default is not a valid null or int; fix it or leave it out",
        ),
        (
            json!({"name": "f", "type": {"type": "array", "items": "int"}, "default": ["1"]}),
            "f: the default is not a valid int; fix it or leave it out",
        ),
        (
            json!({"name": "f", "type": "bytes", "default": "€"}),
            "f: the default is not a valid bytes; fix it or leave it out",
        ),
    ];
    for (field, mistake) in cases {
        assert_eq!(mistakes(json!([field])), [mistake]);
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_paths() {
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
    let beginnings: Vec<_> = found.iter().map(|mistake| mistake.split(';').next().unwrap()).collect();
    let expected = [
        "lines.price: unknown type `money`",
        "lines.id: source in a nested record",
        "union: unknown type `nil`",
        "union: unknown type `strin`",
        "unit: unknown unit",
        "unit: unknown type `lng`",
        "default: source event_id doesn't fit int",
        "default: the default is not a valid int",
    ];
    assert_eq!(beginnings, expected);
}

#[test]
fn every_invalid_name_is_reported() {
    let found = mistakes(json!([
        {"name": "order-id", "type": "string"},
        {"name": "2nd", "type": "string"},
        {"name": "s", "type": {"type": "enum", "name": "S", "symbols": ["A B", "OK", "é"]}},
        {"name": "r", "type": {"type": "record", "name": "R-R", "fields": []}},
    ]));
    let field = "use letters, digits and _, and don't start with a digit; \"attribute\" holds the item's own name";
    let other = "use letters, digits and _, and don't start with a digit";
    assert_eq!(
        found,
        [
            format!("order-id: the field's name is not a valid Avro name; {field}"),
            format!("2nd: the field's name is not a valid Avro name; {field}"),
            format!("s: the symbol \"A B\" is not a valid Avro name; {other}"),
            format!("s: the symbol \"é\" is not a valid Avro name; {other}"),
            format!("r: the type's name \"R-R\" is not a valid Avro name; {other}"),
        ]
    );
}

#[test]
fn a_byte_order_mark_is_ignored_and_the_scale_of_decimals_is_written_out() {
    let text = "\u{feff}{\"type\": \"record\", \"name\": \"Stock\", \"fields\": [{\"name\": \"units\", \"type\": {\"type\": \"bytes\", \
                \"logicalType\": \"decimal\", \"precision\": 20}}]}";
    let schema = RecordSchema::parse(text).unwrap();
    assert_eq!(
        schema.json(),
        r#"{"fields":[{"name":"units","type":{"logicalType":"decimal","precision":20,"scale":0,"type":"bytes"}}],"name":"Stock","type":"record"}"#
    );
}

#[test]
fn schemas_that_the_avro_library_refuses_are_invalid() {
    for fields in [
        json!([{"name": "f", "type": "int"}, {"name": "f", "type": "int"}]),
        json!([{"name": "f", "type": ["int", "int"]}]),
        json!([{"name": "f", "type": ["int", ["null", "int"]]}]),
        json!([{"name": "f", "type": {"type": "enum", "name": "E", "symbols": ["A", "A"]}}]),
    ] {
        let found = mistakes(fields);
        assert!(found.len() == 1 && found[0].starts_with("the schema is not a valid Avro schema: "), "{found:?}");
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
