//! Tests of the archive from a reader's view: everything that is encoded here is read back with the Avro library.

use apache_avro::Reader;
use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};

use super::{ArchiveUnit, AvroFile, Codec, FileDraft, Partition, RecordSchema, UnitLength, encode};
use crate::decimal::Decimal;
use crate::record::{Change, ChangeRecord, Fault, Image, Item, Origin, RecordId, Remover, SequenceNumber, Value};
use crate::time::Timestamp;

mod encoding;
mod faults;
mod files;
mod metadata;
mod random;
mod schemas;

fn s(text: &str) -> Value<'static> {
    Value::S(text.to_owned().into())
}

fn n(text: &str) -> Value<'static> {
    Value::N(Decimal::parse(text).unwrap())
}

fn b(bytes: &[u8]) -> Value<'static> {
    Value::B(bytes.to_vec())
}

fn l<const N: usize>(values: [Value<'static>; N]) -> Value<'static> {
    Value::L(values.into())
}

fn m<const N: usize>(entries: [(&'static str, Value<'static>); N]) -> Value<'static> {
    Value::M(item(entries))
}

fn item<const N: usize>(entries: [(&'static str, Value<'static>); N]) -> Item<'static> {
    Item(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// A record schema with these fields.
fn schema(fields: Json) -> RecordSchema {
    let text = json!({"type": "record", "name": "Row", "fields": fields}).to_string();
    RecordSchema::parse(&text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

/// A schema whose only field is `f`, of this type.
fn schema_of(node: Json) -> RecordSchema {
    schema(json!([{"name": "f", "type": node}]))
}

/// A change record. Its image is passed to `encode` separately.
fn record() -> ChangeRecord<'static> {
    ChangeRecord {
        id: RecordId([0xab; 16]),
        sequence: SequenceNumber::parse("4421584500000000017450439091").unwrap(),
        event_id: "event-1".into(),
        user_record: None,
        created_at: Timestamp::from_micros(1_789_651_660_123_456).unwrap(),
        source: Origin {
            stream_arn: "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/x".into(),
            name: "orders".into(),
        },
        keys: Item::default(),
        change: Change::Remove { old: Image::NotCarried, by: Remover::Caller },
    }
}

fn partition() -> Partition {
    let created_at = record().created_at;
    Partition { date: created_at.date(), unit: ArchiveUnit::containing(created_at, UnitLength::Hour) }
}

/// A file with one row for each of `images`.
fn file(schema: &RecordSchema, codec: Codec, images: &[Item<'_>]) -> Result<AvroFile, Fault> {
    let mut draft = FileDraft::new("order", partition());
    for (index, image) in images.iter().enumerate() {
        draft.push(index, |out| encode(schema, &record(), image, out))?;
    }
    Ok(draft.seal(schema, codec, "prefix", usize::MAX).unwrap().unwrap())
}

fn read(body: &[u8]) -> Vec<Avro> {
    Reader::new(body).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What the only row of `image` reads as, field by field.
fn row(schema: &RecordSchema, image: Item<'_>) -> Result<Vec<Avro>, Fault> {
    match read(&file(schema, Codec::Null, &[image])?.body).remove(0) {
        Avro::Record(fields) => Ok(fields.into_iter().map(|(_, value)| value).collect()),
        other => panic!("{other:?}"),
    }
}

/// What `value` reads as where the schema has `node`.
fn read_back(node: &Json, value: Value<'static>) -> Avro {
    row(&schema_of(node.clone()), item([("f", value)])).unwrap_or_else(|fault| panic!("{node}: {fault}")).remove(0)
}
