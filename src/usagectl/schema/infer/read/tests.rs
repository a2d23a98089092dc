//! Every form in which people have items, and what is said about those that can't be read.

use super::*;

/// The key attributes and the number of items, and the notes; or the error.
fn result(text: &str, keys: &[&str]) -> Result<(Vec<String>, usize, String), String> {
    let mut scratch = Vec::new();
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let input = read(text.as_bytes(), &mut scratch, &keys)?;
    let keys = input.samples.first().map(|sample| sample.keys.clone()).unwrap_or_default();
    Ok((keys, input.samples.len(), input.notes.join("\n")))
}

fn event(times: &[&str], image: bool) -> String {
    let record = |(number, time): (usize, &&str)| {
        let view = if image { "NEW_IMAGE" } else { "KEYS_ONLY" };
        let image = if image { r#","NewImage":{"id":{"S":"a"},"x":{"N":"1"}}"# } else { "" };
        format!(
            r#"{{"eventID":"{number}","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-central-1","dynamodb":{{"ApproximateCreationDateTime":{time},"Keys":{{"id":{{"S":"a"}}}}{image},"SequenceNumber":"4000000000000000000000{number}","SizeBytes":1,"StreamViewType":"{view}"}},"eventSourceARN":"arn:aws:dynamodb:eu-central-1:111122223333:table/things/stream/2026-11-01T08:00:00.000"}}"#
        )
    };
    let records: Vec<String> = times.iter().enumerate().map(record).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

const ITEM: &str = r#"{"pk":{"S":"TENANT#acme"},"sk":{"S":"METER#m0"},"amount":{"N":"0"}}"#;
const OTHER: &str = r#"{"pk":{"S":"TENANT#acme"},"sk":{"S":"METER#m1"},"amount":{"N":"1"}}"#;

#[test]
fn items_are_found_in_every_form() {
    let keys = || vec!["pk".to_owned(), "sk".to_owned()];
    let note = "the key of the table is taken to be pk and sk; if it isn't, use --key";
    for (text, items) in [
        (format!(r#"{{"Items":[{ITEM},{OTHER}],"Count":2,"ScannedCount":2,"ConsumedCapacity":null}}"#), 2),
        (format!(r#"{{"Item":{ITEM}}}"#), 1),
        (format!("{{\"Item\":{ITEM}}}\n{{\"Item\":{OTHER}}}\n"), 2),
    ] {
        assert_eq!(result(&text, &[]), Ok((keys(), items, note.to_owned())), "{text}");
    }
    let incremental =
        r#"{"Metadata":{"WriteTimestampMicros":"1"},"Keys":{"PK":{"S":"a"}},"NewImage":{"PK":{"S":"a"}}}"#;
    assert_eq!(result(incremental, &[]), Ok((vec!["PK".to_owned()], 1, String::new())));
    let (keys, items, notes) = result(&event(&["1795824001"], true), &[]).unwrap();
    assert_eq!((keys, items, notes.as_str()), (vec!["id".to_owned()], 1, ""));
}

#[test]
fn unreadable_records_are_counted_and_named() {
    let (_, items, notes) = result(&event(&["1795824001", "\"2026-11-28T00:00:02Z\""], true), &[]).unwrap();
    assert_eq!(items, 1);
    assert!(notes.starts_with("1 of 2 records left out: record 2: "), "{notes}");
    let none = result(&event(&["\"2026-11-28T00:00:02Z\""], true), &[]).unwrap_err();
    assert!(none.starts_with("none of the 1 record can be read: record 1: ") && none.ends_with(ACCEPTED), "{none}");
    let keys_only = result(&event(&["1795824001"], false), &[]).unwrap_err();
    assert!(keys_only.contains("NEW_AND_OLD_IMAGES"), "{keys_only}");
    let half = result(&format!(r#"{{"Items":[{ITEM},{{"pk":{{"X":"1"}}}}]}}"#), &[]).unwrap();
    assert!(half.2.starts_with("1 of 2 items left out: item 2: "), "{}", half.2);
}

#[test]
fn what_holds_no_items_is_explained() {
    for (text, reason) in [
        (r#"{"Items":[],"Count":0}"#, "it has no items; scan a table that has some"),
        ("{}", "it has no items; use a Lambda event"),
        ("", "it has no items; use a Lambda event"),
        ("not JSON", "expected ident at line 1 column 2; use a Lambda event"),
        (r#"{"Records":[{}]}"#, "use a Lambda event"),
    ] {
        let found = result(text, &[]).unwrap_err();
        assert!(found.contains(reason), "{text}: {found}");
    }
}

#[test]
fn keys_are_recognized_by_name_or_asked_for() {
    let scan = |items: &[&str]| format!(r#"{{"Items":[{}]}}"#, items.join(","));
    let capital =
        scan(&[r#"{"PK":{"S":"USER#1"},"SK":{"S":"PROFILE"}}"#, r#"{"SK":{"S":"ORDER#7"},"PK":{"S":"USER#1"}}"#]);
    assert_eq!(result(&capital, &[]).unwrap().0, ["PK", "SK"]);
    let devices = scan(&[
        r#"{"deviceId":{"S":"d-1"},"ts":{"N":"1"},"ok":{"BOOL":true}}"#,
        r#"{"ts":{"N":"2"},"deviceId":{"S":"d-1"},"ok":{"BOOL":true}}"#,
    ]);
    let asked = result(&devices, &[]).unwrap_err();
    assert!(asked.contains("use --key PARTITION or --key PARTITION,SORT with one or two of deviceId, ts"), "{asked}");
    assert_eq!(result(&devices, &["deviceId", "ts"]).unwrap().0, ["deviceId", "ts"]);
    // Two items with the same id have a sort key as well.
    let versions = scan(&[r#"{"id":{"S":"a"},"version":{"N":"1"}}"#, r#"{"id":{"S":"a"},"version":{"N":"2"}}"#]);
    assert!(result(&versions, &[]).unwrap_err().contains("--key PARTITION,SORT with one or two of id, version"));
    let wrong = result(&devices, &["pk"]).unwrap_err();
    assert!(wrong.contains("item 1 has no attribute `pk` that can be a key"), "{wrong}");
    assert!(result(&devices, &["a", "b", "c"]).unwrap_err().contains("one or two key attributes"));
}
