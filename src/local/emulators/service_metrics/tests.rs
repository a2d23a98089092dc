//! Requests with injected faults, and the metrics that the services publish about them.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use dynoxide::Database;
use event_source_mapping::sources::MemoryStream;
use stream_types::Timestamp;

use super::*;
use crate::emulators::cloudwatch::{MetricId, Series, Statistic};
use crate::emulators::in_process::{self, Objects};
use crate::emulators::{Fault, FaultPlan, FaultyHttp, TableSpec, ensure_tables};

fn sum(metrics: &Metrics, namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Option<f64> {
    let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let metric = MetricId { namespace: namespace.to_owned(), name: name.to_owned(), dimensions };
    let series = Series { metric, statistic: Statistic::parse("Sum").unwrap(), period: 7_200 };
    metrics.before(&series, event_source_mapping::now().unwrap().seconds() + 3_600, 1)[0]
}

#[tokio::test]
async fn throttled_reads_and_writes_count_for_their_table() {
    let (metrics, objects) = (Metrics::default(), Objects::default());
    let faulty = FaultyHttp::new(in_process::client(Database::memory().unwrap(), objects), FaultPlan::none());
    let clients = in_process::clients(measured_http(faulty.client(), metrics.clone(), None));
    let table = TableSpec { name: "usage", partition_key: "pk", sort_key: None, ttl_attribute: None, stream: None };
    ensure_tables(&clients.dynamodb, &[table]).await.unwrap();
    let of = |name| sum(&metrics, "AWS/DynamoDB", name, &[("TableName", "usage")]);
    assert_eq!((of("ReadThrottleEvents"), of("WriteThrottleEvents")), (None, None));
    faulty.set_plan(FaultPlan::new(|_| Fault::Throttle));
    let key = || AttributeValue::S("a".to_owned());
    assert!(clients.dynamodb.put_item().table_name("usage").item("pk", key()).send().await.is_err());
    assert!(clients.dynamodb.get_item().table_name("usage").key("pk", key()).send().await.is_err());
    // The SDK tries three times.
    assert_eq!((of("ReadThrottleEvents"), of("WriteThrottleEvents")), (Some(3.0), Some(3.0)));
    let by_operation = [("TableName", "usage"), ("Operation", "GetItem")];
    assert_eq!(sum(&metrics, "AWS/DynamoDB", "ThrottledRequests", &by_operation), Some(3.0));
}

#[tokio::test]
async fn requests_to_the_archive_count_by_the_class_of_their_status() {
    let (metrics, objects) = (Metrics::default(), Objects::default());
    ["archive", "failures"].iter().for_each(|bucket| objects.create_bucket(bucket));
    let faulty = FaultyHttp::new(in_process::client(Database::memory().unwrap(), objects), FaultPlan::none());
    let clients = in_process::clients(measured_http(faulty.client(), metrics.clone(), Some("archive".to_owned())));
    let put = |bucket: &'static str| {
        let body = ByteStream::from_static(b"x");
        clients.s3.put_object().bucket(bucket).key("k").if_none_match("*").body(body).send()
    };
    put("archive").await.unwrap();
    put("failures").await.unwrap();
    // 412: an earlier delivery has written the file.
    put("archive").await.unwrap_err();
    for (fault, requests) in [(Fault::AccessDenied, 1.0), (Fault::Status503, 3.0)] {
        let before = sum(&metrics, "AWS/S3", "AllRequests", &[("BucketName", "archive"), ("FilterId", "archive")]);
        faulty.set_plan(FaultPlan::always("PutObject", fault));
        put("archive").await.unwrap_err();
        let after = sum(&metrics, "AWS/S3", "AllRequests", &[("BucketName", "archive"), ("FilterId", "archive")]);
        assert_eq!(after, before.map(|before| before + requests), "{fault:?}");
    }
    let of = |name| sum(&metrics, "AWS/S3", name, &[("BucketName", "archive"), ("FilterId", "archive")]);
    assert_eq!((of("4xxErrors"), of("5xxErrors")), (Some(2.0), Some(3.0)));
    assert_eq!(sum(&metrics, "AWS/S3", "AllRequests", &[("BucketName", "failures"), ("FilterId", "archive")]), None);
}

#[tokio::test]
async fn a_read_of_kinesis_reports_the_age_of_its_last_record() {
    let metrics = Metrics::default();
    let stream = MemoryStream::new(StreamKind::Kinesis, "arn:aws:kinesis:us-east-1:000000000000:stream/race");
    stream.open("s", &[]);
    let created_at = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let sequence = event_source_mapping::SequenceNumber::parse("1").unwrap();
    stream.push("s", event_source_mapping::SourceRecord { sequence, item: 1, created_at, json: "{}".to_owned() });
    let clock = Clock::new(|| Timestamp::parse("2026-11-28T00:01:00Z").unwrap());
    let source = MeasuredSource::new(Arc::new(stream), metrics.clone(), clock);
    let page = source.read("s", &Position::TrimHorizon, 10).await.unwrap();
    let age = || sum(&metrics, "AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", &[("StreamName", "race")]);
    assert_eq!(age(), Some(60_000.0));
    source.read("s", &page.next, 10).await.unwrap();
    assert_eq!(age(), Some(60_000.0));
}
