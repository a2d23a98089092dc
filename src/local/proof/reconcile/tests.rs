//! Agreement and every kind of difference, with the embedded services: a simulation writes, the handler processes the
//! embedded stream, and then the test manipulates the results.

mod backfilled;
mod evolved;
mod fixture;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;

use super::*;
use crate::emulators::in_process::{self, Objects};
use crate::emulators::{Fault, FaultPlan, FaultyHttp};
use crate::proof::load::ProfileName;
use fixture::{FAILURES, Fixture, archive_of};
use usage_aggregator::pipeline::{Aggregate, MeasureKind, Quantile, shipped};
use usage_compact::steps::RowFields;

type Item = HashMap<String, AttributeValue>;

/// A fixture in which orders were simulated and delivered.
async fn delivered(records: u64, poison_percent: u8) -> Fixture {
    let fixture = Fixture::new(ProfileName::Orders).await;
    fixture.simulate(records, poison_percent).await;
    fixture.deliver().await;
    fixture
}

async fn snapshots(fixture: &Fixture) -> Vec<Item> {
    let pages = fixture.clients.dynamodb.scan().table_name("usage").into_paginator().items().send();
    let mut items: Vec<Item> = pages.collect::<Result<_, _>>().await.unwrap();
    items.sort_by_key(|item| (item["pk"].as_s().unwrap().clone(), item["sk"].as_s().unwrap().clone()));
    items
}

async fn put(fixture: &Fixture, item: Item) {
    fixture.clients.dynamodb.put_item().table_name("usage").set_item(Some(item)).send().await.unwrap();
}

async fn files(fixture: &Fixture, record_type: &str) -> Vec<String> {
    keys(fixture, &format!("data-pipeline/avro/{record_type}/")).await
}

