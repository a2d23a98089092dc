//! Rows of items that existed before the stream was attached: they open measures with a baseline, and count nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::Fixture;
use crate::proof::load::ProfileName;
use crate::proof::reconcile::{
    CountedRecords, GapKind, Gaps, Period, Report, Site, Truth, Unprovable, prove, reconcile,
};
use usage_aggregator::time::{DAY_SECONDS, Timestamp};

const PIPELINE: &str = r##"
[snapshot]
windows = ["day", "total"]
partition_key = { name = "pk", value = "OWNER#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "item"
match = { pk = "OWNER#{owner}", sk = "ITEM#{item}" }
entity = "{owner}"
resource = "stock"

[[record.measure]]
name = "units"
kind = "level"
attribute = "units"
baseline = true

[[record.measure]]
name = "moved"
kind = "delta"
attribute = "units"

[[record.measure]]
name = "changes"
kind = "count"

[record.archive]
schema = "item.avsc"
"##;

pub(super) const SCHEMA: &str = include_str!("../../../../../tests/stock/item.avsc");

const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/stock";

pub(super) fn pipeline(schema: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stock");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("pipeline.toml"), PIPELINE).unwrap();
    std::fs::write(path.join("item.avsc"), schema).unwrap();
    (folder, path)
}

/// The beginning of this day, from which records are counted.
fn midnight() -> i64 {
    let now = event_source_mapping::now().unwrap().seconds();
    now - now.rem_euclid(DAY_SECONDS)
}

/// A change of an item from some units to others, this many seconds after midnight.
pub(super) fn change(number: u32, item: &str, second: i64, from: Option<u32>, to: Option<u32>) -> Value {
    let keys = json!({ "pk": { "S": "OWNER#7" }, "sk": { "S": format!("ITEM#{item}") } });
    let name = match (from, to) {
        (None, _) => "INSERT",
        (_, None) => "REMOVE",
        _ => "MODIFY",
    };
    let mut record = json!({
        "eventID": format!("{number:032x}"), "eventName": name, "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1", "eventSourceARN": format!("{TABLE}/stream/2026-01-01T00:00:00.000"),
        "dynamodb": {
            "ApproximateCreationDateTime": midnight() + second, "Keys": keys, "SizeBytes": 100,
            "SequenceNumber": format!("8000000000000000{number:05}"), "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    });
    for (image, units) in [("OldImage", from), ("NewImage", to)] {
        if let Some(units) = units {
            record["dynamodb"][image] = keys.clone();
            record["dynamodb"][image]["units"] = json!({ "N": units.to_string() });
        }
    }
    record
}

/// The record of an item that existed, as `usagectl backfill` makes it.
fn existing(event_id: &str, item: &str, second: i64, units: u32) -> Value {
    let mut record = change(0, item, second, None, Some(units));
    record["eventID"] = json!(event_id);
    record["eventSourceARN"] = json!(format!("{TABLE}/stream/backfill"));
    record["dynamodb"]["SequenceNumber"] =
        json!(item.bytes().fold(7_000_000_000_000_000_000_u64, |hash, byte| hash + u64::from(byte)).to_string());
    record
}

/// Claims the cut, as `usagectl backfill` does.
async fn claim(fixture: &Fixture, cut: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = fixture.clients.dynamodb.put_item().table_name("ledger");
    put.item("pk", text("b#stock")).item("sk", text(TABLE)).item("cut", text(cut)).send().await.unwrap();
}

fn text_of(second: i64) -> String {
    Timestamp::from_seconds(second).unwrap().to_string()
}

async fn fixture(count_from: bool) -> (TempDir, Fixture) {
    let (folder, path) = pipeline(SCHEMA);
    let from = text_of(midnight());
    let variables: &[(&str, &str)] = &[("COUNT_FROM", &from[..16])];
    let fixture = Fixture::with_variables(ProfileName::Orders, &path, if count_from { variables } else { &[] }).await;
    (folder, fixture)
}

/// Compares the archive with the snapshots, and record by record with the ledger.
pub(super) async fn compare(fixture: &Fixture) -> (Report, Gaps) {
    let report = reconcile(&fixture.site(), &Truth::Archive, &[], &|| {}).await.unwrap();
    let counted: CountedRecords = fixture.counted_records(midnight()).await;
    let day = Period::new(&text_of(midnight())[..10]);
    let site = Site { period: Some(&day), ..fixture.site() };
    let (of_day, gaps) = prove(&site, &counted, &|| {}).await.unwrap();
    assert_eq!(report.agrees(), of_day.agrees(), "{of_day:#?}");
    (report, gaps)
}

/// The total of each measure.
async fn total(fixture: &Fixture) -> BTreeMap<String, String> {
    let items = fixture.clients.dynamodb.scan().table_name("usage").send().await.unwrap().items.unwrap();
    let item = items.into_iter().find(|item| item["sk"].as_s().unwrap().ends_with("total")).unwrap();
    let number = |(name, value): (String, AttributeValue)| Some((name, value.as_n().ok()?.clone()));
    item.into_iter().filter_map(number).collect()
}

#[tokio::test]
async fn backfilled_rows_open_levels_and_count_nothing_else() {
    let (_folder, fixture) = fixture(false).await;
    claim(&fixture, &text_of(midnight())).await;
    fixture.append(&[change(1, "new", 5, None, Some(4)), change(2, "a", 6, Some(10), Some(12))]).await;
    let items = [("a", 10), ("b", 20), ("c", 30)].map(|(item, units)| existing("backfill", item, 0, units));
    fixture.append(&items).await;
    fixture.append(&[change(3, "b", 7, Some(20), None), change(4, "b", 8, None, Some(1))]).await;
    let (report, gaps) = compare(&fixture).await;
    assert!(report.agrees() && report.unprovable.is_empty(), "{report:#?}");
    assert_eq!((gaps.gap_count, gaps.records), (0, 7), "{gaps:#?}");
    // 12 + 1 + 30 + 4 exist; 4 + 2 - 20 + 1 moved.
    let expected = [("changes", "4"), ("moved", "-13"), ("units", "47")];
    assert_eq!(total(&fixture).await, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
}

#[tokio::test]
async fn items_that_changed_before_counting_began_open_levels_without_another_row() {
    let (_folder, fixture) = fixture(true).await;
    claim(&fixture, &text_of(midnight())).await;
    // Before the cut, "a" and "b" change, "c" is removed, and "d" is inserted.
    fixture.append(&[change(1, "a", -9, Some(9), Some(10)), change(2, "b", -8, Some(1), Some(20))]).await;
    fixture.append(&[change(3, "c", -7, Some(5), None), change(4, "d", -6, None, Some(40))]).await;
    fixture.append(&[change(5, "a", 6, Some(10), Some(12)), change(6, "c", 7, None, Some(3))]).await;
    let (report, gaps) = compare(&fixture).await;
    assert_eq!(report.differences.len(), 2, "the opening values aren't there yet: {report:#?}");
    let missing: Vec<GapKind> = gaps.gaps.iter().map(|gap| gap.what).collect();
    assert_eq!(missing, [GapKind::NotCounted; 3], "{gaps:#?}");

    let counted = [("a", 10), ("b", 20), ("d", 40)].map(|(item, units)| existing("backfill-counted", item, 0, units));
    fixture.append(&counted).await;
    fixture.append(&[existing("backfill", "e", 0, 50)]).await;
    let (report, gaps) = compare(&fixture).await;
    assert!(report.agrees() && report.unprovable.is_empty(), "{report:#?}");
    assert_eq!((gaps.gap_count, gaps.records), (0, 6), "{gaps:#?}");
    assert_eq!(total(&fixture).await["units"], "125", "12 + 20 + 3 + 40 + 50");
}

#[tokio::test]
async fn only_items_of_the_table_that_was_backfilled_open_levels() {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let stream = json!({ "name": "stream_arn", "type": "string", "source": "stream_arn" });
    schema["fields"].as_array_mut().unwrap().push(stream);
    let (_folder, path) = pipeline(&schema.to_string());
    let from = text_of(midnight());
    let fixture = Fixture::with_variables(ProfileName::Orders, &path, &[("COUNT_FROM", &from[..16])]).await;
    claim(&fixture, &from).await;
    let of_other = |mut record: Value| {
        record["eventSourceARN"] = json!(format!("{TABLE}-2/stream/2026-01-01T00:00:00.000"));
        record
    };
    // Before the cut, both tables have an item with the same key.
    for record in [
        change(1, "a", -9, Some(9), Some(10)),
        of_other(change(2, "a", -8, Some(1), Some(70))),
        existing("backfill-counted", "a", 0, 10),
        change(3, "a", 6, Some(10), Some(12)),
        of_other(change(4, "a", 7, Some(70), Some(71))),
    ] {
        fixture.append(&[record]).await;
    }
    let (report, gaps) = compare(&fixture).await;
    assert!(report.agrees() && report.unprovable.is_empty(), "{report:#?}");
    assert_eq!((gaps.gap_count, gaps.records), (0, 3), "{gaps:#?}");
    assert_eq!(total(&fixture).await["units"], "13", "10 + 2 + 1");
}

#[tokio::test]
async fn rows_of_an_export_are_old_images_of_the_changes_after_it() {
    let (_folder, fixture) = fixture(false).await;
    let [a, b] = ["a", "b"].map(|item| existing("backfill-archived", item, 60, 10));
    fixture.append(&[a, b]).await;
    fixture.append(&[change(1, "a", 60, Some(10), Some(12)), change(2, "a", 61, Some(12), None)]).await;
    let (report, gaps) = compare(&fixture).await;
    assert!(report.agrees() && report.unprovable.is_empty(), "{report:#?}");
    assert_eq!((gaps.gap_count, gaps.records), (0, 2), "{gaps:#?}");
    // What the export shows may be from after a change that is older than the export, so it doesn't say what that replaced.
    fixture.append(&[change(3, "b", 59, Some(7), Some(10))]).await;
    let unprovable = reconcile(&fixture.site(), &Truth::Archive, &[], &|| {}).await.unwrap_err();
    let Unprovable(reasons) = unprovable.downcast().unwrap();
    assert!(reasons[0].contains("ITEM#b") && reasons[0].contains("no insertion before it"), "{reasons:?}");
}

#[tokio::test]
async fn backfilled_rows_without_an_event_id_are_refused_as_evidence() {
    let (_folder, path) = pipeline(&SCHEMA.replace(r#""source":"event_id""#, r#""default":"""#));
    let fixture = Fixture::with_variables(ProfileName::Orders, &path, &[]).await;
    assert!(reconcile(&fixture.site(), &Truth::Archive, &[], &|| {}).await.is_ok());
    claim(&fixture, &text_of(midnight())).await;
    let unprovable = reconcile(&fixture.site(), &Truth::Archive, &[], &|| {}).await.unwrap_err();
    assert!(unprovable.to_string().contains("\"source\": \"event_id\""), "{unprovable}");
}

/// Pages expire before the archive does, so records of their hours are in the archive only.
#[tokio::test]
async fn records_whose_pages_have_expired_hide_no_gap_of_the_others() {
    let (_folder, fixture) = fixture(false).await;
    let (expired, kept) = (-7_200, -3_600);
    let records: Vec<Value> =
        (1..=25).map(|number| change(number, &format!("expired-{number}"), expired, None, Some(1))).collect();
    fixture.append(&records).await;
    // The stream lost a change from 10 to 15.
    fixture.append(&[change(30, "z", kept, None, Some(10)), change(31, "z", kept + 1, Some(15), Some(20))]).await;
    let from = midnight() + kept;
    let mut counted = CountedRecords { read_from: from, ..fixture.counted_records(from).await };
    let day = Period::new(&text_of(from)[..10]);
    let site = Site { period: Some(&day), ..fixture.site() };
    let gaps = async |counted: &CountedRecords| prove(&site, counted, &|| {}).await.unwrap().1;
    let kinds = |gaps: &Gaps| gaps.gaps.iter().map(|gap| gap.what).collect::<Vec<_>>();
    let found = gaps(&counted).await;
    assert_eq!((found.gap_count, kinds(&found)), (1, vec![GapKind::Discontinuous]), "{found:#?}");
    // Pages of the later hour are lost.
    let lost = CountedRecords { amounts: BTreeMap::new(), ..counted.clone() };
    let found = gaps(&lost).await;
    assert_eq!((found.gap_count, kinds(&found)), (2, vec![GapKind::NotCounted; 2]), "{found:#?}");
    // A page counts what the archive lacks.
    counted.amounts.insert(7, counted.amounts.values().next().unwrap().clone());
    let found = gaps(&counted).await;
    assert_eq!(kinds(&found), [GapKind::Discontinuous, GapKind::NotArchived], "{found:#?}");
}
