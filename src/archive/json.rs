//! Writes a value as JSON text, for fields with `"as": "json"`, which hold maps and lists of any structure. Numbers
//! keep all their digits, sets become lists, and binary values become base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::record::Value;

/// `value` as compact JSON, with maps in their original order.
pub(super) fn text(value: &Value<'_>) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value<'_>) {
    match value {
        Value::S(text) => string(out, text),
        Value::N(number) => out.push_str(&number.to_string()),
        Value::B(bytes) => string(out, &BASE64.encode(bytes)),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Null => out.push_str("null"),
        Value::M(item) => list(out, ['{', '}'], &item.0, |out, (name, value)| {
            string(out, name);
            out.push(':');
            write(out, value);
        }),
        Value::L(values) => list(out, ['[', ']'], values, write),
        Value::Ss(texts) => list(out, ['[', ']'], texts, |out, text| string(out, text)),
        Value::Ns(numbers) => list(out, ['[', ']'], numbers, |out, number| out.push_str(&number.to_string())),
        Value::Bs(all) => list(out, ['[', ']'], all, |out, bytes| string(out, &BASE64.encode(bytes))),
    }
}

fn list<T>(out: &mut String, [open, close]: [char; 2], parts: &[T], mut part: impl FnMut(&mut String, &T)) {
    out.push(open);
    for (index, value) in parts.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        part(out, value);
    }
    out.push(close);
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use crate::decode::attribute;

    #[test]
    fn every_type_is_written_as_valid_json() {
        let item = r#"{"M":{"s":{"S":"a\"\\\n\u2028é"},"n":{"N":"12345678901234567890.5"},"t":{"BOOL":true},"0":{"NULL":true},
            "l":{"L":[{"N":"1"},{"M":{}},{"L":[]}]},"ss":{"SS":["a","b"]},"ns":{"NS":["1","-2"]},"b":{"B":"AAE="},"bs":{"BS":["AAE="]}}}"#;
        let item = format!(r#"{{"details":{item}}}"#);
        let image = attribute::item(&item).unwrap();
        let text = super::text(image.attribute("details").unwrap());
        assert_eq!(
            text,
            "{\"s\":\"a\\\"\\\\\\u000a\u{2028}é\",\"n\":12345678901234567890.5,\"t\":true,\"0\":null,\"l\":[1,{},[]],\"ss\":[\"a\",\"b\"],\"ns\":[1,-2],\"b\":\"AAE=\",\"bs\":[\"AAE=\"]}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