async fn keys(fixture: &Fixture, prefix: &str) -> Vec<String> {
    let listing = fixture.clients.s3.list_objects_v2().bucket("archive").prefix(prefix).send().await.unwrap();
    listing.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn everything_agrees_after_exact_delivery() {
    let fixture = delivered(150, 4).await;
    let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let (counted, archived, poison) = (report.counted.unwrap(), report.archived.unwrap(), report.poison.unwrap());
    assert!(report.agrees(), "{:#?}", report.differences);
    assert!(counted.records > 50 && counted.counters > 20 && poison.records > 0, "{report:?}");
    assert_eq!((counted.agreeing_records, counted.unsure_counters), (counted.records, 0));
    assert_eq!(archived.records + report.poison_records, 150);
    assert_eq!((archived.agreeing_records, archived.repeated_rows), (archived.records, 0));
    assert_eq!((poison.found_records, poison.records), (report.poison_records, report.poison_records));
}

#[tokio::test]
async fn late_requests_count_in_the_windows_of_their_own_time_and_those_beyond_the_bound_are_rejected() {
    let fixture = Fixture::new(ProfileName::ApiUsage).await;
    fixture.simulate(150, 5).await;
    fixture.deliver().await;
    fixture.deliver_in_batches_of(60).await;
    for truth in [fixture.ledgers(), Truth::Archive] {
        let report = fixture.reconcile(&truth).await.unwrap();
        assert!(report.agrees() && report.skipped.is_empty(), "{truth:?}: {report:#?}");
        let (counted, archived) = (report.counted.unwrap(), report.archived.unwrap());
        assert_eq!((counted.agreeing_records, counted.unsure_counters), (counted.records, 0), "{truth:?}");
        if truth != Truth::Archive {
            assert!(report.poison_records > 0, "{report:?}");
            assert_eq!(archived.records + report.poison_records, 150);
        }
    }
    let of_hours = snapshots(&fixture).await.into_iter().filter(|item| item["window"].as_s().unwrap() == "hour");
    let hours: BTreeSet<String> = of_hours.map(|item| item["window_start"].as_s().unwrap().clone()).collect();
    assert!(hours.len() > 3, "{hours:?}");
}

#[tokio::test]
async fn a_redelivery_only_repeats_rows() {
    let fixture = delivered(60, 0).await;
    fixture.deliver_in_batches_of(7).await;
    let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    assert!(report.agrees(), "{:#?}", report.differences);
    let archived = report.archived.unwrap();
    // A file that the redelivery cut like the first delivery is the same file.
    assert!(archived.records == 60 && (1..=60).contains(&archived.repeated_rows), "{archived:?}");
}

#[tokio::test]
async fn a_changed_counter_is_listed_with_both_numbers() {
    let fixture = delivered(60, 0).await;
    let mut item = snapshots(&fixture).await.swap_remove(0);
    let changes: i64 = item["changes"].as_n().unwrap().parse().unwrap();
    item.insert("changes".to_owned(), AttributeValue::N((changes + 2).to_string()));
    put(&fixture, item.clone()).await;
    let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let [Difference::Counter { group, window, window_start, measure, expected, found, difference }] =
        report.differences.as_slice()
    else {
        panic!("{:#?}", report.differences)
    };
    assert_eq!(group, &[item["entity"].as_s().unwrap().clone(), "orders".to_owned()]);
    assert_eq!(window, item["window"].as_s().unwrap());
    assert_eq!(window_start, item["window_start"].as_s().unwrap());
    assert_eq!((measure.as_str(), expected.as_deref()), ("changes", Some(&*changes.to_string())));
    assert_eq!((found.as_deref(), difference.as_deref()), (Some(&*(changes + 2).to_string()), Some("2")));
    let counted = report.counted.unwrap();
    assert!(counted.agreeing_records < counted.records, "{counted:?}");
}

#[tokio::test]
async fn the_same_number_written_differently_is_not_a_difference() {
    let fixture = delivered(40, 0).await;
    let mut item = snapshots(&fixture).await.swap_remove(0);
    let changes = item["changes"].as_n().unwrap().clone();
    item.insert("changes".to_owned(), AttributeValue::N(format!("{changes}.00")));
    put(&fixture, item).await;
    assert!(fixture.reconcile(&fixture.ledgers()).await.unwrap().agrees());
}

#[tokio::test]
async fn measures_that_arent_sums_are_recounted_from_the_archive() {
    let fixture = Fixture::with_kinds().await;
    fixture.simulate(150, 4).await;
    fixture.deliver().await;
    fixture.deliver_in_batches_of(7).await;
    for truth in [fixture.ledgers(), Truth::Archive] {
        let report = fixture.reconcile(&truth).await.unwrap();
        assert!(report.agrees() && report.skipped.is_empty(), "{truth:?}: {report:#?}");
    }
    let item = snapshots(&fixture).await.into_iter().find(|item| item["window"].as_s().unwrap() == "day").unwrap();
    let attributes = ["largest", "smallest", "first_status", "status", "totals", "total_p50", "total_p95", "total_p99"];
    for attribute in attributes {
        let mut wrong = item.clone();
        let value = match &wrong[attribute] {
            AttributeValue::N(number) => AttributeValue::N(format!("{number}1")),
            _ => AttributeValue::S("LOST".to_owned()),
        };
        wrong.insert(attribute.to_owned(), value);
        put(&fixture, wrong.clone()).await;
        let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
        let named =
            |difference: &Difference| matches!(difference, Difference::Counter { measure, .. } if measure == attribute);
        assert!(report.difference_count == 1 && named(&report.differences[0]), "{attribute}: {report:#?}");
        wrong.remove(attribute);
        put(&fixture, wrong).await;
        assert_eq!(fixture.reconcile(&Truth::Archive).await.unwrap().difference_count, 1, "{attribute}");
        put(&fixture, item.clone()).await;
    }
}

#[tokio::test]
async fn what_an_incomplete_archive_does_not_determine_is_named_and_not_compared() {
    let fixture = Fixture::with_kinds().await;
    fixture.simulate(200, 0).await;
    fixture.deliver().await;
    let first = fixture.first_file("order").await;
    fixture.clients.s3.delete_object().bucket("archive").key(first).send().await.unwrap();
    let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let is_row = |difference: &Difference| matches!(difference, Difference::Rows { .. });
    assert!(report.skipped.len() == 6 && report.differences.iter().all(is_row), "{report:#?}");
}

#[tokio::test]
async fn without_an_archive_measures_that_arent_sums_are_named_and_not_compared() {
    let fixture = delivered(40, 0).await;
    let mut item = snapshots(&fixture).await.swap_remove(0);
    item.insert("status".to_owned(), AttributeValue::S("PAID".to_owned()));
    item.insert("amount_p50".to_owned(), AttributeValue::N("7".to_owned()));
    put(&fixture, item).await;
    let mut pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
    let kind = |aggregate, quantiles: &[Quantile]| MeasureKind { aggregate, quantiles: quantiles.to_vec() };
    let kinds = [("amount", kind(Aggregate::Quantile, &Quantile::USUAL)), ("status", kind(Aggregate::Latest, &[]))];
    pipeline.snapshot.as_mut().unwrap().kinds = kinds.map(|(name, kind)| (name.to_owned(), kind)).into();
    let site = Site { pipeline: &pipeline, archive: None, ..fixture.site() };
    let report = reconcile(&site, &fixture.ledgers(), &[], &|| {}).await.unwrap();
    assert!(report.agrees(), "{:#?}", report.differences);
    assert_eq!(report.skipped, ["amount (quantile)", "status (latest)"]);
}

#[tokio::test]
async fn missing_and_unexpected_snapshots_are_listed() {
    let fixture = delivered(60, 0).await;
    let item = snapshots(&fixture).await.swap_remove(0);
    let delete = fixture.clients.dynamodb.delete_item().table_name("usage");
    delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
    let missing = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    assert_eq!(missing.difference_count, 3, "{:#?}", missing.differences);
    let is_missing =
        |difference: &Difference| matches!(difference, Difference::Counter { expected: Some(_), found: None, .. });
    assert!(missing.differences.iter().all(is_missing), "{:#?}", missing.differences);

    let mut stranger = item.clone();
    stranger.insert("pk".to_owned(), AttributeValue::S("CUSTOMER#stranger".to_owned()));
    stranger.insert("entity".to_owned(), AttributeValue::S("stranger".to_owned()));
    put(&fixture, item).await;
    put(&fixture, stranger).await;
    let extra = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let is_extra =
        |difference: &Difference| matches!(difference, Difference::Counter { expected: None, found: Some(_), .. });
    assert_eq!(extra.difference_count, 3);
    assert!(extra.differences.iter().all(is_extra), "{:#?}", extra.differences);
}

#[tokio::test]
async fn a_missing_file_is_a_difference_and_a_repeated_one_is_not() {
    let fixture = delivered(60, 0).await;
    let key = files(&fixture, "order").await.swap_remove(0);
    let s3 = &fixture.clients.s3;
    let body = s3.get_object().bucket("archive").key(&key).send().await.unwrap().body.collect().await.unwrap();
    let copy = key.replace(".avro", "-copy.avro");
    let body = ByteStream::from(body.into_bytes());
    s3.put_object().bucket("archive").key(copy).body(body).send().await.unwrap();
    let twice = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    assert!(twice.agrees() && twice.archived.unwrap().repeated_rows > 0, "{twice:?}");

    for key in files(&fixture, "order_line").await {
        s3.delete_object().bucket("archive").key(key).send().await.unwrap();
    }
    let missing = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let archived = missing.archived.unwrap();
    assert_eq!(missing.difference_count, archived.records - archived.agreeing_records);
    let is_line = |difference: &Difference| matches!(difference, Difference::Rows { record_type, found: 0, expected: 1, .. } if record_type == "order_line");
    assert!(!missing.agrees() && missing.differences.iter().all(is_line), "{:#?}", missing.differences);
}

/// The archive of a fixture in this process, and a client for it. When the first file whose key has this text is read, all such files
/// are deleted, as compaction may do after they were listed.
async fn vanishing(fixture: &Fixture, text: &'static str) -> aws_sdk_s3::Client {
    let objects = Objects::default();
    objects.create_bucket("archive");
    for kind in ["avro", "parquet"] {
        for record_type in ["order", "order_line", "customer"] {
            for key in keys(fixture, &format!("data-pipeline/{kind}/{record_type}/")).await {
                let get = fixture.clients.s3.get_object().bucket("archive").key(&key).send().await.unwrap();
                objects.put_object("archive", &key, &get.body.collect().await.unwrap().into_bytes());
            }
        }
    }
    let shared = objects.clone();
    let vanish = FaultPlan::new(move |call| {
        if call.path.contains(text) {
            let left = shared.bucket("archive");
            shared.create_bucket("archive");
            for (key, body) in left.iter().filter(|(key, _)| !key.contains(text)) {
                shared.put_object("archive", key, body);
            }
        }
        Fault::None
    });
    let http = in_process::client(dynoxide::Database::memory().unwrap(), objects);
    in_process::clients(FaultyHttp::new(http, vanish).client()).s3
}

#[tokio::test]
async fn regression_raw_files_that_compaction_deletes_after_they_were_listed_are_read_as_parquet() {
    let fixture = delivered(60, 0).await;
    fixture.compact().await;
    for (vanishes, is_read) in [("/avro/", true), ("/parquet/", false)] {
        let clients = Clients { s3: vanishing(&fixture, vanishes).await, ..fixture.clients.clone() };
        let site = Site { clients: &clients, ..fixture.site() };
        let report = reconcile(&site, &Truth::Archive, &[], &|| {}).await;
        assert_eq!(report.as_ref().is_ok_and(Report::agrees), is_read, "{report:?}");
        if let Err(error) = report {
            assert!(format!("{error:#}").starts_with("get s3://archive/data-pipeline/parquet/"), "{error:#}");
        }
    }
}

#[tokio::test]
async fn the_failure_destination_must_hold_the_poison_and_nothing_else() {
    let fixture = delivered(80, 10).await;
    let s3 = &fixture.clients.s3;
    let listing = s3.list_objects_v2().bucket(FAILURES).send().await.unwrap();
    let key = listing.contents().first().unwrap().key().unwrap().to_owned();
    let document = s3.get_object().bucket(FAILURES).key(&key).send().await.unwrap().body.collect().await.unwrap();
    let document = String::from_utf8(document.to_vec()).unwrap();
    s3.delete_object().bucket(FAILURES).key(&key).send().await.unwrap();
    let lost = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let poison = lost.poison.unwrap();
    assert_eq!((lost.difference_count, poison.found_records + 1), (1, poison.records));
    assert!(matches!(lost.differences.as_slice(), [Difference::Poison { expected: 1, found: 0, .. }]));

    // A record may be there twice, but no other item may be.
    for copy in ["a", "b"] {
        let body = ByteStream::from(document.clone().into_bytes());
        s3.put_object().bucket(FAILURES).key(format!("{key}-{copy}")).body(body).send().await.unwrap();
    }
    assert!(fixture.reconcile(&fixture.ledgers()).await.unwrap().agrees());
    let other = document.replace("CUSTOMER#", "CUSTOMER#x");
    s3.put_object().bucket(FAILURES).key(&key).body(ByteStream::from(other.into_bytes())).send().await.unwrap();
    let extra = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    assert!(matches!(extra.differences.as_slice(), [Difference::Poison { expected: 0, found: 1, .. }]));
}

#[tokio::test]
async fn undelivered_records_differ_until_they_are_delivered() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    fixture.simulate(40, 0).await;
    let before = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let (counted, archived) = (before.counted.unwrap(), before.archived.unwrap());
    assert_eq!((counted.agreeing_records, archived.agreeing_records), (0, 0));
    assert_eq!(archived.records, 40);
    let (site, ledgers) = (fixture.site(), fixture.ledgers());
    let waiting = reconcile_within(Duration::from_secs(60), &site, &ledgers, &[], &|| {});
    let (report, ()) = futures::future::join(waiting, fixture.deliver()).await;
    assert!(report.unwrap().agrees());
}

