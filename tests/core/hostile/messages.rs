//! Hostile records of Kinesis: plain messages for the pipeline `alleycat`, and aggregated ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{Kind, SECRET, replaced, sample, values_of_all_types, with, without};

/// What an aggregated record begins with.
pub(super) const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

const FIELDS: [&str; 10] = [
    "/eventID",
    "/eventName",
    "/eventVersion",
    "/eventSource",
    "/eventSourceARN",
    "/kinesis",
    "/kinesis/sequenceNumber",
    "/kinesis/approximateArrivalTimestamp",
    "/kinesis/partitionKey",
    "/kinesis/data",
];

pub fn kinds() -> Vec<Kind> {
    let record = sample("kinesis-plain.json");
    let of = |name, records| Kind::of_records(name, "alleycat", records);
    let carrying = |data: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        data.iter().map(|data| with(&record, "/kinesis/data", json!(BASE64.encode(data)))).collect()
    };
    vec![
        of("Kinesis: a field is missing", without(&record, &FIELDS)),
        of("Kinesis: a field has another type", replaced(&record, &FIELDS, &values_of_all_types())),
        of("Kinesis: data isn't base64", replaced(&record, &["/kinesis/data"], &not_base64())),
        of("Kinesis: data isn't a message", carrying(not_messages())),
        of("Kinesis: a value of a message is strange", carrying(strange_values())),
        of("Kinesis: an aggregated record is cut off", carrying(cut_off())),
        of("Kinesis: an aggregated record is damaged", carrying(damaged())),
    ]
}

fn not_base64() -> Vec<Value> {
    let texts =
        ["=", "e", "e3", "e30", "e30==", "e30=e30=", "e3 0=", "e3\n0=", "SECRET**", "-_-_", "\u{0}", "ｅ３０＝"];
    texts.map(Value::from).to_vec()
}

const MESSAGE: &str = r#"{"racerId":3,"competitionId":1,"distance":4.25,"speed":4.25,"status":"SECRET"}"#;

fn not_messages() -> Vec<Vec<u8>> {
    let texts = [
        "",
        " ",
        "null",
        "7",
        "\"SECRET\"",
        "[]",
        "[{}]",
        "{}",
        "{",
        "{}{}",
        "{\"a\":SECRET}",
        "racerId=SECRET",
        "\u{feff}{}",
        "<xml>SECRET</xml>",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let utf16: Vec<u8> = MESSAGE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = [32, 33, 1_000, 100_000]
        .map(|depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes());
    all.extend([
        vec![0xFF; 100],
        utf16,
        [b"\x1f\x8b\x08\x00", MESSAGE.as_bytes()].concat(),
        b"\xbf\xff".to_vec(),
        vec![0; 1_000],
    ]);
    all.extend(deep);
    all
}

fn strange_values() -> Vec<Vec<u8>> {
    let values = [
        "null",
        "true",
        "\"\"",
        "\"SECRET\"",
        "[]",
        "{}",
        "-1",
        "0",
        "-0",
        "1e400",
        "1e-400",
        "1.5",
        "3.0",
        "9007199254740993",
        "9223372036854775808",
        "99999999999999999999999999999999999999",
        "999999999999999999999999999999999999999",
        "NaN",
        "01",
        "+1",
        "1.",
        ".5",
        "0x1",
    ];
    let names = ["racerId", "distance", "status", "unknown"];
    let of = |(name, value): (&str, &str)| {
        let message = MESSAGE.replace(&format!("\"{name}\":"), &format!("\"was_{name}\":"));
        format!("{{\"{name}\":{value},{}", &message[1..]).into_bytes()
    };
    names.into_iter().flat_map(|name| values.map(|value| (name, value))).map(of).collect()
}

/// An aggregated record with this protobuf.
pub(super) fn sealed(protobuf: &[u8]) -> Vec<u8> {
    [&MAGIC, protobuf, Md5::digest(protobuf).as_slice()].concat()
}

/// A protobuf field with a length of less than 16,384 in front.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let length = [u8::try_from(length & 0x7F).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
    [&[number << 3 | 2], &length[..], value].concat()
}

fn protobuf() -> Vec<u8> {
    let record = |key: u8| field(3, &[&[8, key], &*field(3, MESSAGE.as_bytes())].concat());
    [field(1, b"SECRET"), record(0), record(0)].concat()
}

fn cut_off() -> Vec<Vec<u8>> {
    let protobuf = protobuf();
    let whole = sealed(&protobuf);
    let cut = (0..whole.len()).step_by(11).map(|end| whole[..end].to_vec());
    cut.chain((0..protobuf.len()).step_by(11).map(|end| sealed(&protobuf[..end]))).collect()
}

fn damaged() -> Vec<Vec<u8>> {
    let protobuf = protobuf();
    let flipped = (0..protobuf.len()).step_by(5).map(|place| {
        let mut damaged = protobuf.clone();
        damaged[place] ^= 0xFF;
        sealed(&damaged)
    });
    let huge = [0xFF; 9];
    let made = [
        sealed(b""),
        sealed(&field(1, SECRET.as_bytes())),
        sealed(&[&[3 << 3 | 2], &huge[..], &[1]].concat()),
        sealed(&[&[3 << 3], &huge[..], &[0x7F]].concat()),
        sealed(&field(3, &[8, 0])),
        sealed(&field(3, &[8, 200, 1, 26, 0])),
        sealed(&field(3, &sealed(&protobuf))),
        [&MAGIC, &protobuf[..], &[0; 16]].concat(),
        [&MAGIC, &sealed(&protobuf)[..]].concat(),
    ];
    flipped.chain(made).collect()
}
