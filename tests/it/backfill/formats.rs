//! Exports in every form that DynamoDB writes: full and incremental, in JSON and in Ion, in a folder and in S3.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::export::{Format, Picture, View, full, full_in, incremental_in, picture, time_of, upload};
use super::table::Table;
use super::{agrees, report};
use crate::world::page_keys;

/// Incremental exports of both formats and both views, one after the other, continue a full one from before the stream.
#[tokio::test(flavor = "multi_thread")]
async fn incremental_exports_continue_a_full_one_from_before_the_stream() {
    for (name, format) in [("bf-incr", Format::Json), ("bf-incr-ion", Format::Ion)] {
        let mut table = Table::new(name, 50).await;
        let before = picture(&table).await;
        let first = full_in(format, &table, "01-full", &before);
        let from = time_of(&first);
        // Not in the stream.
        table.change(30, 60).await;
        let between = picture(&table).await;
        let second = incremental_in((format, View::NewImage), &table, "02-incr", [&before, &between], &from);
        let then = time_of(&second);
        table.change(30, 60).await;
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        table.attach_stream().await;
        let [first, second] = [&first, &second].map(|folder| folder.to_str().unwrap());
        let refused = table.backfill(&[first, second]).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("changes in between would be lost"), "{refused:?}");

        table.change(20, 60).await;
        let after: Picture = picture(&table).await;
        let third = incremental_in((format, View::NewAndOldImages), &table, "03-incr", [&between, &after], &then);
        let third = third.to_str().unwrap();
        table.change(20, 60).await;
        let gap = table.backfill(&[third, first]).await;
        assert_eq!(gap.code, Some(2), "{gap:?}");
        assert!(gap.stderr.contains("specify exports that follow each other without a gap"), "{gap:?}");
        let run = table.backfill(&[third, first, second]).await;
        assert_eq!(run.code, Some(0), "{run:?}");
        agrees(&mut table).await;
    }
}

/// An attribute with a value of each type, as the export in JSON has it, too.
fn anything() -> AttributeValue {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let binary = |bytes: &[u8]| Blob::new(bytes);
    let numbers = [
        "0",
        "-1.5",
        "600",
        "0.001",
        "12345678901234567890123456789012345678",
        "-0.12345678901234567890123456789012345678",
    ];
    let texts = [
        "",
        "line 1\nline 2\r\n\ttab",
        "\"quoted\" \'\'\'long\'\'\' \\",
        "\0\u{7}\u{8}\u{b}\u{c}\u{1b}\u{7f}",
        "Zürich 😀 \u{2028}",
    ];
    let list = [
        numbers.map(number).to_vec(),
        texts.map(text).to_vec(),
        vec![AttributeValue::Bool(true), AttributeValue::Bool(false), AttributeValue::Null(true)],
        vec![AttributeValue::B(binary(b"\x00\xff}}")), AttributeValue::B(binary(b""))],
        vec![AttributeValue::L(vec![]), AttributeValue::M(HashMap::new())],
    ];
    let members = [
        ("ss", AttributeValue::Ss(["a", "b\nc"].map(str::to_owned).to_vec())),
        ("ns", AttributeValue::Ns(["1", "2.5", "600"].map(str::to_owned).to_vec())),
        ("bs", AttributeValue::Bs(vec![binary(&[1]), binary(&[2, 3])])),
        ("list", AttributeValue::L(list.concat())),
        // Names that Ion quotes.
        ("null", text("a")),
        ("true", text("b")),
        ("nan", text("c")),
        ("two words", text("d")),
        ("it\'s \"quoted\"\n", text("e")),
        ("1st", text("f")),
        ("$ion_1_0", text("g")),
        ("$10", text("h")),
        ("a.b-c#d", text("i")),
        ("größe", text("j")),
        (
            "map",
            AttributeValue::M(HashMap::from([(
                "inner".to_owned(),
                AttributeValue::M(HashMap::from([("n".to_owned(), number("1"))])),
            )])),
        ),
    ];
    AttributeValue::M(members.map(|(name, value)| (name.to_owned(), value)).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_in_ion_makes_the_same_records_as_one_in_json() {
    let mut table = Table::new("bf-ion", 40).await;
    for item in 40..44 {
        table.put_with(item, "600", Some(("anything", anything()))).await;
    }
    table.attach_stream().await;
    let picture = picture(&table).await;
    let [json, ion] = [full(&table, "01-json", &picture), full_in(Format::Ion, &table, "02-ion", &picture)];
    table.change(20, 40).await;
    let run = table.backfill(&[ion.to_str().unwrap(), "--json"]).await;
    assert_eq!((run.code, &report(&run)["rows"]["item"]), (Some(0), &json!(44)), "{run:?}");
    let (pages, files) = (page_keys(&table.world.items("ledger").await), table.world.objects().await);
    assert_eq!(table.backfill(&[json.to_str().unwrap()]).await.code, Some(0));
    assert_eq!(page_keys(&table.world.items("ledger").await), pages);
    assert_eq!(table.world.objects().await, files);
    // The archive has the values that the table has.
    let rows = table.world.rows().await;
    let row = rows.iter().find(|row| crate::world::text(row, "sk") == "ITEM#40").unwrap();
    let archived = format!("{:?}", row["anything"]);
    for part in ["12345678901234567890123456789012345678", "größe", "two words", "Zürich 😀"] {
        assert!(archived.contains(part), "{part}: {archived}");
    }
    agrees(&mut table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_read_from_s3() {
    let mut table = Table::new("bf-s3", 30).await;
    let before = picture(&table).await;
    let from = time_of(&full_in(Format::Ion, &table, "01-full", &before));
    table.change(20, 40).await;
    table.attach_stream().await;
    table.change(20, 40).await;
    let after = picture(&table).await;
    incremental_in((Format::Ion, View::NewAndOldImages), &table, "02-incr", [&before, &after], &from);
    table.change(20, 40).await;
    let url = upload(&table).await;
    let [full, incremental] = ["01-full", "02-incr/manifest-summary.json"].map(|name| format!("{url}/{name}"));
    let run = table.backfill(&[&full, &incremental]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    agrees(&mut table).await;
    let missing = table.backfill(&[&format!("{url}/03-full")]).await;
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("manifest-summary.json doesn\'t exist"), "{missing:?}");
}
