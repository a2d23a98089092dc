//! What records say about measures that aren't sums.

use super::*;
use crate::outline::WrittenItems;

const KINESIS: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders";
const DYNAMODB: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-21T00:00:00.000";

fn every_kind() -> Pipeline {
    counting(
        r##"
        [[record.measure]]
        name = "most"
        kind = "max"
        attribute = "n"
        factor = 0.1
        [[record.measure]]
        name = "least"
        kind = "min"
        attribute = "n"
        [[record.measure]]
        name = "before"
        kind = "first"
        attribute = "status"
        [[record.measure]]
        name = "status"
        kind = "latest"
        attribute = "status"
        missing = "ignore"
        [[record.measure]]
        name = "users"
        kind = "distinct"
        attribute = "user"
        missing = "ignore"
        [[record.measure]]
        name = "n"
        kind = "quantile"
        attribute = "n"
        where = { status = "NEW" }
        "##,
    )
}

/// What a record of a stream with this ARN says.
fn cells_of(pipeline: &Pipeline, stream_arn: &str, change: Change<'_>) -> Result<Vec<Addition>, Fault> {
    let record = ChangeRecord {
        id: RecordId([7; 16]),
        sequence: SequenceNumber::parse("1234").unwrap(),
        event_id: "e".into(),
        user_record: None,
        created_at: Timestamp::parse("2026-11-21T03:05:05Z").unwrap(),
        source: Origin { stream_arn: stream_arn.into(), name: "orders".into() },
        keys: plain_item(KEYS).unwrap(),
        change,
    };
    let Routed::To(route, bindings) = pipeline.route(&record.keys, record.newest_image()) else { panic!() };
    let (mut written, mut counting) = (WrittenItems::default(), Counting::new(pipeline, None));
    let deltas = counting.deltas(&written.record(record.clone()), route, &bindings)?;
    Ok(deltas.into_iter().flat_map(|delta| delta.amounts).collect())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) => number.to_string(),
        Cell::Hash(hash) => format!("{hash:016x}"),
        Cell::Moment(moment) => format!("{} at {} after {:02x?}", moment.value, moment.at, moment.order.bytes()),
    }
}

