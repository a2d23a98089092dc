//! Drafts from items: what they look like, and that the function takes every item.

use proptest::prelude::*;
use usage_aggregator::archive::encode;
use usage_aggregator::decode::{Event, attribute};
use usage_aggregator::pipeline::{Folder, Pipeline, Routed, Stream};
use usage_aggregator::record::{Change, Image};

use super::pattern::Words;
use super::*;

fn samples<'a>(items: &'a [&'a str], keys: &[&str]) -> Vec<Sample<'a>> {
    let sample = |text: &&'a str| Sample {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        item: attribute::item(text).unwrap(),
    };
    items.iter().map(sample).collect()
}

#[test]
fn items_of_two_kinds_become_two_record_types() {
    let items = [
        r#"{"pk":{"S":"SHOP#7"},"sk":{"S":"VISIT#2026-11-20#1"},"Amount":{"N":"2.50"},"orderId":{"N":"12"},"day":{"S":"2026-11-20"},"at":{"S":"2026-11-20T10:00:00Z"},"tags":{"SS":["a"]},"sizes":{"NS":["1","2"]}}"#,
        r#"{"pk":{"S":"SHOP#8"},"sk":{"S":"VISIT#2026-11-21#2"},"Amount":{"N":"3"},"orderId":{"N":"13"},"day":{"S":"2026-11-21"},"at":{"S":"2026-11-21T10:00:00Z"},"place":{"M":{"city":{"S":"Bonn"},"zip":{"NULL":true}}},"event_id":{"S":"x"}}"#,
        r#"{"pk":{"S":"SHOP#8"},"sk":{"S":"PROFILE"},"either":{"L":[{"S":"a"},{"N":"1"}]},"raw":{"B":"AA=="},"open":{"BOOL":true},"none":{"L":[]}}"#,
    ];
    let source = Source { names: BTreeSet::from(["shops".to_owned()]), ..Source::default() };
    let (files, notes) = draft(&samples(&items, &["pk", "sk"]), &source);
    let text: Vec<String> = files.iter().map(|(name, text)| format!("--- {name}\n{text}")).collect();
    insta::assert_snapshot!(format!("{}\n{}", text.concat(), notes.join("\n")));
}

#[test]
fn every_attribute_name_becomes_a_valid_avro_name() {
    for (name, snake_name, pascal_name) in [
        ("orderId", "order_id", "OrderId"),
        ("GSI2PK", "gsi2_pk", "Gsi2Pk"),
        ("b_rpm_tc", "b_rpm_tc", "BRpmTc"),
        ("2nd", "_2nd", "Type2nd"),
        ("größe", "gr__e", "GrE"),
        ("", "_", "Type"),
    ] {
        assert_eq!((snake(name), pascal(name)), (snake_name.to_owned(), pascal_name.to_owned()), "{name}");
    }
}