#[tokio::test]
async fn unsure_records_are_counted_and_their_counters_excluded() {
    let fixture = delivered(60, 0).await;
    for (unsure, hours, lengths) in [("hour", 1, 1..=3), ("arrival", 0, 3..=3)] {
        let ledger = fixture.with_an_unsure_order(unsure, hours);
        let report = fixture.reconcile(&Truth::Ledgers(vec![ledger])).await.unwrap();
        assert!(report.agrees(), "{unsure}: {:#?}", report.differences);
        let (counted, archived) = (report.counted.unwrap(), report.archived.unwrap());
        assert_eq!(report.unsure_records, 1);
        assert_eq!(counted.agreeing_records, counted.records);
        assert_eq!(archived.records, if unsure == "hour" { 60 } else { 59 });
        // Three measures; in the hours before and after, or in all windows.
        let (fewest, most) = (3 * lengths.start(), 3 * (lengths.end() + hours) + 3 * hours);
        assert!((fewest..=most).contains(&counted.unsure_counters), "{unsure}: {counted:?}");
    }
}

#[tokio::test]
async fn regression_a_write_across_an_hour_of_the_time_zone_may_count_in_either() {
    let fixture = Fixture::in_india().await;
    fixture.simulate(60, 0).await;
    fixture.deliver().await;
    assert!(fixture.reconcile(&fixture.ledgers()).await.unwrap().agrees());
    let ledger = fixture.with_an_order_across_an_hour_of_india();
    let report = fixture.reconcile(&Truth::Ledgers(vec![ledger])).await.unwrap();
    assert!(report.agrees(), "{:#?}", report.differences);
    let counted = report.counted.unwrap();
    assert_eq!((report.unsure_records, counted.agreeing_records), (1, counted.records));
    assert!(counted.unsure_counters > 0, "{counted:?}");
}