fn said(change: Change<'_>) -> String {
    match cells_of(&every_kind(), DYNAMODB, change) {
        Ok(cells) => {
            cells.iter().map(|one| format!("{} {}", one.measure, text(&one.cell))).collect::<Vec<_>>().join(", ")
        }
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn each_kind_takes_the_value_of_the_newest_image() {
    let at = "at 2026-11-21T03:05:05Z after [12, 34]";
    let zero = r#"{"n":0,"status":"NEW","user":7}"#;
    let hash = "39a96b2e30a1e1a5";
    assert_eq!(
        said(insert(zero)).replace(&user_hash(zero), hash),
        format!("most 0, least 0, before NEW {at}, status NEW {at}, users {hash}, n 0"),
        "zero is a value"
    );
    let later = r#"{"n":12,"status":2}"#;
    assert_eq!(said(modify(zero, later)), format!("most 1.2, least 12, before 2 {at}, status 2 {at}"));
    assert_eq!([said(remove(zero)), said(expire(zero))], ["", ""], "its value was taken when it was written");
}

fn user_hash(json: &str) -> String {
    let cells = cells_of(&every_kind(), DYNAMODB, insert(json)).unwrap();
    text(&cells.iter().find(|one| &*one.measure == "users").unwrap().cell)
}

#[test]
fn a_value_that_a_kind_cant_take_is_rejected() {
    let long = format!(r#"{{"n":1,"status":"{}"}}"#, "x".repeat(1025));
    let cases = [
        (r#"{"status":"NEW"}"#, "missing_attribute: NewImage.n: is missing, but measure `most` needs it"),
        (r#"{"n":"1","status":"NEW"}"#, "invalid_value: NewImage.n: expected N, found S"),
        (r#"{"n":1}"#, "missing_attribute: NewImage.status: is missing, but measure `before` needs it"),
        (r#"{"n":1,"status":true}"#, "invalid_value: NewImage.status: expected S or N, found BOOL"),
        (r#"{"n":1,"status":"A","user":[1]}"#, "invalid_value: NewImage.user: expected S or N, found L"),
        (&long, "invalid_value: NewImage.status: has 1025 bytes; a first or latest value has at most 1024"),
    ];
    for (item, expected) in cases {
        assert_eq!(said(insert(item)), expected);
    }
}

#[test]
fn every_spelling_of_a_number_is_one_value_and_a_string_is_another() {
    let hash = |user: &str| user_hash(&format!(r#"{{"n":1,"status":"A","user":{user}}}"#));
    assert_eq!(hash("10"), hash("1e1"));
    assert_eq!(hash("10"), hash("10.0"));
    assert_ne!(hash("10"), hash("\"10\""));
    // Part of the format: it must never change.
    assert_eq!(
        hash("\"alice\""),
        format!("{:016x}", u64::from_be_bytes(*blake3::hash(b"Salice").as_bytes().first_chunk().unwrap()))
    );
}

#[test]
fn a_key_of_the_deployment_gives_the_values_other_hashes_and_the_same_ones_to_equal_values() {
    let hash = |key: Option<[u8; 32]>, user: &str| {
        let pipeline = Pipeline { distinct_key: key, ..every_kind() };
        let item = format!(r#"{{"n":1,"status":"A","user":{user}}}"#);
        let cells = cells_of(&pipeline, DYNAMODB, insert(&item)).unwrap();
        text(&cells.iter().find(|one| &*one.measure == "users").unwrap().cell)
    };
    assert_eq!(hash(Some([1; 32]), "10"), hash(Some([1; 32]), "1e1"));
    assert_ne!(hash(Some([1; 32]), "10"), hash(Some([2; 32]), "10"));
    assert_ne!(hash(Some([1; 32]), "10"), hash(None, "10"));
}

/// Kinesis may repeat a change of a table under another sequence number, which must change nothing.
#[test]
fn a_change_that_came_through_kinesis_is_placed_by_its_id() {
    let order = |stream_arn: &str| {
        let cells = cells_of(&every_kind(), stream_arn, insert(r#"{"n":1,"status":"A"}"#)).unwrap();
        let latest = cells.into_iter().find(|one| &*one.measure == "status").unwrap();
        let Cell::Moment(moment) = latest.cell else { panic!() };
        moment.order.bytes().to_vec()
    };
    assert_eq!([order(DYNAMODB), order(KINESIS)], [vec![0x12, 0x34], vec![7; 16]]);
}

#[test]
fn two_measures_of_one_name_give_one_value_for_each_record() {
    let twice = |kind: &str| {
        counting(&format!(
            "[[record.measure]]\nname = \"m\"\nkind = \"{kind}\"\nattribute = \"a\"\n[[record.measure]]\nname = \"m\"\nkind = \"{kind}\"\nattribute = \"b\""
        ))
    };
    let value = |kind: &str, item: &str| match cells_of(&twice(kind), DYNAMODB, insert(item)) {
        Ok(cells) => cells.iter().map(|one| text(&one.cell)).collect::<Vec<_>>().join(", "),
        Err(fault) => fault.to_string(),
    };
    let item = r#"{"a":3,"b":-8}"#;
    assert_eq!([value("max", item), value("min", item)], ["3", "-8"]);
    assert!(value("latest", item).starts_with("3 at"), "of one record, the greater value");
    let refused = "invalid_value: NewImage: has two values for measure `m`, which takes one from each record";
    assert_eq!([value("distinct", item), value("quantile", item)], [refused, refused]);
    assert_eq!(value("quantile", r#"{"a":3,"b":3}"#), "3");
}
