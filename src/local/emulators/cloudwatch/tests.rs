use aws_sdk_cloudwatch::types as sdk;
use aws_sdk_cloudwatch::types::{MetricDatum, StandardUnit};

use axum::http::StatusCode;

use super::*;
use crate::emulators::{Services, sdk_config};

#[tokio::test]
async fn cloudwatch_keeps_small_and_compressed_data_points() {
    let services = Services::start(None).unwrap();
    let client = services.cloudwatch_client(&sdk_config(None));
    let datum = |number: usize| {
        let dimension = sdk::Dimension::builder().name("Pipeline").value("orders").build();
        let datum = MetricDatum::builder().metric_name(format!("RecordsCommitted{number}")).dimensions(dimension);
        datum.unit(StandardUnit::Count).value(1.5)
    };
    let put = |data: Vec<MetricDatum>| client.put_metric_data().namespace("Usage").set_metric_data(Some(data)).send();
    let timed = datum(0).timestamp(std::time::SystemTime::now().into()).build();
    put(vec![timed]).await.unwrap();
    // Well over the 10 KiB from which the SDK compresses.
    put((1..=500).map(|number| datum(number).build()).collect()).await.unwrap();
    let points = services.metrics().points();
    assert_eq!(points.len(), 501);
    let expected = DataPoint {
        namespace: "Usage".into(),
        name: "RecordsCommitted500".into(),
        dimensions: BTreeMap::from([("Pipeline".into(), "orders".into())]),
        values: vec![1.5],
        counts: vec![],
        unit: Some("Count".into()),
    };
    assert_eq!(points.last(), Some(&expected));
    services.metrics().clear();
    let distinct = MetricDatum::builder().metric_name("Latency").set_values(Some(vec![1.0, 2.0]));
    put(vec![distinct.set_counts(Some(vec![3.0, 1.0])).build()]).await.unwrap();
    let points = services.metrics().points();
    assert_eq!((&points[0].values, &points[0].counts, &points[0].unit), (&vec![1.0, 2.0], &vec![3.0, 1.0], &None));
}

/// `usagectl serve` kept all of them, 500 MB per day.
#[test]
fn regression_data_points_that_nobody_takes_are_kept_for_a_while_only() {
    let metrics = Metrics::default();
    for number in 0..60_u32 {
        let datum = json!({ "MetricName": format!("Batch{number}"), "Value": 1.0 });
        let request = json!({ "Namespace": "Usage", "MetricData": vec![datum; 1_000] });
        metrics.put(serde_json::from_value(request).unwrap());
    }
    let points = metrics.take();
    assert_eq!((points.len(), &*points[0].name, metrics.points().len()), (50_000, "Batch10", 0));
    let listed = metrics.list(&serde_json::from_value(json!({})).unwrap());
    assert_eq!(listed.metrics.len(), 60, "GetMetricData finds all of them");
}

#[tokio::test]
async fn metrics_can_be_read_back_as_a_series() {
    let services = Services::start(None).unwrap();
    let client = services.cloudwatch_client(&sdk_config(None));
    let begin = std::time::SystemTime::now();
    let datum = MetricDatum::builder().metric_name("Latency").set_values(Some(vec![1.0, 9.0]));
    let datum = datum.set_counts(Some(vec![3.0, 1.0])).timestamp(begin.into()).build();
    client.put_metric_data().namespace("Usage").metric_data(datum).send().await.unwrap();
    services.metrics().publish("AWS/Lambda", "Errors", ("FunctionName", "f"), 2.0);
    // `take` returns only what clients put, and GetMetricData finds both afterwards.
    assert_eq!(services.metrics().take().len(), 1);

    let ask = |namespace: &str, name: &str, stat: &str| {
        let metric = sdk::Metric::builder().namespace(namespace).metric_name(name);
        let metric = match namespace {
            "AWS/Lambda" => metric.dimensions(sdk::Dimension::builder().name("FunctionName").value("f").build()),
            _ => metric,
        };
        let stat = sdk::MetricStat::builder().metric(metric.build()).period(3_600).stat(stat).build();
        let query = sdk::MetricDataQuery::builder().id("q0").metric_stat(stat).build();
        let hour = std::time::Duration::from_secs(3_600);
        let ask = client.get_metric_data().metric_data_queries(query);
        ask.start_time((begin - hour).into()).end_time((begin + hour).into()).send()
    };
    for (namespace, name, stat, expected) in [
        ("Usage", "Latency", "Sum", 12.0),
        ("Usage", "Latency", "Average", 3.0),
        ("Usage", "Latency", "p75", 1.0),
        ("Usage", "Latency", "p99", 9.0),
        ("AWS/Lambda", "Errors", "Sum", 2.0),
    ] {
        let answer = ask(namespace, name, stat).await.unwrap();
        let result = &answer.metric_data_results()[0];
        assert_eq!((result.id(), result.values()), (Some("q0"), &[expected][..]), "{name} {stat}");
        assert_eq!(result.timestamps()[0].secs() % 3_600, 0);
    }
    let nothing = ask("Usage", "Nothing", "Sum").await.unwrap();
    assert_eq!(nothing.metric_data_results()[0].values(), [0.0; 0]);
    let refused = ask("Usage", "Latency", "Median").await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().message(), Some("query q0: `Median` is not a statistic"), "{refused:?}");

    let listed = client.list_metrics().namespace("AWS/Lambda").send().await.unwrap();
    assert_eq!(listed.metrics().len(), 1);
    assert_eq!(listed.metrics()[0].dimensions()[0].value(), Some("f"));
}