#[tokio::test]
async fn tokens_of_buckets_are_counted_by_limit() {
    let fixture = Fixture::new(ProfileName::Bucket).await;
    for _ in 0..2 {
        fixture.simulate(60, 0).await;
    }
    fixture.deliver().await;
    let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    assert!(report.agrees(), "{:#?}", report.differences);
    assert_eq!((report.counted.unwrap().records, report.counted.unwrap().agreeing_records), (120, 120));
    assert_eq!(report.archived, None);
}

#[tokio::test]
async fn the_archive_proves_the_snapshots_by_itself() {
    let fixture = delivered(200, 3).await;
    fixture.deliver_in_batches_of(9).await;
    let by_ledger = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    let by_archive = fixture.reconcile(&Truth::Archive).await.unwrap();
    assert!(by_archive.agrees(), "{:#?}", by_archive.differences);
    assert_eq!(by_archive.counted, by_ledger.counted);
    assert_eq!(by_archive.archived, by_ledger.archived);
    assert_eq!(by_archive.unprovable, Vec::<String>::new());

    let mut item = snapshots(&fixture).await.swap_remove(0);
    item.insert("amount".to_owned(), AttributeValue::N("0.01".to_owned()));
    put(&fixture, item).await;
    assert_eq!(fixture.reconcile(&Truth::Archive).await.unwrap().difference_count, 1);
}

