//! Hostile events as a whole: what isn't an event, and events that were cut off or damaged.

use serde_json::json;

use super::{Kind, SECRET, good};

pub fn kinds() -> Vec<Kind> {
    let of = |name, events| Kind { name, pipeline: "orders", is_surrounded: false, events };
    vec![of("it isn't an event", strangers()), of("it is cut off", cut_off()), of("a byte is damaged", damaged())]
}

/// An event with two good records.
fn event() -> Vec<u8> {
    let [before, after] = good("orders");
    [b"{\"Records\":[", &*before, b",", &*after, b"]}"].concat()
}

fn strangers() -> Vec<Vec<u8>> {
    let event = String::from_utf8(event()).unwrap();
    let utf16: Vec<u8> = event.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let texts = [
        "",
        " ",
        "null",
        "true",
        "7",
        "\"SECRET\"",
        "[]",
        "[1]",
        "{",
        "}",
        "{}",
        "{]",
        "SECRET",
        "\u{feff}{}",
        "{\"Records\":null}",
        "{\"Records\":{}}",
        "{\"Records\":\"SECRET\"}",
        "{\"Records\":[]}",
        "{\"Records\":[null]}",
        "{\"Records\":[[]]}",
        "{\"Records\":[{}]}",
        "{\"Records\":[\"SECRET\"]}",
        "{\"records\":[]}",
        "{\"Records\":[],\"Records\":[]}",
        "{\"Records\":[],\"window\":{}}",
        "{\"Records\":[],\"rejectedRecords\":\"SECRET\"}",
        "{\"Records\":[{\"eventSource\":\"aws:sqs\",\"body\":\"SECRET\"}]}",
        "{\"Records\":[{\"EventSource\":\"aws:sns\",\"Sns\":{}}]}",
        "{\"Records\":[{\"eventSource\":\"aws:s3\",\"s3\":{}}]}",
        "{\"version\":\"2.0\",\"routeKey\":\"SECRET\"}",
        "{\"detail-type\":\"SECRET\",\"detail\":{}}",
        "{\"awslogs\":{\"data\":\"SECRET\"}}",
        "{\"sweep\":{\"at\":\"SECRET\"}}",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([
        utf16,
        [b"\x1f\x8b\x08\x00", event.as_bytes()].concat(),
        [event.as_bytes(), b"\x00"].concat(),
        [event.as_bytes(), event.as_bytes()].concat(),
        [event.as_bytes(), b" SECRET"].concat(),
        event.replace('{', "{ ").into_bytes(),
        json!({ "Records": [serde_json::from_str::<serde_json::Value>(&event).unwrap()], "a": SECRET })
            .to_string()
            .into_bytes(),
    ]);
    all
}

fn cut_off() -> Vec<Vec<u8>> {
    let event = event();
    (1..event.len()).step_by(29).map(|end| event[..end].to_vec()).collect()
}

/// One byte at a time is another one: the places and bytes follow a fixed sequence.
fn damaged() -> Vec<Vec<u8>> {
    let event = event();
    let bytes = [0, b'"', b'\\', b'{', b'}', b'[', b',', b':', b'0', 0xFF];
    let places = (0..200).map(|number: usize| (number * 7_919 % event.len(), bytes[number % bytes.len()]));
    let damaged = |(place, byte): (usize, u8)| {
        let mut event = event.clone();
        event[place] = byte;
        event
    };
    places.map(damaged).collect()
}
