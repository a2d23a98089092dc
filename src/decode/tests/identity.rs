//! Which differences between records change their id, and which don't.

use super::kinesis::{CHANGE, SEQUENCE, by_fan_out, message};
use super::*;

#[test]
fn a_stream_record_has_the_same_id_in_every_spelling_and_delivery() {
    let cases = [
        (r#""pk":{"S":"SECRET"},"sk":{"N":"1"}"#, r#""sk":{"N":"1"},"pk":{"S":"SECRET"}"#),
        (r#""sk":{"N":"1"}"#, r#""sk":{"N":"1.0"}"#),
        (r#""sk":{"N":"1"}"#, r#""sk":{"N":"10e-1"}"#),
        (r#""pk":{"S":"SECRET"}"#, r#" "\u0070k" : { "S" : "S\u0045CRET" } "#),
        // Not part of the identity: what the event says about the delivery, and what was changed.
        (r#""eventVersion":"1.1""#, r#""eventVersion":"1.2""#),
        ("9cdf975187b7d7f668abf98414c08f05", "0"),
        ("1.795230305E9", "1795230305"),
        (r#""SizeBytes":46,"#, ""),
    ];
    for (from, to) in cases {
        assert_eq!(id_of(&with(RECORD, from, to)), id_of(RECORD), "{to}");
    }
    assert_eq!(id_of(RECORD).to_string(), "53a54529f22a489e16531c7fc7a4138a");
}

#[test]
fn another_item_sequence_number_or_stream_gives_another_id() {
    let key = r#""sk":{"N":"1"}"#;
    let cases = [
        (key, r#""sk":{"N":"2"}"#),
        (key, r#""sk":{"N":"-1"}"#),
        (key, r#""sk":{"S":"1"}"#),
        (key, r#""sk":{"B":"MQ=="}"#),
        (key, r#""sl":{"N":"1"}"#),
        (r#","sk":{"N":"1"}"#, ""),
        ("2900002759746085485437", "2900002759746085485438"),
        ("table/orders/", "table/order/"),
        ("us-east-1:", "us-east-2:"),
        ("2026-11-02T08:15:27.416", "2026-11-02T08:15:27.417"),
    ];
    let mut ids = vec![id_of(RECORD)];
    for (from, to) in cases {
        let id = id_of(&with(RECORD, from, to));
        assert!(!ids.contains(&id), "{to}");
        ids.push(id);
    }
}

#[test]
fn a_table_change_has_the_same_id_under_another_kinesis_sequence_number_shard_and_arrival() {
    let record = message(CHANGE);
    let deliveries = [
        record.replace(SEQUENCE, "49658204715301672214837609913207816451903782460917186563"),
        with(&record, "shardId-000000000000", "shardId-000000000007"),
        with(&record, "1795230306.123", "1795230399.5"),
        by_fan_out(&record),
        message(with(CHANGE, "6d3a4f0e-5c0b-4a55-9d3a-0a5b2f1f3c11", "ffffffff-5c0b-4a55-9d3a-0a5b2f1f3c11")),
        message(with(CHANGE, r#""pk":{"S":"SECRET"},"n":{"N":"1"}"#, r#""n":{"N":"1.0"},"pk":{"S":"SECRET"}"#)),
        message(with(CHANGE, "1795230305891,", "1.795230305891E12,")),
    ];
    for delivery in deliveries {
        assert_eq!(id_of(&delivery), id_of(&record), "{delivery}");
    }
}

#[test]
fn every_part_of_a_table_change_is_part_of_its_id() {
    let cases = [
        (r#""tableName":"orders""#, r#""tableName":"order""#),
        (r#""Keys":{"pk":{"S":"SECRET"}}"#, r#""Keys":{"pk":{"S":"OTHER"}}"#),
        (r#""INSERT""#, r#""MODIFY""#),
        (r#""INSERT""#, r#""REMOVE""#),
        ("1795230305891", "1795230305892"),
        ("1795230305891", "1795230305891000"),
        (r#""n":{"N":"1"}"#, r#""n":{"N":"2"}"#),
        (r#""n":{"N":"1"}"#, r#""n":{"L":[{"N":"1"}]}"#),
        (r#""n":{"N":"1"}"#, r#""n":{"NS":["1"]}"#),
        (r#","n":{"N":"1"}"#, ""),
        (r#""NewImage":{"pk":{"S":"SECRET"},"n":{"N":"1"}},"#, ""),
    ];
    let mut ids = vec![id_of(&message(CHANGE))];
    for (from, to) in cases {
        let id = id_of(&message(with(CHANGE, from, to)));
        assert!(!ids.contains(&id), "{to}");
        ids.push(id);
    }
}

#[test]
fn order_matters_in_lists_but_not_in_sets() {
    let id = |value: &str| id_of(&message(with(CHANGE, r#""n":{"N":"1"}"#, &format!(r#""n":{value}"#))));
    assert_eq!(id(r#"{"SS":["a","b"]}"#), id(r#"{"SS":["b","a"]}"#));
    assert_eq!(id(r#"{"NS":["1","2"]}"#), id(r#"{"NS":["2.0","1"]}"#));
    assert_eq!(id(r#"{"BS":["AA==","AQ=="]}"#), id(r#"{"BS":["AQ==","AA=="]}"#));
    assert_ne!(id(r#"{"L":[{"S":"a"},{"S":"b"}]}"#), id(r#"{"L":[{"S":"b"},{"S":"a"}]}"#));
    assert_ne!(id(r#"{"SS":["ab","c"]}"#), id(r#"{"SS":["a","bc"]}"#));
}

#[test]
fn messages_from_one_aggregated_record_have_different_ids() {
    let records = [message(r#"{"a":1}"#), message(r#"{"a":2}"#), message(r#"{"a":1} "#)];
    let ids = records.each_ref().map(|record| id_of(record));
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    assert_eq!(ids[0], id_of(&by_fan_out(&records[0])));
    assert_ne!(ids[0], id_of(&with(&records[0], "shardId-000000000000", "shardId-000000000001")));
    assert_ne!(ids[0], id_of(&with(&records[0], ":stream/clicks", ":stream/click")));
}

#[test]
fn the_sample_that_delivers_a_change_twice_has_three_ids() {
    let ids: Vec<_> = decoded(&sample("kinesis-wrapped"), |record| (record.id, record.sequence.to_string()))
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(ids[1].0, ids[3].0);
    assert_ne!(ids[1].1, ids[3].1);
    assert!(ids[0].0 != ids[1].0 && ids[1].0 != ids[2].0 && ids[0].0 != ids[2].0);
}