#[tokio::test]
async fn an_archive_without_the_start_of_a_history_proves_nothing() {
    let fixture = delivered(200, 0).await;
    // The first file has the insertions of what the later ones change.
    let first = fixture.first_file("order").await;
    fixture.clients.s3.delete_object().bucket("archive").key(first).send().await.unwrap();
    let error = fixture.reconcile(&Truth::Archive).await.unwrap_err();
    let Unprovable(reasons) = error.downcast_ref().unwrap();
    assert!(reasons.iter().any(|reason| reason.contains("no insertion before it")), "{reasons:?}");
}

#[test]
fn what_a_pipeline_does_not_archive_exactly_is_named() {
    let gaps = |name: &str| {
        let pipeline = Pipeline::parse(&archive_of(name)).unwrap();
        let columns = pipeline.schemas().map(|(name, schema)| (name, RowFields::new(schema).unwrap())).collect();
        let gaps = provable::gaps(&pipeline, &columns);
        (gaps.fatal, gaps.measures)
    };
    assert_eq!(gaps("orders"), (Vec::new(), BTreeMap::new()));
    insta::assert_debug_snapshot!([gaps("alleycat"), gaps("limiter")]);
}

#[tokio::test]
async fn records_that_wait_for_the_mapping_are_not_differences() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    fixture.simulate(60, 0).await;
    let left = fixture.deliver_first(20).await;
    for unsettled in [Unsettled::Exactly(left), Unsettled::Exactly(left + 9), Unsettled::AtLeast(1)] {
        let report = fixture.reconcile_while(unsettled).await;
        assert_eq!(report.waiting, Some(Waiting { records: left, pages: 0 }), "{unsettled:?}");
        assert_eq!((report.difference_count, report.agrees()), (0, false), "{:#?}", report.differences);
    }
    fixture.deliver().await;
    let report = fixture.reconcile_while(Unsettled::Exactly(0)).await;
    assert!(report.agrees() && report.waiting.is_none(), "{report:#?}");
}

