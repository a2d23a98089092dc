use aws_sdk_cloudwatch::types as sdk;
use aws_sdk_cloudwatch::types::{MetricDatum, StandardUnit};

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

#[tokio::test]
async fn what_was_put_can_be_asked_for_as_a_series() {
    let services = Services::start(None).unwrap();
    let client = services.cloudwatch_client(&sdk_config(None));
    let begin = std::time::SystemTime::now();
    let datum = MetricDatum::builder().metric_name("Latency").set_values(Some(vec![1.0, 9.0]));
    let datum = datum.set_counts(Some(vec![3.0, 1.0])).timestamp(begin.into()).build();
    client.put_metric_data().namespace("Usage").metric_data(datum).send().await.unwrap();
    services.metrics().publish("AWS/Lambda", "Errors", ("FunctionName", "f"), 2.0);
    // The live view takes what was put; what AWS itself would report is not in it, and both stay to be asked for.
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
    assert_eq!(refused.meta().message(), Some("query q0: no statistic Median"), "{refused:?}");

    let listed = client.list_metrics().namespace("AWS/Lambda").send().await.unwrap();
    assert_eq!(listed.metrics().len(), 1);
    assert_eq!(listed.metrics()[0].dimensions()[0].value(), Some("f"));
}
