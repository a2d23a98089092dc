//! Fields that are filled with metadata of the change record.

use super::*;

const ID: &str = "abababababababababababababababab";

fn field(source: &str, node: Json) -> Json {
    json!([{"name": "f", "type": node, "source": source}])
}

#[test]
fn every_source_reads_back_in_every_type_it_fits() {
    let fixed = json!({"type": "fixed", "name": "Id", "size": 16});
    let event = json!({"type": "enum", "name": "Event", "symbols": ["UNKNOWN", "REMOVE", "MODIFY", "INSERT"]});
    let timestamp = |name: &str| json!({"type": "long", "logicalType": name});
    let text = |text: &str| Avro::String(text.into());
    let cases = [
        ("record_id", json!("string"), text(ID)),
        ("record_id", json!("bytes"), Avro::Bytes(vec![0xab; 16])),
        ("record_id", fixed, Avro::Fixed(16, vec![0xab; 16])),
        ("event_id", json!("string"), text("event-1")),
        ("event_name", json!("string"), text("REMOVE")),
        ("event_name", event, Avro::Enum(1, "REMOVE".into())),
        ("sequence_number", json!("string"), text("4421584500000000017450439091")),
        ("created_at", timestamp("timestamp-micros"), Avro::TimestampMicros(1_789_651_660_123_456)),
        ("created_at", timestamp("timestamp-millis"), Avro::TimestampMillis(1_789_651_660_123)),
        ("created_at", json!("long"), Avro::Long(1_789_651_660_123_456)),
        ("created_at", json!("string"), text("2026-09-17T13:27:40.123456Z")),
        ("stream_arn", json!("string"), text("arn:aws:dynamodb:eu-west-1:1:table/orders/stream/x")),
        ("source_name", json!("string"), text("orders")),
        ("expired", json!("boolean"), Avro::Boolean(false)),
    ];
    for (source, node, expected) in cases {
        assert_eq!(row(&schema(field(source, node.clone())), item([])).unwrap().remove(0), expected, "{source}");
        let union = schema(field(source, json!(["null", node])));
        assert_eq!(row(&union, item([])).unwrap(), [Avro::Union(1, Box::new(expected))], "{source} in a union");
    }
}

#[test]
fn an_expiry_has_the_event_name_remove_and_a_flag_of_its_own() {
    let event = json!({"type": "enum", "name": "E", "symbols": ["INSERT", "MODIFY", "REMOVE"]});
    let schema = schema(json!([
        {"name": "event", "type": event, "source": "event_name"},
        {"name": "expired", "type": "boolean", "source": "expired"},
    ]));
    let image = || Image::NotCarried;
    let cases = [
        (Change::Insert { new: image() }, [0, 0]),
        (Change::Modify { old: image(), new: image() }, [2, 0]),
        (Change::Remove { old: image(), by: Remover::Caller }, [4, 0]),
        (Change::Remove { old: image(), by: Remover::TimeToLive }, [4, 1]),
    ];
    for (change, expected) in cases {
        let mut out = Vec::new();
        encode(&schema, &ChangeRecord { change, ..record() }, &Item::default(), &mut out).unwrap();
        assert_eq!(out, expected);
    }
}