#[tokio::test]
async fn if_more_records_are_missing_than_wait_all_are_listed() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    fixture.simulate(60, 0).await;
    let left = fixture.deliver_first(20).await;
    let report = fixture.reconcile_while(Unsettled::Exactly(left - 1)).await;
    assert_eq!(report.waiting, None);
    assert!(report.difference_count > left, "{report:#?}");
}

#[tokio::test]
async fn a_wrong_counter_is_listed_although_records_of_other_entities_wait() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    fixture.simulate(60, 0).await;
    let left = fixture.deliver_until_last_order().await;
    let waiting = fixture.reconcile_while(Unsettled::Exactly(left)).await;
    assert!(waiting.difference_count == 0 && waiting.waiting.is_some(), "{waiting:#?}");
    let items = snapshots(&fixture).await;
    for mut item in items.clone() {
        let changes: i64 = item["changes"].as_n().unwrap().parse().unwrap();
        item.insert("changes".to_owned(), AttributeValue::N((changes + 2).to_string()));
        put(&fixture, item).await;
    }
    let report = fixture.reconcile_while(Unsettled::Exactly(left)).await;
    let changed = u64::try_from(items.len()).unwrap();
    assert!(report.difference_count > 0 && report.difference_count < changed, "{report:#?}");
}

#[tokio::test]
async fn poison_is_found_in_quarantine_too() {
    let fixture = delivered(150, 4).await;
    fixture.quarantine_what_was_given_up().await;
    let report = fixture.reconcile(&fixture.ledgers()).await.unwrap();
    assert!(report.agrees(), "{:#?}", report.differences);
    let poison = report.poison.unwrap();
    assert_eq!((poison.found_records, poison.quarantined_records), (poison.records, poison.records));
    assert_eq!(poison.in_both_records, 0);
}

#[tokio::test]
async fn poison_that_waits_is_not_a_difference() {
    let fixture = delivered(150, 4).await;
    let listed = fixture.clients.s3.list_objects_v2().bucket(FAILURES).send().await.unwrap();
    let key = listed.contents()[0].key().unwrap();
    fixture.clients.s3.delete_object().bucket(FAILURES).key(key).send().await.unwrap();
    let report = fixture.reconcile_while(Unsettled::Exactly(1)).await;
    assert_eq!((report.waiting, report.difference_count), (Some(Waiting { records: 1, pages: 0 }), 0));
}