/// The distinct patterns of sort keys.
fn patterns(keys: &[&str]) -> Vec<String> {
    let items: Vec<String> =
        keys.iter().map(|key| format!(r#"{{"pk":{{"N":"1"}},"sk":{{"S":{}}}}}"#, json!(key))).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let samples = samples(&items, &["pk", "sk"]);
    let words = Words::of(&samples);
    let mut found: Vec<String> = samples.iter().map(|sample| words.matches(sample).remove(1).1).collect();
    found.dedup();
    found
}

#[test]
fn keys_become_patterns() {
    for (keys, expected) in [
        (vec!["CUSTOMER#7"], vec!["CUSTOMER#{sk}"]),
        (vec!["PROFILE"], vec!["PROFILE"]),
        (vec!["7/ORDER#42#LINE#1"], vec!["{sk}/ORDER#{sk_2}#LINE#{sk_3}"]),
        (vec!["42"], vec!["{sk}"]),
        (vec!["A##b"], vec!["A##{sk}"]),
        // Ticker symbols are values, as are words that are seen once.
        (vec!["AMZN", "MSFT", "XYZ", "QQQ"], vec!["{sk}"]),
        (vec!["user#1", "user#2"], vec!["user#{sk}"]),
        (vec!["acme#1", "shop#2"], vec!["{sk}#{sk_2}"]),
        (vec!["{x}"], vec!["{sk}"]),
    ] {
        assert_eq!(patterns(&keys), expected, "{keys:?}");
    }
}

#[test]
fn a_specific_pattern_comes_before_a_general_one() {
    let items = [
        r#"{"pk":{"S":"1"},"sk":{"S":"a"},"n":{"N":"1"}}"#,
        r#"{"pk":{"S":"USER#1"},"sk":{"S":"a"},"n":{"S":"text"}}"#,
        r#"{"pk":{"S":"USER#1"},"sk":{"S":"PROFILE"},"n":{"BOOL":true}}"#,
    ];
    let (files, _) = draft(&samples(&items, &["pk", "sk"]), &Source::default());
    let pipeline = &files["pipeline.toml"];
    let at = |text: &str| pipeline.find(text).unwrap();
    let [both, one, none] =
        [r#"sk = "PROFILE""#, r#"pk = "USER#{pk}", sk = "{sk}""#, r#"pk = "{pk}", sk = "{sk}""#].map(at);
    assert!(both < one && one < none, "{pipeline}");
    assert_eq!(files.len(), 4);
}

#[test]
fn the_sources_their_stream_and_a_first_measure_are_filled_in() {
    for (is_plain_kinesis, stream) in [(false, Stream::DynamoDb), (true, Stream::Kinesis)] {
        let names = BTreeSet::from(["orders".to_owned(), "returns".to_owned()]);
        let source = Source { names, is_plain_kinesis, ..Source::default() };
        let (files, _) = draft(&samples(&[r#"{"pk":{"S":"a"},"n":{"N":"1"}}"#], &["pk"]), &source);
        let pipeline = Pipeline::parse(&Folder { name: "mine".to_owned(), files }).unwrap();
        assert_eq!((pipeline.sources, pipeline.stream), (vec!["orders".to_owned(), "returns".to_owned()], stream));
        assert_eq!(pipeline.routes[0].measures().count(), 1);
    }
}

#[test]
fn decimals_have_room_for_more_digits_than_were_seen() {
    let scale = |numbers: &[&str]| {
        let items: Vec<String> =
            numbers.iter().map(|number| format!(r#"{{"pk":{{"S":"a"}},"n":{{"N":"{number}"}}}}"#)).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let (files, _) = draft(&samples(&items, &["pk"]), &Source::default());
        let schema = files.iter().find(|(name, _)| name.ends_with(".avsc")).unwrap().1;
        let schema: Json = serde_json::from_str(schema).unwrap();
        let field = schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == json!("n")).unwrap();
        field["type"]["scale"].as_u64()
    };
    assert_eq!(scale(&["12.5", "3.25"]), Some(4), "twice the digits that were seen");
    assert_eq!(scale(&["1234567890123456789012345678901234.25"]), Some(3), "half of the room that is left");
    assert_eq!(scale(&["21000000000000000000000000", "0.000000000001"]), Some(12), "none is left");
    assert_eq!(scale(&["1", "2"]), None, "a long");
}

#[test]
fn regression_keys_that_are_not_variables_can_be_drafted() {
    for key in ["_key", "_id", "2nd", "größe", "Key", "\u{7f}", "a b"] {
        let item = format!(r#"{{{}:{{"S":"a1_project"}},"size":{{"N":"2316"}}}}"#, json!(key));
        let (files, notes) = draft(&samples(&[&item], &[key]), &Source::default());
        let parsed = Pipeline::parse(&Folder { name: "mine".to_owned(), files });
        assert!(parsed.is_ok() && notes.is_empty(), "{key}: {parsed:?} {notes:?}");
    }
}

#[test]
fn regression_dates_beside_times_are_texts() {
    let items =
        [r#"{"pk":{"S":"1"},"at":{"S":"2026-11-20"}}"#, r#"{"pk":{"S":"2"},"at":{"S":"2026-11-20T10:00:00Z"}}"#];
    let (files, _) = draft(&samples(&items, &["pk"]), &Source::default());
    assert!(files["record_1.avsc"].contains(r#"{ "name": "at", "type": "string" }"#), "{files:?}");
}

/// The names of attributes, some of which can't be names in Avro or collide there.
const NAMES: [&str; 12] =
    ["a", "A", "b", "a.b", "orderId", "order_id", "_id", "größe", "record_id", "l[0].x", "partition_date", "2nd"];
const TEXTS: [&str; 9] = [
    "",
    "a",
    "ORDER#7",
    "2026-11-20",
    "2026-11-20T10:00:00Z",
    "2026-11-20T10:00:00.123456Z",
    "2026-11-20T10:00:00+01:00",
    "09:30",
    "Grüße",
];
const NUMBERS: [&str; 9] = [
    "0",
    "7",
    "-12.50",
    "1E100",
    "21000000000000000000000000",
    "0.000000000000000001",
    "99999999999999999999",
    "1E-120",
    "3.14",
];
const KEYS: [&str; 14] = [
    "USER#1", "USER#2", "ORDER#7", "AMZN", "MSFT", "XYZ", "PROFILE", "a/b#c", "x#y/z", "A##b", "#", "{x}", "user#1",
    "plain",
];

/// A value in DynamoDB's JSON.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        proptest::sample::select(TEXTS.to_vec()).prop_map(|text| json!({ "S": text })),
        proptest::sample::select(NUMBERS.to_vec()).prop_map(|number| json!({ "N": number })),
        any::<bool>().prop_map(|truth| json!({ "BOOL": truth })),
        Just(json!({ "NULL": true })),
        Just(json!({ "B": "AAE=" })),
        Just(json!({ "SS": ["a", "b"] })),
        Just(json!({ "NS": ["1", "2.5"] })),
        Just(json!({ "BS": ["AAE="] })),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|list| json!({ "L": list })),
            proptest::collection::btree_map(proptest::sample::select([&NAMES[..], &[""]].concat()), inner, 0..3)
                .prop_map(|map| json!({ "M": map })),
        ]
    })
}

/// The values of the keys, and the other attributes.
type RandomItem = (Vec<Json>, BTreeMap<&'static str, Json>);

/// The key attributes of a table, and items with their keys.
fn table() -> impl Strategy<Value = (Vec<&'static str>, Vec<RandomItem>)> {
    let keys = vec![vec!["pk", "sk"], vec!["PK", "SK"], vec!["_key"], vec!["id"], vec!["Key", "key"], vec!["a.b"]];
    let key = || {
        prop_oneof![
            4 => proptest::sample::select(KEYS.to_vec()).prop_map(|text| json!({ "S": text })),
            1 => Just(json!({ "N": "42" })),
            1 => Just(json!({ "B": "AAE=" })),
        ]
    };
    let item = (
        proptest::collection::vec(key(), 2),
        proptest::collection::btree_map(proptest::sample::select(NAMES.to_vec()), value(), 0..5),
    );
    (proptest::sample::select(keys), proptest::collection::vec(item, 1..8))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_draft_accepts_every_item_it_was_made_from((keys, items) in table()) {
        let mut records = Vec::new();
        for (number, (key_values, attributes)) in items.iter().enumerate() {
            let mut image = serde_json::to_value(attributes).unwrap();
            let key: serde_json::Map<String, Json> =
                keys.iter().zip(key_values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            image.as_object_mut().unwrap().extend(key.clone());
            records.push(json!({
                "eventID": format!("{number}"), "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
                "awsRegion": "eu-central-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_795_824_001, "Keys": key, "NewImage": image,
                    "SequenceNumber": format!("4000000000000000000{number:04}"), "SizeBytes": 1, "StreamViewType": "NEW_IMAGE",
                },
                "eventSourceARN": "arn:aws:dynamodb:eu-central-1:111122223333:table/things/stream/2026-11-01T08:00:00.000",
            }));
        }
        let event = json!({ "Records": records }).to_string();
        let event = Event::read(event.as_bytes()).unwrap();
        let mut scratch = vec![Vec::new(); records.len()];
        let records: Vec<_> =
            event.records().iter().zip(&mut scratch).map(|(raw, scratch)| raw.decode(scratch).unwrap()).collect();
        let samples: Vec<Sample<'_>> = records.iter().map(|record| {
            let Change::Insert { new: Image::Carried(item) } = &record.change else { panic!("{record:?}") };
            Sample { keys: record.keys.0.iter().map(|(name, _)| name.to_string()).collect(), item: item.clone() }
        }).collect();
        let (files, notes) = draft(&samples, &Source::default());
        let text = files.iter().map(|(name, text)| format!("--- {name}\n{text}")).collect::<String>();
        let left_out = notes.iter().any(|note| note.contains("left out"));
        if files.len() == 1 {
            // Nothing but binary values can't be matched.
            prop_assert!(left_out);
            return Ok(());
        }
        let pipeline = Pipeline::parse(&Folder { name: "mine".to_owned(), files })
            .map_err(|mistakes| TestCaseError::fail(format!("{mistakes}\n{text}")))?;
        for (record, sample) in records.iter().zip(&samples) {
            match pipeline.route(&record.keys, &Image::Carried(sample.item.clone())) {
                Routed::To(route, _) => {
                    let mut row = Vec::new();
                    let encoded = encode(&route.archive.as_ref().unwrap().schema, record, &sample.item, &mut row);
                    prop_assert!(encoded.is_ok(), "{encoded:?}\n{sample:?}\n{text}");
                }
                other => prop_assert!(left_out, "{other:?}\n{sample:?}\n{text}"),
            }
        }
    }
}