/// Sends a request as another client would write it; returns the response's status, content type and body.
async fn send(path: &str, headers: &[(&'static str, &str)], body: &str) -> (StatusCode, String, String) {
    let services = services();
    let mut request = axum::http::Request::post(format!("{}{path}", services.cloudwatch_url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let response = client.request(request.body(axum::body::Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), usize::MAX).await.unwrap();
    let content_type = head.headers["content-type"].to_str().unwrap().to_owned();
    (head.status, content_type, String::from_utf8(body.into()).unwrap())
}

fn services() -> &'static Services {
    static SERVICES: std::sync::OnceLock<Services> = std::sync::OnceLock::new();
    SERVICES.get_or_init(|| Services::start(None).unwrap())
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

#[tokio::test]
async fn the_query_protocol_puts_and_reads_metrics() {
    let put = "Action=PutMetricData&Version=2010-08-01&Namespace=Query&MetricData.member.1.MetricName=Latency\
               &MetricData.member.1.Timestamp=2026-11-21T03%3A04%3A05%2B00%3A00&MetricData.member.1.Values.member.1=1.0\
               &MetricData.member.1.Values.member.2=9&MetricData.member.1.Counts.member.1=3.0";
    let (status, content_type, body) = send("/", &[FORM], put).await;
    assert_eq!((status, content_type.as_str()), (StatusCode::OK, "text/xml"), "{body}");
    let get = "Action=GetMetricData&Version=2010-08-01&StartTime=2026-11-21T03:00:00Z&EndTime=2026-11-21T04:00:00Z\
               &MetricDataQueries.member.1.Id=q0&MetricDataQueries.member.1.MetricStat.Metric.Namespace=Query\
               &MetricDataQueries.member.1.MetricStat.Metric.MetricName=Latency\
               &MetricDataQueries.member.1.MetricStat.Period=60&MetricDataQueries.member.1.MetricStat.Stat=Sum";
    let (_, _, body) = send("/", &[FORM], get).await;
    let expected =
        "<Timestamps><member>2026-11-21T03:04:00Z</member></Timestamps><Values><member>12.0</member></Values>";
    assert!(body.contains(expected), "{body}");
    let (_, _, body) = send("/", &[FORM], "Action=ListMetrics&Namespace=Query").await;
    assert!(body.contains("<Metrics><member><Dimensions></Dimensions><MetricName>Latency</MetricName>"), "{body}");
}

#[tokio::test]
async fn aws_json_puts_and_reads_metrics() {
    let target = |operation: &str| format!("GraniteServiceVersion20100801.{operation}");
    let json = ("content-type", "application/x-amz-json-1.0");
    let put = r#"{"Namespace":"Json","MetricData":[{"MetricName":"Count","Value":2,"Timestamp":1795230245.5}]}"#;
    let (status, _, body) = send("/", &[json, ("x-amz-target", &target("PutMetricData"))], put).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "{}"));
    let get = r#"{"StartTime":1795230000,"EndTime":1795233600,"MetricDataQueries":[{"Id":"q0","MetricStat":{
        "Metric":{"Namespace":"Json","MetricName":"Count"},"Period":60,"Stat":"Sum"}}]}"#;
    let (_, _, body) = send("/", &[json, ("x-amz-target", &target("GetMetricData"))], get).await;
    assert!(body.contains(r#""Timestamps":[1795230240],"Values":[2.0]"#), "{body}");
    let wrong = put.replace(r#""Value":2"#, r#""StatisticValues":{"Sum":2}"#);
    let (status, _, body) = send("/", &[json, ("x-amz-target", &target("PutMetricData"))], &wrong).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("Count: send Value or Values instead of StatisticValues"), "{body}");
}

#[tokio::test]
async fn other_protocols_and_operations_are_refused_with_those_that_are_supported() {
    for (path, headers, expected) in [
        ("/", &[][..], "speaks Smithy RPC v2 CBOR, awsJson 1.0 and the AWS query protocol"),
        ("/", &[("content-type", "application/json")], "supports GetMetricData, ListMetrics and PutMetricData"),
        ("/service/GraniteServiceVersion20100801/operation/PutMetricData", &[], "speaks Smithy RPC v2 CBOR"),
    ] {
        let (status, _, body) = send(path, headers, "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains(expected), "{body}");
    }
    let (status, _, body) = send("/", &[FORM], "Action=DescribeAlarms&Version=2010-08-01").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let expected = "<Code>UnknownOperation</Code><Message>the embedded CloudWatch supports GetMetricData, ListMetrics and \
                    PutMetricData, not `DescribeAlarms`</Message>";
    assert!(body.contains(expected), "{body}");
}
