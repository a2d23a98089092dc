//! Files depend only on their rows, have complete rows in every block, and are named by their content.

use super::*;
use proptest::prelude::*;

fn text_schema() -> RecordSchema {
    schema_of(json!("string"))
}

fn texts(texts: &[&str]) -> Vec<Item<'static>> {
    texts.iter().map(|text| item([("f", s(text))])).collect()
}

#[test]
fn every_codec_reads_back_over_many_blocks() {
    let schema = text_schema();
    let text = "0123456789".repeat(100);
    let images: Vec<_> = (0..1_000).map(|index| item([("f", s(&format!("{index} {text}")))])).collect();
    for codec in Codec::ALL {
        let file = file(&schema, codec, &images).unwrap();
        let rows = read(&file.body);
        assert_eq!((rows.len(), file.rows()), (1_000, 1_000), "{codec:?}");
        let last = Avro::Record(vec![("f".into(), Avro::String(format!("999 {text}")))]);
        assert_eq!(rows.last(), Some(&last), "{codec:?}");
        assert_eq!(Codec::parse(codec.name()), Some(codec));
        let sync = &file.body[file.body.len() - 16..];
        let blocks = file.body.windows(16).filter(|window| *window == sync).count() - 1;
        assert_eq!(blocks, 16, "{codec:?}: 1,000 rows of 1,005 bytes in blocks of 64,000");
    }
    assert_eq!(Codec::parse("bzip2"), None);
}

#[test]
fn rows_of_zero_bytes_are_counted() {
    let nulls = [item([]), item([]), item([])];
    let rows = read(&file(&schema_of(json!("null")), Codec::Null, &nulls).unwrap().body);
    assert_eq!(rows, vec![Avro::Record(vec![("f".into(), Avro::Null)]); 3]);
}

#[test]
fn the_header_follows_the_specification() {
    let schema = text_schema();
    let body = file(&schema, Codec::Null, &texts(&["a"])).unwrap().body;
    assert_eq!(&body[..5], b"Obj\x01\x04");
    let reader = Reader::new(&*body).unwrap();
    assert_eq!(reader.writer_schema(), schema.parsed());
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains(schema.json()), "the schema keeps its custom attributes");
    // One row with two bytes: the length of the text and the text. Then the same sync marker as before the block.
    assert_eq!(&body[body.len() - 20..body.len() - 16], [2, 4, 2, b'a']);
    assert_eq!(body[body.len() - 36..body.len() - 20], body[body.len() - 16..]);
}

/// If this changes, a redelivery after an upgrade writes its rows a second time, into another file.
#[test]
fn the_bytes_of_a_file_stay_the_same_across_versions() {
    let keys = Codec::ALL.map(|codec| file(&text_schema(), codec, &texts(&["a", "b"])).unwrap().key);
    insta::assert_snapshot!(keys.join("\n"), @"
    prefix/avro/order/partition_date=2026-09-17/2026-09-17T13-9877f2f2ae7cf25dcf1859b79128e7fe.avro
    prefix/avro/order/partition_date=2026-09-17/2026-09-17T13-a1049b3197839cc6fdff2d0966d01139.avro
    prefix/avro/order/partition_date=2026-09-17/2026-09-17T13-02f7362841e04c1e2ad17dd8178c4088.avro
    prefix/avro/order/partition_date=2026-09-17/2026-09-17T13-5f7f6b4ef227ec67d3e072fbd2b6d815.avro
    ");
}

#[test]
fn keys_contain_no_data_except_the_date_and_the_unit() {
    let long = "x".repeat(2_048);
    for hostile in ["..", "/", "../../etc", "partition_date=1999-01-01", "\n", "\0", "%2e%2e", "\u{202e}", &long] {
        let key = file(&text_schema(), Codec::Null, &texts(&[hostile])).unwrap().key;
        let hash = key
            .strip_prefix("prefix/avro/order/partition_date=2026-09-17/2026-09-17T13-")
            .and_then(|rest| rest.strip_suffix(".avro"));
        let hash = hash.unwrap_or_else(|| panic!("{key}"));
        assert!(hash.len() == 32 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
    }
}

#[test]
fn different_content_has_a_different_name() {
    let schema = text_schema();
    let other = schema_of(json!(["string"]));
    let keys = [
        file(&schema, Codec::Null, &texts(&["ab", "c"])).unwrap().key,
        file(&schema, Codec::Null, &texts(&["a", "bc"])).unwrap().key,
        file(&schema, Codec::Null, &texts(&["c", "ab"])).unwrap().key,
        file(&schema, Codec::Snappy, &texts(&["ab", "c"])).unwrap().key,
        file(&other, Codec::Null, &texts(&["ab", "c"])).unwrap().key,
    ];
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn a_prefix_may_be_empty_or_end_in_a_slash() {
    let mut draft = FileDraft::new("order", partition());
    draft.push(0, |_| Ok(())).unwrap();
    for (prefix, start) in [("", "avro/order/"), ("a/b", "a/b/avro/order/"), ("a/", "a/avro/order/")] {
        let file = draft.seal(&text_schema(), Codec::Null, prefix, 1).unwrap().unwrap();
        assert!(file.key.starts_with(start), "{}", file.key);
    }
}

#[test]
fn a_row_that_fails_leaves_no_trace() {
    let schema = text_schema();
    let mut draft = FileDraft::new("order", partition());
    let push = |draft: &mut FileDraft, index, value| {
        draft.push(index, |out| encode(&schema, &record(), &item([("f", value)]), out))
    };
    push(&mut draft, 0, s("a")).unwrap();
    push(&mut draft, 1, n("1")).unwrap_err();
    push(&mut draft, 2, s("b")).unwrap();
    let sealed = draft.seal(&schema, Codec::Null, "prefix", 3).unwrap().unwrap();
    assert_eq!(sealed.records, [0, 2]);
    assert_eq!(sealed.body, file(&schema, Codec::Null, &texts(&["a", "b"])).unwrap().body);
}

#[test]
fn an_empty_draft_makes_no_file() {
    let mut draft = FileDraft::new("order", partition());
    assert_eq!(draft.seal(&text_schema(), Codec::Null, "", usize::MAX).unwrap(), None);
    draft.push(5, |_| Ok(())).unwrap();
    assert_eq!(draft.seal(&text_schema(), Codec::Null, "", 5).unwrap(), None);
    assert!(draft.seal(&text_schema(), Codec::Null, "", 6).unwrap().is_some());
}

proptest! {
    /// Sealing before a record gives the same file as the records before it alone.
    #[test]
    fn a_sealed_prefix_is_the_file_of_the_prefix(
        rows in prop::collection::vec((".{0,40}", 0usize..3), 1..20),
        before in 0usize..50,
    ) {
        let schema = text_schema();
        let (mut whole, mut prefix) = (FileDraft::new("order", partition()), FileDraft::new("order", partition()));
        let mut index = 0;
        for (text, step) in &rows {
            index += step;
            let image = item([("f", s(text))]);
            whole.push(index, |out| encode(&schema, &record(), &image, out)).unwrap();
            if index < before {
                prefix.push(index, |out| encode(&schema, &record(), &image, out)).unwrap();
            }
        }
        let sealed = whole.seal(&schema, Codec::Deflate, "p", before).unwrap();
        prop_assert_eq!(&sealed, &prefix.seal(&schema, Codec::Deflate, "p", usize::MAX).unwrap());
        prop_assert_eq!(&sealed, &whole.clone().seal(&schema, Codec::Deflate, "p", before).unwrap());
    }
}
