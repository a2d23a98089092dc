//! Drafts from items: what they look like, and that the function takes them.

use usage_aggregator::decode::attribute;

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
    let (files, notes) = draft(&samples(&items, &["pk", "sk"]));
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

#[test]
fn keys_become_patterns() {
    for (text, expected) in [
        ("CUSTOMER#7", "CUSTOMER#{pk}"),
        ("PROFILE", "PROFILE"),
        ("7/ORDER#42#LINE#1", "{pk}/ORDER#{pk_2}#LINE#{pk_3}"),
        ("42", "{pk}"),
        ("A##b", "A##{pk}"),
    ] {
        assert_eq!(pattern("pk", text), expected, "{text}");
    }
}
