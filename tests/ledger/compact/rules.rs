//! The rules of compaction, one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use apache_avro::types::Value as Avro;
use laptop::emulators::{Fault, FaultPlan};
use serde_json::json;
use usage_aggregator::error::ErrorKind;
use usage_compact::{CompactedFile, Compactor, Due, Effect, RecordType, Timing, raw_units};

use super::place::{END, HOUR, MINUTE, Place, compact, key, once, raw_file, schema};

#[tokio::test(start_paused = true)]
async fn each_row_is_in_one_half() {
    let place = Place::new();
    place.put_raw(&[1, 2, 3]);
    // A redelivery in another cut.
    place.put_raw(&[3, 4]);
    assert_eq!(place.compact().await.unwrap().waiting, 2);
    assert_eq!((place.parquet_keys().len(), place.query()), (0, once(1..=4)));
    place.set_time(END);
    let compacted = place.compact().await.unwrap();
    assert_eq!((compacted.files[0].rows, compacted.files[0].raw_rows, compacted.files[0].raw_files), (4, 5, 2));
    assert_eq!(place.parquet_keys(), ["p/parquet/order/partition_date=2026-11-28/2026-11-28T08-000.parquet"]);
    // Until the file takes effect, queries read the raw files, and from then on the file.
    for minutes in [0, 29, 30, 31, 24 * 60] {
        place.set_time(END + minutes * MINUTE);
        assert_eq!(place.query(), once(1..=4), "after {minutes} minutes");
    }
    // Nothing is left to do until the raw files are deleted, a day after the file took effect.
    place.compact().await.unwrap();
    assert_eq!((place.raw_keys().len(), place.parquet_keys().len()), (2, 1));
    place.set_time(END + 30 * MINUTE + 24 * HOUR);
    assert_eq!(place.compact().await.unwrap().deleted.len(), 2);
    assert_eq!((place.raw_keys().len(), place.query()), (0, once(1..=4)));
}

