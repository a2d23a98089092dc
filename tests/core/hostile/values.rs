//! Values that no item of DynamoDB has, or that only a hostile one has.

use serde_json::{Value, json};

use super::{SECRET, replaced, values_of_all_types, with};

/// Values of an attribute, most of them without a valid type.
pub fn attributes() -> Vec<Value> {
    let empty: [Value; 0] = [];
    let mut all = values_of_all_types();
    for tag in ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"] {
        all.extend(
            [json!(null), json!(7), json!([7]), json!({ "name": 7 }), json!(empty)].map(|value| json!({ tag: value })),
        );
    }
    all.extend([
        json!({}),
        json!({ "X": SECRET }),
        json!({ "s": SECRET }),
        json!({ "S": SECRET, "N": "1" }),
        json!({ "S": SECRET, "X": null }),
        json!({ "B": "S" }),
        json!({ "B": "SECRET**" }),
        json!({ "BS": ["SECRET**"] }),
        json!({ "BOOL": SECRET }),
        json!({ "NULL": false }),
        json!({ "SS": [SECRET, SECRET] }),
        json!({ "NS": ["1", "1.0"] }),
        json!({ "NS": [SECRET] }),
        json!({ "L": [{ "S": SECRET }, { "X": SECRET }] }),
        json!({ "M": { "a": { "L": [{ "N": SECRET }] } } }),
    ]);
    all
}

pub fn numbers(record: &Value) -> Vec<Vec<u8>> {
    let texts = [
        "",
        " ",
        " 1",
        "1 ",
        "+",
        "-",
        ".",
        "e",
        "1e",
        "e1",
        "1e+",
        "1.2.3",
        "--1",
        "+-1",
        "1_000",
        "1,5",
        "0x10",
        "1f",
        "NaN",
        "Infinity",
        "-inf",
        "null",
        "SECRET",
        "１２",
        "١",
        "1\u{0}",
        "1e126",
        "1e-131",
        "9.99e125",
        "1e999999999999",
        "1e-999999999999",
        "-0",
        "007",
        "1e+2",
        "99999999999999999999999999999999999999",
        "999999999999999999999999999999999999999",
        "0.000000000000000000000000000000000000001",
        "123456789012345678901234567890.123456789",
    ];
    let long = [
        "9".repeat(100_000),
        format!("1{}", "0".repeat(100_000)),
        format!("0.{}1", "0".repeat(100_000)),
        format!("1e{}", "9".repeat(100_000)),
    ];
    let numbers: Vec<Value> =
        texts.iter().map(|text| json!({ "N": text })).chain(long.iter().map(|text| json!({ "N": text }))).collect();
    replaced(record, &["/dynamodb/NewImage/total"], &numbers)
}

/// Texts in the bytes of JSON, between quotation marks.
pub fn texts(record: &Value) -> Vec<Vec<u8>> {
    let marked = String::from_utf8(with(record, "/dynamodb/NewImage/status", json!({ "S": "MARK" }))).unwrap();
    let (before, after) = marked.split_once("MARK").unwrap();
    let texts: [&[u8]; 28] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\x00",
        b"\x0a",
        b"\x1f",
        b"\x7f",
        br"\ud800",
        br"\udc00",
        br"\ud800\ud800",
        br"\ud800\u0041",
        br"\ud83d\ude00",
        br"\u12",
        br"\u{41}",
        br"\x41",
        br"\'",
        br"\U0001F600",
        br"\",
        br#"" "#,
        br#"","S":"#,
        "\u{feff}".as_bytes(),
        "\u{202e}".as_bytes(),
        "\u{ffff}".as_bytes(),
        br"\u0000",
        br"\ufeff",
        "<script>alert(1)</script>\\r\\nSet-Cookie: a".as_bytes(),
    ];
    texts.iter().map(|text| [before.as_bytes(), b"SECRET", text, after.as_bytes()].concat()).collect()
}