#[tokio::test(start_paused = true)]
async fn nothing_uncompacted_is_deleted() {
    let place = Place::new();
    let named = place.put_raw(&[1, 2]);
    place.set_time(END + HOUR);
    place.compact().await.unwrap();
    // A day later there are three more: one with a new row, one without, and one that has no unit in its name.
    place.set_time(END + 26 * HOUR);
    let new = place.put_raw(&[2, 3]);
    let known = place.put_raw(&[1]);
    let other = "p/avro/order/partition_date=2026-11-28/9877f2f2ae7cf25dcf1859b79128e7fe.avro";
    place.put(other, raw_file(&place.schema, &[4]));
    let compacted = place.compact().await.unwrap();
    assert_eq!((compacted.files[0].rows, compacted.files[0].raw_files, &compacted.deleted), (1, 2, &vec![named]));
    let mut left = vec![new, known];
    left.sort();
    assert_eq!(place.raw_keys(), left);
    assert_eq!(place.keys(other).len(), 1);
    // Deleting fails in between: the next job deletes the rest.
    place.pass(25 * HOUR);
    place.http.set_plan(FaultPlan::on("DeleteObject", 1, Fault::AccessDenied));
    assert_eq!(place.compact().await.unwrap_err().kind, ErrorKind::Config);
    assert!(!place.raw_keys().is_empty());
    place.compact().await.unwrap();
    assert_eq!((place.raw_keys().len(), place.query()), (0, once(1..=3)));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_put_when_it_would_take_effect_soon() {
    let place = Place::new();
    place.put_raw(&[1]);
    place.set_time(END + HOUR);
    // Writing the file takes 21 minutes at first.
    let (calls, start) = (Arc::new(AtomicI64::new(0)), place.now());
    let slow = Arc::new(move || {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        start + if call < 3 { call * 21 * MINUTE } else { HOUR }
    });
    let compactor = Compactor { clock: slow, ..place.compactor() };
    compact(&compactor, &place.schema).await.unwrap();
    let compacted = place.compacted();
    assert_eq!(compacted.values().map(|file| file.at).collect::<Vec<_>>(), [start + HOUR + 30 * MINUTE]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_one_file() {
    for fault in [Fault::LoseResponse, Fault::LoseRequest, Fault::Status503, Fault::TransactionConflict] {
        let place = Place::new();
        place.put_raw(&[1, 2]);
        place.set_time(END + HOUR);
        place.http.set_plan(FaultPlan::on("PutObject", 1, fault));
        place.compact().await.unwrap();
        let puts = place.http.calls().iter().filter(|(call, _)| call.operation == "PutObject").count();
        assert_eq!(
            (place.parquet_keys().len(), puts),
            (1, if fault == Fault::LoseResponse { 1 } else { 2 }),
            "{fault:?}"
        );
        place.pass(HOUR);
        assert_eq!(place.query(), once(1..=2));
    }
}

/// Ten files of ten records, each of which repeats a record of the file before it.
fn put_ten_files(place: &Place) {
    (0..10_u64).for_each(|file| drop(place.put_raw(&(9 * file..9 * file + 10).collect::<Vec<_>>())));
}

#[tokio::test(start_paused = true)]
async fn regression_a_unit_that_does_not_fit_into_memory_becomes_several_files() {
    let place = Place::new();
    put_ten_files(&place);
    place.set_time(END + HOUR);
    let small = |effect: Effect| Compactor { memory_bytes: 6_000, effect, ..place.compactor() };
    let planned = compact(&small(Effect::DryRun), &place.schema).await.unwrap();
    assert_eq!(place.parquet_keys(), [""; 0]);
    let compacted = compact(&small(Effect::Commit), &place.schema).await.unwrap();
    assert_eq!(compacted, planned);
    assert!(compacted.files.len() > 2, "{compacted:?}");
    let sum = |count: fn(&usage_compact::ParquetFile) -> u64| compacted.files.iter().map(count).sum::<u64>();
    assert_eq!((sum(|file| file.rows), sum(|file| file.raw_rows), sum(|file| file.raw_files)), (91, 100, 10));
    assert_eq!(place.parquet_keys().len(), compacted.files.len());
    for minutes in [0, 30, 60] {
        place.set_time(END + HOUR + minutes * MINUTE);
        assert_eq!(place.query(), once(0..=90), "after {minutes} minutes");
    }
    // Nothing is left to do until the raw files are deleted.
    assert_eq!(place.compact().await.unwrap().files, []);
    place.pass(24 * HOUR);
    assert_eq!(place.compact().await.unwrap().deleted.len(), 10);
    assert_eq!(place.query(), once(0..=90));
}

#[tokio::test(start_paused = true)]
async fn a_unit_whose_compacted_ids_do_not_fit_into_memory_is_refused_with_the_remedy() {
    let place = Place::new();
    put_ten_files(&place);
    place.set_time(END + HOUR);
    let compactor = Compactor { memory_bytes: 2_000, ..place.compactor() };
    let error = compact(&compactor, &place.schema).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert_eq!(
        error.message,
        "compact order 2026-11-28 2026-11-28T08: the ids of its compacted rows take more than 0 MB; raise the function's memory until this unit is compacted, and set ARCHIVE_UNIT to a shorter unit for those to come"
    );
    // What fits is compacted, and more memory does the rest.
    assert!(!place.parquet_keys().is_empty());
    place.compact().await.unwrap();
    place.pass(HOUR);
    assert_eq!(place.query(), once(0..=90));
    assert_eq!(place.compacted().values().map(|file| file.rows.len()).sum::<usize>(), 91);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_reads_everything_and_changes_nothing() {
    let place = Place::new();
    place.put_raw(&[1, 2]);
    place.put_raw(&[2]);
    place.set_time(END + HOUR);
    let dry = Compactor { effect: Effect::DryRun, ..place.compactor() };
    let compacted = compact(&dry, &place.schema).await.unwrap();
    assert_eq!((compacted.files[0].rows, compacted.files[0].raw_rows, place.parquet_keys().len()), (2, 3, 0));
    let really = place.compact().await.unwrap();
    assert_eq!(really.files[0].rows, compacted.files[0].rows);
    place.pass(25 * HOUR);
    assert_eq!(compact(&dry, &place.schema).await.unwrap().deleted.len(), 2);
    assert_eq!(place.raw_keys().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn now_compacts_open_units_with_immediate_effect() {
    let place = Place::new();
    place.put_raw(&[1, 2]);
    let compactor = Compactor { timing: Timing::Now, ..place.compactor() };
    compact(&compactor, &place.schema).await.unwrap();
    assert_eq!(place.compacted().values().map(|file| file.at).collect::<Vec<_>>(), [place.now()]);
    assert_eq!(place.query(), once(1..=2));
}

#[tokio::test(start_paused = true)]
async fn the_current_schema_reads_older_rows() {
    let mut place = Place::new();
    place.put_raw(&[1]);
    place.schema = Arc::new(schema(json!([{ "name": "country", "type": "string", "default": "DE" }])));
    place.set_time(END + HOUR);
    place.compact().await.unwrap();
    let body = place.objects.bucket("archive").into_iter().find(|(key, _)| key.contains("/parquet/")).unwrap().1;
    let file = CompactedFile::open(bytes::Bytes::copy_from_slice(&body)).unwrap();
    let row = file.rows().unwrap().next().unwrap().unwrap();
    let Avro::Record(fields) = row else { panic!("{row:?}") };
    assert_eq!(fields[2], ("country".to_owned(), Avro::String("DE".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_renamed_field_keeps_the_values_of_older_rows() {
    let mut place = Place::new();
    place.put_raw(&[7, 9]);
    let renamed = json!({ "type": "record", "name": "Order", "fields": [
        { "name": "record_id", "type": "string", "source": "record_id" },
        { "name": "no", "type": "long", "aliases": ["number"], "attribute": "number", "default": 0 },
    ] });
    place.schema = Arc::new(usage_aggregator::archive::RecordSchema::parse(&renamed.to_string()).unwrap());
    place.set_time(END + HOUR);
    place.compact().await.unwrap();
    place.pass(HOUR);
    assert_eq!(place.query(), once([7, 9]));
}

#[tokio::test(start_paused = true)]
async fn the_work_is_the_units_that_have_raw_files() {
    let place = Place::new();
    place.put_raw(&[1]);
    place.put_raw(&[2]);
    place.put("p/avro/order/partition_date=2026-12-24/2026-11-28T0840-00.avro", Vec::new());
    place.put("p/avro/order_line/partition_date=2026-11-28/2026-11-28T08-00.avro", Vec::new());
    let compactor = place.compactor();
    let units = |units: Vec<usage_compact::RawUnit>| {
        units.into_iter().map(|unit| format!("{}: {}", unit.key, unit.files)).collect::<Vec<_>>()
    };
    let all = raw_units(&compactor.archive, "order", None).await.unwrap();
    assert_eq!(units(all), ["order 2026-11-28 2026-11-28T08: 2", "order 2026-12-24 2026-11-28T0840: 1"]);
    let day = raw_units(&compactor.archive, "order", Some("2026-12-24")).await.unwrap();
    assert_eq!(units(day), ["order 2026-12-24 2026-11-28T0840: 1"]);
    assert_eq!(compactor.tidy(&key()).await.unwrap(), Due::Nothing);
    place.set_time(END);
    assert_eq!(compactor.tidy(&key()).await.unwrap(), Due::Files);
    // The alarm HourNotCompacted. A late file of a compacted unit isn't overdue for a day.
    place.set_time(END + 5 * HOUR);
    assert_eq!(compactor.tidy(&key()).await.unwrap(), Due::Overdue);
    place.compact().await.unwrap();
    place.put_raw(&[3]);
    place.set_time(END + 6 * HOUR);
    assert_eq!(compactor.tidy(&key()).await.unwrap(), Due::Files);
}

#[test]
fn types_that_cannot_be_compacted_are_refused_with_a_remedy() {
    let text = json!({ "type": "record", "name": "Order", "fields": [
        { "name": "unit", "type": "string" },
        { "name": "empty", "type": { "type": "record", "name": "Empty", "fields": [] } },
        { "name": "chain", "type": ["null", { "type": "record", "name": "Node", "fields": [{ "name": "next", "type": ["null", "Node"] }] }] },
    ] });
    let schema = usage_aggregator::archive::RecordSchema::parse(&text.to_string()).unwrap();
    insta::assert_snapshot!(RecordType::new(&schema).unwrap_err().join("\n"));
}
